//! [`Tables`]: guest memory for tests and examples.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vgic_core::tables::{Fault, GuestTables};

/// Configuration of every LPI that nobody has configured otherwise: enabled, priority 0xa0.
const ENABLED: u8 = 0xa1;

#[derive(Debug, Default)]
struct Memory {
    configs: BTreeMap<u32, u8>,
    pending: BTreeMap<(u32, u32), u8>,
    accesses: u64,
    faulting: Option<u64>,
}

/// The LPI tables of a guest. Copies share them.
#[derive(Clone, Debug, Default)]
pub struct Tables(Arc<Mutex<Memory>>);

impl Tables {
    /// Tables with every LPI enabled and none pending.
    pub fn new() -> Self {
        Self::default()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One access by the engine.
    fn access(&self) -> Result<MutexGuard<'_, Memory>, Fault> {
        let mut memory = self.memory();
        memory.accesses += 1;
        match memory.faulting == Some(memory.accesses - 1) {
            true => Err(Fault),
            false => Ok(memory),
        }
    }

    /// Writes a configuration byte, as the guest would.
    pub fn configure(&self, intid: u32, byte: u8) {
        self.memory().configs.insert(intid, byte);
    }

    /// Sets a byte of a pending table, as the guest would.
    pub fn set_pending(&self, vcpu: u32, offset: u32, byte: u8) {
        self.memory().pending.insert((vcpu, offset), byte);
    }

    /// A byte of a pending table, as the guest would read it.
    pub fn pending(&self, vcpu: u32, offset: u32) -> u8 {
        let memory = self.memory();
        memory.pending.get(&(vcpu, offset)).copied().unwrap_or(0)
    }

    /// How often the engine has accessed the tables.
    pub fn accesses(&self) -> u64 {
        self.memory().accesses
    }

    /// Makes one access fail: the first from now on if `after` is 0.
    pub fn fail_access(&self, after: u64) {
        let mut memory = self.memory();
        memory.faulting = Some(memory.accesses + after);
    }
}

impl GuestTables for Tables {
    fn config(&self, intid: u32) -> Result<u8, Fault> {
        let memory = self.access()?;
        Ok(memory.configs.get(&intid).copied().unwrap_or(ENABLED))
    }

    fn pending_byte(&self, vcpu: u32, offset: u32) -> Result<u8, Fault> {
        let memory = self.access()?;
        Ok(memory.pending.get(&(vcpu, offset)).copied().unwrap_or(0))
    }

    fn set_pending_byte(&self, vcpu: u32, offset: u32, value: u8) -> Result<(), Fault> {
        self.access()?.pending.insert((vcpu, offset), value);
        Ok(())
    }
}
