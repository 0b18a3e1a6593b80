//! The MMIO bus, as far as doorbells need it (`kvm->buses[KVM_MMIO_BUS]`).
//!
//! All ranges of the VM (the distributor, one redistributor for each vCPU, the ITSes) in one sorted array, searched
//! inside an SRCU section. Adding an ITS replaces the array as a whole.

use crate::designs::{Doorbell, Spec};
use crate::guard::Srcu;
use crate::its::Its;
use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, Layout, Platform, Work, present_if};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Where a VM's frames are besides its ITSes'. The caller has checked that nothing overlaps or wraps around.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    /// Guest physical base of the distributor.
    pub distributor: u64,
    /// Where the redistributors are, region by region (`vgic_dist.rd_regions`): room for every vCPU.
    pub redistributors: Vec<Region>,
}

/// Redistributors one behind the other (`struct vgic_redist_region`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Guest physical base of the first one.
    pub base: u64,
    /// How many there is room for.
    pub count: u32,
}

impl Default for Frames {
    /// As in QEMU's `virt` machine, without an end.
    fn default() -> Self {
        Frames { distributor: 0x0800_0000, redistributors: vec![Region { base: REDISTRIBUTORS, count: u32::MAX }] }
    }
}

impl Frames {
    /// Guest physical base of each redistributor, in the order in which the regions are filled.
    pub fn redistributor_bases(&self) -> impl Iterator<Item = u64> + '_ {
        let bases = |region: &Region| {
            let base = region.base;
            (0..u64::from(region.count)).map(move |n| base + n * REDISTRIBUTOR_SIZE)
        };
        self.redistributors.iter().flat_map(bases)
    }
}

/// The usual base of the first redistributor.
pub const REDISTRIBUTORS: u64 = 0x080a_0000;

/// Size of the distributor: one frame of 64 KiB.
pub const DISTRIBUTOR_SIZE: u64 = 0x1_0000;
/// Size of one redistributor: two frames of 64 KiB.
pub const REDISTRIBUTOR_SIZE: u64 = 0x2_0000;
/// Size of an ITS: two frames of 64 KiB.
pub const ITS_SIZE: u64 = 0x2_0000;
/// Most ITSes of a VM.
pub const MAX_ITS: usize = 64;

struct Range<P: Platform> {
    start: u64,
    size: u64,
    its: Option<Obj<Its<P>>>,
}

/// The array; immutable once published.
pub struct Ranges<P: Platform>(Box<[Range<P>]>);

impl<P: Platform> Ranges<P> {
    /// The range that holds `address`. A plain binary search: its branches are the same for the same doorbell, which is
    /// what a hot path asks for again and again.
    #[inline(always)]
    fn find(&self, address: u64) -> Option<&Range<P>> {
        let mut ranges = &self.0[..];
        while let Some(range) = ranges.get(ranges.len() / 2) {
            if address < range.start {
                ranges = &ranges[..ranges.len() / 2];
            } else if address - range.start < range.size {
                return Some(range);
            } else {
                ranges = &ranges[ranges.len() / 2 + 1..];
            }
        }
        None
    }
}

/// The bus.
pub struct Bus<P: Platform> {
    ranges: P::AtomicPtr<Ranges<P>>,
    /// The first ITS that was added: it lives as long as the VM, so a look at it needs no section.
    first: P::AtomicPtr<Its<P>>,
    frames: Frames,
}

impl<P: Platform> Bus<P> {
    /// A bus without an array; [`Bus::publish`] follows.
    pub fn new(l: &P::Layout, spec: &Spec, frames: Frames) -> Self {
        Bus {
            ranges: l.ptr("buses[KVM_MMIO_BUS]"),
            first: present_if::<P, _>(spec.per_its().doorbell == Doorbell::FirstIts, l, |l| l.ptr("first_its")),
            frames,
        }
    }

    fn current(&self, ctx: &P::Ctx) -> Option<Obj<Ranges<P>>> {
        // Consume: pairs with the release in publish (O-07).
        // SAFETY: S-09: null or the published array, which is freed only when SRCU readers are gone.
        unsafe { Obj::from_ptr(self.ranges.load(ctx, Order::Consume(Pair::BusPublish))) }
    }

    /// Replaces the array by one for `vcpus` vCPUs and `its`. The caller excludes other changes.
    pub fn publish(
        &self,
        ctx: &P::Ctx,
        doorbell: Doorbell,
        vcpus: u32,
        its: &[Obj<Its<P>>],
    ) -> Result<(), crate::NoMemory> {
        let mut ranges = Vec::new();
        ranges.push(Range { start: self.frames.distributor, size: DISTRIBUTOR_SIZE, its: None });
        let redistributor = |start| Range { start, size: REDISTRIBUTOR_SIZE, its: None };
        ranges.extend(self.frames.redistributor_bases().take(vcpus as usize).map(redistributor));
        ranges.extend(its.iter().map(|its| Range { start: its.base, size: ITS_SIZE, its: Some(*its) }));
        ranges.sort_by_key(|range| range.start);
        let new = P::alloc(ctx, "kvm_io_bus", |_| Ranges(ranges.into()))?;
        let old = self.current(ctx);
        // Release: pairs with the acquire in current (O-07).
        self.ranges.store(ctx, new.as_ptr(), Order::Release(Pair::BusPublish));
        if let ([first], Doorbell::FirstIts) = (its, doorbell) {
            // Release: pairs with the consume in first_or_at (O-07).
            self.first.store(ctx, first.as_ptr(), Order::Release(Pair::BusPublish));
        }
        if let Some(old) = old {
            P::synchronize_srcu(ctx);
            // SAFETY: S-09: replaced, and every SRCU section that could have seen it has ended.
            unsafe { P::free(ctx, old) };
        }
        Ok(())
    }

    /// The ITS whose translation register is at `doorbell` (`vgic_doorbell_to_its`).
    #[inline(always)]
    pub fn its_at(&self, ctx: &P::Ctx, doorbell: u64) -> Option<Obj<Its<P>>> {
        let _srcu = Srcu::<P>::read_lock(ctx);
        let ranges = self.current(ctx)?;
        P::work(ctx, Work::BusLookup(ranges.0.len() as u32));
        let range = ranges.find(doorbell)?;
        range.its.filter(|its| its.doorbell() == doorbell)
    }

    /// The same, after a look at the first ITS.
    #[inline(always)]
    pub fn first_or_at(&self, ctx: &P::Ctx, doorbell: u64) -> Option<Obj<Its<P>>> {
        // Consume: pairs with the release in publish (O-07).
        // SAFETY: S-09: null or an ITS, which is freed with the VM.
        let first = unsafe { Obj::from_ptr(self.first.load(ctx, Order::Consume(Pair::BusPublish))) };
        first.filter(|its| its.doorbell() == doorbell).or_else(|| self.its_at(ctx, doorbell))
    }

    /// Calls `visit` with each ITS. The VM has the same ITSes throughout.
    pub fn for_each_its(&self, ctx: &P::Ctx, mut visit: impl FnMut(Obj<Its<P>>)) {
        let found: Vec<_> = {
            let _srcu = Srcu::<P>::read_lock(ctx);
            self.current(ctx).map_or_else(Vec::new, |ranges| ranges.0.iter().filter_map(|range| range.its).collect())
        };
        found.into_iter().for_each(&mut visit);
    }

    /// Frees the array; nobody else uses the VM any more.
    pub fn destroy(&self, ctx: &P::Ctx) {
        if let Some(ranges) = self.current(ctx) {
            // Relaxed: the caller is the last user.
            self.ranges.store(ctx, core::ptr::null_mut(), Order::Relaxed);
            // SAFETY: S-09: the VM is being destroyed, nobody looks anything up.
            unsafe { P::free(ctx, ranges) };
        }
    }
}
