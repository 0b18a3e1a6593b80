//! What an ITS command answers. KVM throws the errors away (no stall, no SError); here the caller sees them.

use crate::lpi_store::add::AddError;
use crate::platform::NoMemory;
use crate::tables::Fault;

/// An error that the architecture defines; the value is the code of Arm IHI 0069, 5.3 ("ITS command error encodings").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum ItsError {
    MovallProcnumOor = 0x01_0e01,
    MapdDeviceOor = 0x01_0801,
    MapdIttsizeOor = 0x01_0802,
    MapcProcnumOor = 0x01_0902,
    MapcCollectionOor = 0x01_0903,
    MaptiUnmappedDevice = 0x01_0a04,
    MaptiIdOor = 0x01_0a05,
    MaptiPhysicalidOor = 0x01_0a06,
    MoviUnmappedInterrupt = 0x01_0107,
    MoviUnmappedCollection = 0x01_0109,
    DiscardUnmappedInterrupt = 0x01_0f07,
    IntUnmappedInterrupt = 0x01_0307,
    /// KVM's code, which says 05 where the command is 04.
    ClearUnmappedInterrupt = 0x01_0507,
    InvUnmappedInterrupt = 0x01_0c07,
    InvallUnmappedCollection = 0x01_0d09,
}

impl ItsError {
    /// The architecture's code.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// Its name, as the kernel spells it.
    pub const fn name(self) -> &'static str {
        match self {
            ItsError::MovallProcnumOor => "E_ITS_MOVALL_PROCNUM_OOR",
            ItsError::MapdDeviceOor => "E_ITS_MAPD_DEVICE_OOR",
            ItsError::MapdIttsizeOor => "E_ITS_MAPD_ITTSIZE_OOR",
            ItsError::MapcProcnumOor => "E_ITS_MAPC_PROCNUM_OOR",
            ItsError::MapcCollectionOor => "E_ITS_MAPC_COLLECTION_OOR",
            ItsError::MaptiUnmappedDevice => "E_ITS_MAPTI_UNMAPPED_DEVICE",
            ItsError::MaptiIdOor => "E_ITS_MAPTI_ID_OOR",
            ItsError::MaptiPhysicalidOor => "E_ITS_MAPTI_PHYSICALID_OOR",
            ItsError::MoviUnmappedInterrupt => "E_ITS_MOVI_UNMAPPED_INTERRUPT",
            ItsError::MoviUnmappedCollection => "E_ITS_MOVI_UNMAPPED_COLLECTION",
            ItsError::DiscardUnmappedInterrupt => "E_ITS_DISCARD_UNMAPPED_INTERRUPT",
            ItsError::IntUnmappedInterrupt => "E_ITS_INT_UNMAPPED_INTERRUPT",
            ItsError::ClearUnmappedInterrupt => "E_ITS_CLEAR_UNMAPPED_INTERRUPT",
            ItsError::InvUnmappedInterrupt => "E_ITS_INV_UNMAPPED_INTERRUPT",
            ItsError::InvallUnmappedCollection => "E_ITS_INVALL_UNMAPPED_COLLECTION",
        }
    }
}

/// Why a command had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The architecture rejects it.
    Its(ItsError),
    /// INT while the ITS or the target's LPIs are disabled (`-EBUSY`).
    Busy,
    /// No memory (`-ENOMEM`), or the VM has as many mappings as it may have.
    NoMemory,
    /// Guest memory could not be read or written (`-EFAULT`).
    Fault,
}

impl From<ItsError> for CommandError {
    fn from(error: ItsError) -> Self {
        CommandError::Its(error)
    }
}
impl From<NoMemory> for CommandError {
    fn from(NoMemory: NoMemory) -> Self {
        CommandError::NoMemory
    }
}
impl From<Fault> for CommandError {
    fn from(Fault: Fault) -> Self {
        CommandError::Fault
    }
}
impl From<AddError> for CommandError {
    fn from(error: AddError) -> Self {
        match error {
            AddError::NoMemory => CommandError::NoMemory,
            AddError::Fault => CommandError::Fault,
        }
    }
}
