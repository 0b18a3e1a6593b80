//! [`Host`]: a VM on real threads as its owner sees it, whatever its design: the calls of a VMM.
//!
//! It also keeps apart what a design's control-plane defects would let collide. Up to 7.1.7 a vCPU that turns LPIs off
//! beside its own running thread, or an ITS that is turned off beside a command, may use freed memory (the CVEs of
//! 2026). In those designs such calls wait for each other here, unless the owner insists on the real thing.

use crate::tables::{FlatTables, Shared};
use std::sync::{Arc, PoisonError, RwLock};
use vgic_core::bus::{ITS_SIZE, MAX_ITS, REDISTRIBUTOR_BASE, REDISTRIBUTOR_SIZE};
use vgic_core::designs::row;
use vgic_core::its::Its;
use vgic_core::its::snapshot::{CollectionState, DeviceState};
use vgic_core::tables::Fault;
use vgic_core::vcpu::MAX_LIST_REGISTERS;
use vgic_core::vm::{LpiState, MAX_VCPUS};
use vgic_core::{Command, CommandError, Design, Msi, NoMemory, Obj, SendError, Vm, with_design};
use vgic_native::{Native, NativeCtx};

/// Guest physical base of the first ITS, as in QEMU's `virt` machine.
pub const ITS_BASE: u64 = 0x0808_0000;

/// Guest physical base of ITS `index` in a VM of `vcpus` vCPUs; further ones lie behind the redistributors.
pub fn its_base(index: usize, vcpus: u32) -> u64 {
    match index as u64 {
        0 => ITS_BASE,
        n => REDISTRIBUTOR_BASE + u64::from(vcpus) * REDISTRIBUTOR_SIZE + (n - 1) * ITS_SIZE,
    }
}

/// Why a VM could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No design has this name.
    UnknownDesign(String),
    /// The design is unsound; the text is its defect.
    Unsound(&'static str, &'static str),
    /// A number is out of range: what, the value, the least, the most.
    OutOfRange(&'static str, u64, u64, u64),
    /// No memory.
    NoMemory,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::UnknownDesign(name) => write!(f, "unknown design {name:?}"),
            Refused::Unsound(name, defect) => {
                write!(f, "design {name} is unsound ({defect}); allow_unsound runs it all the same")
            }
            Refused::OutOfRange(what, value, least, most) => write!(f, "{what} must be {least} to {most}, not {value}"),
            Refused::NoMemory => write!(f, "out of memory"),
        }
    }
}

impl From<NoMemory> for Refused {
    fn from(NoMemory: NoMemory) -> Self {
        Refused::NoMemory
    }
}

/// Checks a range.
pub fn in_range(what: &'static str, value: u64, least: u64, most: u64) -> Result<(), Refused> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(Refused::OutOfRange(what, value, least, most)) }
}

/// Checks that a design exists and may run on real threads.
pub fn check_design(name: &str, allow_unsound: bool) -> Result<(), Refused> {
    let row = row(name).ok_or_else(|| Refused::UnknownDesign(name.to_owned()))?;
    if row.unsound && !allow_unsound {
        return Err(Refused::Unsound(row.name, row.defect));
    }
    Ok(())
}

/// A VM of some design.
pub trait Host: Send + Sync {
    /// Signals an MSI.
    fn signal(&self, ctx: &NativeCtx, msi: &Msi) -> Result<bool, SendError>;
    /// Signals many MSIs to one ITS, as many as both slices have; how many were taken.
    fn signal_many(&self, ctx: &NativeCtx, doorbell: u64, device_ids: &[u32], event_ids: &[u32]) -> u64;
    /// Executes an ITS command.
    fn command(&self, ctx: &NativeCtx, its: usize, command: Command) -> Result<(), CommandError>;
    /// Writes `GITS_CTLR.Enabled`.
    fn set_its_enabled(&self, ctx: &NativeCtx, its: usize, enabled: bool);
    /// Reads it.
    fn its_enabled(&self, ctx: &NativeCtx, its: usize) -> bool;
    /// Writes `GICR_CTLR.EnableLPIs`.
    fn set_lpis_enabled(&self, ctx: &NativeCtx, vcpu: u32, enabled: bool, load_pending: bool) -> Result<(), Fault>;
    /// Reads it.
    fn lpis_enabled(&self, ctx: &NativeCtx, vcpu: u32) -> bool;
    /// Writes `GICD_CTLR.EnableGrp1`.
    fn set_distributor_enabled(&self, ctx: &NativeCtx, enabled: bool);
    /// Reads it.
    fn distributor_enabled(&self, ctx: &NativeCtx) -> bool;
    /// Writes pending states to the pending tables.
    fn save_pending_tables(&self, ctx: &NativeCtx) -> Result<(), Fault>;
    /// Enters the guest, reads `ICC_IAR1_EL1`, leaves.
    fn acknowledge(&self, ctx: &NativeCtx, vcpu: u32) -> Option<u32>;
    /// Enters the guest, writes `ICC_EOIR1_EL1`, leaves.
    fn eoi(&self, ctx: &NativeCtx, vcpu: u32, intid: u32);
    /// Whether something is pending for a vCPU.
    fn has_pending(&self, ctx: &NativeCtx, vcpu: u32) -> bool;
    /// The state of an LPI.
    fn lpi(&self, ctx: &NativeCtx, intid: u32) -> Option<LpiState>;
    /// The states of all mapped or queued LPIs.
    fn lpis(&self, ctx: &NativeCtx) -> Vec<LpiState>;
    /// The tables of an ITS.
    fn snapshot(&self, ctx: &NativeCtx, its: usize) -> (Vec<DeviceState>, Vec<CollectionState>);
    /// How many translations are cached.
    fn cached_translations(&self, ctx: &NativeCtx) -> usize;
    /// How many sends are pending; exact while no other thread uses the VM.
    fn pending_count(&self, ctx: &NativeCtx) -> u64;
    /// Address of the translation register of an ITS.
    fn doorbell(&self, its: usize) -> u64;
    /// Number of ITSes.
    fn its_count(&self) -> usize;
    /// Number of vCPUs.
    fn vcpus(&self) -> u32;
    /// The LPI tables.
    fn tables(&self) -> &FlatTables;
}

struct Owned<D: Design> {
    vm: Vm<Native, D>,
    its: Vec<Obj<Its<Native>>>,
    tables: Arc<FlatTables>,
    /// Commands share it, control changes take it alone; `None` if the design needs no such care.
    control: Option<RwLock<()>>,
}

impl<D: Design> Owned<D> {
    fn sharing<R>(&self, f: impl FnOnce() -> R) -> R {
        let _guard = self.control.as_ref().map(|lock| lock.read().unwrap_or_else(PoisonError::into_inner));
        f()
    }

    fn alone<R>(&self, f: impl FnOnce() -> R) -> R {
        let _guard = self.control.as_ref().map(|lock| lock.write().unwrap_or_else(PoisonError::into_inner));
        f()
    }
}

impl<D: Design> Drop for Owned<D> {
    fn drop(&mut self) {
        self.vm.destroy(&NativeCtx::new("vgic-destroy"));
    }
}

/// Makes a VM with its distributor on, ITSes and LPIs off.
pub fn new_host(
    ctx: &NativeCtx,
    design: &str,
    vcpus: u32,
    list_registers: usize,
    its_count: usize,
    allow_unsound: bool,
) -> Result<Box<dyn Host>, Refused> {
    check_design(design, allow_unsound)?;
    in_range("vcpus", u64::from(vcpus), 1, u64::from(MAX_VCPUS))?;
    in_range("list_registers", list_registers as u64, 1, MAX_LIST_REGISTERS as u64)?;
    in_range("its", its_count as u64, 0, MAX_ITS as u64)?;
    let careful = row(design).is_some_and(|row| row.control_races) && !allow_unsound;
    let host = with_design!(design, D => {
        let tables = FlatTables::new(vcpus);
        let vm = Vm::<Native, D>::new(ctx, vcpus, list_registers, Box::new(Shared(Arc::clone(&tables))))?;
        let mut host = Owned { vm, its: Vec::new(), tables, control: careful.then(|| RwLock::new(())) };
        for index in 0..its_count {
            host.its.push(host.vm.add_its(ctx, its_base(index, vcpus))?);
        }
        Box::new(host) as Box<dyn Host>
    });
    host.ok_or_else(|| Refused::UnknownDesign(design.to_owned()))
}

impl<D: Design> Host for Owned<D> {
    #[inline]
    fn signal(&self, ctx: &NativeCtx, msi: &Msi) -> Result<bool, SendError> {
        self.vm.inject_msi(ctx, msi)
    }

    fn signal_many(&self, ctx: &NativeCtx, doorbell: u64, device_ids: &[u32], event_ids: &[u32]) -> u64 {
        let mut taken = 0;
        for (&device_id, &event_id) in device_ids.iter().zip(event_ids) {
            let msi = Msi { doorbell, device_id, event_id, device_id_valid: true };
            taken += u64::from(self.vm.inject_msi(ctx, &msi) == Ok(true));
        }
        taken
    }

    fn command(&self, ctx: &NativeCtx, its: usize, command: Command) -> Result<(), CommandError> {
        self.sharing(|| self.vm.command(ctx, &self.its[its], command))
    }

    fn set_its_enabled(&self, ctx: &NativeCtx, its: usize, enabled: bool) {
        self.alone(|| self.vm.set_its_enabled(ctx, &self.its[its], enabled));
    }

    fn its_enabled(&self, ctx: &NativeCtx, its: usize) -> bool {
        self.its[its].is_enabled(ctx)
    }

    fn set_lpis_enabled(&self, ctx: &NativeCtx, vcpu: u32, enabled: bool, load_pending: bool) -> Result<(), Fault> {
        self.alone(|| {
            // In the defective designs the vCPU must not prune meanwhile.
            let _stopped = self.control.as_ref().map(|_| self.vm.run_vcpu(ctx, vcpu));
            self.vm.set_lpis_enabled(ctx, &self.vm.vcpus[vcpu as usize], enabled, load_pending)
        })
    }

    fn lpis_enabled(&self, ctx: &NativeCtx, vcpu: u32) -> bool {
        self.vm.vcpus[vcpu as usize].lpis_enabled(ctx)
    }

    fn set_distributor_enabled(&self, ctx: &NativeCtx, enabled: bool) {
        self.vm.set_distributor_enabled(ctx, enabled);
    }

    fn distributor_enabled(&self, ctx: &NativeCtx) -> bool {
        self.vm.distributor_enabled(ctx)
    }

    fn save_pending_tables(&self, ctx: &NativeCtx) -> Result<(), Fault> {
        self.alone(|| self.vm.save_pending_tables(ctx))
    }

    fn acknowledge(&self, ctx: &NativeCtx, vcpu: u32) -> Option<u32> {
        let mut running = self.vm.run_vcpu(ctx, vcpu);
        running.enter_always();
        running.acknowledge()
    }

    fn eoi(&self, ctx: &NativeCtx, vcpu: u32, intid: u32) {
        let mut running = self.vm.run_vcpu(ctx, vcpu);
        running.enter_always();
        running.eoi(intid);
    }

    fn has_pending(&self, ctx: &NativeCtx, vcpu: u32) -> bool {
        self.vm.vcpu_pending_irq(ctx, &self.vm.vcpus[vcpu as usize])
    }

    fn lpi(&self, ctx: &NativeCtx, intid: u32) -> Option<LpiState> {
        self.vm.lpi(ctx, intid)
    }

    fn lpis(&self, ctx: &NativeCtx) -> Vec<LpiState> {
        self.vm.lpis(ctx)
    }

    fn snapshot(&self, ctx: &NativeCtx, its: usize) -> (Vec<DeviceState>, Vec<CollectionState>) {
        self.its[its].snapshot(ctx)
    }

    fn cached_translations(&self, ctx: &NativeCtx) -> usize {
        self.vm.cached_translations(ctx)
    }

    fn pending_count(&self, ctx: &NativeCtx) -> u64 {
        self.vm.pending_count(ctx)
    }

    fn doorbell(&self, its: usize) -> u64 {
        self.its[its].doorbell()
    }

    fn its_count(&self) -> usize {
        self.its.len()
    }

    fn vcpus(&self) -> u32 {
        self.vm.vcpus.len() as u32
    }

    fn tables(&self) -> &FlatTables {
        &self.tables
    }
}
