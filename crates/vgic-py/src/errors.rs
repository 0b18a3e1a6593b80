//! Errors as Python exceptions.

use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use vgic_core::tables::Fault;
use vgic_core::{ItsError, SendError};
use vgic_host::Refused;
use vgic_lab::stress::Failure;

pyo3::create_exception!(
    vgic,
    CommandError,
    PyValueError,
    "An ITS command that the architecture rejects; `code` and `name` are its error (Arm IHI 0069, 5.3)."
);

const EBUSY: i32 = 16;
const EFAULT: i32 = 14;
const EINVAL: i32 = 22;
const ENODEV: i32 = 19;
const ENOMEM: i32 = 12;

pub fn refused(refused: Refused) -> PyErr {
    match refused {
        Refused::NoMemory => PyMemoryError::new_err("out of memory"),
        other => PyValueError::new_err(other.to_string()),
    }
}

pub fn failure(failure: Failure) -> PyErr {
    match failure {
        Failure::Refused(why) => refused(why),
        Failure::Stopped => PyKeyboardInterrupt::new_err(()),
        Failure::Broken(what) => PyRuntimeError::new_err(what),
    }
}

pub fn send(error: SendError) -> PyErr {
    PyOSError::new_err(match error {
        SendError::NoIts => (ENODEV, "the VM has no ITS"),
        SendError::Invalid => (EINVAL, "no ITS at this doorbell, or no DeviceID and the translation is not cached"),
        SendError::Busy => (EBUSY, "the ITS or the LPIs of the target vCPU are disabled"),
    })
}

pub fn fault(Fault: Fault) -> PyErr {
    PyOSError::new_err((EFAULT, "guest memory could not be reached"))
}

pub fn fault_at(address: u64) -> PyErr {
    PyOSError::new_err((EFAULT, format!("guest memory could not be reached: {address:#x}")))
}

pub fn command(py: Python<'_>, error: vgic_core::CommandError) -> PyErr {
    match error {
        vgic_core::CommandError::Its(error) => rejected(py, error),
        vgic_core::CommandError::Busy => send(SendError::Busy),
        vgic_core::CommandError::NoMemory => {
            PyMemoryError::new_err("no memory, or the VM has its most mappings already (1048576)")
        }
        vgic_core::CommandError::Fault => fault(Fault),
    }
}

fn rejected(py: Python<'_>, error: ItsError) -> PyErr {
    let exception = CommandError::new_err(format!("{} ({:#08x})", error.name(), error.code()));
    let value = exception.value(py);
    match value.setattr("code", error.code()).and_then(|()| value.setattr("name", error.name())) {
        Ok(()) => exception,
        Err(other) => other,
    }
}

/// What a restore answers if an event cannot be mapped.
pub fn errno(error: vgic_core::CommandError) -> i32 {
    match error {
        vgic_core::CommandError::Its(_) => EINVAL,
        vgic_core::CommandError::Busy => EBUSY,
        vgic_core::CommandError::NoMemory => ENOMEM,
        vgic_core::CommandError::Fault => EFAULT,
    }
}

/// The number that a recording's rejected command is reported with.
pub fn command_code(error: vgic_core::CommandError) -> u32 {
    match error {
        vgic_core::CommandError::Its(error) => error.code(),
        other => errno(other) as u32,
    }
}
