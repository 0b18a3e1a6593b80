//! The places of locks in the order in which they nest: a thread takes locks in ascending rank only.
//!
//! Ranks are for the debug build of real threads and for the checking platforms. The order that a design really has is
//! what its runs show: `vgic designs NAME` prints the nesting that the counting platform has recorded.

use super::spec::Spec;

/// The mutex that a running vCPU holds.
pub const VCPU_MUTEX: u8 = 20;
/// `its->cmd_lock`.
pub const CMD_LOCK: u8 = 40;
/// `its->its_lock`.
pub const ITS_LOCK: u8 = 50;
/// The mutex under which LPI configuration is read and applied (`hardened`).
pub const LPI_CONFIG: u8 = 52;
/// The lock of a per-ITS translation cache.
pub const TRANSLATION_CACHE: u8 = 55;
/// The reader-writer lock of the `rwlock` design's cache: what leaves is put under it.
pub const CACHE_RWLOCK: u8 = 56;
/// `ap_list_lock`.
pub const AP_LIST: u8 = 60;
/// `irq_lock`.
pub const IRQ: u8 = 80;

impl Spec {
    /// `dist->lpi_list_lock`: outside the xarray's lock, and so where that is.
    pub(crate) const fn lpi_list_rank(&self) -> u8 {
        if self.releases_outside_raw_locks() { 57 } else { 70 }
    }

    /// The lock of `dist->lpi_xa`: inside `ap_list_lock`, unless puts under that lock leave the release for later.
    pub(crate) const fn lpi_xa_rank(&self) -> u8 {
        if self.releases_outside_raw_locks() { 58 } else { 75 }
    }
}
