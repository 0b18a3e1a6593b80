//! [`Vm`]: one virtual machine's interrupt controller, in one design on one platform.

use crate::bus::{Bus, Frames, MAX_ITS};
use crate::cache::Cache;
use crate::designs::{ConfigRead, Design, DistributorOn, Spec, rank};
use crate::irq::NO_VCPU;
use crate::its::Its;
use crate::lpi_store::LpiStore;
use crate::obj::Obj;
use crate::order::Order;
use crate::platform::{Atomic, Layout, NoMemory, Platform, present_if};
use crate::queue::Queue;
use crate::tables::GuestTables;
use crate::vcpu::{MAX_LIST_REGISTERS, Vcpu};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Most vCPUs of a VM (`VGIC_V3_MAX_CPUS`).
pub const MAX_VCPUS: u32 = 512;
/// Mapped events that a VM may have in all, so that a hostile guest cannot exhaust the host.
pub const MAX_MAPPINGS: u32 = 1 << 20;

/// `struct vgic_dist`, LPI parts.
pub struct Dist<P: Platform, D: Design> {
    pub(crate) enabled: P::AtomicU32,
    /// Held while an LPI's configuration byte is read and applied (`hardened`).
    pub(crate) lpi_config_lock: P::Mutex,
    /// Which priorities LPIs have been given, one bit for each value of bits 7:2 of a configuration byte (hints).
    pub(crate) priorities: P::AtomicU64,
    pub(crate) store: LpiStore<P>,
    pub(crate) cache: D::Cache<P>,
}

/// A VM. [`Vm::destroy`] must be called before it is dropped, or its objects leak.
pub struct Vm<P: Platform, D: Design> {
    design: D,
    pub(crate) dist: Dist<P, D>,
    /// The vCPUs, by id.
    pub vcpus: Box<[Vcpu<P, D::Queue<P>>]>,
    pub(crate) bus: Bus<P>,
    /// Guest memory.
    pub tables: Box<dyn GuestTables>,
    pub(crate) list_registers: usize,
    pub(crate) mappings: P::AtomicU32,
    /// Mapped events that it may have in all: [`MAX_MAPPINGS`], unless its owner says otherwise.
    pub max_mappings: u32,
    its_count: P::AtomicU32,
}

impl<P: Platform, D: Design> Vm<P, D> {
    /// A VM with its distributor enabled, without an ITS; its frames are at their usual places.
    ///
    /// `vcpus` is 1 to [`MAX_VCPUS`], `list_registers` 1 to 16.
    pub fn new(
        design: D,
        ctx: &P::Ctx,
        vcpus: u32,
        list_registers: usize,
        tables: Box<dyn GuestTables>,
    ) -> Result<Self, NoMemory> {
        Self::with_frames(design, ctx, vcpus, list_registers, Frames::default(), tables)
    }

    /// As [`Vm::new`], with the frames where a VMM has put them.
    pub fn with_frames(
        design: D,
        ctx: &P::Ctx,
        vcpus: u32,
        list_registers: usize,
        frames: Frames,
        tables: Box<dyn GuestTables>,
    ) -> Result<Self, NoMemory> {
        assert!((1..=MAX_VCPUS).contains(&vcpus), "1 to {MAX_VCPUS} vCPUs");
        assert!((1..=MAX_LIST_REGISTERS).contains(&list_registers), "1 to {MAX_LIST_REGISTERS} list registers");
        let spec = design.spec();
        let enabled = |l: &P::Layout| {
            let enabled = l.u32("enabled", 1);
            l.skip(68); // nassgireq, spis, dist_iodev, has_its, propbaser
            enabled
        };
        let dist = P::embed("vgic_dist", |l| Dist {
            enabled: enabled(l),
            lpi_config_lock: present_if::<P, _>(spec.config_read == ConfigRead::Locked, l, |l| {
                l.mutex("lpi_config_lock", rank::LPI_CONFIG)
            }),
            priorities: present_if::<P, _>(spec.has_hints(), l, |l| l.u64("priorities", 0)),
            store: LpiStore::new(l, spec),
            cache: D::Cache::<P>::new(l, spec),
        });
        let vm = P::embed("kvm", |l| Vm {
            design,
            dist,
            vcpus: (0..vcpus).map(|id| Vcpu::new(spec, id)).collect(),
            bus: Bus::new(l, spec, frames),
            tables,
            list_registers,
            mappings: l.u32("its_mappings", 0),
            max_mappings: MAX_MAPPINGS,
            its_count: l.u32("has_its", 0),
        });
        vm.bus.publish(ctx, spec.per_its().doorbell, vcpus, &[])?;
        Ok(vm)
    }

    /// The design.
    #[inline(always)]
    pub fn design(&self) -> D {
        self.design
    }

    /// What the design is.
    #[inline(always)]
    pub fn spec(&self) -> &'static Spec {
        self.design.spec()
    }

    /// Adds an ITS at guest physical address `base`; the caller excludes other changes of the set of ITSes.
    pub fn add_its(&self, ctx: &P::Ctx, base: u64) -> Result<Obj<Its<P>>, NoMemory> {
        let mut all = self.its_list(ctx);
        assert!(all.len() < MAX_ITS, "at most {MAX_ITS} ITSes");
        if all.is_empty() {
            self.dist.cache.init(self, ctx);
        }
        let its = Its::alloc(self.spec(), ctx, base, all.len())?;
        all.push(its);
        if self.bus.publish(ctx, self.spec().per_its().doorbell, self.vcpus.len() as u32, &all).is_err() {
            // SAFETY: S-06: allocated by this call and not published.
            unsafe { P::free(ctx, its) };
            return Err(NoMemory);
        }
        self.its_count.store(ctx, all.len() as u32, Order::Relaxed);
        Ok(its)
    }

    /// Every ITS, in the order of their addresses.
    pub fn its_list(&self, ctx: &P::Ctx) -> Vec<Obj<Its<P>>> {
        let mut all = Vec::new();
        self.bus.for_each_its(ctx, |its| all.push(its));
        all
    }

    pub(crate) fn has_its(&self, ctx: &P::Ctx) -> bool {
        // Relaxed: zero or not; who goes on finds the ITS on the bus (O-07).
        self.its_count.load(ctx, Order::Relaxed) != 0
    }

    /// `GICD_CTLR.EnableGrp1`.
    #[inline(always)]
    pub fn distributor_enabled(&self, ctx: &P::Ctx) -> bool {
        // Relaxed: a change takes effect when each vCPU exits next.
        self.dist.enabled.load(ctx, Order::Relaxed) != 0
    }

    /// Writes `GICD_CTLR.EnableGrp1`; enabling kicks every vCPU (`vgic_kick_vcpus`).
    pub fn set_distributor_enabled(&self, ctx: &P::Ctx, enabled: bool) {
        // Relaxed: the full barrier of each kick below orders it (O-04, O-08).
        let before = self.dist.enabled.swap(ctx, u32::from(enabled), Order::Relaxed);
        if before == 0 && enabled {
            if self.spec().distributor_on == DistributorOn::Queue {
                // What was sent or pruned while it was off is in no queue.
                self.for_each_lpi(ctx, NO_VCPU, |irq| D::Queue::look_again(self, ctx, irq));
            }
            for vcpu in &self.vcpus {
                vcpu.kick(ctx);
            }
        }
    }

    /// Whether the vCPU should run (`kvm_vgic_vcpu_pending_irq`). The guest's priority mask is taken to be 0xff.
    pub fn vcpu_pending_irq(&self, ctx: &P::Ctx, vcpu: &Vcpu<P, D::Queue<P>>) -> bool {
        D::Queue::has_pending(self, ctx, vcpu)
    }

    /// Frees everything. The caller is the last user of the VM: no other thread runs anything on it.
    pub fn destroy(&self, ctx: &P::Ctx) {
        for vcpu in &self.vcpus {
            vcpu.queue.destroy(self, ctx);
        }
        for its in self.its_list(ctx) {
            // Empties the cache as well.
            self.free_tables_locked(ctx, &its, true, true);
        }
        self.dist.cache.destroy(self, ctx);
        let all = self.its_list(ctx);
        self.bus.destroy(ctx);
        for its in all {
            // SAFETY: S-09: the bus is gone, by which alone an ITS is found, and the caller is the last user.
            unsafe { P::free(ctx, its) };
        }
        self.dist.store.lpi_xa.destroy(ctx);
    }
}
