//! What must hold of a VM that rests.

use super::{Guest, ITS_BASE};
use crate::stage::Stage;
use crate::violation::Rule;
use vgic_core::audit::{Audit, LpiAudit};
use vgic_core::bus::ITS_SIZE;
use vgic_core::cache::{ENTRIES_PER_VCPU, Key};
use vgic_core::{Event, Platform};

impl<P: Platform, S: Stage<P>> Guest<P, S> {
    /// Looks at every LPI from inside: lists, index, caches and reference counts agree.
    #[inline(never)]
    pub(super) fn audit(&self, ctx: &P::Ctx) {
        let audit = self.vm.audit(ctx);
        for lpi in audit.lpis.values() {
            if let Some((rule, what)) = wrong_with(lpi, self.vm.spec().queue_holds_lpis()) {
                self.stage.broken_lpi(ctx, rule, what, lpi.intid);
            }
        }
        for (key, address) in &audit.cached {
            if let Some((why, lpi)) = self.stale(ctx, &audit, key, *address) {
                let event = key.event_id;
                let what = format!("the translation of event {event} to LPI {lpi} is still cached, though {why}");
                self.stage.broken_lpi(ctx, Rule::Cache, what, lpi);
            }
        }
        // The caches before 6.10 are of limited size.
        let limit = self.vm.vcpus.len() * ENTRIES_PER_VCPU as usize;
        if !self.vm.spec().has_cache_per_its() && audit.cached.len() > limit {
            let what = format!("{} translations are cached, where {limit} is the limit", audit.cached.len());
            self.stage.broken(ctx, Rule::Cache, what);
        }
    }

    /// Why a cached translation should not be there, if it should not; and its LPI.
    fn stale(&self, ctx: &P::Ctx, audit: &Audit, key: &Key, address: usize) -> Option<(String, u32)> {
        let lpi = audit.lpis.get(&address)?.intid;
        let its = ((key.doorbell - ITS_BASE) / ITS_SIZE) as usize;
        let mapping = audit.mappings.iter().find(|mapping| mapping.key == *key);
        let why = match mapping {
            None => Some("the event is unmapped".to_owned()),
            Some(mapping) if mapping.lpi != address => Some("the event is mapped to another LPI".to_owned()),
            Some(_) if self.overlooks() => None,
            Some(_) if !self.its[its].is_enabled(ctx) => Some("the ITS is off".to_owned()),
            Some(_) => {
                let (devices, collections) = self.its[its].snapshot(ctx);
                let mut events = devices.iter().flat_map(|device| &device.events);
                let event = events.find(|event| event.event_id == key.event_id);
                let collection = event.and_then(|event| event.collection_id);
                let state = collections.iter().find(|state| Some(state.collection_id) == collection);
                match state.and_then(|state| state.vcpu) {
                    None => Some("its collection is unmapped".to_owned()),
                    Some(vcpu) => {
                        let off = !self.vm.vcpus[vcpu as usize].lpis_enabled(ctx);
                        // MAPC with V = 1 moves a collection without an invalidation.
                        let off = off && !self.ledger().ever_on(its, collection.unwrap_or_default());
                        off.then(|| format!("LPIs of vCPU {vcpu} are off"))
                    }
                }
            }
        };
        why.map(|why| (why, lpi))
    }

    /// What was sent has arrived, and every send is accounted for. Vcpus have taken what there was.
    #[inline(never)]
    pub(super) fn check(&self, ctx: &P::Ctx) {
        let wrong = |what: String, intid| self.stage.broken_lpi(ctx, Rule::Accounts, what, intid);
        for lpi in self.vm.lpis(ctx) {
            let target = lpi.view.target_vcpu.and_then(|vcpu| self.vm.vcpus.get(vcpu as usize));
            let deliverable = lpi.view.enabled && target.is_some_and(|vcpu| vcpu.lpis_enabled(ctx));
            if lpi.view.pending && deliverable && self.vm.distributor_enabled(ctx) {
                wrong(format!("LPI {} is pending and deliverable, but was not delivered", lpi.intid), lpi.intid);
            }
        }
        let lost = self.ledger().lost(|intid| self.tables.enabled(intid));
        if let Some((event, intid)) = lost {
            let what =
                format!("the MSI to event {event} was taken, and nothing came after it, but LPI {intid} never arrived");
            self.stage.broken_lpi(ctx, Rule::Lost, what, intid);
        }
        let (count, pending) = (|event| self.stage.events(ctx, event), self.vm.pending_count(ctx));
        let came = count(Event::Sent) + count(Event::PendingLoaded);
        let went = count(Event::Delivered) + count(Event::Coalesced) + count(Event::Dropped) + pending;
        // In some designs a CLEAR may undo a store, and make one event of two or two of one.
        let slack = if self.vm.spec().clear_may_miscount() { self.ledger().clears() } else { 0 };
        if came.abs_diff(went) > slack {
            let [delivered, coalesced, dropped] = [Event::Delivered, Event::Coalesced, Event::Dropped].map(count);
            let ends = format!("{delivered} delivered, {coalesced} coalesced, {dropped} dropped, {pending} pending");
            self.stage.broken(ctx, Rule::Accounts, format!("{came} came, {went} went: {ends}"));
        }
    }
}

/// What an LPI says of itself that its surroundings do not. Being queued may hold a reference.
fn wrong_with(lpi: &LpiAudit, queue_holds: bool) -> Option<(Rule, String)> {
    let LpiAudit { intid, references, mappings, cached, .. } = *lpi;
    let queued = if queue_holds { lpi.queues.len() as u32 } else { 0 };
    if lpi.queues.len() > 1 || lpi.queues.first().copied() != lpi.view.queued_on {
        let says = lpi.view.queued_on.map_or("no queue".to_owned(), |vcpu| format!("the queue of vCPU {vcpu}"));
        let is = match &lpi.queues[..] {
            [] => "in none".to_owned(),
            queues => queues.iter().map(|vcpu| format!("in that of vCPU {vcpu}")).collect::<Vec<_>>().join(" and "),
        };
        return Some((Rule::Membership, format!("LPI {intid} says it is in {says}, but it is {is}")));
    }
    if mappings > 0 && !lpi.indexed {
        return Some((Rule::Membership, format!("LPI {intid} is mapped, but the index does not have it")));
    }
    if references != mappings + cached + queued {
        let held = format!("ITEs hold {mappings}, cached translations {cached}, ap_lists {queued}");
        let what = format!("the reference count of LPI {intid} is {references}, but {held}");
        return Some((Rule::References, what));
    }
    if references == 0 && lpi.indexed {
        return Some((Rule::References, format!("LPI {intid} has no references and is still in the index")));
    }
    None
}
