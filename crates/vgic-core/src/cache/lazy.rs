//! The lazily allocated VM-wide cache of patches 11 to 15, of `v2`, and of `call-rcu`.
//!
//! An entry is allocated on a miss; the limit is 16 for each vCPU, evaluated at insertion (and inactive in patches 11
//! to 13, which never count upwards). Valid entries are in front of those that an invalidation has emptied.
//!
//! The steps from patch 11 to patch 15 take the hit off the lock: first the hit stops moving entries (a usage count
//! picks the victim instead), then the pointer to the LPI and the list are published for RCU readers, then the hit
//! takes no lock at all. The price is on the other side: before the victim is freed a grace period must pass, and
//! the posted code waits for it with `its_lock` held, on every miss.

use super::{Cache, ENTRIES_PER_VCPU, Key, KeyFields};
use crate::designs::{Design, Eviction, Lazy, LazyLocking, Limit, NewEntry, Retire, Spec};
use crate::guard::{Rcu, Spin};
use crate::irq::Irq;
use crate::its::Its;
use crate::list::{Link, Linked, RcuList};
use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, AtomicInt, Event, Layout, PlainCell, Platform, present_if};
use crate::vm::Vm;

/// `struct vgic_translation_cache_entry`.
pub struct Entry<P: Platform> {
    entry: Link<P, Self, LazyList<P>>,
    key: KeyFields<P>,
    irq: P::AtomicPtr<Irq<P>>,
    usage_count: P::AtomicU64,
}

impl<P: Platform> Linked<P, LazyList<P>> for Entry<P> {
    #[inline(always)]
    fn link(&self) -> &Link<P, Self, LazyList<P>> {
        &self.entry
    }
}

impl<P: Platform> Entry<P> {
    #[inline(always)]
    fn irq(&self, ctx: &P::Ctx) -> Option<Obj<Irq<P>>> {
        // Consume: pairs with the release store in insert (O-06).
        // SAFETY: S-08: the pointer is null or an LPI that the entry holds a reference on; a reader that holds no
        // lock is inside an RCU section, and the LPI is freed after a grace period.
        unsafe { Obj::from_ptr(self.irq.load(ctx, Order::Consume(Pair::CachePublish))) }
    }

    /// Empties the entry; what it held must be put.
    fn take(&self, ctx: &P::Ctx) -> Option<Obj<Irq<P>>> {
        let irq = self.irq(ctx);
        // Relaxed: null publishes nothing; a hit that still reads the LPI is in an RCU section (O-06).
        self.irq.store(ctx, core::ptr::null_mut(), Order::Relaxed);
        irq
    }
}

/// `dist->lpi_translation_cache`; changed under `lpi_list_lock`.
pub struct LazyList<P: Platform> {
    list: RcuList<P, Entry<P>, LazyList<P>>,
    lpi_cache_count: P::Cell<u32>,
}

impl<P: Platform> LazyList<P> {
    #[inline(always)]
    fn find(
        &self,
        lazy: &Lazy,
        ctx: &P::Ctx,
        key: &Key,
        entries: impl Iterator<Item = Obj<Entry<P>>>,
    ) -> Option<Obj<Irq<P>>> {
        for (position, entry) in entries.enumerate() {
            let irq = entry.irq(ctx)?;
            if entry.key.is(ctx, key) {
                match lazy.eviction {
                    Eviction::Lru if position > 0 => self.list.locked().move_head(ctx, entry),
                    Eviction::Lru => {}
                    Eviction::UsageReset | Eviction::UsageKept => entry.usage_count.add(ctx, 1),
                }
                return Some(irq);
            }
        }
        None
    }

    /// The entry to make room with (`lpi_list_lock` held).
    fn victim(&self, lazy: &Lazy, ctx: &P::Ctx) -> Option<Obj<Entry<P>>> {
        let list = self.list.locked();
        match lazy.eviction {
            Eviction::Lru => list.last(ctx),
            Eviction::UsageReset => {
                if let Some(empty) = list.iter(ctx).find(|entry| entry.irq(ctx).is_none()) {
                    return Some(empty);
                }
                let mut lowest = None;
                for entry in list.iter(ctx) {
                    // Every count starts again; ties go to the one nearest the tail.
                    let count = entry.usage_count.swap(ctx, 0, Order::Relaxed);
                    if lowest.is_none_or(|(least, _)| count <= least) {
                        lowest = Some((count, entry));
                    }
                }
                lowest.map(|(_, entry)| entry)
            }
            Eviction::UsageKept => {
                let mut lowest = None;
                for entry in list.iter(ctx) {
                    // Relaxed: a count of hits, for a guess at the best victim.
                    let count = entry.usage_count.load(ctx, Order::Relaxed) as i64;
                    if entry.irq(ctx).is_none() {
                        return Some(entry);
                    }
                    if lowest.is_none_or(|(least, _)| count <= least) {
                        lowest = Some((count, entry));
                    }
                }
                lowest.map(|(_, entry)| entry)
            }
        }
    }

    fn largest_usage(&self, ctx: &P::Ctx) -> u64 {
        // Relaxed: as in victim.
        let counts = self.list.locked().iter(ctx).map(|entry| entry.usage_count.load(ctx, Order::Relaxed) as i64);
        counts.max().unwrap_or(0) as u64
    }

    fn retire<D: Design>(vm: &Vm<P, D>, ctx: &P::Ctx, victim: Obj<Entry<P>>) {
        let irq = victim.take(ctx);
        if let Some(irq) = irq {
            vm.put_irq(ctx, irq);
        }
        // SAFETY: S-07: unlinked under the lock; readers that could stand on it held that lock, or the caller has
        // waited for a grace period since.
        unsafe { P::free(ctx, victim) };
    }

    /// The callback of `call-rcu`: `data` is the victim, whose LPI was put before.
    unsafe fn free_entry(ctx: &P::Ctx, data: *mut ()) {
        // SAFETY: S-02: the grace period has passed, so the unlinked entry is nobody's but ours.
        unsafe {
            if let Some(entry) = Obj::from_ptr(data.cast::<Entry<P>>()) {
                P::free(ctx, entry);
            }
        }
    }
}

impl<P: Platform> Cache<P> for LazyList<P> {
    fn new(l: &P::Layout, _spec: &Spec) -> Self {
        LazyList {
            list: RcuList::new(l, "lpi_translation_cache.next", "lpi_translation_cache.prev"),
            lpi_cache_count: l.cell("lpi_cache_count", 0),
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
        let lazy = vm.spec().lazy();
        match lazy.locking {
            LazyLocking::Spin => {
                let _lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
                let irq = self.find(&lazy, ctx, key, self.list.locked().iter(ctx))?;
                vm.reference_found(ctx, irq, vm.spec().cache_hit).then_some(irq)
            }
            LazyLocking::Rcu => {
                let _rcu = Rcu::<P>::read_lock(ctx);
                let irq = self.find(&lazy, ctx, key, self.list.iter_rcu(ctx))?;
                vm.reference_found(ctx, irq, vm.spec().cache_hit).then_some(irq)
            }
        }
    }

    fn insert<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, _its: &Its<P>, key: Key, irq: Obj<Irq<P>>) {
        let list = self.list.locked();
        let lazy = vm.spec().lazy();
        let new = P::alloc(ctx, "vgic_translation_cache_entry", |l| Entry {
            entry: Link::new(l, "entry.next", "entry.prev"),
            key: KeyFields::new(l, key),
            irq: l.ptr("irq"),
            usage_count: present_if::<P, _>(lazy.eviction != Eviction::Lru, l, |l| l.u64("usage_count", 0)),
        });
        let Ok(new): Result<Obj<Entry<P>>, _> = new else { return };

        let lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
        // Another sender may have cached it between our look and its_lock; then the new entry is the victim.
        let raced = self.find(&lazy, ctx, &key, list.iter(ctx)).is_some();
        let mut victim = raced.then_some(new);
        if !raced {
            if self.lpi_cache_count.get(ctx) >= vm.vcpus.len() as u32 * ENTRIES_PER_VCPU {
                if lazy.new_entry == NewEntry::AtLargest {
                    new.usage_count.store(ctx, self.largest_usage(ctx), Order::Relaxed);
                }
                victim = self.victim(&lazy, ctx);
                if let Some(victim) = victim {
                    list.del(ctx, victim);
                    self.lpi_cache_count.set(ctx, self.lpi_cache_count.get(ctx) - 1);
                }
            }
            // The ITE's reference keeps the LPI alive (its_lock).
            irq.refcount.get(ctx);
            // Release: pairs with the acquire load of readers (O-06).
            new.irq.store(ctx, irq.as_ptr(), Order::Release(Pair::CachePublish));
            list.add_head(ctx, new);
            if lazy.limit == Limit::Kept {
                self.lpi_cache_count.set(ctx, self.lpi_cache_count.get(ctx) + 1);
            }
        }
        drop(lock);

        if victim.is_some_and(|victim| victim.irq(ctx).is_some()) {
            P::count(ctx, Event::CacheEviction);
        }
        match (lazy.retire, victim) {
            (Retire::SynchronizeAlways, _) | (Retire::SynchronizeVictim, Some(_)) => P::synchronize_rcu(ctx),
            (Retire::CallRcu, Some(victim)) => {
                if let Some(irq) = victim.irq(ctx) {
                    vm.put_irq(ctx, irq);
                }
                // SAFETY: S-02: unlinked above, so after a grace period no reader stands on it; freeing needs no VM.
                unsafe { P::call_rcu(ctx, Self::free_entry, victim.as_ptr().cast()) };
                return;
            }
            (Retire::Now | Retire::SynchronizeVictim | Retire::CallRcu, _) => {}
        }
        if let Some(victim) = victim {
            Self::retire(vm, ctx, victim);
        }
    }

    fn invalidate<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, _its: &Its<P>) {
        self.invalidate_all(vm, ctx);
    }

    fn invalidate_all<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        let _lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
        for entry in self.list.locked().iter(ctx) {
            let Some(irq) = entry.take(ctx) else { break };
            vm.put_irq_locked(ctx, irq);
        }
    }

    fn destroy<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        let list = self.list.locked();
        while let Some(entry) = list.first(ctx) {
            list.del(ctx, entry);
            Self::retire(vm, ctx, entry);
        }
    }

    fn for_each<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, mut f: impl FnMut(Key, Obj<Irq<P>>)) {
        let _lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
        for entry in self.list.locked().iter(ctx) {
            let Some(irq) = entry.irq(ctx) else { break };
            f(entry.key.get(ctx), irq);
        }
    }
}
