//! LPI tables: the owner's side of them, and those in host memory, for a VM without guest memory of its own.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use vgic_core::irq::{FIRST_LPI, INTID_LIMIT};
use vgic_core::tables::{Fault, GuestTables, pending_bit};

/// Priority 0xa0, enabled: what Linux writes for an LPI in use.
pub const DEFAULT_CONFIG: u8 = 0xa1;

/// The LPI tables as the VM's owner reads and writes them, in the guest's place.
pub trait LpiTables {
    /// Writes an LPI's configuration byte.
    fn write_config(&self, intid: u32, byte: u8) -> Result<(), Fault>;
    /// Reads an LPI's configuration byte.
    fn read_config(&self, intid: u32) -> Result<u8, Fault>;
    /// Writes an LPI's bit in a pending table.
    fn write_pending(&self, vcpu: u32, intid: u32, pending: bool) -> Result<(), Fault>;
    /// Reads an LPI's bit in a pending table.
    fn read_pending(&self, vcpu: u32, intid: u32) -> Result<bool, Fault>;
}

const PENDING_BYTES: usize = INTID_LIMIT as usize / 8;

/// The LPI configuration table and a pending table for each vCPU. All bytes may be read and written at any time.
pub struct FlatTables {
    config: Box<[AtomicU8]>,
    pending: Box<[OnceLock<Box<[AtomicU8]>>]>,
}

fn bytes(count: usize, value: u8) -> Box<[AtomicU8]> {
    (0..count).map(|_| AtomicU8::new(value)).collect()
}

impl FlatTables {
    /// Tables for `vcpus` vCPUs: every LPI enabled at priority 0xa0, none pending.
    pub fn new(vcpus: u32) -> Arc<Self> {
        Arc::new(FlatTables {
            config: bytes((INTID_LIMIT - FIRST_LPI) as usize, DEFAULT_CONFIG),
            pending: (0..vcpus).map(|_| OnceLock::new()).collect(),
        })
    }

    fn config_byte(&self, intid: u32) -> Result<&AtomicU8, Fault> {
        intid.checked_sub(FIRST_LPI).and_then(|index| self.config.get(index as usize)).ok_or(Fault)
    }

    fn pending_table(&self, vcpu: u32, offset: u32) -> Result<&AtomicU8, Fault> {
        let table = self.pending.get(vcpu as usize).ok_or(Fault)?;
        table.get_or_init(|| bytes(PENDING_BYTES, 0)).get(offset as usize).ok_or(Fault)
    }
}

impl LpiTables for FlatTables {
    fn write_config(&self, intid: u32, byte: u8) -> Result<(), Fault> {
        self.config_byte(intid)?.store(byte, Ordering::Relaxed);
        Ok(())
    }

    fn read_config(&self, intid: u32) -> Result<u8, Fault> {
        Ok(self.config_byte(intid)?.load(Ordering::Relaxed))
    }

    fn write_pending(&self, vcpu: u32, intid: u32, pending: bool) -> Result<(), Fault> {
        let (offset, bit) = pending_bit(intid);
        let byte = self.pending_table(vcpu, offset)?;
        if pending {
            byte.fetch_or(bit, Ordering::Relaxed);
        } else {
            byte.fetch_and(!bit, Ordering::Relaxed);
        }
        Ok(())
    }

    fn read_pending(&self, vcpu: u32, intid: u32) -> Result<bool, Fault> {
        let (offset, bit) = pending_bit(intid);
        Ok(self.pending_table(vcpu, offset)?.load(Ordering::Relaxed) & bit != 0)
    }
}

impl GuestTables for FlatTables {
    fn config(&self, intid: u32) -> Result<u8, Fault> {
        self.read_config(intid)
    }

    fn pending_byte(&self, vcpu: u32, offset: u32) -> Result<u8, Fault> {
        Ok(self.pending_table(vcpu, offset)?.load(Ordering::Relaxed))
    }

    fn set_pending_byte(&self, vcpu: u32, offset: u32, value: u8) -> Result<(), Fault> {
        self.pending_table(vcpu, offset)?.store(value, Ordering::Relaxed);
        Ok(())
    }
}

/// The handle that a VM holds, of tables that its owner has a handle of as well.
pub struct Shared<T>(pub Arc<T>);

impl<T: GuestTables> GuestTables for Shared<T> {
    fn config(&self, intid: u32) -> Result<u8, Fault> {
        self.0.config(intid)
    }

    fn pending_byte(&self, vcpu: u32, offset: u32) -> Result<u8, Fault> {
        self.0.pending_byte(vcpu, offset)
    }

    fn set_pending_byte(&self, vcpu: u32, offset: u32, value: u8) -> Result<(), Fault> {
        self.0.set_pending_byte(vcpu, offset, value)
    }

    fn intid_limit(&self) -> u32 {
        self.0.intid_limit()
    }

    fn last_intid(&self) -> u32 {
        self.0.last_intid()
    }

    fn device_id_valid(&self, its: usize, device_id: u32) -> bool {
        self.0.device_id_valid(its, device_id)
    }

    fn collection_id_valid(&self, its: usize, collection_id: u32) -> bool {
        self.0.collection_id_valid(its, collection_id)
    }

    fn event_id_valid(&self, itt_addr: u64, event_id: u32) -> bool {
        self.0.event_id_valid(itt_addr, event_id)
    }
}
