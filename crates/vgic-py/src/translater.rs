//! `Translater`: an ITS's translation frame, as a device sees it.

use crate::arguments::{DeviceId, Offset, Value, Whole};
use crate::vm::Vm;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use vgic_core::Msi;
use vgic_core::its::TRANSLATER;

/// Where the frame is in the ITS.
const FRAME: u64 = 0x1_0000;

#[pyclass(frozen, module = "vgic.its")]
pub struct Translater {
    vm: Py<Vm>,
    /// Guest physical address of the frame.
    #[pyo3(get)]
    address: u64,
}

impl Translater {
    pub fn new(vm: Py<Vm>, its_base: u64) -> Self {
        Translater { vm, address: its_base + FRAME }
    }
}

#[pymethods]
impl Translater {
    /// A device's write has no answer: whatever is refused is not taken.
    fn write(
        &self,
        py: Python<'_>,
        offset: Whole<Offset>,
        value: Whole<Value>,
        device_id: Whole<DeviceId>,
    ) -> PyResult<u32> {
        let (offset, device_id) = (offset.0, device_id.0);
        if offset != TRANSLATER - FRAME {
            return Ok(0);
        }
        let msi = Msi { doorbell: self.address + offset, device_id, event_id: value.0 as u32, device_id_valid: true };
        Ok(u32::from(self.vm.get().send(py, &msi)? == Ok(true)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.vm)
    }
}
