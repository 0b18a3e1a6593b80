//! The designs as types. Read it from top to bottom as the series: `..PATCH_n` is what stood there before.

use super::*;
use crate::cache::eager_lru::EagerLru;
use crate::cache::lazy::LazyList;
use crate::cache::per_its::PerItsCache;
use crate::cache::read_write::ReadWrite;
use crate::queue::ap_list::ApListQueue;
use crate::queue::hints::HintQueue;

/// Before the reference on a cache hit.
const V6_7: Spec = Spec { cache_hit: Found::Unreferenced, ..V6_8_RC1 };

/// The baseline of the series.
const V6_8_RC1: Spec = Spec {
    index: Index::List,
    get: Get::ListWalk,
    add_lock: AddLock::LpiList,
    add_race: Found::Get,
    put: Put::Locked,
    xarray_irqs: XArrayIrqs::Off,
    free: Free::Now,
    count: LpiCount::Plain,
    walk: Walk::CopyList,
    unmapped: Unmapped::Dereferenced,
    movall: Movall::Walked,
    load_pending: LoadPending::Walked,
    save: Save::List,
    store_error: StoreError::Never,
    store_memory: StoreMemory::Reserved,
    displaced: Displaced::Left,
    dead_look: DeadLook::Relaxed,
    cache_hit: Found::Get,
    cache: CacheKind::EagerLru,
    queue: QueueKind::ApList(ApList {
        empty: EmptyList::Skipped,
        overflow: Overflow::ByDepth,
        fold_active: FoldActive::Kept,
        replay: Replay::None,
        prune_gap: PruneGap::Bare,
        moved: Moved::AtNextExit,
        in_register: InRegister::Leaves,
    }),
    irq_bits: IrqBits::Words,
    clear: Clear::UnderItsLock,
    lpis_off: LpisOff::Unqueue,
    halt: Halt::Nobody,
    exit_mode: ExitMode::BeforeSync,
    table_bit: TableBit::Replaces,
    switch_off: SwitchOff::Unlocked,
    mapc: Mapc::KeepsCache,
    mapc_off: MapcOff::ChecksVcpu,
    config_read: ConfigRead::TwoSteps,
    remap: Remap::AsItIs,
    distributor_on: DistributorOn::Kick,
    baser_change: BaserChange::KeepsTables,
    lost_device: LostDevice::FailsSave,
};

/// Store LPIs in an xarray.
const PATCH_01: Spec = Spec { index: Index::ListAndXArray, store_error: StoreError::LockHeld, ..V6_8_RC1 };
/// Use the xarray to find an LPI in `vgic_get_lpi`.
const PATCH_02: Spec = Spec { get: Get::XArrayLocked, ..PATCH_01 };
/// Use the xarray to save pending states.
const PATCH_03: Spec = Spec { save: Save::XArray, ..PATCH_02 };
/// Use the xarray to walk the LPIs in `vgic_copy_lpi_list`.
const PATCH_04: Spec = Spec { walk: Walk::CopyXArrayWide, ..PATCH_03 };
/// Get rid of the list of LPIs.
const PATCH_05: Spec = Spec { index: Index::XArray, ..PATCH_04 };
/// Use an atomic for the count of LPIs.
const PATCH_06: Spec = Spec { count: LpiCount::Atomic, ..PATCH_05 };
/// Free LPIs with RCU.
const PATCH_07: Spec = Spec { free: Free::Rcu, ..PATCH_06 };
/// Rely on RCU in `vgic_get_lpi`.
const PATCH_08: Spec = Spec { get: Get::XArrayRcu, ..PATCH_07 };
/// Ensure that the references taken are not of dying LPIs.
const PATCH_09: Spec = Spec { add_race: Found::TryGet, cache_hit: Found::TryGet, ..PATCH_08 };
/// Don't take `lpi_list_lock` in `vgic_put_irq`.
const PATCH_10: Spec = Spec { put: Put::Erase, xarray_irqs: XArrayIrqs::OnInErase, ..PATCH_09 };
/// Allocate cache entries lazily.
const PATCH_11: Spec = Spec {
    cache: CacheKind::Lazy(Lazy {
        locking: LazyLocking::Spin,
        eviction: Eviction::Lru,
        limit: Limit::Ignored,
        new_entry: NewEntry::AtZero,
        retire: Retire::Now,
    }),
    ..PATCH_10
};
/// Pick the victim by usage count.
const PATCH_12: Spec =
    Spec { cache: CacheKind::Lazy(Lazy { eviction: Eviction::UsageReset, ..PATCH_11.lazy() }), ..PATCH_11 };
/// Protect the LPI pointers in the cache with RCU.
const PATCH_13: Spec = PATCH_12;
/// Treat the cache as an rculist.
const PATCH_14: Spec = Spec {
    cache: CacheKind::Lazy(Lazy { limit: Limit::Kept, retire: Retire::SynchronizeAlways, ..PATCH_13.lazy() }),
    ..PATCH_13
};
/// Rely on RCU to find a cached translation.
const PATCH_15: Spec =
    Spec { cache: CacheKind::Lazy(Lazy { locking: LazyLocking::Rcu, ..PATCH_14.lazy() }), ..PATCH_14 };

/// The second posting.
const V2: Spec = Spec {
    walk: Walk::CopyXArrayEmpty,
    cache: CacheKind::Lazy(Lazy {
        eviction: Eviction::UsageKept,
        new_entry: NewEntry::AtLargest,
        retire: Retire::SynchronizeVictim,
        ..PATCH_15.lazy()
    }),
    ..PATCH_15
};
/// The author's second option: let callbacks free the victims.
const CALL_RCU: Spec = Spec { cache: CacheKind::Lazy(Lazy { retire: Retire::CallRcu, ..V2.lazy() }), ..V2 };
/// The author's first option: a reader-writer lock, no RCU, no allocation.
const RWLOCK: Spec = Spec { cache: CacheKind::ReadWrite, ..PATCH_10 };

/// The first ten patches as merged.
const V6_9: Spec = Spec {
    xarray_irqs: XArrayIrqs::Off,
    walk: Walk::CopyXArray,
    unmapped: Unmapped::Skipped,
    store_error: StoreError::Unlocked,
    ..PATCH_10
};
/// The per-ITS translation cache.
const V6_10: Spec = Spec {
    add_lock: AddLock::XArray,
    count: LpiCount::None,
    walk: Walk::ForEach,
    load_pending: LoadPending::OfTarget,
    cache: CacheKind::PerIts(PerIts {
        drain: Drain::PutMet,
        store_error: CacheStoreError::PutsError,
        forgets: Forgets::Everything,
        doorbell: Doorbell::Bus,
        translations: Translations::OneTree,
    }),
    mapc_off: MapcOff::IgnoresVcpu,
    ..V6_9
};
/// "Yet another lock ordering".
const V6_17: Spec = Spec {
    put: Put::Deferred,
    xarray_irqs: XArrayIrqs::On,
    store_error: StoreError::ReleaseUnderLock,
    cache: CacheKind::PerIts(PerIts { store_error: CacheStoreError::Puts, ..V6_10.per_its() }),
    ..V6_10
};
/// After the fixes of 2026.
const V7_1_8: Spec = Spec {
    put: Put::DecAndLock,
    xarray_irqs: XArrayIrqs::Off,
    store_error: StoreError::Unlocked,
    store_memory: StoreMemory::MayAllocate,
    displaced: Displaced::Freed,
    cache: CacheKind::PerIts(PerIts { drain: Drain::PutErased, ..V6_17.per_its() }),
    queue: QueueKind::ApList(ApList {
        empty: EmptyList::Visited,
        overflow: Overflow::BySummary,
        fold_active: FoldActive::Dropped,
        replay: Replay::BehindLast,
        prune_gap: PruneGap::Referenced,
        ..V6_17.ap_list()
    }),
    irq_bits: IrqBits::OneByte,
    lpis_off: LpisOff::UnqueueAndClear,
    ..V6_17
};
/// With the fixes of autumn 2026; for LPIs the same code as 7.2.13.
const V7_3: Spec = Spec {
    movall: Movall::OfSource,
    save: Save::XArrayReferenced,
    baser_change: BaserChange::FreesTables,
    lost_device: LostDevice::Skipped,
    queue: QueueKind::ApList(ApList { replay: Replay::BehindLastHeld, ..V7_1_8.ap_list() }),
    ..V7_1_8
};
/// The VM stops for EnableLPIs off and MOVALL: a series of September 2026 that no kernel had by then.
const HALT: Spec = Spec { halt: Halt::Everybody, exit_mode: ExitMode::AfterSync, ..V7_3 };
/// What the model checker still finds in v7.3, mended; docs/explain/hardened.md has a section for each.
const HARDENED: Spec = Spec {
    queue: QueueKind::ApList(ApList {
        replay: Replay::Locked,
        moved: Moved::Kicked,
        in_register: InRegister::Stays,
        ..V7_3.ap_list()
    }),
    clear: Clear::UnderIrqLock,
    lpis_off: LpisOff::ClearAndPrune,
    table_bit: TableBit::Adds,
    switch_off: SwitchOff::UnderItsLock,
    mapc: Mapc::EmptiesCache,
    config_read: ConfigRead::Locked,
    remap: Remap::Retarget,
    distributor_on: DistributorOn::Queue,
    dead_look: DeadLook::Acquire,
    ..V7_3
};

/// Hints instead of a list. docs/explain/next.md has a section for each of this series.
const NEXT_01: Spec = Spec { queue: QueueKind::Hints, irq_bits: IrqBits::Atomic, ..HARDENED };
/// Use the LPI in the read section that has found it.
const NEXT_02: Spec = Spec { cache_hit: Found::InSection, ..NEXT_01 };
/// Look at the first ITS before the bus.
const NEXT_03: Spec =
    Spec { cache: CacheKind::PerIts(PerIts { doorbell: Doorbell::FirstIts, ..NEXT_02.per_its() }), ..NEXT_02 };
/// Throw out of the cache what a command makes stale.
const NEXT_04: Spec =
    Spec { cache: CacheKind::PerIts(PerIts { forgets: Forgets::WhatIsStale, ..NEXT_03.per_its() }), ..NEXT_03 };
/// Give each device a tree of its translations.
const NEXT_05: Spec = Spec {
    cache: CacheKind::PerIts(PerIts { translations: Translations::TreePerDevice, ..NEXT_04.per_its() }),
    ..NEXT_04
};

macro_rules! designs {
    ($($(#[$doc:meta])* $type:ident, $name:literal, $spec:ident, $cache:ident, $queue:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub struct $type;
            impl Design for $type {
                type Cache<P: Platform> = $cache<P>;
                type Queue<P: Platform> = $queue<P>;
                #[inline(always)]
                fn spec(self) -> &'static Spec {
                    const { &$spec }
                }
                fn name(self) -> &'static str {
                    $name
                }
            }
        )*

        /// Runs `$body` with `$design` bound to the type of a shipped design, for which the engine is compiled, so this
        /// is for where speed counts; or to `$any`, a [`Composed`], if the name is that of none.
        ///
        /// A build with debug assertions measures nothing: it takes `$any` always, and compiles the engine once.
        #[macro_export]
        macro_rules! with_design {
            ($wanted:expr, $any:expr, $design:ident => $body:expr) => {
                match $wanted {
                    $(#[cfg(not(debug_assertions))]
                    $name => {
                        let $design = $crate::designs::series::$type;
                        $body
                    })*
                    _ => {
                        let $design = $any;
                        $body
                    }
                }
            };
        }

        /// Every name, in the order of the history.
        pub const NAMES: &[&str] = &[$($name),*];

        /// Every shipped design: its name and what it is, in the order of the history.
        pub static DESIGNS: &[(&str, &Spec)] = &[$(($name, &$spec)),*];
    };
}

/// The name and the spec of a shipped design by name.
pub fn spec(name: &str) -> Option<(&'static str, &'static Spec)> {
    DESIGNS.iter().find(|(known, _)| *known == name).copied()
}

designs! {
    /// `v6.7`.
    D6_7, "v6.7", V6_7, EagerLru, ApListQueue;
    /// `v6.8-rc1`.
    D6_8Rc1, "v6.8-rc1", V6_8_RC1, EagerLru, ApListQueue;
    /// `patch-01`.
    Patch01, "patch-01", PATCH_01, EagerLru, ApListQueue;
    /// `patch-02`.
    Patch02, "patch-02", PATCH_02, EagerLru, ApListQueue;
    /// `patch-03`.
    Patch03, "patch-03", PATCH_03, EagerLru, ApListQueue;
    /// `patch-04`.
    Patch04, "patch-04", PATCH_04, EagerLru, ApListQueue;
    /// `patch-05`.
    Patch05, "patch-05", PATCH_05, EagerLru, ApListQueue;
    /// `patch-06`.
    Patch06, "patch-06", PATCH_06, EagerLru, ApListQueue;
    /// `patch-07`.
    Patch07, "patch-07", PATCH_07, EagerLru, ApListQueue;
    /// `patch-08`.
    Patch08, "patch-08", PATCH_08, EagerLru, ApListQueue;
    /// `patch-09`.
    Patch09, "patch-09", PATCH_09, EagerLru, ApListQueue;
    /// `patch-10`.
    Patch10, "patch-10", PATCH_10, EagerLru, ApListQueue;
    /// `patch-11`.
    Patch11, "patch-11", PATCH_11, LazyList, ApListQueue;
    /// `patch-12`.
    Patch12, "patch-12", PATCH_12, LazyList, ApListQueue;
    /// `patch-13`.
    Patch13, "patch-13", PATCH_13, LazyList, ApListQueue;
    /// `patch-14`.
    Patch14, "patch-14", PATCH_14, LazyList, ApListQueue;
    /// `patch-15`.
    Patch15, "patch-15", PATCH_15, LazyList, ApListQueue;
    /// `v2`.
    PostedV2, "v2", V2, LazyList, ApListQueue;
    /// `rwlock`.
    RwLock, "rwlock", RWLOCK, ReadWrite, ApListQueue;
    /// `call-rcu`.
    CallRcu, "call-rcu", CALL_RCU, LazyList, ApListQueue;
    /// `v6.9`.
    D6_9, "v6.9", V6_9, EagerLru, ApListQueue;
    /// `v6.10`.
    D6_10, "v6.10", V6_10, PerItsCache, ApListQueue;
    /// `v6.17`.
    D6_17, "v6.17", V6_17, PerItsCache, ApListQueue;
    /// `v7.1.8`.
    D7_1_8, "v7.1.8", V7_1_8, PerItsCache, ApListQueue;
    /// `v7.3`.
    D7_3, "v7.3", V7_3, PerItsCache, ApListQueue;
    /// `halt`.
    DHalt, "halt", HALT, PerItsCache, ApListQueue;
    /// `hardened`.
    Hardened, "hardened", HARDENED, PerItsCache, ApListQueue;
    /// `next-01`.
    Next01, "next-01", NEXT_01, PerItsCache, HintQueue;
    /// `next-02`.
    Next02, "next-02", NEXT_02, PerItsCache, HintQueue;
    /// `next-03`.
    Next03, "next-03", NEXT_03, PerItsCache, HintQueue;
    /// `next-04`.
    Next04, "next-04", NEXT_04, PerItsCache, HintQueue;
    /// `next-05`.
    Next05, "next-05", NEXT_05, PerItsCache, HintQueue;
}
