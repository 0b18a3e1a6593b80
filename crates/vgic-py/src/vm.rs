//! `Vm`.

use crate::arguments::{
    Byte, CollectionId, Count, DeviceId, Distributor, Doorbell, EntryId, EventBits, EventId, FromVcpu, Intid, Its,
    ItsBase, IttAddress, Levels, ListRegisters, Lpi, MappedLpi, RdBase, Redistributors, Table, ToVcpu, Value, Vcpu,
    Vcpus, Whole,
};
use crate::errors;
use crate::memory::GuestMemory;
use crate::pool::{Forked, Pool};
use crate::told::ToldVcpus;
use crate::translater::Translater;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::Arc;
use vgic_core::audit::look::LpiState;
use vgic_core::bus::{Frames, Region};
use vgic_core::designs::LostDevice;
use vgic_core::its::snapshot::{CollectionState, DeviceState, EventState};
use vgic_core::vcpu::run::Tie;
use vgic_core::{Command, Event, Msi, SendError};
use vgic_host::guest_tables::GuestLpiTables;
use vgic_host::tables::LpiTables;
use vgic_host::{Host, Plan, in_range};
use vgic_native::NativeCtx;

#[pyclass(frozen, module = "vgic._core")]
pub struct Vm {
    host: Host,
    /// Dropped after the VM: destroying a VM makes a context of its own.
    pool: Pool,
    design: String,
    doorbell: u64,
    /// Who is told that a vCPU may have something.
    told: Arc<ToldVcpus>,
    /// Held as an object, for Python to see that a callback may lead back here.
    memory: Option<Py<GuestMemory>>,
}

/// The command has no room for the address bits below.
const ITT_ALIGNMENT: u64 = 256;

/// A device as Python gives it: id, EventID bits, ITT, and events of (EventID, INTID, collection).
type DeviceRow = (Whole<DeviceId>, Whole<EventBits>, Whole<IttAddress>, Vec<EventRow>);
type EventRow = (Whole<EventId>, Whole<Intid>, Whole<CollectionId>);
/// A region of redistributors: where, and how many.
type RegionRow = (Whole<Redistributors>, Whole<Count>);

impl Vm {
    /// An ITS that the VM has.
    fn its(&self, its: Whole<Its>) -> PyResult<usize> {
        match self.host.its_count() as u64 {
            0 => Err(PyValueError::new_err("the VM has no its")),
            count => in_range("its", its.0 as u64, 0, count - 1).map(|()| its.0).map_err(errors::refused),
        }
    }

    /// A vCPU that the VM has.
    fn vcpu(&self, vcpu: Whole<Vcpu>) -> PyResult<u32> {
        let most = u64::from(self.host.vcpus()) - 1;
        in_range("vcpu", u64::from(vcpu.0), 0, most).map(|()| vcpu.0).map_err(errors::refused)
    }

    fn command(&self, py: Python<'_>, its: Whole<Its>, command: Command) -> PyResult<()> {
        let its = self.its(its)?;
        self.engine(py, |ctx| self.host.command(ctx, its, command))?.map_err(|error| errors::command(py, error))
    }

    /// A command of the guest's queue.
    fn guest_command(&self, py: Python<'_>, its: Whole<Its>, command: Command) -> PyResult<()> {
        let its = self.its(its)?;
        self.engine(py, |ctx| self.host.guest_command(ctx, its, command))?
            .map_err(|error| errors::command(py, error))?
            .map_err(errors::fault)
    }

    fn lpi_tables(&self) -> Result<&dyn LpiTables, Forked> {
        self.pool.check().map(|()| self.host.tables())
    }

    fn registers(&self) -> PyResult<&GuestLpiTables> {
        self.pool.check()?;
        self.host.registers().ok_or_else(|| PyValueError::new_err("the VM has no guest memory"))
    }

    /// An operation of the engine, without the interpreter; then those are told who may have something by it.
    fn engine<R: Send>(&self, py: Python<'_>, f: impl FnOnce(&NativeCtx) -> R + Send) -> PyResult<R> {
        let result = py.detach(|| self.pool.with(f))?;
        self.told.tell(py)?;
        Ok(result)
    }

    /// The threads of its vCPUs sleep elsewhere: from now on they are told.
    fn sleep_elsewhere(&self, py: Python<'_>) -> PyResult<()> {
        let told = Arc::clone(&self.told);
        self.engine(py, |ctx| self.host.tell(ctx, move |vcpu| told.note(vcpu)))
    }

    /// A hit takes well under a microsecond, shorter than giving up the interpreter and getting it back, and it waits
    /// for spin locks only. A miss takes a mutex, which a thread may hold that waits for the interpreter.
    #[inline]
    pub fn send(&self, py: Python<'_>, msi: &Msi) -> PyResult<Result<bool, SendError>> {
        let sent = self.send_untold(py, msi)?;
        self.told.tell(py)?;
        Ok(sent)
    }

    #[inline]
    fn send_untold(&self, py: Python<'_>, msi: &Msi) -> Result<Result<bool, SendError>, Forked> {
        if self.pool.with(|ctx| self.host.signal_cached(ctx, msi))? {
            return Ok(Ok(true));
        }
        py.detach(|| self.pool.with(|ctx| self.host.signal_uncached(ctx, msi)))
    }
}

#[pymethods]
impl Vm {
    #[new]
    #[pyo3(signature = (vcpus, design, *, list_registers = Whole(4), its = Vec::new(), distributor = Whole(0x0800_0000),
        redistributors = None, memory = None, allow_unsound = false))]
    #[allow(clippy::too_many_arguments)] // Keyword arguments in Python.
    fn new(
        py: Python<'_>,
        vcpus: Whole<Vcpus>,
        design: &str,
        list_registers: Whole<ListRegisters>,
        its: Vec<Whole<ItsBase>>,
        distributor: Whole<Distributor>,
        redistributors: Option<Vec<RegionRow>>,
        memory: Option<Py<GuestMemory>>,
        allow_unsound: bool,
    ) -> PyResult<Self> {
        let its: Vec<_> = its.into_iter().map(|base| base.0).collect();
        let region = |(base, count): RegionRow| Region { base: base.0, count: count.0 };
        let redistributors = match redistributors {
            Some(regions) => regions.into_iter().map(region).collect(),
            None => Frames::default().redistributors,
        };
        let plan = Plan {
            design,
            vcpus: vcpus.0,
            list_registers: list_registers.0,
            frames: Frames { distributor: distributor.0, redistributors },
            its: &its,
            memory: memory.as_ref().map(|memory| memory.get().share()),
            allow_unsound,
        };
        let pool = Pool::new();
        let host = py.detach(|| pool.with(|ctx| plan.host(ctx)))?.map_err(errors::refused)?;
        let doorbell = if its.is_empty() { 0 } else { host.doorbell(0) };
        let told = Arc::new(ToldVcpus::new(host.vcpus()));
        Ok(Vm { host, pool, design: design.to_owned(), doorbell, memory, told })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.told.function())?;
        visit.call(&self.memory)
    }

    fn check_process(&self) -> PyResult<()> {
        Ok(self.pool.check()?)
    }

    fn set_on_pending(&self, py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
        self.told.set_function(function);
        self.sleep_elsewhere(py)
    }

    fn eventfd(&self, py: Python<'_>, vcpu: Whole<Vcpu>) -> PyResult<RawFd> {
        let eventfd = self.told.eventfd(self.vcpu(vcpu)?)?;
        self.sleep_elsewhere(py)?;
        Ok(eventfd.into_raw_fd())
    }

    fn told(&self, vcpu: Whole<Vcpu>) -> PyResult<(u64, u64)> {
        let told = self.host.told(self.vcpu(vcpu)?);
        Ok((told.times, told.in_vain))
    }

    #[getter]
    fn design(&self) -> &str {
        &self.design
    }

    #[getter]
    fn skips_lost_devices(&self) -> bool {
        self.host.spec().lost_device == LostDevice::Skipped
    }

    #[getter]
    fn vcpus(&self) -> u32 {
        self.host.vcpus()
    }

    fn set_present(&self, vcpu: Whole<Vcpu>, present: bool) -> PyResult<()> {
        let vcpu = self.vcpu(vcpu)?;
        self.host.set_present(vcpu, present);
        Ok(())
    }

    fn is_present(&self, vcpu: Whole<Vcpu>) -> PyResult<bool> {
        let vcpu = self.vcpu(vcpu)?;
        Ok(!self.host.is_absent(vcpu))
    }

    #[getter]
    fn its_count(&self) -> usize {
        self.host.its_count()
    }

    fn doorbell(&self, its: Whole<Its>) -> PyResult<u64> {
        let its = self.its(its)?;
        Ok(self.host.doorbell(its))
    }

    fn its_base(&self, its: Whole<Its>) -> PyResult<u64> {
        let its = self.its(its)?;
        Ok(self.host.its_base(its))
    }

    fn translater(slf: PyRef<'_, Self>, its: Whole<Its>) -> PyResult<Translater> {
        let base = slf.its_base(its)?;
        Ok(Translater::new(slf.into(), base))
    }

    fn set_propbaser(&self, value: Whole<Value>) -> PyResult<()> {
        self.registers()?.set_propbaser(value.0);
        Ok(())
    }

    fn set_pendbaser(&self, vcpu: Whole<Vcpu>, value: Whole<Value>) -> PyResult<()> {
        let vcpu = self.vcpu(vcpu)?;
        self.registers()?.set_pendbaser(vcpu, value.0);
        Ok(())
    }

    fn set_baser(&self, its: Whole<Its>, index: Whole<Table>, value: Whole<Value>) -> PyResult<()> {
        let its = self.its(its)?;
        self.registers()?.set_baser(its, index.0, value.0);
        Ok(())
    }

    fn write_baser(&self, py: Python<'_>, its: Whole<Its>, index: Whole<Table>, value: Whole<Value>) -> PyResult<()> {
        let its = self.its(its)?;
        self.engine(py, |ctx| self.host.write_baser(ctx, its, index.0, value.0))?;
        Ok(())
    }

    fn propbaser(&self) -> PyResult<u64> {
        Ok(self.registers()?.propbaser())
    }

    fn pendbaser(&self, vcpu: Whole<Vcpu>) -> PyResult<u64> {
        let vcpu = self.vcpu(vcpu)?;
        Ok(self.registers()?.pendbaser(vcpu))
    }

    fn baser(&self, its: Whole<Its>, index: Whole<Table>) -> PyResult<u64> {
        let its = self.its(its)?;
        Ok(self.registers()?.baser(its, index.0))
    }

    fn table_entry(&self, its: Whole<Its>, index: Whole<Table>, entry_id: Whole<EntryId>) -> PyResult<Option<u64>> {
        let its = self.its(its)?;
        Ok(self.registers()?.table_entry(its, index.0, entry_id.0))
    }

    fn signal_msi(&self, py: Python<'_>, device_id: Whole<DeviceId>, event_id: Whole<EventId>) -> PyResult<u32> {
        let msi = Msi { doorbell: self.doorbell, device_id: device_id.0, event_id: event_id.0, device_id_valid: true };
        self.send(py, &msi)?.map(u32::from).map_err(errors::send)
    }

    fn signal_msi_at(
        &self,
        py: Python<'_>,
        doorbell: Whole<Doorbell>,
        device_id: Whole<DeviceId>,
        event_id: Whole<EventId>,
        valid_device_id: bool,
    ) -> PyResult<u32> {
        let msi = Msi {
            doorbell: doorbell.0,
            device_id: device_id.0,
            event_id: event_id.0,
            device_id_valid: valid_device_id,
        };
        self.engine(py, |ctx| self.host.signal(ctx, &msi))?.map(u32::from).map_err(errors::send)
    }

    #[pyo3(signature = (device_ids, event_ids, its = Whole(0)))]
    fn signal_msis(
        &self,
        py: Python<'_>,
        device_ids: &Bound<'_, PyAny>,
        event_ids: &Bound<'_, PyAny>,
        its: Whole<Its>,
    ) -> PyResult<u64> {
        let its = self.its(its)?;
        let numbers = |what: &str, buffer: &Bound<'_, PyAny>| -> PyResult<Vec<u32>> {
            let buffer = PyBuffer::<u32>::get(buffer)
                .map_err(|_| PyValueError::new_err(format!("{what} must be a buffer of unsigned 32-bit integers")))?;
            buffer.to_vec(py)
        };
        // A copy: another thread may write to the buffers while the interpreter lock is released.
        let (devices, events) = (numbers("device_ids", device_ids)?, numbers("event_ids", event_ids)?);
        if devices.len() != events.len() {
            let text = format!("device_ids and event_ids differ in length: {} and {}", devices.len(), events.len());
            return Err(PyValueError::new_err(text));
        }
        let doorbell = self.host.doorbell(its);
        // Ctrl-C is answered between parts, and vCPUs are told: more often, where a function is to hear of it.
        let part = if self.told.function().is_some() { 1 << 12 } else { 1 << 16 };
        let mut taken = 0;
        for (devices, events) in devices.chunks(part).zip(events.chunks(part)) {
            taken += self.engine(py, |ctx| self.host.signal_many(ctx, doorbell, devices, events))?;
            py.check_signals()?;
        }
        Ok(taken)
    }

    #[pyo3(signature = (its, device_id, event_bits, itt_address, valid, *, guest = false))]
    #[allow(clippy::too_many_arguments)] // Keyword arguments in Python.
    fn mapd(
        &self,
        py: Python<'_>,
        its: Whole<Its>,
        device_id: Whole<DeviceId>,
        event_bits: Whole<EventBits>,
        itt_address: Whole<IttAddress>,
        valid: bool,
        guest: bool,
    ) -> PyResult<()> {
        let itt_addr = itt_address.0;
        if itt_addr % ITT_ALIGNMENT != 0 {
            let text = format!("itt_address must be a multiple of {ITT_ALIGNMENT}, not {itt_addr:#x}");
            return Err(PyValueError::new_err(text));
        }
        let command = Command::Mapd { device_id: device_id.0, event_bits: event_bits.0, itt_addr, valid };
        if guest { self.guest_command(py, its, command) } else { self.command(py, its, command) }
    }

    fn mapc(
        &self,
        py: Python<'_>,
        its: Whole<Its>,
        collection_id: Whole<CollectionId>,
        vcpu: Whole<RdBase>,
        valid: bool,
    ) -> PyResult<()> {
        self.command(py, its, Command::Mapc { collection_id: collection_id.0, vcpu: vcpu.0, valid })
    }

    fn mapti(
        &self,
        py: Python<'_>,
        its: Whole<Its>,
        device_id: Whole<DeviceId>,
        event_id: Whole<EventId>,
        intid: Whole<Intid>,
        collection_id: Whole<CollectionId>,
    ) -> PyResult<()> {
        self.command(
            py,
            its,
            Command::Mapti {
                device_id: device_id.0,
                event_id: event_id.0,
                intid: intid.0,
                collection_id: collection_id.0,
            },
        )
    }

    fn mapi(
        &self,
        py: Python<'_>,
        its: Whole<Its>,
        device_id: Whole<DeviceId>,
        event_id: Whole<EventId>,
        collection_id: Whole<CollectionId>,
    ) -> PyResult<()> {
        self.command(
            py,
            its,
            Command::Mapi { device_id: device_id.0, event_id: event_id.0, collection_id: collection_id.0 },
        )
    }

    fn movi(
        &self,
        py: Python<'_>,
        its: Whole<Its>,
        device_id: Whole<DeviceId>,
        event_id: Whole<EventId>,
        collection_id: Whole<CollectionId>,
    ) -> PyResult<()> {
        self.command(
            py,
            its,
            Command::Movi { device_id: device_id.0, event_id: event_id.0, collection_id: collection_id.0 },
        )
    }

    fn movall(
        &self,
        py: Python<'_>,
        its: Whole<Its>,
        from_vcpu: Whole<FromVcpu>,
        to_vcpu: Whole<ToVcpu>,
    ) -> PyResult<()> {
        self.command(py, its, Command::Movall { from_vcpu: from_vcpu.0, to_vcpu: to_vcpu.0 })
    }

    #[pyo3(signature = (its, device_id, event_id, *, guest = false))]
    fn discard(
        &self,
        py: Python<'_>,
        its: Whole<Its>,
        device_id: Whole<DeviceId>,
        event_id: Whole<EventId>,
        guest: bool,
    ) -> PyResult<()> {
        let command = Command::Discard { device_id: device_id.0, event_id: event_id.0 };
        if guest { self.guest_command(py, its, command) } else { self.command(py, its, command) }
    }

    fn clear(
        &self,
        py: Python<'_>,
        its: Whole<Its>,
        device_id: Whole<DeviceId>,
        event_id: Whole<EventId>,
    ) -> PyResult<()> {
        self.command(py, its, Command::Clear { device_id: device_id.0, event_id: event_id.0 })
    }

    fn int(
        &self,
        py: Python<'_>,
        its: Whole<Its>,
        device_id: Whole<DeviceId>,
        event_id: Whole<EventId>,
    ) -> PyResult<()> {
        self.command(py, its, Command::Int { device_id: device_id.0, event_id: event_id.0 })
    }

    fn inv(
        &self,
        py: Python<'_>,
        its: Whole<Its>,
        device_id: Whole<DeviceId>,
        event_id: Whole<EventId>,
    ) -> PyResult<()> {
        self.command(py, its, Command::Inv { device_id: device_id.0, event_id: event_id.0 })
    }

    fn invall(&self, py: Python<'_>, its: Whole<Its>, collection_id: Whole<CollectionId>) -> PyResult<()> {
        self.command(py, its, Command::Invall { collection_id: collection_id.0 })
    }

    fn sync(&self, py: Python<'_>, its: Whole<Its>, vcpu: Whole<RdBase>) -> PyResult<()> {
        self.command(py, its, Command::Sync { vcpu: vcpu.0 })
    }

    fn restore(
        &self,
        py: Python<'_>,
        its: Whole<Its>,
        collections: Vec<(Whole<CollectionId>, Option<Whole<RdBase>>)>,
        devices: Vec<DeviceRow>,
    ) -> PyResult<Option<(u32, u32, i32)>> {
        let its = self.its(its)?;
        let collection = |(collection_id, vcpu): (Whole<CollectionId>, Option<Whole<RdBase>>)| CollectionState {
            collection_id: collection_id.0,
            vcpu: vcpu.map(|vcpu| vcpu.0),
        };
        let event = |(event_id, intid, collection_id): EventRow| EventState {
            event_id: event_id.0,
            intid: intid.0,
            collection_id: Some(collection_id.0),
        };
        let device = |(device_id, event_bits, itt_address, events): DeviceRow| DeviceState {
            device_id: device_id.0,
            event_bits: event_bits.0,
            itt_addr: itt_address.0,
            events: events.into_iter().map(event).collect(),
        };
        let collections: Vec<_> = collections.into_iter().map(collection).collect();
        let devices: Vec<_> = devices.into_iter().map(device).collect();
        self.engine(py, |ctx| self.host.restore(ctx, its, &devices, &collections))?
            .map(|lost| lost.map(|lost| (lost.device_id, lost.event_id, errors::errno(lost.error))))
            .map_err(errors::refused)
    }

    fn free_tables(&self, py: Python<'_>, its: Whole<Its>, devices: bool, collections: bool) -> PyResult<()> {
        let its = self.its(its)?;
        self.engine(py, |ctx| self.host.free_tables(ctx, its, devices, collections))?;
        Ok(())
    }

    fn reload_lpi_config(&self, py: Python<'_>, intid: Whole<MappedLpi>) -> PyResult<()> {
        self.engine(py, |ctx| self.host.reload_lpi_config(ctx, intid.0))?;
        Ok(())
    }

    fn reload_lpi_configs(&self, py: Python<'_>, vcpu: Whole<Vcpu>) -> PyResult<()> {
        let vcpu = self.vcpu(vcpu)?;
        self.engine(py, |ctx| self.host.reload_lpi_configs(ctx, vcpu))?;
        Ok(())
    }

    fn set_its_enabled(&self, py: Python<'_>, its: Whole<Its>, enabled: bool) -> PyResult<()> {
        let its = self.its(its)?;
        self.engine(py, |ctx| self.host.set_its_enabled(ctx, its, enabled))?;
        Ok(())
    }

    fn its_enabled(&self, its: Whole<Its>) -> PyResult<bool> {
        let its = self.its(its)?;
        Ok(self.pool.with(|ctx| self.host.its_enabled(ctx, its))?)
    }

    #[pyo3(signature = (vcpu, enabled, load_pending = true))]
    fn set_lpis_enabled(&self, py: Python<'_>, vcpu: Whole<Vcpu>, enabled: bool, load_pending: bool) -> PyResult<()> {
        let vcpu = self.vcpu(vcpu)?;
        self.engine(py, |ctx| self.host.set_lpis_enabled(ctx, vcpu, enabled, load_pending))?.map_err(errors::fault)
    }

    fn lpis_enabled(&self, vcpu: Whole<Vcpu>) -> PyResult<bool> {
        let vcpu = self.vcpu(vcpu)?;
        Ok(self.pool.with(|ctx| self.host.lpis_enabled(ctx, vcpu))?)
    }

    fn redistributor_ctlr(&self, vcpu: Whole<Vcpu>) -> PyResult<u32> {
        let vcpu = self.vcpu(vcpu)?;
        Ok(self.pool.with(|ctx| self.host.gicr_ctlr(ctx, vcpu))?)
    }

    fn set_distributor_enabled(&self, py: Python<'_>, enabled: bool) -> PyResult<()> {
        self.engine(py, |ctx| self.host.set_distributor_enabled(ctx, enabled))
    }

    fn distributor_enabled(&self) -> PyResult<bool> {
        Ok(self.pool.with(|ctx| self.host.distributor_enabled(ctx))?)
    }

    fn write_config(&self, intid: Whole<Lpi>, byte: Whole<Byte>) -> PyResult<()> {
        self.lpi_tables()?.write_config(intid.0, byte.0).map_err(errors::fault)
    }

    fn read_config(&self, intid: Whole<Lpi>) -> PyResult<u8> {
        self.lpi_tables()?.read_config(intid.0).map_err(errors::fault)
    }

    fn write_pending_table(&self, vcpu: Whole<Vcpu>, intid: Whole<Lpi>, pending: bool) -> PyResult<()> {
        let vcpu = self.vcpu(vcpu)?;
        self.lpi_tables()?.write_pending(vcpu, intid.0, pending).map_err(errors::fault)
    }

    fn read_pending_table(&self, vcpu: Whole<Vcpu>, intid: Whole<Lpi>) -> PyResult<bool> {
        let vcpu = self.vcpu(vcpu)?;
        self.lpi_tables()?.read_pending(vcpu, intid.0).map_err(errors::fault)
    }

    fn save_pending_tables(&self, py: Python<'_>) -> PyResult<()> {
        self.engine(py, |ctx| self.host.save_pending_tables(ctx))?.map_err(errors::fault)
    }

    #[pyo3(signature = (vcpu, lowest_intid = false))]
    fn acknowledge(&self, py: Python<'_>, vcpu: Whole<Vcpu>, lowest_intid: bool) -> PyResult<Option<u32>> {
        let vcpu = self.vcpu(vcpu)?;
        let tie = if lowest_intid { Tie::Intid } else { Tie::Register };
        self.engine(py, |ctx| self.host.acknowledge(ctx, vcpu, tie))
    }

    #[pyo3(signature = (vcpu, lowest_intid = false))]
    fn highest_pending(&self, py: Python<'_>, vcpu: Whole<Vcpu>, lowest_intid: bool) -> PyResult<Option<(u32, u8)>> {
        let vcpu = self.vcpu(vcpu)?;
        let tie = if lowest_intid { Tie::Intid } else { Tie::Register };
        self.engine(py, |ctx| self.host.highest_pending(ctx, vcpu, tie))
    }

    fn eoi(&self, py: Python<'_>, vcpu: Whole<Vcpu>, intid: Whole<Intid>) -> PyResult<()> {
        let vcpu = self.vcpu(vcpu)?;
        self.engine(py, |ctx| self.host.eoi(ctx, vcpu, intid.0))?;
        Ok(())
    }

    fn active_priorities(&self, py: Python<'_>, vcpu: Whole<Vcpu>) -> PyResult<u32> {
        let vcpu = self.vcpu(vcpu)?;
        self.engine(py, |ctx| self.host.active_priorities(ctx, vcpu))
    }

    fn set_active_priorities(&self, py: Python<'_>, vcpu: Whole<Vcpu>, levels: Whole<Levels>) -> PyResult<()> {
        let vcpu = self.vcpu(vcpu)?;
        self.engine(py, |ctx| self.host.set_active_priorities(ctx, vcpu, levels.0))
    }

    fn has_pending(&self, py: Python<'_>, vcpu: Whole<Vcpu>) -> PyResult<bool> {
        let vcpu = self.vcpu(vcpu)?;
        self.engine(py, |ctx| self.host.has_pending(ctx, vcpu))
    }

    fn lpi<'py>(&self, py: Python<'py>, intid: Whole<MappedLpi>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let state = self.engine(py, |ctx| self.host.lpi(ctx, intid.0))?;
        state.map(|state| lpi_dict(py, &state)).transpose()
    }

    fn lpis<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let states = self.engine(py, |ctx| self.host.lpis(ctx))?;
        let list = PyList::empty(py);
        for state in states {
            list.append(lpi_dict(py, &state)?)?;
        }
        Ok(list)
    }

    fn tables<'py>(&self, py: Python<'py>, its: Whole<Its>) -> PyResult<Bound<'py, PyDict>> {
        let its = self.its(its)?;
        let (devices, collections) = self.engine(py, |ctx| self.host.snapshot(ctx, its))?;
        let dict = PyDict::new(py);
        let list = PyList::empty(py);
        for device in devices {
            let events: Vec<_> = device.events.iter().map(|e| (e.event_id, e.intid, e.collection_id)).collect();
            let row = PyDict::new(py);
            row.set_item("device_id", device.device_id)?;
            row.set_item("event_bits", device.event_bits)?;
            row.set_item("itt_address", device.itt_addr)?;
            row.set_item("events", events)?;
            list.append(row)?;
        }
        dict.set_item("devices", list)?;
        let collections: Vec<_> = collections.iter().map(|c| (c.collection_id, c.vcpu)).collect();
        dict.set_item("collections", collections)?;
        Ok(dict)
    }

    fn cached_translations(&self, py: Python<'_>) -> PyResult<usize> {
        self.engine(py, |ctx| self.host.cached_translations(ctx))
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let pending = self.engine(py, |ctx| self.host.pending_count(ctx))?;
        counts_dict(py, &self.pool.counts()?, pending)
    }
}

fn lpi_dict<'py>(py: Python<'py>, state: &LpiState) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("intid", state.intid)?;
    dict.set_item("target_vcpu", state.view.target_vcpu)?;
    dict.set_item("pending", state.view.pending)?;
    dict.set_item("active", state.view.active)?;
    dict.set_item("enabled", state.view.enabled)?;
    dict.set_item("priority", state.view.priority)?;
    dict.set_item("queued_on", state.view.queued_on)?;
    dict.set_item("references", state.references)?;
    Ok(dict)
}

/// The `Counts` of `_core.pyi`.
pub fn counts_dict<'py>(py: Python<'py>, counts: &[u64; Event::COUNT], pending: u64) -> PyResult<Bound<'py, PyDict>> {
    let names = [
        ("sent", Event::Sent),
        ("delivered", Event::Delivered),
        ("coalesced", Event::Coalesced),
        ("dropped", Event::Dropped),
        ("pending_loaded", Event::PendingLoaded),
        ("cache_hits", Event::CacheHit),
        ("cache_misses", Event::CacheMiss),
        ("cache_evictions", Event::CacheEviction),
        ("guest_entries", Event::GuestEntry),
        ("guest_exits", Event::GuestExit),
        ("entries_cancelled", Event::EntryCancelled),
        ("kicks", Event::Kick),
        ("wakes", Event::Wake),
        ("migrations", Event::Migration),
        ("grace_periods", Event::GracePeriod),
    ];
    let dict = PyDict::new(py);
    for (name, event) in names {
        dict.set_item(name, counts[event as usize])?;
    }
    dict.set_item("pending", pending)?;
    Ok(dict)
}
