//! The designs as types. Read it from top to bottom as the series: `..PATCH_n` is what stood there before.

use super::*;
use crate::cache::eager_lru::EagerLru;
use crate::cache::lazy::{Eviction, Lazy, LazyList, Locking, Retire};
use crate::cache::per_its::PerIts;
use crate::cache::read_write::ReadWrite;

/// Before the reference on a cache hit.
const V6_7: Spec = Spec { cache_hit: Found::Unreferenced, ..V6_8_RC1 };

/// The baseline of the series.
const V6_8_RC1: Spec = Spec {
    index: Index::List,
    get: Get::ListWalk,
    add_race: Found::Get,
    put: Put::Locked,
    free: Free::Now,
    count: LpiCount::Plain,
    walk: Walk::CopyList,
    walk_skips_unmapped: false,
    save: Save::List,
    store_error: StoreError::Never,
    cache_hit: Found::Get,
    lazy: Lazy::NONE,
    cache_store_error_puts: false,
    drain: Drain::Locked,
    queue: Queue::Classic,
    prune_gap: PruneGap::Bare,
    lpis_off: LpisOff::Unqueue,
    table_bit: TableBit::Replaces,
    switch_off: SwitchOff::Unlocked,
    mapc_invalidates: false,
    moved: Moved::AtNextExit,
    config_read: ConfigRead::TwoSteps,
    remap: Remap::AsItIs,
    distributor_on: DistributorOn::Kick,
    dead_look: DeadLook::Relaxed,
    mapc_checks_unmap: true,
    order: LockOrder::ApListFirst,
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
const PATCH_10: Spec = Spec { put: Put::EraseIrqsOn, ..PATCH_09 };
/// Allocate cache entries lazily.
const PATCH_11: Spec = Spec {
    lazy: Lazy {
        locking: Locking::Spin,
        eviction: Eviction::Lru,
        counted: false,
        new_starts_at_max: false,
        retire: Retire::Now,
    },
    ..PATCH_10
};
/// Pick the victim by usage count.
const PATCH_12: Spec = Spec { lazy: Lazy { eviction: Eviction::UsageReset, ..PATCH_11.lazy }, ..PATCH_11 };
/// Protect the LPI pointers in the cache with RCU.
const PATCH_13: Spec = PATCH_12;
/// Treat the cache as an rculist.
const PATCH_14: Spec =
    Spec { lazy: Lazy { counted: true, retire: Retire::SynchronizeAlways, ..PATCH_13.lazy }, ..PATCH_13 };
/// Rely on RCU to find a cached translation.
const PATCH_15: Spec = Spec { lazy: Lazy { locking: Locking::Rcu, ..PATCH_14.lazy }, ..PATCH_14 };

/// The second posting.
const V2: Spec = Spec {
    walk: Walk::CopyXArrayEmpty,
    lazy: Lazy {
        eviction: Eviction::UsageKept,
        new_starts_at_max: true,
        retire: Retire::SynchronizeVictim,
        ..PATCH_15.lazy
    },
    ..PATCH_15
};
/// The author's second option: let callbacks free the victims.
const CALL_RCU: Spec = Spec { lazy: Lazy { retire: Retire::CallRcu, ..V2.lazy }, ..V2 };
/// The author's first option: a reader-writer lock, no RCU, no allocation.
const RWLOCK: Spec = PATCH_10;

/// The first ten patches as merged.
const V6_9: Spec = Spec {
    put: Put::EraseIrqsOff,
    walk: Walk::CopyXArray,
    walk_skips_unmapped: true,
    store_error: StoreError::Unlocked,
    ..PATCH_10
};
/// The per-ITS translation cache.
const V6_10: Spec =
    Spec { count: LpiCount::None, walk: Walk::ForEach, drain: Drain::PutMet, mapc_checks_unmap: false, ..V6_9 };
/// "Yet another lock ordering".
const V6_17: Spec = Spec {
    put: Put::Deferred,
    order: LockOrder::XArrayFirst,
    cache_store_error_puts: true,
    store_error: StoreError::ReleaseUnderLock,
    ..V6_10
};
/// After the fixes of 2026.
const V7_1_8: Spec = Spec {
    put: Put::DecAndLock,
    store_error: StoreError::MayAllocate,
    save: Save::XArrayReferenced,
    drain: Drain::PutErased,
    queue: Queue::Summary,
    prune_gap: PruneGap::Referenced,
    lpis_off: LpisOff::UnqueueAndClear,
    ..V6_17
};
/// What the model checker still finds there, mended; docs/explain/hardened.md has a section for each.
const HARDENED: Spec = Spec {
    lpis_off: LpisOff::ClearAndPrune,
    table_bit: TableBit::Adds,
    switch_off: SwitchOff::UnderItsLock,
    mapc_invalidates: true,
    moved: Moved::Kicked,
    config_read: ConfigRead::Locked,
    remap: Remap::Retarget,
    distributor_on: DistributorOn::Queue,
    dead_look: DeadLook::Acquire,
    ..V7_1_8
};

macro_rules! designs {
    ($($(#[$doc:meta])* $type:ident, $name:literal, $spec:ident, $cache:ident;)*) => {
        $(
            $(#[$doc])*
            pub struct $type;
            impl Design for $type {
                const NAME: &'static str = $name;
                const SPEC: Spec = $spec;
                type Cache<P: Platform> = $cache<P>;
            }
        )*

        /// Runs `$body` with the type `$D` set to the design that `$name` names; `None` if there is none.
        #[macro_export]
        macro_rules! with_design {
            ($wanted:expr, $D:ident => $body:expr) => {
                match $wanted {
                    $($name => {
                        type $D = $crate::designs::series::$type;
                        Some($body)
                    })*
                    _ => None,
                }
            };
        }

        /// The spec of a design by name.
        pub fn spec(name: &str) -> Option<&'static Spec> {
            match name {
                $($name => Some(&<$type as Design>::SPEC),)*
                _ => None,
            }
        }

        /// Every name, in the order of the history.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

designs! {
    /// `v6.7`.
    D6_7, "v6.7", V6_7, EagerLru;
    /// `v6.8-rc1`.
    D6_8Rc1, "v6.8-rc1", V6_8_RC1, EagerLru;
    /// `patch-01`.
    Patch01, "patch-01", PATCH_01, EagerLru;
    /// `patch-02`.
    Patch02, "patch-02", PATCH_02, EagerLru;
    /// `patch-03`.
    Patch03, "patch-03", PATCH_03, EagerLru;
    /// `patch-04`.
    Patch04, "patch-04", PATCH_04, EagerLru;
    /// `patch-05`.
    Patch05, "patch-05", PATCH_05, EagerLru;
    /// `patch-06`.
    Patch06, "patch-06", PATCH_06, EagerLru;
    /// `patch-07`.
    Patch07, "patch-07", PATCH_07, EagerLru;
    /// `patch-08`.
    Patch08, "patch-08", PATCH_08, EagerLru;
    /// `patch-09`.
    Patch09, "patch-09", PATCH_09, EagerLru;
    /// `patch-10`.
    Patch10, "patch-10", PATCH_10, EagerLru;
    /// `patch-11`.
    Patch11, "patch-11", PATCH_11, LazyList;
    /// `patch-12`.
    Patch12, "patch-12", PATCH_12, LazyList;
    /// `patch-13`.
    Patch13, "patch-13", PATCH_13, LazyList;
    /// `patch-14`.
    Patch14, "patch-14", PATCH_14, LazyList;
    /// `patch-15`.
    Patch15, "patch-15", PATCH_15, LazyList;
    /// `v2`.
    PostedV2, "v2", V2, LazyList;
    /// `rwlock`.
    RwLock, "rwlock", RWLOCK, ReadWrite;
    /// `call-rcu`.
    CallRcu, "call-rcu", CALL_RCU, LazyList;
    /// `v6.9`.
    D6_9, "v6.9", V6_9, EagerLru;
    /// `v6.10`.
    D6_10, "v6.10", V6_10, PerIts;
    /// `v6.17`.
    D6_17, "v6.17", V6_17, PerIts;
    /// `v7.1.8`.
    D7_1_8, "v7.1.8", V7_1_8, PerIts;
    /// `hardened`.
    Hardened, "hardened", HARDENED, PerIts;
}
