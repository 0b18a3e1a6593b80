//! [`GuestTables`]: what the engine reads and writes in guest memory, through a callback.

use crate::irq::INTID_LIMIT;

/// The guest's memory could not be reached (`-EFAULT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// Where an LPI's bit is in a pending table: the byte's offset, and the bit in it.
pub const fn pending_bit(intid: u32) -> (u32, u8) {
    (intid / 8, 1 << (intid % 8))
}

/// The LPI tables of a VM (Arm IHI 0069, 5.1: "LPI Configuration tables", "LPI Pending tables") and the bounds of the
/// ITS tables: what is mapped has a place to be saved to (`vgic_its_check_id`, `vgic_its_check_event_id`). Calls may
/// sleep; the engine holds no spin lock and no RCU section around them.
pub trait GuestTables: Send + Sync {
    /// The configuration byte of an LPI: priority in bits 7:2, enable in bit 0 (`GICR_PROPBASER` + INTID - 8192).
    fn config(&self, intid: u32) -> Result<u8, Fault>;

    /// Byte `offset` of the pending table of `vcpu`; [`pending_bit`] tells where in it an LPI's bit is.
    fn pending_byte(&self, vcpu: u32, offset: u32) -> Result<u8, Fault>;

    /// Writes a byte of the pending table of `vcpu`.
    fn set_pending_byte(&self, vcpu: u32, offset: u32, value: u8) -> Result<(), Fault>;

    /// INTIDs are below this: `1 << (GICR_PROPBASER.IDbits + 1)`, at most 65536.
    fn intid_limit(&self) -> u32 {
        1 << 16
    }

    /// The largest INTID that an LPI has: what a restore maps is not held to [`GuestTables::intid_limit`].
    fn last_intid(&self) -> u32 {
        INTID_LIMIT - 1
    }

    /// Whether the device table of ITS `its` has an entry for this DeviceID that is backed by memory.
    fn device_id_valid(&self, its: usize, device_id: u32) -> bool {
        let _ = its;
        device_id < 1 << 16
    }

    /// Whether the collection table of ITS `its` has an entry for this collection.
    fn collection_id_valid(&self, its: usize, collection_id: u32) -> bool {
        let _ = its;
        collection_id < 1 << 16
    }

    /// Whether the interrupt translation table at `itt_addr` has an entry for this EventID that is backed by memory.
    fn event_id_valid(&self, itt_addr: u64, event_id: u32) -> bool {
        let _ = (itt_addr, event_id);
        true
    }
}
