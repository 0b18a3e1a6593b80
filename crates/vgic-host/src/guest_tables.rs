//! [`GuestLpiTables`]: LPI and ITS tables in guest memory, where the guest's registers say that they are.
//!
//! The registers' values come from whoever emulates the frames, with reserved bits cleared, and are kept here, where they
//! can be read back. Fields: Arm IHI 0069, 12.11 (`GICR_PROPBASER`, `GICR_PENDBASER`) and 12.19 (`GITS_BASER<n>`).
//!
//! **Who decodes what.** What the engine asks for while it holds its locks is decoded on this side: where a table is, and
//! whether it has an entry for an id. What stands in the entries of the ITS tables, and in the commands, is decoded by the
//! emulator of the frames, once, before the engine is told: it alone sees those bytes, with no lock held, and a command
//! comes over as an operation with its operands ([`Command`](vgic_core::Command)). So nothing here knows what a device
//! table entry, a collection table entry, an interrupt translation table entry or a command looks like; of a level 1 entry
//! only what leads to the page.

use crate::memory::GuestMemory;
use crate::tables::LpiTables;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use vgic_core::irq::{FIRST_LPI, INTID_LIMIT};
use vgic_core::its::commands::DEVICE_BITS;
use vgic_core::tables::{Fault, GuestTables, pending_bit};

/// Bytes of an entry of each table.
const ENTRY_SIZE: u64 = 8;
/// Bytes of a page of an ITS table: the frames offer no other size.
const PAGE_SIZE: u64 = 64 << 10;
/// Entries in a page.
const PAGE_ENTRIES: u64 = PAGE_SIZE / ENTRY_SIZE;
/// DeviceIDs and collection ids are below this.
const ID_LIMIT: u64 = 1 << DEVICE_BITS;
/// `GITS_BASER.Indirect`: two levels.
const INDIRECT: u64 = 1 << 62;
/// Of `GITS_BASER<n>`: the table is there. Of a level 1 entry: the page of level 2 is there.
pub(crate) const VALID: u64 = 1 << 63;

/// The registers, and the memory that they point into.
///
/// A register is written whole and means nothing to other fields, so relaxed accesses do: whoever programs a register
/// and then lets the ITS work is ordered by the ITS's locks.
pub struct GuestLpiTables {
    memory: Arc<GuestMemory>,
    propbaser: AtomicU64,
    pendbaser: Box<[AtomicU64]>,
    baser: Box<[[AtomicU64; 2]]>,
    last_intid: AtomicU32,
}

/// The bits of `value`, where they are.
fn bits(value: u64, range: RangeInclusive<u32>) -> u64 {
    let below = |bit: u32| 1_u64.checked_shl(bit).map_or(u64::MAX, |power| power - 1);
    value & below(range.end() + 1) & !below(*range.start())
}

impl GuestLpiTables {
    /// Registers of zero.
    pub fn new(memory: Arc<GuestMemory>, vcpus: u32, its_count: usize) -> Arc<Self> {
        Arc::new(GuestLpiTables {
            memory,
            propbaser: AtomicU64::new(0),
            pendbaser: (0..vcpus).map(|_| AtomicU64::new(0)).collect(),
            baser: (0..its_count).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect(),
            last_intid: AtomicU32::new(INTID_LIMIT - 1),
        })
    }

    /// Writes `GICR_PROPBASER`, which all redistributors share.
    pub fn set_propbaser(&self, value: u64) {
        self.propbaser.store(value, Ordering::Relaxed);
    }

    /// Writes `GICR_PENDBASER` of a vCPU.
    pub fn set_pendbaser(&self, vcpu: u32, value: u64) {
        self.pendbaser[vcpu as usize].store(value, Ordering::Relaxed);
    }

    /// Writes `GITS_BASER<index>` of an ITS: 0 for the device table, 1 for the collection table.
    pub fn set_baser(&self, its: usize, index: usize, value: u64) {
        self.baser[its][index].store(value, Ordering::Relaxed);
    }

    /// `GICR_PROPBASER` as it was written.
    pub fn propbaser(&self) -> u64 {
        self.propbaser.load(Ordering::Relaxed)
    }

    /// `GICR_PENDBASER` of a vCPU as it was written.
    pub fn pendbaser(&self, vcpu: u32) -> u64 {
        self.pendbaser[vcpu as usize].load(Ordering::Relaxed)
    }

    /// `GITS_BASER<index>` of an ITS as it was written.
    pub fn baser(&self, its: usize, index: usize) -> u64 {
        self.baser[its][index].load(Ordering::Relaxed)
    }

    /// An LPI of this INTID is to be restored.
    pub(crate) fn expect_intid(&self, intid: u32) {
        // Before the LPI is there: who walks the LPIs and sees it took a lock after it was stored.
        self.last_intid.fetch_max(intid, Ordering::Relaxed);
    }

    fn config_address(&self, intid: u32) -> Result<u64, Fault> {
        let index = intid.checked_sub(FIRST_LPI).ok_or(Fault)?;
        Ok(bits(self.propbaser(), 12..=51) + u64::from(index))
    }

    fn pending_address(&self, vcpu: u32, offset: u32) -> Result<u64, Fault> {
        let register = self.pendbaser.get(vcpu as usize).ok_or(Fault)?;
        Ok(bits(register.load(Ordering::Relaxed), 16..=51) + u64::from(offset))
    }

    /// Where the entry for `id` is in an ITS table, if the table has one that memory backs.
    pub fn table_entry(&self, its: usize, index: usize, id: u32) -> Option<u64> {
        let baser = self.baser.get(its)?[index].load(Ordering::Relaxed);
        let id = u64::from(id);
        let entry = self.entry_address(baser, id).filter(|_| id < ID_LIMIT)?;
        self.memory.contains(entry, ENTRY_SIZE).then_some(entry)
    }

    /// Clears a device's entry in the device table.
    pub(crate) fn clear_device(&self, its: usize, device_id: u32) -> Result<(), Fault> {
        self.memory.write(self.table_entry(its, 0, device_id).ok_or(Fault)?, &[0; ENTRY_SIZE as usize])
    }

    /// Clears an event's entry in an interrupt translation table.
    pub(crate) fn clear_event(&self, itt: u64, event_id: u32) -> Result<(), Fault> {
        self.memory.write(itt + u64::from(event_id) * ENTRY_SIZE, &[0; ENTRY_SIZE as usize])
    }

    fn entry_address(&self, baser: u64, id: u64) -> Option<u64> {
        // With pages of 64 KiB, address bits 51:48 are in 15:12.
        let address = bits(baser, 16..=47) | bits(baser, 12..=15) << 36;
        let entries = (bits(baser, 0..=7) + 1) * PAGE_ENTRIES;
        if baser & INDIRECT == 0 {
            return (id < entries).then_some(address + id * ENTRY_SIZE);
        }
        let level1 = id / PAGE_ENTRIES;
        if level1 >= entries {
            return None;
        }
        let pointer = self.memory.read_u64(address + level1 * ENTRY_SIZE).ok().filter(|entry| entry & VALID != 0)?;
        Some(bits(pointer, 16..=51) + id % PAGE_ENTRIES * ENTRY_SIZE)
    }
}

impl GuestTables for GuestLpiTables {
    fn config(&self, intid: u32) -> Result<u8, Fault> {
        self.memory.read_u8(self.config_address(intid)?)
    }

    fn pending_byte(&self, vcpu: u32, offset: u32) -> Result<u8, Fault> {
        self.memory.read_u8(self.pending_address(vcpu, offset)?)
    }

    fn set_pending_byte(&self, vcpu: u32, offset: u32, value: u8) -> Result<(), Fault> {
        self.memory.write(self.pending_address(vcpu, offset)?, &[value])
    }

    fn intid_limit(&self) -> u32 {
        1 << (bits(self.propbaser(), 0..=4) + 1).min(16)
    }

    fn last_intid(&self) -> u32 {
        self.last_intid.load(Ordering::Relaxed)
    }

    fn device_id_valid(&self, its: usize, device_id: u32) -> bool {
        self.table_entry(its, 0, device_id).is_some()
    }

    fn collection_id_valid(&self, its: usize, collection_id: u32) -> bool {
        self.table_entry(its, 1, collection_id).is_some()
    }

    fn event_id_valid(&self, itt_addr: u64, event_id: u32) -> bool {
        let entry = itt_addr.checked_add(u64::from(event_id) * ENTRY_SIZE);
        entry.is_some_and(|entry| self.memory.contains(entry, ENTRY_SIZE))
    }
}

impl LpiTables for GuestLpiTables {
    fn write_config(&self, intid: u32, byte: u8) -> Result<(), Fault> {
        self.memory.write(self.config_address(intid)?, &[byte])
    }

    fn read_config(&self, intid: u32) -> Result<u8, Fault> {
        self.config(intid)
    }

    /// Not in one step, as for a guest: a bit of the same byte that changes meanwhile may be lost.
    fn write_pending(&self, vcpu: u32, intid: u32, pending: bool) -> Result<(), Fault> {
        let (offset, bit) = pending_bit(intid);
        let byte = self.pending_byte(vcpu, offset)?;
        self.set_pending_byte(vcpu, offset, if pending { byte | bit } else { byte & !bit })
    }

    fn read_pending(&self, vcpu: u32, intid: u32) -> Result<bool, Fault> {
        let (offset, bit) = pending_bit(intid);
        Ok(self.pending_byte(vcpu, offset)? & bit != 0)
    }
}
