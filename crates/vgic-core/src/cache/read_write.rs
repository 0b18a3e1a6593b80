//! The cache of `rwlock`: the first of the options that the series' author listed. No RCU, no allocation on a miss.
//!
//! As many entries as the baseline has, allocated early. A hit takes a reader-writer lock for reading, which still
//! writes one VM-wide line for each hit, and raises the entry's usage count instead of moving it. A miss takes the
//! lock for writing and reuses an empty entry or the one with the lowest usage count.

use super::{Cache, ENTRIES_PER_VCPU, Key, KeyFields};
use crate::designs::{Design, Spec, rank};
use crate::guard::{Rcu, Read, Write};
use crate::irq::Irq;
use crate::its::Its;
use crate::list::{Link, Linked, List};
use crate::obj::Obj;
use crate::order::Order;
use crate::platform::{Atomic, AtomicInt, Event, Layout, Platform, PointerCell};
use crate::vm::Vm;

/// One entry.
pub struct Entry<P: Platform> {
    entry: Link<P, Self, ReadWrite<P>>,
    key: KeyFields<P>,
    irq: P::PtrCell<Irq<P>>,
    usage_count: P::AtomicU64,
}

impl<P: Platform> Linked<P, ReadWrite<P>> for Entry<P> {
    #[inline(always)]
    fn link(&self) -> &Link<P, Self, ReadWrite<P>> {
        &self.entry
    }
}

/// The cache.
pub struct ReadWrite<P: Platform> {
    lock: P::RwLock,
    list: List<P, Entry<P>, ReadWrite<P>>,
}

impl<P: Platform> ReadWrite<P> {
    #[inline(always)]
    fn find(&self, ctx: &P::Ctx, key: &Key) -> Option<Obj<Irq<P>>> {
        for entry in self.list.iter(ctx) {
            let irq = entry.irq.get(ctx)?;
            if entry.key.is(ctx, key) {
                entry.usage_count.add(ctx, 1);
                return Some(irq);
            }
        }
        None
    }
}

impl<P: Platform> Cache<P> for ReadWrite<P> {
    fn new(l: &P::Layout, _spec: &Spec) -> Self {
        ReadWrite {
            lock: l.rwlock("lpi_translation_cache_lock", rank::CACHE_RWLOCK),
            list: List::new(l, "lpi_translation_cache.next", "lpi_translation_cache.prev"),
        }
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
                usage_count: l.u64("usage_count", 0),
            });
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
        let _lock = Read::<P>::lock_irqsave(&self.lock, ctx);
        let irq = self.find(ctx, key)?;
        vm.reference_found(ctx, irq, vm.spec().cache_hit).then_some(irq)
    }

    fn insert<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, _its: &Its<P>, key: Key, irq: Obj<Irq<P>>) {
        let old = {
            let _lock = Write::<P>::lock_irqsave(&self.lock, ctx);
            if self.find(ctx, &key).is_some() {
                return;
            }
            // Relaxed: a count of hits, for a guess at the best victim.
            let usage = |entry: &Obj<Entry<P>>| entry.usage_count.load(ctx, Order::Relaxed) as i64;
            let largest = self.list.iter(ctx).map(|entry| usage(&entry)).max().unwrap_or(0);
            // Empty entries are at the end; among equals the one nearest the end goes.
            let victim = match self.list.last(ctx) {
                None => return,
                Some(last) if last.irq.get(ctx).is_none() => last,
                Some(last) => {
                    let lower = |a: Obj<Entry<P>>, b: Obj<Entry<P>>| if usage(&b) <= usage(&a) { b } else { a };
                    self.list.iter(ctx).reduce(lower).unwrap_or(last)
                }
            };
            let old = victim.irq.get(ctx);
            // The ITE's reference keeps the LPI alive (its_lock).
            irq.refcount.get(ctx);
            victim.key.set(ctx, key);
            victim.irq.set(ctx, Some(irq));
            victim.usage_count.store(ctx, largest as u64, Order::Relaxed);
            self.list.move_head(ctx, victim);
            old
        };
        if let Some(old) = old {
            P::count(ctx, Event::CacheEviction);
            vm.put_irq(ctx, old);
        }
    }

    fn invalidate<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, _its: &Its<P>) {
        self.invalidate_all(vm, ctx);
    }

    fn invalidate_all<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        let _lock = Write::<P>::lock_irqsave(&self.lock, ctx);
        for entry in self.list.iter(ctx) {
            let Some(irq) = entry.irq.get(ctx) else { break };
            entry.irq.set(ctx, None);
            vm.put_irq(ctx, irq);
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

    fn for_each<D: Design>(&self, _vm: &Vm<P, D>, ctx: &P::Ctx, mut f: impl FnMut(Key, Obj<Irq<P>>)) {
        let _lock = Read::<P>::lock_irqsave(&self.lock, ctx);
        for entry in self.list.iter(ctx) {
            let Some(irq) = entry.irq.get(ctx) else { break };
            f(entry.key.get(ctx), irq);
        }
    }
}
