//! The LPI store: find, keep, add and release the LPIs of a VM (`struct vgic_dist`, LPI parts).
//!
//! Every mapped LPI is in the index (a list, an xarray, or both) from [`add`] until its last reference goes. A count
//! of zero while still indexed is legal: whoever finds an LPI in the index without holding the lock that excludes
//! the release takes a reference only if the count is not zero.
//!
//! - [`get`]: by INTID, with a reference · [`put`]: drop a reference, release at zero
//! - [`add`]: for a new mapping · [`walk`]: visit all

pub mod add;
pub mod get;
pub mod put;
pub mod walk;

use crate::designs::{LpiCount, Spec};
use crate::irq::{Irq, LpiList};
use crate::list::List;
use crate::platform::{Layout, Platform, present_if};
use crate::xarray::XArray;

/// Where the LPIs of a VM are kept.
pub struct LpiStore<P: Platform> {
    /// Protects the list, and whatever else a design puts under it.
    pub lpi_list_lock: P::SpinLock,
    /// All mapped LPIs, unsorted (up to patch 04).
    pub lpi_list: List<P, Irq<P>, LpiList>,
    /// How many there are, under the lock (up to patch 05).
    pub lpi_list_count: P::Cell<u32>,
    /// How many there are (patch 06 to 6.9).
    pub lpi_count: P::AtomicU32,
    /// LPIs by INTID (from patch 01).
    pub lpi_xa: XArray<P, Irq<P>>,
}

impl<P: Platform> LpiStore<P> {
    /// An empty store.
    pub fn new(l: &P::Layout, spec: &Spec) -> Self {
        let list = spec.index.has_list();
        LpiStore {
            lpi_list_lock: present_if::<P, _>(spec.has_lpi_list_lock(), l, |l| {
                l.spin("lpi_list_lock", spec.lpi_list_rank())
            }),
            lpi_list: present_if::<P, _>(list, l, |l| List::new(l, "lpi_list_head.next", "lpi_list_head.prev")),
            lpi_list_count: present_if::<P, _>(spec.count == LpiCount::Plain, l, |l| l.cell("lpi_list_count", 0)),
            lpi_count: present_if::<P, _>(spec.count == LpiCount::Atomic, l, |l| l.u32("lpi_count", 0)),
            lpi_xa: present_if::<P, _>(spec.index.has_xarray(), l, |l| {
                XArray::new(l, "lpi_xa.xa_lock", "lpi_xa.xa_head", spec.lpi_xa_rank())
            }),
        }
    }
}
