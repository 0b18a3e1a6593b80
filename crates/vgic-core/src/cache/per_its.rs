//! The per-ITS cache of 6.10: an xarray in each ITS, keyed by DeviceID and EventID, read under RCU.
//!
//! No limit and no eviction: at most as many entries as events that fired. A hit finds the ITS by its doorbell on the
//! MMIO bus (SRCU), loads the entry and takes a reference if the count is not zero. Any invalidation makes every
//! event of that ITS miss once.

use super::{Cache, Key};
use crate::designs::{CacheStoreError, Design, Doorbell, Drain, Forgets, Spec};
use crate::guard::Rcu;
use crate::irq::Irq;
use crate::its::Its;
use crate::obj::Obj;
use crate::platform::Platform;
use crate::vm::Vm;
use core::marker::PhantomData;

/// The VM-wide part of the cache, which is none: the entries are in [`Its::translation_cache`].
pub struct PerItsCache<P: Platform>(PhantomData<fn() -> P>);

/// What becomes of a store that fails where its error is taken for an entry.
const OOPS: &str = "Oops: vgic_put_irq of the error that the cache's store returned, with its_lock held";

/// `vgic_its_cache_key`.
#[inline(always)]
fn index(key: &Key) -> u32 {
    key.device_id << 16 | key.event_id
}

/// Takes the entries of `from..=to` out, and puts their references.
fn drain<P: Platform, D: Design>(vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>, mut from: u32, to: u32) {
    let cache = &its.translation_cache;
    while let Some((at, met)) = cache.next(ctx, from, to) {
        let erased = cache.erase(ctx, at, false);
        match vm.spec().per_its().drain {
            // CVE-2026-46316: two drains at once meet one entry and both put its one reference.
            Drain::PutMet => vm.put_irq(ctx, met),
            Drain::PutErased => {
                if let Some(erased) = erased {
                    vm.put_irq(ctx, erased);
                }
            }
        }
        let Some(next) = at.checked_add(1) else { break };
        from = next;
    }
}

impl<P: Platform> Cache<P> for PerItsCache<P> {
    fn new(_l: &P::Layout, _spec: &Spec) -> Self {
        PerItsCache(PhantomData)
    }

    #[inline(always)]
    fn check<D: Design>(
        &self,
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        section: Option<&Rcu<'_, P>>,
        key: &Key,
    ) -> Option<Obj<Irq<P>>> {
        if key.device_id > 0xffff || key.event_id > 0xffff {
            return None;
        }
        let its = match vm.spec().per_its().doorbell {
            Doorbell::Bus => vm.bus.its_at(ctx, key.doorbell)?,
            Doorbell::FirstIts => vm.bus.first_or_at(ctx, key.doorbell)?,
        };
        let own;
        let rcu = match section {
            Some(section) => section,
            None => {
                own = Rcu::<P>::read_lock(ctx);
                &own
            }
        };
        let irq = its.translation_cache.load(ctx, rcu, index(key))?;
        vm.reference_found(ctx, irq, vm.spec().cache_hit).then_some(irq)
    }

    fn insert<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>, key: Key, irq: Obj<Irq<P>>) {
        // The ITE's reference keeps the LPI alive (its_lock).
        irq.refcount.get(ctx);
        match its.translation_cache.store(ctx, index(&key), irq, false) {
            // The same key raced: the displaced entry's reference goes.
            Ok(Some(old)) => vm.put_irq(ctx, old),
            Ok(None) => {}
            // Best effort from 6.13; before, the error was taken for the displaced entry.
            Err(_) if vm.spec().per_its().store_error == CacheStoreError::Puts => vm.put_irq(ctx, irq),
            Err(_) => P::warn(ctx, OOPS),
        }
    }

    fn invalidate<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>) {
        drain(vm, ctx, its, 0, u32::MAX);
    }

    fn forget<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>, device_id: u32, event_id: Option<u32>) {
        let index = |event_id| index(&Key { doorbell: its.doorbell(), device_id, event_id });
        match (vm.spec().per_its().forgets, event_id) {
            (Forgets::Everything, _) => self.invalidate(vm, ctx, its),
            (Forgets::WhatIsStale, Some(event_id)) => drain(vm, ctx, its, index(event_id), index(event_id)),
            (Forgets::WhatIsStale, None) => drain(vm, ctx, its, index(0), index(0xffff)),
        }
    }

    fn invalidate_all<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        vm.bus.for_each_its(ctx, |its| self.invalidate(vm, ctx, &its));
    }

    fn destroy<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        vm.bus.for_each_its(ctx, |its| its.translation_cache.destroy(ctx));
    }

    fn for_each<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, mut f: impl FnMut(Key, Obj<Irq<P>>)) {
        vm.bus.for_each_its(ctx, |its| {
            let mut from = 0;
            while let Some((at, irq)) = its.translation_cache.next(ctx, from, u32::MAX) {
                f(Key { doorbell: its.doorbell(), device_id: at >> 16, event_id: at & 0xffff }, irq);
                let Some(next) = at.checked_add(1) else { break };
                from = next;
            }
        });
    }
}
