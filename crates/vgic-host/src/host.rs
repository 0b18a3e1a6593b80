//! [`Host`]: a VM on real threads as its owner sees it, whatever its design: the calls of a VMM.
//!
//! Its design is a value: what a VMM asks for goes through Python or through a message, beside which it costs nothing
//! that the engine looks up what it is to do. Where the engine itself is measured (`vgic-lab`), it is compiled for each
//! design.
//!
//! It also keeps apart what a design's control-plane defects would let collide. Up to 7.1.7 a vCPU that turns LPIs off
//! beside its own running thread, or an ITS that is turned off beside a command, may use freed memory, and in 7.1.8 still
//! a VMM that saves the pending tables beside a sender, or a vCPU that leaves the guest after LPIs went off (the CVEs of
//! 2026). In those designs such calls wait for each other here, unless the owner insists on the real thing.

use crate::guest_tables::{GuestLpiTables, VALID};
use crate::notices::{Counts, Told};
use crate::refused::{Refused, in_range};
use crate::tables::{FlatTables, LpiTables};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use vgic_core::audit::Audit;
use vgic_core::audit::look::LpiState;
use vgic_core::designs::{BaserChange, Composed, Spec};
use vgic_core::irq::FIRST_LPI;
use vgic_core::its::Its;
use vgic_core::its::commands::{DEVICE_BITS, MAX_EVENT_BITS};
use vgic_core::its::restore::RestoreError;
use vgic_core::its::snapshot::{CollectionState, DeviceState};
use vgic_core::platform::Parker as _;
use vgic_core::tables::Fault;
use vgic_core::vcpu::run::{Running, Tie};
use vgic_core::{Command, CommandError, Msi, Obj, SendError, Vm};
use vgic_native::{Native, NativeCtx, fork};

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

struct Runner<'a> {
    vm: &'a Vm<Native, Composed>,
    ctx: &'a NativeCtx,
    running: Running<'a, Native, Composed>,
}

impl Cpu for Runner<'_> {
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

/// Where the LPI tables are.
pub(crate) enum Tables {
    Flat(Arc<FlatTables>),
    Guest(Arc<GuestLpiTables>),
}

/// A VM.
pub struct Host {
    pub(crate) vm: Vm<Native, Composed>,
    pub(crate) its: Vec<Obj<Its<Native>>>,
    pub(crate) tables: Tables,
    /// Commands share it, control changes take it alone; `None` if the design needs no such care.
    pub(crate) control: Option<RwLock<()>>,
    /// Whether each vCPU is there; who makes one tells its guest of it afterwards.
    pub(crate) present: Box<[AtomicBool]>,
    /// The process that it was made in.
    pub(crate) process: u32,
    /// What each vCPU was told, if their threads sleep elsewhere.
    pub(crate) told: OnceLock<Arc<[Counts]>>,
}

impl Host {
    fn sharing<R>(&self, f: impl FnOnce() -> R) -> R {
        let _guard = self.control.as_ref().map(|lock| lock.read().unwrap_or_else(PoisonError::into_inner));
        f()
    }

    fn alone<R>(&self, f: impl FnOnce() -> R) -> R {
        let _guard = self.control.as_ref().map(|lock| lock.write().unwrap_or_else(PoisonError::into_inner));
        f()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // In a child of `fork` threads that are not there may hold its locks: its memory stays as it is.
        if !fork::born_here(self.process) {
            return;
        }
        self.vm.destroy(&NativeCtx::new("vgic-destroy"));
    }
}

impl Host {
    /// Signals an MSI.
    #[inline]
    pub fn signal(&self, ctx: &NativeCtx, msi: &Msi) -> Result<bool, SendError> {
        self.vm.inject_msi(ctx, msi)
    }

    /// The first half of [`Host::signal`], which never sleeps: true if the MSI was taken, else the second half follows.
    #[inline]
    pub fn signal_cached(&self, ctx: &NativeCtx, msi: &Msi) -> bool {
        self.vm.inject_cached(ctx, msi)
    }

    /// The second half.
    pub fn signal_uncached(&self, ctx: &NativeCtx, msi: &Msi) -> Result<bool, SendError> {
        self.vm.inject_uncached(ctx, msi)
    }

    /// Signals many MSIs to one ITS, as many as both slices have; how many were taken.
    pub fn signal_many(&self, ctx: &NativeCtx, doorbell: u64, device_ids: &[u32], event_ids: &[u32]) -> u64 {
        let mut taken = 0;
        for (&device_id, &event_id) in device_ids.iter().zip(event_ids) {
            let msi = Msi { doorbell, device_id, event_id, device_id_valid: true };
            taken += u64::from(self.vm.inject_msi(ctx, &msi) == Ok(true));
        }
        taken
    }

    /// Executes an ITS command. A vCPU that is not there is to it one of a number that no vCPU has.
    pub fn command(&self, ctx: &NativeCtx, its: usize, command: Command) -> Result<(), CommandError> {
        let target = |vcpu: u32| if self.is_absent(vcpu) { u32::MAX } else { vcpu };
        let command = match command {
            Command::Mapc { collection_id, vcpu, valid } => Command::Mapc { collection_id, vcpu: target(vcpu), valid },
            Command::Movall { from_vcpu, to_vcpu } => {
                Command::Movall { from_vcpu: target(from_vcpu), to_vcpu: target(to_vcpu) }
            }
            other => other,
        };
        self.sharing(|| self.vm.command(ctx, &self.its[its], command))
    }

    /// Executes a command of the guest's queue: what it unmaps goes from the tables in guest memory as well, where a
    /// restore would find what a save has left there. `Err(Fault)` inside: that entry is out of reach.
    pub fn guest_command(
        &self,
        ctx: &NativeCtx,
        its: usize,
        command: Command,
    ) -> Result<Result<(), Fault>, CommandError> {
        let itt = match command {
            Command::Discard { device_id, .. } => self.device(ctx, its, device_id).map(|(_, itt)| itt),
            _ => None,
        };
        self.command(ctx, its, command)?;
        let Some(tables) = self.registers() else { return Ok(Ok(())) };
        Ok(match command {
            Command::Mapd { device_id, valid: false, .. } => tables.clear_device(its, device_id),
            Command::Discard { event_id, .. } => itt.map_or(Ok(()), |itt| tables.clear_event(itt, event_id)),
            _ => Ok(()),
        })
    }

    /// Writes `GITS_BASER<index>` of an ITS that is off: 0 for the device table, 1 for the collection table. What was
    /// mapped by the old table goes with it, in designs that free it at any change.
    pub fn write_baser(&self, ctx: &NativeCtx, its: usize, index: usize, value: u64) {
        let Some(tables) = self.registers().filter(|tables| tables.baser(its, index) != value) else { return };
        tables.set_baser(its, index, value);
        if value & VALID == 0 || self.spec().baser_change == BaserChange::FreesTables {
            self.free_tables(ctx, its, index == 0, index == 1);
        }
    }

    /// Adds a snapshot's tables to an ITS; its devices and collections are not there yet, and each once.
    pub fn restore(
        &self,
        ctx: &NativeCtx,
        its: usize,
        devices: &[DeviceState],
        collections: &[CollectionState],
    ) -> Result<Option<LostEvent>, Refused> {
        check_snapshot(devices, collections, self.vcpus())?;
        if let Some(tables) = self.registers() {
            let intids = devices.iter().flat_map(|device| &device.events).map(|event| event.intid);
            intids.max().into_iter().for_each(|intid| tables.expect_intid(intid));
        }
        match self.alone(|| self.vm.restore(ctx, &self.its[its], devices, collections)) {
            Ok(()) => Ok(None),
            Err(RestoreError::Event { device_id, event_id, error }) => {
                Ok(Some(LostEvent { device_id, event_id, error }))
            }
            Err(RestoreError::UnknownCollection(id)) => Err(Refused::UnknownCollection(id)),
            Err(RestoreError::NoMemory) => Err(Refused::NoMemory),
        }
    }

    /// Frees all devices of an ITS, all its collections, or both.
    pub fn free_tables(&self, ctx: &NativeCtx, its: usize, devices: bool, collections: bool) {
        self.alone(|| self.vm.free_tables(ctx, &self.its[its], devices, collections));
    }

    /// EventID bits and ITT address of a mapped device.
    pub fn device(&self, ctx: &NativeCtx, its: usize, device_id: u32) -> Option<(u32, u64)> {
        self.its[its].device(ctx, device_id)
    }

    /// Says whether a vCPU is there. At first all are.
    pub fn set_present(&self, vcpu: u32, present: bool) {
        self.present[vcpu as usize].store(present, Ordering::Relaxed);
    }

    /// Whether a vCPU that the VM has room for is not there.
    pub fn is_absent(&self, vcpu: u32) -> bool {
        self.present.get(vcpu as usize).is_some_and(|present| !present.load(Ordering::Relaxed))
    }

    /// Writes `GICR_INVLPIR`: reads an LPI's configuration again, and keeps the old one if it cannot be read.
    pub fn reload_lpi_config(&self, ctx: &NativeCtx, intid: u32) {
        // The register has no answer.
        let _ = self.sharing(|| self.vm.reload_lpi_config(ctx, intid));
    }

    /// Writes `GICR_INVALLR`: likewise for all LPIs of a vCPU.
    pub fn reload_lpi_configs(&self, ctx: &NativeCtx, vcpu: u32) {
        self.sharing(|| self.vm.reload_lpi_configs(ctx, vcpu));
    }

    /// Writes `GITS_CTLR.Enabled`.
    pub fn set_its_enabled(&self, ctx: &NativeCtx, its: usize, enabled: bool) {
        self.alone(|| self.vm.set_its_enabled(ctx, &self.its[its], enabled));
    }

    /// Reads it.
    pub fn its_enabled(&self, ctx: &NativeCtx, its: usize) -> bool {
        self.its[its].is_enabled(ctx)
    }

    /// Writes `GICR_CTLR.EnableLPIs`.
    pub fn set_lpis_enabled(&self, ctx: &NativeCtx, vcpu: u32, enabled: bool, load_pending: bool) -> Result<(), Fault> {
        self.alone(|| {
            // In the defective designs the vCPU must not prune meanwhile.
            let _stopped = self.control.as_ref().map(|_| self.vm.run_vcpu(ctx, vcpu));
            self.vm.set_lpis_enabled(ctx, &self.vm.vcpus[vcpu as usize], enabled, load_pending)
        })
    }

    /// Reads it.
    pub fn lpis_enabled(&self, ctx: &NativeCtx, vcpu: u32) -> bool {
        self.vm.vcpus[vcpu as usize].lpis_enabled(ctx)
    }

    /// Reads EnableLPIs and RWP of `GICR_CTLR`.
    pub fn gicr_ctlr(&self, ctx: &NativeCtx, vcpu: u32) -> u32 {
        self.vm.vcpus[vcpu as usize].gicr_ctlr(ctx)
    }

    /// Writes `GICD_CTLR.EnableGrp1`.
    pub fn set_distributor_enabled(&self, ctx: &NativeCtx, enabled: bool) {
        self.vm.set_distributor_enabled(ctx, enabled);
    }

    /// Reads it.
    pub fn distributor_enabled(&self, ctx: &NativeCtx) -> bool {
        self.vm.distributor_enabled(ctx)
    }

    /// Writes pending states to the pending tables.
    pub fn save_pending_tables(&self, ctx: &NativeCtx) -> Result<(), Fault> {
        self.alone(|| self.vm.save_pending_tables(ctx))
    }

    /// The threads of all vCPUs sleep elsewhere from now on, and `tell` is called with the number of one that may have
    /// something: on the thread that made it so, which may hold mutexes of the engine, so it calls nothing of the VM. It is
    /// told once for each look: [`Host::acknowledge`], [`Host::highest_pending`], [`Host::has_pending`]. Nothing happens if
    /// they have slept elsewhere before.
    pub fn tell(&self, ctx: &NativeCtx, tell: impl Fn(u32) + Send + Sync + 'static) {
        let counts: Arc<[Counts]> = self.vm.vcpus.iter().map(|_| Counts::default()).collect();
        if self.told.set(Arc::clone(&counts)).is_err() {
            return;
        }
        let tell: Arc<dyn Fn(u32) + Send + Sync> = Arc::new(move |vcpu| {
            counts[vcpu as usize].told();
            tell(vcpu);
        });
        for vcpu in &self.vm.vcpus {
            let (id, wake) = (vcpu.id, Arc::clone(&tell));
            vcpu.parker().sleep_elsewhere(move || wake(id));
            vcpu.parker().lie_down();
            if self.vm.block_elsewhere(ctx, vcpu) {
                vcpu.parker().unpark(ctx);
            }
        }
    }

    /// What a vCPU was told so far.
    pub fn told(&self, vcpu: u32) -> Told {
        self.told.get().map_or(Told::default(), |counts| counts[vcpu as usize].read())
    }

    /// A look of a vCPU's thread: whoever comes behind it tells again.
    fn look<T>(&self, vcpu: u32, look: impl FnOnce() -> Option<T>) -> Option<T> {
        let Some(counts) = self.told.get() else { return look() };
        let was_told = self.vm.vcpus[vcpu as usize].parker().lie_down();
        let found = look();
        if was_told && found.is_none() {
            counts[vcpu as usize].in_vain();
        }
        found
    }

    /// Enters the guest, reads `ICC_IAR1_EL1`, leaves.
    pub fn acknowledge(&self, ctx: &NativeCtx, vcpu: u32, tie: Tie) -> Option<u32> {
        self.look(vcpu, || {
            let mut running = self.vm.run_vcpu(ctx, vcpu);
            running.enter_always();
            running.acknowledge_with(tie)
        })
    }

    /// Enters the guest, looks which LPI an acknowledge would take, and at its priority, leaves.
    pub fn highest_pending(&self, ctx: &NativeCtx, vcpu: u32, tie: Tie) -> Option<(u32, u8)> {
        self.look(vcpu, || {
            let mut running = self.vm.run_vcpu(ctx, vcpu);
            running.enter_always();
            running.highest_pending(tie)
        })
    }

    /// Enters the guest, writes `ICC_EOIR1_EL1`, leaves.
    pub fn eoi(&self, ctx: &NativeCtx, vcpu: u32, intid: u32) {
        let mut running = self.vm.run_vcpu(ctx, vcpu);
        running.enter_always();
        running.eoi(intid);
    }

    /// Reads `ICC_AP1R0_EL1`: the priorities of what was acknowledged and not ended, one bit for each of the 32 levels.
    pub fn active_priorities(&self, ctx: &NativeCtx, vcpu: u32) -> u32 {
        self.vm.run_vcpu(ctx, vcpu).active_priorities()
    }

    /// Writes it.
    pub fn set_active_priorities(&self, ctx: &NativeCtx, vcpu: u32, levels: u32) {
        self.vm.run_vcpu(ctx, vcpu).set_active_priorities(levels);
    }

    /// Whether something is pending for a vCPU. If its thread sleeps elsewhere it enters the guest and leaves before.
    pub fn has_pending(&self, ctx: &NativeCtx, vcpu: u32) -> bool {
        let look = || {
            if self.told.get().is_some() {
                self.vm.run_vcpu(ctx, vcpu).enter_always();
            }
            self.vm.vcpu_pending_irq(ctx, &self.vm.vcpus[vcpu as usize]).then_some(())
        };
        self.look(vcpu, look).is_some()
    }

    /// Takes the right to run a vCPU, and gives it to `run`; waits while another thread has it.
    pub fn run(&self, ctx: &NativeCtx, vcpu: u32, run: &mut dyn FnMut(&mut dyn Cpu)) {
        run(&mut Runner { vm: &self.vm, ctx, running: self.vm.run_vcpu(ctx, vcpu) });
    }

    /// Makes a vCPU leave the guest or wake up, so that its thread can look around.
    pub fn interrupt(&self, ctx: &NativeCtx, vcpu: u32) {
        self.vm.vcpus[vcpu as usize].interrupt(ctx);
    }

    /// Looks at all LPIs from inside, while nobody uses the VM.
    pub fn audit(&self, ctx: &NativeCtx) -> Audit {
        self.vm.audit(ctx)
    }

    /// The state of an LPI.
    pub fn lpi(&self, ctx: &NativeCtx, intid: u32) -> Option<LpiState> {
        self.vm.lpi(ctx, intid)
    }

    /// The states of all mapped or queued LPIs.
    pub fn lpis(&self, ctx: &NativeCtx) -> Vec<LpiState> {
        self.vm.lpis(ctx)
    }

    /// The tables of an ITS.
    pub fn snapshot(&self, ctx: &NativeCtx, its: usize) -> (Vec<DeviceState>, Vec<CollectionState>) {
        self.its[its].snapshot(ctx)
    }

    /// How many translations are cached.
    pub fn cached_translations(&self, ctx: &NativeCtx) -> usize {
        self.vm.cached_translations(ctx)
    }

    /// How many sends are pending; exact while no other thread uses the VM.
    pub fn pending_count(&self, ctx: &NativeCtx) -> u64 {
        self.vm.pending_count(ctx)
    }

    /// What the design does.
    pub fn spec(&self) -> &'static Spec {
        self.vm.spec()
    }

    /// Whether control changes are kept apart from commands and from the vCPU that they are about.
    pub fn is_careful(&self) -> bool {
        self.control.is_some()
    }

    /// Guest physical base address of an ITS.
    pub fn its_base(&self, its: usize) -> u64 {
        self.its[its].base
    }

    /// Address of the translation register of an ITS.
    pub fn doorbell(&self, its: usize) -> u64 {
        self.its[its].doorbell()
    }

    /// Number of ITSes.
    pub fn its_count(&self) -> usize {
        self.its.len()
    }

    /// Number of vCPUs.
    pub fn vcpus(&self) -> u32 {
        self.vm.vcpus.len() as u32
    }

    /// The LPI tables.
    pub fn tables(&self) -> &dyn LpiTables {
        match &self.tables {
            Tables::Flat(tables) => &**tables,
            Tables::Guest(tables) => &**tables,
        }
    }

    /// The registers that say where the tables are, for a VM with guest memory.
    pub fn registers(&self) -> Option<&GuestLpiTables> {
        match &self.tables {
            Tables::Flat(_) => None,
            Tables::Guest(tables) => Some(tables),
        }
    }
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
            in_range("intid", u64::from(event.intid), u64::from(FIRST_LPI), u64::from(u32::MAX))?;
        }
    }
    Ok(())
}
