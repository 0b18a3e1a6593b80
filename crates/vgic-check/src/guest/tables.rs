//! [`Tables`]: the LPI tables of a guest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vgic_core::irq::FIRST_LPI;
use vgic_core::tables::{Fault, GuestTables, pending_bit};

/// The LPI, counted from 8192, that the tables disable: it is never queued.
pub const DISABLED: u32 = 31;

/// The LPI tables; clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables(Arc<Mutex<Bytes>>);

#[derive(Debug, Default)]
struct Bytes {
    /// Enable bits that the guest has changed.
    enabled: BTreeMap<u32, bool>,
    /// By vCPU and offset.
    pending: BTreeMap<(u32, u32), u8>,
}

impl Tables {
    fn bytes(&self) -> MutexGuard<'_, Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enabled(&self, intid: u32) -> bool {
        self.bytes().enabled.get(&intid).copied().unwrap_or(intid != FIRST_LPI + DISABLED)
    }

    pub(super) fn enable(&self, intid: u32, enabled: bool) {
        self.bytes().enabled.insert(intid, enabled);
    }

    pub(super) fn set_pending(&self, vcpu: u32, intid: u32) {
        let (offset, bit) = pending_bit(intid);
        *self.bytes().pending.entry((vcpu, offset)).or_default() |= bit;
    }
}

impl GuestTables for Tables {
    fn config(&self, intid: u32) -> Result<u8, Fault> {
        Ok(0xa0 | u8::from(self.enabled(intid)))
    }
    fn pending_byte(&self, vcpu: u32, offset: u32) -> Result<u8, Fault> {
        Ok(self.bytes().pending.get(&(vcpu, offset)).copied().unwrap_or(0))
    }
    fn set_pending_byte(&self, vcpu: u32, offset: u32, value: u8) -> Result<(), Fault> {
        self.bytes().pending.insert((vcpu, offset), value);
        Ok(())
    }
}
