//! The designs: every locking scheme that LPI injection has had or has been offered, one row each.
//!
//! A design is a type that carries a [`Spec`] (constants that the engine matches on; all of it folds away when the
//! engine is compiled for the design, so a hot path has no branch on it) and a kind of translation cache. The
//! specs in [`series`] are written as the series is: each is the one before it with what the patch changed.

pub mod row;
pub mod series;

pub use row::{ROWS, Row, row};

use crate::cache::Cache;
use crate::platform::Platform;

/// Where all mapped LPIs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// `dist->lpi_list_head`, under `lpi_list_lock`.
    List,
    /// The list, and `dist->lpi_xa` beside it (patches 01 to 04).
    ListAndXArray,
    /// `dist->lpi_xa` alone (patch 05).
    XArray,
}

impl Index {
    /// Whether LPIs are linked on the list.
    pub const fn has_list(self) -> bool {
        matches!(self, Index::List | Index::ListAndXArray)
    }

    /// Whether LPIs are in the xarray.
    pub const fn has_xarray(self) -> bool {
        !matches!(self, Index::List)
    }
}

/// How `vgic_get_lpi` finds an LPI by INTID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Get {
    /// `lpi_list_lock`, linear walk, reference taken unconditionally.
    ListWalk,
    /// `lpi_list_lock`, `xa_load`, reference taken unconditionally (patch 02).
    XArrayLocked,
    /// RCU, `xa_load`, reference taken only if not zero (patch 08).
    XArrayRcu,
}

/// How a reference is taken on an LPI that a translation cache holds, or that a racing map has stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Not at all: the LPI is used after the lock is dropped (`v6.7`, CVE-2024-26598).
    Unreferenced,
    /// Unconditionally.
    Get,
    /// Only if the count is not zero (patch 09).
    TryGet,
}

/// How `vgic_put_irq` drops a reference, and how it releases the LPI at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Every decrement under `lpi_list_lock`.
    Locked,
    /// A plain decrement; at zero `xa_erase`, with interrupts as the caller has them (patch 10).
    EraseIrqsOn,
    /// A plain decrement; at zero the xarray's lock with interrupts off (6.9).
    EraseIrqsOff,
    /// As before, but under raw spin locks the release is put off by a flag and swept up later (6.17).
    Deferred,
    /// `refcount_dec_and_lock`: the lock is taken before the count reaches zero (7.1.8).
    DecAndLock,
}

/// How an LPI is freed at release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Free {
    /// `kfree`.
    Now,
    /// `kfree_rcu` (patch 07).
    Rcu,
}

/// The count of mapped LPIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LpiCount {
    /// An integer under `lpi_list_lock`.
    Plain,
    /// An atomic (patch 06).
    Atomic,
    /// None: nothing asks for it any more (6.10).
    None,
}

/// How INVALL, MOVALL and the enable of LPIs visit the mapped LPIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Copy the INTIDs from the list under `lpi_list_lock`, then look each up.
    CopyList,
    /// Copy them from the xarray under `lpi_list_lock` and RCU, from 0 to the largest index (patch 04).
    CopyXArrayWide,
    /// The same with the end of the walk before its start: it finds nothing (`v2`, v3).
    CopyXArrayEmpty,
    /// The same from 8192 to 65535 (6.9).
    CopyXArray,
    /// No copy: `xa_for_each`, a look-up for each (6.10).
    ForEach,
}

/// How pending states are saved to the pending tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Save {
    /// Walk of the list without its lock.
    List,
    /// `xa_for_each` without references (patch 03).
    XArray,
    /// `xa_for_each`, a reference for each step.
    XArrayReferenced,
}

/// What happens when the store of a new LPI into the xarray fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// No store, no failure.
    Never,
    /// The error returns with `lpi_list_lock` held (patch 01, v2).
    LockHeld,
    /// The lock is dropped first.
    Unlocked,
    /// `xa_release` under the lock that it takes itself (`v6.17`): a deadlock.
    ReleaseUnderLock,
    /// The store may allocate without sleeping, so that the reserved slot is not needed (7.1.8).
    MayAllocate,
}

/// How the whole translation cache of an ITS is emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Under the lock of the cache.
    Locked,
    /// Each entry met is erased and put: two at once put one reference twice (CVE-2026-46316).
    PutMet,
    /// Only what the erase returned is put.
    PutErased,
}

/// How a vCPU's `ap_list` is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Up to 6.18: skipped when empty; sorted when more are pending than there are list registers.
    Classic,
    /// From 6.19: never skipped; summary instead of depth, sort only if some stay outside; the active state of an
    /// LPI is dropped at fold.
    Summary,
}

/// What prune does when an LPI has to move and both locks are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneGap {
    /// Neither a reference nor a second look at `irq->vcpu` (CVE-2026-72288, CVE-2026-72289).
    Bare,
    /// A reference is held, and the LPI must still be queued here (7.1.8).
    Referenced,
}

/// How caches are emptied when an ITS, or the LPIs of a vCPU, are switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchOff {
    /// Without `its_lock`: a table walk that saw the switch on may cache afterwards ("The open window" in
    /// `docs/explain/designs.md`).
    Unlocked,
    /// Under `its_lock`, which a table walk holds from its look at the switch to the insertion (`hardened`).
    UnderItsLock,
}

/// What becomes of a vCPU's LPIs when EnableLPIs is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LpisOff {
    /// All leave the `ap_list`, also those that are on their way to another vCPU; they stay pending.
    Unqueue,
    /// The same, and they are not pending any more (7.1.8).
    UnqueueAndClear,
    /// Those that target the vCPU are not pending any more, on the `ap_list` or not. Then the `ap_list` is pruned, so
    /// that the others migrate (`hardened`).
    ClearAndPrune,
}

/// What a bit of a pending table does to the LPI's pending state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableBit {
    /// It replaces it: a send that came before is lost.
    Replaces,
    /// It adds to it (`hardened`).
    Adds,
}

/// When an LPI that was given another target leaves the `ap_list` of the vCPU that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// When that vCPU happens to exit; meanwhile sends kick the target, which does not have the LPI.
    AtNextExit,
    /// At once: whoever moves the LPI or sends it kicks the vCPU that has it, which does not enter the guest with it
    /// (`hardened`).
    Kicked,
}

/// How an LPI's configuration byte is read and applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigRead {
    /// In two steps: of two at once, the one that read first may apply last.
    TwoSteps,
    /// Under a mutex of the VM (`hardened`).
    Locked,
}

/// What `vgic_add_lpi` does with an LPI that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remap {
    /// Takes it as it is, with the target of a mapping that may be gone.
    AsItIs,
    /// Gives it the target of the new mapping (`hardened`).
    Retarget,
}

/// What happens to pending LPIs when the distributor is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistributorOn {
    /// Every vCPU is kicked; what was sent or pruned meanwhile is on no `ap_list`.
    Kick,
    /// The same after every LPI was looked at and queued (`hardened`).
    Queue,
}

/// The look at a count of zero before an LPI is freed whose last reference another thread may have dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLook {
    /// Relaxed.
    Relaxed,
    /// With an acquire load (`hardened`).
    Acquire,
}

/// The order in which spin locks nest; see "Lock order" in `docs/explain/designs.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockOrder {
    /// `ap_list_lock` > `lpi_list_lock` > `lpi_xa` > `irq_lock` (6.8, 6.9; 6.10 to 6.16 without `lpi_list_lock`).
    ApListFirst,
    /// `lpi_xa` > `ap_list_lock` > `irq_lock` (6.17).
    XArrayFirst,
}

impl LockOrder {
    /// Rank of `dist->lpi_xa`'s lock.
    pub const fn lpi_xa(self) -> u8 {
        match self {
            LockOrder::ApListFirst => 75,
            LockOrder::XArrayFirst => 58,
        }
    }

    /// Rank of `irq_lock`.
    pub const fn irq(self) -> u8 {
        80
    }
}

/// Rank of the mutex that a running vCPU holds.
pub const RANK_VCPU_MUTEX: u8 = 20;
/// Rank of `its->cmd_lock`.
pub const RANK_CMD_LOCK: u8 = 40;
/// Rank of `its->its_lock`.
pub const RANK_ITS_LOCK: u8 = 50;
/// Rank of the mutex under which LPI configuration is read and applied (`hardened`).
pub const RANK_LPI_CONFIG: u8 = 52;
/// Rank of the lock of a per-ITS translation cache.
pub const RANK_TRANSLATION_CACHE: u8 = 55;
/// Rank of `ap_list_lock`.
pub const RANK_AP_LIST: u8 = 60;
/// Rank of the reader-writer lock of the `rwlock` design's cache.
pub const RANK_CACHE_RWLOCK: u8 = 65;
/// Rank of `lpi_list_lock`.
pub const RANK_LPI_LIST: u8 = 70;

/// The constants of one design.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Where LPIs are kept.
    pub index: Index,
    /// How one is found.
    pub get: Get,
    /// How a map takes the LPI that a racing map stored first.
    pub add_race: Found,
    /// How references are dropped.
    pub put: Put,
    /// How LPIs are freed.
    pub free: Free,
    /// The count of LPIs.
    pub count: LpiCount,
    /// How all LPIs are visited.
    pub walk: Walk,
    /// Whether an INTID that was unmapped since the copy is skipped (otherwise the kernel dereferenced NULL).
    pub walk_skips_unmapped: bool,
    /// How pending states are saved.
    pub save: Save,
    /// A failed store.
    pub store_error: StoreError,
    /// How a cache hit takes its reference.
    pub cache_hit: Found,
    /// Details of a lazily allocated cache; unused by the other kinds.
    pub lazy: crate::cache::lazy::Lazy,
    /// Whether a failed cache insertion drops the reference that it took (6.13).
    pub cache_store_error_puts: bool,
    /// How a cache is emptied.
    pub drain: Drain,
    /// The `ap_list`.
    pub queue: Queue,
    /// Migration.
    pub prune_gap: PruneGap,
    /// EnableLPIs off.
    pub lpis_off: LpisOff,
    /// Pending tables.
    pub table_bit: TableBit,
    /// Caches when something is switched off.
    pub switch_off: SwitchOff,
    /// Whether MAPC that gives a collection to a vCPU whose LPIs are off empties the cache (`hardened`).
    pub mapc_invalidates: bool,
    /// LPIs that were given another target.
    pub moved: Moved,
    /// Configuration bytes.
    pub config_read: ConfigRead,
    /// A map of an LPI that is there.
    pub remap: Remap,
    /// `GICD_CTLR`.
    pub distributor_on: DistributorOn,
    /// Freeing what another thread has put.
    pub dead_look: DeadLook,
    /// Whether MAPC checks the vCPU also with V = 0 (up to 6.9).
    pub mapc_checks_unmap: bool,
    /// The lock order.
    pub order: LockOrder,
}

impl Spec {
    /// Whether the lock of `dist->lpi_xa` is taken with interrupts off where LPIs are mapped and swept up (always but
    /// in 6.17).
    pub const fn lpi_xa_irqs_off(&self) -> bool {
        !matches!(self.put, Put::Deferred)
    }

    /// Whether `dist->lpi_list_lock` exists.
    pub const fn has_lpi_list_lock(&self) -> bool {
        !matches!(self.walk, Walk::ForEach)
    }
}

/// A design, at compile time.
pub trait Design: Send + Sync + 'static {
    /// Its name, as users type it.
    const NAME: &'static str;
    /// Its constants.
    const SPEC: Spec;
    /// Its translation cache.
    type Cache<P: Platform>: Cache<P>;
}
