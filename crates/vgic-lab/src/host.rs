//! [`Host`]: a VM on real threads as its owner sees it, whatever its design: the calls of a VMM.
//!
//! It also keeps apart what a design's control-plane defects would let collide. Up to 7.1.7 a vCPU that turns LPIs off
//! beside its own running thread, or an ITS that is turned off beside a command, may use freed memory (the CVEs of
//! 2026). In those designs such calls wait for each other here, unless the owner insists on the real thing.

use crate::guest::{ADDRESS_LIMIT, GuestMemory};
use crate::guest_tables::GuestLpiTables;
use crate::tables::{FlatTables, LpiTables, Shared};
use std::sync::{Arc, PoisonError, RwLock};
use vgic_core::audit::Audit;
use vgic_core::bus::{DISTRIBUTOR_SIZE, Frames, ITS_SIZE, MAX_ITS, REDISTRIBUTOR_SIZE};
use vgic_core::designs::{Spec, row};
use vgic_core::irq::{FIRST_LPI, INTID_LIMIT};
use vgic_core::its::Its;
use vgic_core::its::commands::{DEVICE_BITS, MAX_EVENT_BITS};
use vgic_core::its::restore::RestoreError;
use vgic_core::its::snapshot::{CollectionState, DeviceState};
use vgic_core::tables::{Fault, GuestTables};
use vgic_core::vcpu::MAX_LIST_REGISTERS;
use vgic_core::vcpu::run::{Running, Tie};
use vgic_core::vm::{LpiState, MAX_VCPUS};
use vgic_core::{Command, CommandError, Design, Msi, NoMemory, Obj, SendError, Vm, with_design};
use vgic_native::{Native, NativeCtx};

/// Guest physical base of the first ITS, as in QEMU's `virt` machine.
pub const ITS_BASE: u64 = 0x0808_0000;

/// Frames are aligned to this.
const FRAME_ALIGNMENT: u64 = 64 << 10;

/// The usual base of ITS `index` in a VM of `vcpus` vCPUs; further ones lie behind the redistributors.
pub fn its_base(index: usize, vcpus: u32) -> u64 {
    match index as u64 {
        0 => ITS_BASE,
        n => Frames::default().redistributors + u64::from(vcpus) * REDISTRIBUTOR_SIZE + (n - 1) * ITS_SIZE,
    }
}

/// What VM to make.
#[derive(Clone)]
pub struct Plan<'a> {
    /// Name of the design.
    pub design: &'a str,
    /// Number of vCPUs.
    pub vcpus: u32,
    /// List registers of each.
    pub list_registers: usize,
    /// Where distributor and redistributors are.
    pub frames: Frames,
    /// Where the ITSes are.
    pub its: &'a [u64],
    /// Where the LPI tables are; without it, in tables of the host's own.
    pub memory: Option<Arc<GuestMemory>>,
    /// Run an unsound design, and no design with care.
    pub allow_unsound: bool,
}

/// Why a VM could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No design has this name.
    UnknownDesign(String),
    /// No scenario has this name.
    UnknownScenario(String),
    /// Scenarios do not run in this design on real threads: its name, and those of the designs in which they do.
    NoScenarios(String, String),
    /// The design is unsound; the text is its defect.
    Unsound(&'static str, &'static str),
    /// A number is out of range: what, the value, the least, the most.
    OutOfRange(&'static str, u64, u64, u64),
    /// A frame is not aligned: what, and where.
    Unaligned(&'static str, u64),
    /// A frame ends beyond guest physical memory: what, and where.
    TooHigh(&'static str, u64),
    /// Two frames overlap: what and where, each.
    Overlap(&'static str, u64, &'static str, u64),
    /// An event's collection is not known.
    UnknownCollection(u32),
    /// No memory.
    NoMemory,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::UnknownDesign(name) => write!(f, "unknown design {name:?}"),
            Refused::UnknownScenario(name) => write!(f, "unknown scenario {name:?}; 'vgic prove --list' shows them"),
            Refused::NoScenarios(name, others) => write!(
                f,
                "scenarios would use freed memory in {name}, whose defects 'vgic prove --history' shows; on real threads \
                 they run in {others}"
            ),
            Refused::Unsound(name, defect) => {
                write!(f, "design {name} is unsound ({defect}); allow_unsound runs it all the same")
            }
            Refused::OutOfRange(what, value, least, most) => write!(f, "{what} must be {least} to {most}, not {value}"),
            Refused::Unaligned(what, base) => write!(f, "{what}: {base:#x} is not a multiple of 64 KiB"),
            Refused::TooHigh(what, base) => write!(f, "{what}: no room at {base:#x} below {ADDRESS_LIMIT:#x}"),
            Refused::Overlap(what, base, other, other_base) => {
                write!(f, "{what} at {base:#x} and {other} at {other_base:#x} overlap; one of them has to go elsewhere")
            }
            Refused::UnknownCollection(id) => write!(f, "collection {id} is not known"),
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

/// Checks that frames are aligned, below the highest address, and apart, from each other and from guest memory. (Memory
/// that is mapped later is its owner's business.)
fn check_frames(plan: &Plan<'_>) -> Result<(), Refused> {
    let redistributors = u64::from(plan.vcpus) * REDISTRIBUTOR_SIZE;
    let mut frames = vec![
        ("distributor", plan.frames.distributor, DISTRIBUTOR_SIZE),
        ("redistributors", plan.frames.redistributors, redistributors),
    ];
    frames.extend(plan.its.iter().map(|base| ("its", *base, ITS_SIZE)));
    for &(what, base, size) in &frames {
        if base % FRAME_ALIGNMENT != 0 {
            return Err(Refused::Unaligned(what, base));
        }
        if base.checked_add(size).is_none_or(|end| end > ADDRESS_LIMIT) {
            return Err(Refused::TooHigh(what, base));
        }
    }
    if let Some(memory) = &plan.memory {
        frames.extend(memory.regions().iter().map(|region| ("guest memory", region.address, region.size)));
    }
    frames.sort_by_key(|(_, base, _)| *base);
    for pair in frames.windows(2) {
        let [(what, base, size), (other, other_base, _)] = [pair[0], pair[1]];
        if base + size > other_base {
            return Err(Refused::Overlap(what, base, other, other_base));
        }
    }
    Ok(())
}

/// Checks that a snapshot's numbers are in range.
fn check_snapshot(devices: &[DeviceState], collections: &[CollectionState], vcpus: u32) -> Result<(), Refused> {
    let id_limit = (1 << DEVICE_BITS) - 1;
    for collection in collections {
        in_range("collection_id", u64::from(collection.collection_id), 0, id_limit)?;
        in_range("vcpu", u64::from(collection.vcpu.unwrap_or(0)), 0, u64::from(vcpus) - 1)?;
    }
    for device in devices {
        in_range("device_id", u64::from(device.device_id), 0, id_limit)?;
        in_range("event_bits", u64::from(device.event_bits), 1, u64::from(MAX_EVENT_BITS))?;
        for event in &device.events {
            in_range("event_id", u64::from(event.event_id), 0, (1 << device.event_bits) - 1)?;
            in_range("intid", u64::from(event.intid), u64::from(FIRST_LPI), u64::from(INTID_LIMIT) - 1)?;
        }
    }
    Ok(())
}

/// An event that could not be restored, after which the ITS is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostEvent {
    /// Its DeviceID.
    pub device_id: u32,
    /// Its EventID.
    pub event_id: u32,
    /// Why it could not be mapped.
    pub error: CommandError,
}

/// A vCPU in the hands of the thread that runs it.
pub trait Cpu {
    /// Tries to enter the guest: false if a request came in meanwhile.
    fn enter(&mut self) -> bool;
    /// In the guest: reads `ICC_IAR1_EL1`.
    fn acknowledge(&mut self) -> Option<u32>;
    /// In the guest: writes `ICC_EOIR1_EL1`.
    fn eoi(&mut self, intid: u32);
    /// Whether the guest has to be left.
    fn must_exit(&self) -> bool;
    /// Leaves the guest.
    fn exit(&mut self);
    /// Outside the guest: sleeps until something is pending, or `stop` is true at an interrupt.
    fn block(&self, stop: &dyn Fn() -> bool);
}

struct Runner<'a, D: Design> {
    vm: &'a Vm<Native, D>,
    ctx: &'a NativeCtx,
    running: Running<'a, Native, D>,
}

impl<D: Design> Cpu for Runner<'_, D> {
    fn enter(&mut self) -> bool {
        self.running.enter()
    }

    fn acknowledge(&mut self) -> Option<u32> {
        self.running.acknowledge()
    }

    fn eoi(&mut self, intid: u32) {
        self.running.eoi(intid);
    }

    fn must_exit(&self) -> bool {
        self.running.must_exit()
    }

    fn exit(&mut self) {
        self.running.exit();
    }

    fn block(&self, stop: &dyn Fn() -> bool) {
        self.vm.block(self.ctx, self.running.vcpu(), stop);
    }
}

/// A VM of some design.
pub trait Host: Send + Sync {
    /// Signals an MSI.
    fn signal(&self, ctx: &NativeCtx, msi: &Msi) -> Result<bool, SendError>;
    /// The first half of [`Host::signal`], which never sleeps: true if the MSI was taken, else the second half follows.
    fn signal_cached(&self, ctx: &NativeCtx, msi: &Msi) -> bool;
    /// The second half.
    fn signal_uncached(&self, ctx: &NativeCtx, msi: &Msi) -> Result<bool, SendError>;
    /// Signals many MSIs to one ITS, as many as both slices have; how many were taken.
    fn signal_many(&self, ctx: &NativeCtx, doorbell: u64, device_ids: &[u32], event_ids: &[u32]) -> u64;
    /// Executes an ITS command.
    fn command(&self, ctx: &NativeCtx, its: usize, command: Command) -> Result<(), CommandError>;
    /// Adds a snapshot's tables to an ITS; its devices and collections are not there yet, and each once.
    fn restore(
        &self,
        ctx: &NativeCtx,
        its: usize,
        devices: &[DeviceState],
        collections: &[CollectionState],
    ) -> Result<Option<LostEvent>, Refused>;
    /// Frees all devices of an ITS, all its collections, or both.
    fn free_tables(&self, ctx: &NativeCtx, its: usize, devices: bool, collections: bool);
    /// EventID bits and ITT address of a mapped device.
    fn device(&self, ctx: &NativeCtx, its: usize, device_id: u32) -> Option<(u32, u64)>;
    /// Writes `GICR_INVLPIR`: reads an LPI's configuration again, and keeps the old one if it cannot be read.
    fn reload_lpi_config(&self, ctx: &NativeCtx, intid: u32);
    /// Writes `GICR_INVALLR`: likewise for all LPIs of a vCPU.
    fn reload_lpi_configs(&self, ctx: &NativeCtx, vcpu: u32);
    /// Writes `GITS_CTLR.Enabled`.
    fn set_its_enabled(&self, ctx: &NativeCtx, its: usize, enabled: bool);
    /// Reads it.
    fn its_enabled(&self, ctx: &NativeCtx, its: usize) -> bool;
    /// Writes `GICR_CTLR.EnableLPIs`.
    fn set_lpis_enabled(&self, ctx: &NativeCtx, vcpu: u32, enabled: bool, load_pending: bool) -> Result<(), Fault>;
    /// Reads it.
    fn lpis_enabled(&self, ctx: &NativeCtx, vcpu: u32) -> bool;
    /// Reads EnableLPIs and RWP of `GICR_CTLR`.
    fn gicr_ctlr(&self, ctx: &NativeCtx, vcpu: u32) -> u32;
    /// Writes `GICD_CTLR.EnableGrp1`.
    fn set_distributor_enabled(&self, ctx: &NativeCtx, enabled: bool);
    /// Reads it.
    fn distributor_enabled(&self, ctx: &NativeCtx) -> bool;
    /// Writes pending states to the pending tables.
    fn save_pending_tables(&self, ctx: &NativeCtx) -> Result<(), Fault>;
    /// Enters the guest, reads `ICC_IAR1_EL1`, leaves.
    fn acknowledge(&self, ctx: &NativeCtx, vcpu: u32, tie: Tie) -> Option<u32>;
    /// Enters the guest, looks which LPI an acknowledge would take, and at its priority, leaves.
    fn highest_pending(&self, ctx: &NativeCtx, vcpu: u32, tie: Tie) -> Option<(u32, u8)>;
    /// Enters the guest, writes `ICC_EOIR1_EL1`, leaves.
    fn eoi(&self, ctx: &NativeCtx, vcpu: u32, intid: u32);
    /// Whether something is pending for a vCPU.
    fn has_pending(&self, ctx: &NativeCtx, vcpu: u32) -> bool;
    /// Takes the right to run a vCPU, and gives it to `run`; waits while another thread has it.
    fn run(&self, ctx: &NativeCtx, vcpu: u32, run: &mut dyn FnMut(&mut dyn Cpu));
    /// Makes a vCPU leave the guest or wake up, so that its thread can look around.
    fn interrupt(&self, ctx: &NativeCtx, vcpu: u32);
    /// Looks at all LPIs from inside, while nobody uses the VM.
    fn audit(&self, ctx: &NativeCtx) -> Audit;
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
    /// What the design does.
    fn spec(&self) -> &'static Spec;
    /// Whether control changes are kept apart from commands and from the vCPU that they are about.
    fn is_careful(&self) -> bool;
    /// Guest physical base address of an ITS.
    fn its_base(&self, its: usize) -> u64;
    /// Address of the translation register of an ITS.
    fn doorbell(&self, its: usize) -> u64;
    /// Number of ITSes.
    fn its_count(&self) -> usize;
    /// Number of vCPUs.
    fn vcpus(&self) -> u32;
    /// The LPI tables.
    fn tables(&self) -> &dyn LpiTables;
    /// The registers that say where the tables are, for a VM with guest memory.
    fn registers(&self) -> Option<&GuestLpiTables>;
}

enum Tables {
    Flat(Arc<FlatTables>),
    Guest(Arc<GuestLpiTables>),
}

struct Owned<D: Design> {
    vm: Vm<Native, D>,
    its: Vec<Obj<Its<Native>>>,
    tables: Tables,
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

/// Makes a VM with its distributor on, ITSes and LPIs off; everything is at its usual place.
pub fn new_host(
    ctx: &NativeCtx,
    design: &str,
    vcpus: u32,
    list_registers: usize,
    its_count: usize,
    allow_unsound: bool,
) -> Result<Box<dyn Host>, Refused> {
    let its: Vec<_> = (0..its_count).map(|index| its_base(index, vcpus)).collect();
    let frames = Frames::default();
    Plan { design, vcpus, list_registers, frames, its: &its, memory: None, allow_unsound }.host(ctx)
}

impl Plan<'_> {
    /// Makes the VM, as [`new_host`] does.
    pub fn host(&self, ctx: &NativeCtx) -> Result<Box<dyn Host>, Refused> {
        let host = with_design!(self.design, D => Box::new(self.owned::<D>(ctx)?) as Box<dyn Host>);
        host.ok_or_else(|| Refused::UnknownDesign(self.design.to_owned()))
    }

    fn owned<D: Design>(&self, ctx: &NativeCtx) -> Result<Owned<D>, Refused> {
        check_design(D::NAME, self.allow_unsound)?;
        in_range("vcpus", u64::from(self.vcpus), 1, u64::from(MAX_VCPUS))?;
        in_range("list_registers", self.list_registers as u64, 1, MAX_LIST_REGISTERS as u64)?;
        in_range("its", self.its.len() as u64, 0, MAX_ITS as u64)?;
        check_frames(self)?;
        let (tables, handle): (_, Box<dyn GuestTables>) = match &self.memory {
            None => {
                let tables = FlatTables::new(self.vcpus);
                (Tables::Flat(Arc::clone(&tables)), Box::new(Shared(tables)))
            }
            Some(memory) => {
                let tables = GuestLpiTables::new(Arc::clone(memory), self.vcpus, self.its.len());
                (Tables::Guest(Arc::clone(&tables)), Box::new(Shared(tables)))
            }
        };
        let careful = row(D::NAME).is_some_and(|row| row.control_races) && !self.allow_unsound;
        let control = careful.then(|| RwLock::new(()));
        let vm = Vm::<Native, D>::with_frames(ctx, self.vcpus, self.list_registers, self.frames, handle)?;
        let mut host = Owned { vm, its: Vec::new(), tables, control };
        for base in self.its {
            host.its.push(host.vm.add_its(ctx, *base)?);
        }
        Ok(host)
    }
}

impl<D: Design> Host for Owned<D> {
    #[inline]
    fn signal(&self, ctx: &NativeCtx, msi: &Msi) -> Result<bool, SendError> {
        self.vm.inject_msi(ctx, msi)
    }

    #[inline]
    fn signal_cached(&self, ctx: &NativeCtx, msi: &Msi) -> bool {
        self.vm.inject_cached(ctx, msi)
    }

    fn signal_uncached(&self, ctx: &NativeCtx, msi: &Msi) -> Result<bool, SendError> {
        self.vm.inject_uncached(ctx, msi)
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

    fn restore(
        &self,
        ctx: &NativeCtx,
        its: usize,
        devices: &[DeviceState],
        collections: &[CollectionState],
    ) -> Result<Option<LostEvent>, Refused> {
        check_snapshot(devices, collections, self.vcpus())?;
        match self.alone(|| self.vm.restore(ctx, &self.its[its], devices, collections)) {
            Ok(()) => Ok(None),
            Err(RestoreError::Event { device_id, event_id, error }) => {
                Ok(Some(LostEvent { device_id, event_id, error }))
            }
            Err(RestoreError::UnknownCollection(id)) => Err(Refused::UnknownCollection(id)),
            Err(RestoreError::NoMemory) => Err(Refused::NoMemory),
        }
    }

    fn free_tables(&self, ctx: &NativeCtx, its: usize, devices: bool, collections: bool) {
        self.alone(|| self.vm.free_tables(ctx, &self.its[its], devices, collections));
    }

    fn device(&self, ctx: &NativeCtx, its: usize, device_id: u32) -> Option<(u32, u64)> {
        self.its[its].device(ctx, device_id)
    }

    fn reload_lpi_config(&self, ctx: &NativeCtx, intid: u32) {
        // The register has no answer.
        let _ = self.sharing(|| self.vm.reload_lpi_config(ctx, intid));
    }

    fn reload_lpi_configs(&self, ctx: &NativeCtx, vcpu: u32) {
        self.sharing(|| self.vm.reload_lpi_configs(ctx, vcpu));
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

    fn gicr_ctlr(&self, ctx: &NativeCtx, vcpu: u32) -> u32 {
        self.vm.vcpus[vcpu as usize].gicr_ctlr(ctx)
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

    fn acknowledge(&self, ctx: &NativeCtx, vcpu: u32, tie: Tie) -> Option<u32> {
        let mut running = self.vm.run_vcpu(ctx, vcpu);
        running.enter_always();
        running.acknowledge_with(tie)
    }

    fn highest_pending(&self, ctx: &NativeCtx, vcpu: u32, tie: Tie) -> Option<(u32, u8)> {
        let mut running = self.vm.run_vcpu(ctx, vcpu);
        running.enter_always();
        running.highest_pending(tie)
    }

    fn eoi(&self, ctx: &NativeCtx, vcpu: u32, intid: u32) {
        let mut running = self.vm.run_vcpu(ctx, vcpu);
        running.enter_always();
        running.eoi(intid);
    }

    fn has_pending(&self, ctx: &NativeCtx, vcpu: u32) -> bool {
        self.vm.vcpu_pending_irq(ctx, &self.vm.vcpus[vcpu as usize])
    }

    fn run(&self, ctx: &NativeCtx, vcpu: u32, run: &mut dyn FnMut(&mut dyn Cpu)) {
        run(&mut Runner { vm: &self.vm, ctx, running: self.vm.run_vcpu(ctx, vcpu) });
    }

    fn interrupt(&self, ctx: &NativeCtx, vcpu: u32) {
        self.vm.vcpus[vcpu as usize].interrupt(ctx);
    }

    fn audit(&self, ctx: &NativeCtx) -> Audit {
        self.vm.audit(ctx)
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

    fn spec(&self) -> &'static Spec {
        &D::SPEC
    }

    fn is_careful(&self) -> bool {
        self.control.is_some()
    }

    fn its_base(&self, its: usize) -> u64 {
        self.its[its].base
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

    fn tables(&self) -> &dyn LpiTables {
        match &self.tables {
            Tables::Flat(tables) => &**tables,
            Tables::Guest(tables) => &**tables,
        }
    }

    fn registers(&self) -> Option<&GuestLpiTables> {
        match &self.tables {
            Tables::Flat(_) => None,
            Tables::Guest(tables) => Some(tables),
        }
    }
}
