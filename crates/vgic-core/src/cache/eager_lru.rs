//! The VM-wide LRU cache of 2019 (up to patch 10, and still in 6.9).
//!
//! 16 entries for each vCPU, allocated when the VM is initialised, on one list under `lpi_list_lock`: valid entries in
//! front, the others (`irq` NULL) behind. A hit moves the entry to the front; a miss takes the last. With k hot
//! translations used in turn the wanted entry is always the k-th, so a hit costs a walk of k under the one lock.

use super::{Cache, ENTRIES_PER_VCPU, Key, KeyFields};
use crate::designs::{Design, Spec};
use crate::guard::{Rcu, Spin};
use crate::irq::Irq;
use crate::its::Its;
use crate::list::{Link, Linked, List};
use crate::obj::Obj;
use crate::platform::{Event, Layout, Platform, PointerCell};
use crate::vm::Vm;

/// `struct vgic_translation_cache_entry`.
pub struct Entry<P: Platform> {
    entry: Link<P, Self, EagerLru<P>>,
    key: KeyFields<P>,
    irq: P::PtrCell<Irq<P>>,
}

impl<P: Platform> Linked<P, EagerLru<P>> for Entry<P> {
    #[inline(always)]
    fn link(&self) -> &Link<P, Self, EagerLru<P>> {
        &self.entry
    }
}

/// `dist->lpi_translation_cache`, protected by `lpi_list_lock`.
pub struct EagerLru<P: Platform> {
    list: List<P, Entry<P>, EagerLru<P>>,
}

impl<P: Platform> EagerLru<P> {
    /// Walks the valid entries; a match moves to the front (`__vgic_its_check_cache`).
    #[inline(always)]
    fn find(&self, ctx: &P::Ctx, key: &Key) -> Option<Obj<Irq<P>>> {
        let mut at = self.list.first(ctx);
        let first = at;
        while let Some(entry) = at {
            // The first entry without an LPI ends the valid ones.
            let irq = entry.irq.get(ctx)?;
            if entry.key.is(ctx, key) {
                if at != first {
                    self.list.move_head(ctx, entry);
                }
                return Some(irq);
            }
            at = self.list.next(ctx, entry);
        }
        None
    }
}

impl<P: Platform> Cache<P> for EagerLru<P> {
    fn new(l: &P::Layout, _spec: &Spec) -> Self {
        EagerLru { list: List::new(l, "lpi_translation_cache.next", "lpi_translation_cache.prev") }
    }

    fn init<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        // Populated before: an earlier attempt to add the first ITS failed later.
        if !self.list.is_empty(ctx) {
            return;
        }
        let none = Key { doorbell: 0, device_id: 0, event_id: 0 };
        for _ in 0..vm.vcpus.len() as u32 * ENTRIES_PER_VCPU {
            let entry = P::alloc(ctx, "vgic_translation_cache_entry", |l| Entry {
                entry: Link::new(l, "entry.next", "entry.prev"),
                key: KeyFields::new(l, none),
                irq: l.ptr_cell("irq"),
            });
            // Without memory the cache stays smaller.
            let Ok(entry) = entry else { break };
            self.list.add_tail(ctx, entry);
        }
    }

    #[inline(always)]
    fn check<D: Design>(
        &self,
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        _section: Option<&Rcu<'_, P>>,
        key: &Key,
    ) -> Option<Obj<Irq<P>>> {
        let _lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
        let irq = self.find(ctx, key)?;
        vm.reference_found(ctx, irq, vm.spec().cache_hit).then_some(irq)
    }

    fn insert<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, _its: &Its<P>, key: Key, irq: Obj<Irq<P>>) {
        let _lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
        let Some(last) = self.list.last(ctx) else { return };
        // Another sender may have cached it between our look and its_lock.
        if self.find(ctx, &key).is_some() {
            return;
        }
        if let Some(old) = last.irq.get(ctx) {
            P::count(ctx, Event::CacheEviction);
            vm.put_irq_locked(ctx, old);
        }
        // The ITE's reference keeps the LPI alive (its_lock).
        irq.refcount.get(ctx);
        last.key.set(ctx, key);
        last.irq.set(ctx, Some(irq));
        self.list.move_head(ctx, last);
    }

    fn invalidate<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, _its: &Its<P>) {
        self.invalidate_all(vm, ctx);
    }

    fn invalidate_all<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        let _lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
        for entry in self.list.iter(ctx) {
            let Some(irq) = entry.irq.get(ctx) else { break };
            vm.put_irq_locked(ctx, irq);
            entry.irq.set(ctx, None);
        }
    }

    fn destroy<D: Design>(&self, _vm: &Vm<P, D>, ctx: &P::Ctx) {
        let list = &self.list;
        while let Some(entry) = list.first(ctx) {
            list.del(ctx, entry);
            // SAFETY: S-07: unlinked, and the VM is being destroyed: nobody else walks the cache.
            unsafe { P::free(ctx, entry) };
        }
    }

    fn for_each<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, mut f: impl FnMut(Key, Obj<Irq<P>>)) {
        let _lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
        for entry in self.list.iter(ctx) {
            let Some(irq) = entry.irq.get(ctx) else { break };
            f(entry.key.get(ctx), irq);
        }
    }
}
