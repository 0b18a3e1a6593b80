//! What is checked while all threads rest: everything, exactly.

use super::Break;
use super::chance::Chance;
use super::findings::{ERASED, Findings, LEAKED, is_known};
use super::threads::Actor;
use super::world::{ENABLED, PRIVATE_EVENTS, Stable, WILD_LPIS, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use vgic_core::audit::{Audit, LpiAudit};
use vgic_core::designs::Spec;
use vgic_core::irq::FIRST_LPI;
use vgic_core::its::snapshot::{CollectionState, DeviceState};
use vgic_core::vcpu::run::Tie;
use vgic_core::{Command, Event, Platform};
use vgic_native::{Native, NativeCtx, check_quarantine, live_objects, warnings_by_text};

/// Passes over all vCPUs after which everything pending must have been taken.
const MOST_PASSES: usize = 10_000;

/// What was there before the run, and what was told of already.
pub(super) struct Before {
    live: BTreeMap<&'static str, i64>,
    warnings: BTreeMap<&'static str, u64>,
    leaked: i64,
}

impl Before {
    pub(super) fn now(ctx: &NativeCtx) -> Before {
        Native::rcu_barrier(ctx);
        Before { live: live_objects(), warnings: warnings_by_text(), leaked: 0 }
    }

    /// Objects of each class that have come since.
    fn more(&self) -> impl Iterator<Item = (&'static str, i64)> + '_ {
        live_objects().into_iter().map(|(class, live)| (class, live - self.live.get(class).copied().unwrap_or(0)))
    }

    /// Tells of LPIs that are alive and should not be.
    fn tell_leaked(&mut self, findings: &Findings, spec: &Spec, alive: i64) {
        if alive > self.leaked {
            findings.found(LEAKED, (alive - self.leaked) as u64, is_known(spec, LEAKED));
        }
        self.leaked = alive;
    }

    /// Whether everything was given back; the VM is gone.
    pub(super) fn check_returned(&mut self, ctx: &NativeCtx, findings: &Findings, spec: &Spec) {
        Native::rcu_barrier(ctx);
        check_quarantine();
        let left: Vec<_> = self.more().filter(|(_, more)| *more != 0).collect();
        for (class, more) in left {
            if class == "vgic_irq" && more >= 0 {
                self.tell_leaked(findings, spec, more);
            } else {
                findings.broken(format!("{more} objects of class {class} are left at the end"));
            }
        }
        self.check_warnings(findings, spec);
    }

    fn check_warnings(&mut self, findings: &Findings, spec: &Spec) {
        for (text, count) in warnings_by_text() {
            let before = self.warnings.insert(text, count).unwrap_or(0);
            findings.found(text, count - before, is_known(spec, text));
        }
    }
}

/// What an audit has looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looked {
    pub(super) lpis: u64,
    pub(super) cached: u64,
    pub(super) migrated: bool,
}

impl World {
    /// Audits the VM as the threads have left it, takes all that is pending, and now and then migrates it.
    pub(super) fn rendezvous(&self, ctx: &NativeCtx, before: &mut Before, actor: &mut Actor<'_>) -> Looked {
        let audit = self.audit(ctx, before);
        let mut looked = Looked { lpis: audit.lpis.len() as u64, cached: audit.cached.len() as u64, migrated: false };
        self.drain(ctx, actor);
        self.check_ledgers();
        self.check_counts(ctx);
        // Also if the index has lost an LPI: nothing else would free its place on a queue.
        let lost = audit.lpis.values().any(|lpi| !lpi.indexed);
        if lost || actor.chance.one_in(3) {
            self.migrate(ctx, &mut actor.chance);
            self.drain(ctx, actor);
            self.check_ledgers();
            self.audit(ctx, before);
            looked.migrated = true;
        }
        looked
    }

    fn audit(&self, ctx: &NativeCtx, before: &mut Before) -> Audit {
        Native::rcu_barrier(ctx);
        check_quarantine();
        before.check_warnings(&self.findings, self.host.spec());
        self.check_counts(ctx);
        let mut audit = self.host.audit(ctx);
        if self.plan.break_rule == Some(Break::Leak) {
            audit.lpis.values_mut().for_each(|lpi| lpi.references += u32::from(lpi.intid == FIRST_LPI));
        }
        let erased = audit.lpis.values().filter(|lpi| self.check_lpi(lpi)).count() as u64;
        self.findings.found(ERASED, erased, is_known(self.host.spec(), ERASED));
        for (key, lpi) in &audit.cached {
            let mapped = audit.mappings.iter().find(|mapping| mapping.key == *key);
            self.must(mapped.is_some_and(|mapping| mapping.lpi == *lpi), || {
                format!("a cached translation, {key:?} to LPI {}, is not what the tables say", audit.lpis[lpi].intid)
            });
        }
        let alive = before.more().find(|(class, _)| *class == "vgic_irq").map_or(0, |(_, more)| more);
        let unreachable = alive - audit.lpis.len() as i64;
        self.must(unreachable >= 0, || format!("{} LPIs more are reachable than alive", -unreachable));
        before.tell_leaked(&self.findings, self.host.spec(), unreachable);
        audit
    }

    /// Checks what an LPI says of itself against what leads to it; true if the index has lost it.
    fn check_lpi(&self, lpi: &LpiAudit) -> bool {
        let LpiAudit { intid, references, mappings, cached, .. } = *lpi;
        let queues = &lpi.queues;
        let held = mappings + cached + queues.len() as u32;
        self.must(queues.len() <= 1 && queues.first().copied() == lpi.view.queued_on, || {
            format!("LPI {intid} is on the ap_lists of {queues:?}, and its vcpu says {:?}", lpi.view.queued_on)
        });
        self.must(references == held, || {
            format!(
                "LPI {intid} has {references} references: {mappings} events, {cached} cached translations and {} \
                 ap_lists hold one",
                queues.len()
            )
        });
        self.must(held != 0, || format!("LPI {intid} is in the index, and nothing holds a reference"));
        let deliverable = lpi.view.pending && lpi.view.enabled && !lpi.view.active && lpi.view.target_vcpu.is_some();
        let excused = self.distributor_was_off.load(Ordering::SeqCst);
        self.must(!self.is_stable(intid) || !deliverable || !queues.is_empty() || excused, || {
            format!("LPI {intid} is pending and enabled and on no ap_list")
        });
        self.must(!self.is_stable(intid) || lpi.view.target_vcpu.is_some_and(|vcpu| vcpu < self.tame()), || {
            format!("LPI {intid} goes to {:?}, where nobody has sent it", lpi.view.target_vcpu)
        });
        !lpi.indexed
    }

    /// Each send has one end.
    fn check_counts(&self, ctx: &NativeCtx) {
        let counts = self.counts();
        let count = |event: Event| counts[event as usize];
        let pending = self.host.pending_count(ctx);
        let begun = count(Event::Sent) + count(Event::PendingLoaded);
        let ended = count(Event::Delivered) + count(Event::Coalesced) + count(Event::Dropped) + pending;
        self.must(begun == ended, || {
            format!(
                "counts do not add up: sent {} + loaded {} is not delivered {} + coalesced {} + dropped {} + pending \
                 {pending}",
                count(Event::Sent),
                count(Event::PendingLoaded),
                count(Event::Delivered),
                count(Event::Coalesced),
                count(Event::Dropped)
            )
        });
    }

    /// Enables everything, and takes what is pending.
    fn drain(&self, ctx: &NativeCtx, actor: &mut Actor<'_>) {
        let tables = self.host.tables();
        for &Stable { its, device_id, event_id, intid } in &self.stable {
            let written = tables.write_config(intid, actor.chance.pick(&ENABLED));
            self.must(written.is_ok(), || format!("LPI {intid} cannot be configured"));
            self.must_command(ctx, its, Command::Inv { device_id, event_id });
        }
        let others = self.private_lpi(0, 0)..self.first_wild_lpi() + WILD_LPIS;
        for intid in others {
            let written = tables.write_config(intid, actor.chance.pick(&ENABLED));
            self.must(written.is_ok(), || format!("LPI {intid} cannot be configured"));
            self.host.reload_lpi_config(ctx, intid);
        }
        for pass in 0.. {
            let waiting: Vec<_> = (0..self.plan.vcpus).filter(|vcpu| self.host.has_pending(ctx, *vcpu)).collect();
            if waiting.is_empty() {
                break;
            }
            if pass == MOST_PASSES {
                self.findings.broken(format!("vCPUs {waiting:?} have pending LPIs that they never get"));
                break;
            }
            for vcpu in waiting {
                while let Some(intid) = self.host.acknowledge(ctx, vcpu, Tie::Register) {
                    actor.acknowledged(intid);
                    self.host.eoi(ctx, vcpu, intid);
                }
            }
        }
    }

    /// Each send that was taken was delivered, and none twice.
    fn check_ledgers(&self) {
        for intid in FIRST_LPI.. {
            let Some(ledger) = self.ledger(intid) else { break };
            if let Some(wrong) = ledger.verdict(!self.is_stable(intid)) {
                let event = self.stable.iter().find(|stable| stable.intid == intid);
                self.findings.broken(format!("LPI {intid} {wrong} ({event:?})"));
            }
        }
    }

    /// Sends some events, saves the VM, resets it, restores it: tables and pending states must be those from before.
    fn migrate(&self, ctx: &NativeCtx, chance: &mut Chance) {
        let tables = self.host.tables();
        let vcpus = 0..self.plan.vcpus;
        // After MOVALL an LPI goes elsewhere than its collection; a restore cannot know.
        for its in 0..self.its_count() {
            for collection_id in 0..self.tame() {
                let vcpu = chance.below(self.tame());
                self.must_command(ctx, its, Command::Mapc { collection_id, vcpu, valid: true });
            }
        }
        // Bits of earlier saves; the save below writes those of the vCPUs that LPIs go to now.
        for intid in self.private_lpi(0, 0)..self.private_lpi(self.its_count(), 0) {
            for vcpu in vcpus.clone() {
                self.must(tables.write_pending(vcpu, intid, false).is_ok(), || "no pending table".to_owned());
            }
        }
        let mut pending = BTreeSet::new();
        for &Stable { its, device_id, event_id, intid } in &self.stable {
            let Some(ledger) = self.ledger(intid).filter(|_| chance.one_in(4)) else { continue };
            let number = ledger.begin();
            let answer = self.host.signal(ctx, &self.msi(its, device_id, event_id));
            self.must(answer == Ok(true), || format!("a send of LPI {intid} was answered {answer:?}"));
            ledger.took(number);
            pending.insert(intid);
        }
        self.must(self.host.save_pending_tables(ctx).is_ok(), || "the pending tables cannot be saved".to_owned());
        for &Stable { intid, .. } in &self.stable {
            let target = self.host.lpi(ctx, intid).and_then(|lpi| lpi.view.target_vcpu);
            let bit = target.and_then(|vcpu| tables.read_pending(vcpu, intid).ok());
            self.must(bit == Some(pending.contains(&intid)), || {
                format!("LPI {intid}: its bit in the pending table of vCPU {target:?} is {bit:?}")
            });
        }
        let saved: Vec<_> = (0..self.its_count()).map(|its| sorted(self.host.snapshot(ctx, its))).collect();
        let switch = |on: bool| {
            for vcpu in vcpus.clone() {
                let written = self.host.set_lpis_enabled(ctx, vcpu, on, false);
                self.must(written.is_ok(), || "EnableLPIs cannot be written".to_owned());
            }
        };
        switch(false);
        (0..self.its_count()).for_each(|its| self.host.free_tables(ctx, its, true, true));
        switch(true);
        let cached = self.host.cached_translations(ctx);
        self.must(cached == 0, || format!("{cached} translations are cached after a reset"));
        let left = self.host.audit(ctx).lpis.into_values().next();
        self.must(left.is_none(), || format!("an LPI outlives a reset: {left:?}"));
        for (its, (devices, collections)) in saved.into_iter().enumerate() {
            let restored = self.host.restore(ctx, its, &devices, &collections);
            self.must(restored == Ok(None), || format!("ITS {its} cannot be restored: {restored:?}"));
            let now = sorted(self.host.snapshot(ctx, its));
            self.must(now == (devices, collections), || format!("ITS {its} is not what it was before the migration"));
        }
    }
}

/// A snapshot in the order of the ids.
fn sorted(snapshot: (Vec<DeviceState>, Vec<CollectionState>)) -> (Vec<DeviceState>, Vec<CollectionState>) {
    let (mut devices, mut collections) = snapshot;
    devices.sort_by_key(|device| device.device_id);
    devices.iter_mut().for_each(|device| device.events.sort_by_key(|event| event.event_id));
    collections.sort_by_key(|collection| collection.collection_id);
    (devices, collections)
}

const _: () = assert!(PRIVATE_EVENTS % 8 == 0, "whole bytes of the pending tables");
