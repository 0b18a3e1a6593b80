//! [`GuestMemory`]: guest physical memory as regions that somebody else owns.
//!
//! The regions are an immutable list that a change replaces, without a lock: a region may have to wait for something
//! (Python's interpreter lock) that a thread holds which is about to map another one, and a child of `fork` may use the
//! memory whatever the parent's threads did with it.

use arc_swap::ArcSwap;
use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use vgic_core::tables::Fault;

/// Guest physical addresses are below this.
pub const ADDRESS_LIMIT: u64 = 1 << 52;

/// What tells its type, for who knows it: Rust 1.85 does not yet turn a `dyn Region` into a `dyn Any`.
pub trait AsAny: Any {
    /// Itself.
    fn as_any(&self) -> &dyn Any;
}

impl<T: Any> AsAny for T {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A piece of guest memory. Offsets are those in the region; accesses are inside it, from any thread at any time.
pub trait Region: AsAny + Send + Sync {
    /// Reads at `offset`. Eight bytes at once if they are aligned in guest memory and the region can.
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Fault>;
    /// Writes at `offset`, likewise.
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Fault>;
}

/// A region with its place.
#[derive(Clone)]
pub struct Mapping {
    /// Guest physical address of its first byte.
    pub address: u64,
    /// Its bytes, at least one.
    pub size: u64,
    /// The memory.
    pub region: Arc<dyn Region>,
}

impl Mapping {
    /// The last byte's address plus one.
    fn end(&self) -> u64 {
        self.address + self.size
    }
}

/// Why a region could not be mapped or unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// It has no bytes.
    Empty,
    /// It ends beyond [`ADDRESS_LIMIT`]; address and size.
    TooHigh(u64, u64),
    /// It overlaps another; address and size of that one.
    Overlap(u64, u64),
    /// No region starts there.
    NotThere(u64),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapError::Empty => write!(f, "a region of guest memory needs at least one byte"),
            MapError::TooHigh(address, size) => {
                write!(f, "address {address:#x}, size {size:#x}: guest memory ends at {ADDRESS_LIMIT:#x}")
            }
            MapError::Overlap(address, size) => {
                write!(f, "guest memory is mapped there already: {size:#x} bytes at {address:#x}")
            }
            MapError::NotThere(address) => write!(f, "no region of guest memory starts at address {address:#x}"),
        }
    }
}

type Regions = Arc<Vec<Mapping>>;

/// Guest memory.
#[derive(Default)]
pub struct GuestMemory {
    /// By address.
    regions: ArcSwap<Vec<Mapping>>,
}

impl GuestMemory {
    /// The regions as they are now, by address.
    pub fn regions(&self) -> Regions {
        self.regions.load_full()
    }

    /// Replaces the list; does it again if another thread has replaced it meanwhile.
    fn change(&self, f: impl Fn(&mut Vec<Mapping>) -> Result<(), MapError>) -> Result<(), MapError> {
        loop {
            let old = self.regions();
            let mut new = old.to_vec();
            f(&mut new)?;
            if Arc::ptr_eq(&self.regions.compare_and_swap(&old, Arc::new(new)), &old) {
                return Ok(());
            }
        }
    }

    /// Adds a region.
    pub fn map(&self, mapping: Mapping) -> Result<(), MapError> {
        let Mapping { address, size, .. } = mapping;
        if size == 0 {
            return Err(MapError::Empty);
        }
        if address.checked_add(size).is_none_or(|end| end > ADDRESS_LIMIT) {
            return Err(MapError::TooHigh(address, size));
        }
        self.change(|regions| {
            let at = first_behind(regions, address);
            match regions.get(at).filter(|other| other.address < mapping.end()) {
                Some(other) => Err(MapError::Overlap(other.address, other.size)),
                None => {
                    regions.insert(at, mapping.clone());
                    Ok(())
                }
            }
        })
    }

    /// Takes away the region that starts at `address`. It lives until the accesses that run now are done.
    pub fn unmap(&self, address: u64) -> Result<(), MapError> {
        self.change(|regions| {
            let found = regions.binary_search_by_key(&address, |mapping| mapping.address);
            regions.remove(found.map_err(|_| MapError::NotThere(address))?);
            Ok(())
        })
    }

    /// Whether all bytes from `address` are backed.
    pub fn contains(&self, address: u64, size: u64) -> bool {
        is_backed(&self.regions(), address, size)
    }

    /// Reads bytes, of several regions if need be.
    pub fn read(&self, address: u64, out: &mut [u8]) -> Result<(), Fault> {
        let regions = self.regions();
        for_each_piece(&regions, address, out.len(), |region, offset, bytes| region.read(offset, &mut out[bytes]))
    }

    /// Writes bytes; none of them if not all are backed. (A region that fails may leave those before it written.)
    pub fn write(&self, address: u64, data: &[u8]) -> Result<(), Fault> {
        let regions = self.regions();
        for_each_piece(&regions, address, data.len(), |region, offset, bytes| region.write(offset, &data[bytes]))
    }

    /// Reads a byte.
    pub fn read_u8(&self, address: u64) -> Result<u8, Fault> {
        let mut byte = [0];
        self.read(address, &mut byte)?;
        Ok(byte[0])
    }

    /// Reads a little-endian word.
    pub fn read_u64(&self, address: u64) -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes a little-endian word.
    pub fn write_u64(&self, address: u64, value: u64) -> Result<(), Fault> {
        self.write(address, &value.to_le_bytes())
    }
}

/// The first region that ends behind `address`.
fn first_behind(regions: &[Mapping], address: u64) -> usize {
    regions.partition_point(|mapping| mapping.end() <= address)
}

fn is_backed(regions: &[Mapping], address: u64, size: u64) -> bool {
    let Some(end) = address.checked_add(size) else { return false };
    let mut backed = address;
    for mapping in &regions[first_behind(regions, address)..] {
        if backed >= end || mapping.address > backed {
            break;
        }
        backed = mapping.end();
    }
    backed >= end
}

/// Calls `f` with each region that an access touches, the offset in it, and which bytes of the access are there.
fn for_each_piece(
    regions: &[Mapping],
    address: u64,
    size: usize,
    mut f: impl FnMut(&dyn Region, u64, Range<usize>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if !is_backed(regions, address, size as u64) {
        return Err(Fault);
    }
    let mut done = 0;
    for mapping in &regions[first_behind(regions, address)..] {
        if done == size {
            break;
        }
        let offset = address + done as u64 - mapping.address;
        let here = (size - done).min((mapping.size - offset) as usize);
        f(&*mapping.region, offset, done..done + here)?;
        done += here;
    }
    Ok(())
}
