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
use crate::designs::Design;
use crate::guard::{Rcu, Spin};
use crate::inject::Msi;
use crate::irq::Irq;
use crate::its::Its;
use crate::list::{Link, Linked, RcuList};
use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, AtomicInt, Event, Layout, PlainCell, Platform, present_if};
use crate::vm::Vm;

/// What protects a hit's walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// `lpi_list_lock`.
    Spin,
    /// RCU alone (patch 15).
    Rcu,
}

/// How the victim is chosen when the cache is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// The last entry; a hit moves its entry to the front (patch 11).
    Lru,
    /// An entry without LPI, or the lowest usage count, where looking sets every count to zero (patch 12).
    UsageReset,
    /// The lowest usage count by one plain look at all (`v2`).
    UsageKept,
}

/// What happens to a victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retire {
    /// Freed at once (readers hold the lock).
    Now,
    /// `synchronize_rcu` on every insertion, victim or not (patch 14).
    SynchronizeAlways,
    /// `synchronize_rcu` only if there is a victim, before its LPI is put (`v2`).
    SynchronizeVictim,
    /// `call_rcu` (`call-rcu`).
    CallRcu,
}

/// Details of a lazily allocated cache.
#[derive(Clone, Copy, Debug)]
pub struct Lazy {
    /// The hit path's protection.
    pub locking: Locking,
    /// The victim.
    pub eviction: Eviction,
    /// Whether `lpi_cache_count` counts upwards, so that the limit holds (patch 14).
    pub counted: bool,
    /// Whether a new entry starts with the largest usage count of all (`v2`).
    pub new_starts_at_max: bool,
    /// The victim's end.
    pub retire: Retire,
}

impl Lazy {
    /// For designs with another kind of cache.
    pub const NONE: Lazy = Lazy {
        locking: Locking::Spin,
        eviction: Eviction::Lru,
        counted: false,
        new_starts_at_max: false,
        retire: Retire::Now,
    };
}

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
        // Acquire: pairs with the release store in insert (O-06).
        // SAFETY: S-08: the pointer is null or an LPI that the entry holds a reference on; a reader that holds no
        // lock is inside an RCU section, and the LPI is freed after a grace period.
        unsafe { Obj::from_ptr(self.irq.load(ctx, Order::Acquire(Pair::CachePublish))) }
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
    fn find<D: Design>(
        &self,
        ctx: &P::Ctx,
        key: &Key,
        entries: impl Iterator<Item = Obj<Entry<P>>>,
    ) -> Option<Obj<Irq<P>>> {
        for (position, entry) in entries.enumerate() {
            let irq = entry.irq(ctx)?;
            if entry.key.is(ctx, key) {
                match D::SPEC.lazy.eviction {
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
    fn victim<D: Design>(&self, ctx: &P::Ctx) -> Option<Obj<Entry<P>>> {
        let list = self.list.locked();
        match D::SPEC.lazy.eviction {
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

    fn retire<D: Design<Cache<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, victim: Obj<Entry<P>>) {
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
    fn new(l: &P::Layout) -> Self {
        LazyList {
            list: RcuList::new(l, "lpi_translation_cache.next", "lpi_translation_cache.prev"),
            lpi_cache_count: l.cell("lpi_cache_count", 0),
        }
    }

    #[inline(always)]
    fn check<D: Design<Cache<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, msi: &Msi) -> Option<Obj<Irq<P>>> {
        let cache = &vm.dist.cache;
        let key = msi.key();
        match D::SPEC.lazy.locking {
            Locking::Spin => {
                let _lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
                let irq = cache.find::<D>(ctx, &key, cache.list.locked().iter(ctx))?;
                vm.reference_found(ctx, irq, D::SPEC.cache_hit).then_some(irq)
            }
            Locking::Rcu => {
                let _rcu = Rcu::<P>::read_lock(ctx);
                let irq = cache.find::<D>(ctx, &key, cache.list.iter_rcu(ctx))?;
                vm.reference_found(ctx, irq, D::SPEC.cache_hit).then_some(irq)
            }
        }
    }

    fn insert<D: Design<Cache<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, _its: &Its<P>, key: Key, irq: Obj<Irq<P>>) {
        let cache = &vm.dist.cache;
        let list = cache.list.locked();
        let lazy = D::SPEC.lazy;
        let new = P::alloc(ctx, "vgic_translation_cache_entry", |l| Entry {
            entry: Link::new(l, "entry.next", "entry.prev"),
            key: KeyFields::new(l, key),
            irq: l.ptr("irq"),
            usage_count: present_if::<P, _>(lazy.eviction != Eviction::Lru, l, |l| l.u64("usage_count", 0)),
        });
        let Ok(new): Result<Obj<Entry<P>>, _> = new else { return };

        let lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
        // Another sender may have cached it between our look and its_lock; then the new entry is the victim.
        let raced = cache.find::<D>(ctx, &key, list.iter(ctx)).is_some();
        let mut victim = raced.then_some(new);
        if !raced {
            if cache.lpi_cache_count.get(ctx) >= vm.vcpus.len() as u32 * ENTRIES_PER_VCPU {
                if lazy.new_starts_at_max {
                    new.usage_count.store(ctx, cache.largest_usage(ctx), Order::Relaxed);
                }
                victim = cache.victim::<D>(ctx);
                if let Some(victim) = victim {
                    list.del(ctx, victim);
                    cache.lpi_cache_count.set(ctx, cache.lpi_cache_count.get(ctx) - 1);
                }
            }
            // The ITE's reference keeps the LPI alive (its_lock).
            irq.refcount.get(ctx);
            // Release: pairs with the acquire load of readers (O-06).
            new.irq.store(ctx, irq.as_ptr(), Order::Release(Pair::CachePublish));
            list.add_head(ctx, new);
            if lazy.counted {
                cache.lpi_cache_count.set(ctx, cache.lpi_cache_count.get(ctx) + 1);
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

    fn invalidate<D: Design<Cache<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, _its: &Its<P>) {
        Self::invalidate_all(vm, ctx);
    }

    fn invalidate_all<D: Design<Cache<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx) {
        let _lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
        for entry in vm.dist.cache.list.locked().iter(ctx) {
            let Some(irq) = entry.take(ctx) else { break };
            vm.put_irq_locked(ctx, irq);
        }
    }

    fn destroy<D: Design<Cache<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx) {
        let list = vm.dist.cache.list.locked();
        while let Some(entry) = list.first(ctx) {
            list.del(ctx, entry);
            Self::retire(vm, ctx, entry);
        }
    }

    fn for_each<D: Design<Cache<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, mut f: impl FnMut(Key, Obj<Irq<P>>)) {
        let _lock = Spin::<P>::lock_irqsave(&vm.dist.store.lpi_list_lock, ctx);
        for entry in vm.dist.cache.list.locked().iter(ctx) {
            let Some(irq) = entry.irq(ctx) else { break };
            f(entry.key.get(ctx), irq);
        }
    }
}
