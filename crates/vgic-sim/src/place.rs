//! [`Places`]: where objects lie, so that fields share lines as the kernel's do.
//!
//! An allocator as `kmalloc`: size classes, each core fills pages of its own, what was freed last is used first. The size of
//! a class is learnt with its first object, which lies alone; so no address depends on the host.

use crate::memory::LineId;
use std::collections::BTreeMap;

/// Size of a line.
pub(crate) const LINE: u64 = 64;

const PAGE: u64 = 4096;

/// Sizes that `kmalloc` has; above, whole pages.
const CLASSES: [u64; 13] = [8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192];

/// Size and alignment of a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) size: u64,
    pub(crate) aligned: bool,
}

/// What one core has of one size class: the rest of a page, and what was freed.
#[derive(Debug, Default)]
struct Slab {
    next: u64,
    end: u64,
    free: Vec<u64>,
}

/// Where everything lies.
#[derive(Debug, Default)]
pub(crate) struct Places {
    top: u64,
    shapes: BTreeMap<&'static str, Shape>,
    slabs: BTreeMap<(u32, u64), Slab>,
}

/// Nodes of an XArray have pages of their own (`radix_tree_node_cache`).
const OWN_PAGES: &str = "xa_node";

fn size_of(class: &str, shape: Shape) -> u64 {
    if class == OWN_PAGES {
        return shape.size.next_multiple_of(LINE);
    }
    let fits = |class: &u64| *class >= shape.size && (!shape.aligned || class % LINE == 0);
    CLASSES.iter().copied().find(fits).unwrap_or_else(|| shape.size.next_multiple_of(PAGE))
}

impl Places {
    /// An address for an object of a type.
    pub(crate) fn allocate(&mut self, core: u32, class: &'static str) -> u64 {
        let Some(shape) = self.shapes.get(class).copied() else { return self.alone() };
        let size = size_of(class, shape);
        let slab = self.slabs.entry((core, size)).or_default();
        if let Some(address) = slab.free.pop() {
            return address;
        }
        if slab.next + size > slab.end {
            let length = size.max(PAGE);
            let page = self.top;
            self.top += length;
            let slab = self.slabs.entry((core, size)).or_default();
            (slab.next, slab.end) = (page, page + length);
        }
        let slab = self.slabs.entry((core, size)).or_default();
        slab.next += size;
        slab.next - size
    }

    /// What an object of the type turned out to take.
    pub(crate) fn learn(&mut self, class: &'static str, shape: Shape) {
        self.shapes.entry(class).or_insert(shape);
    }

    /// An object is gone.
    pub(crate) fn free(&mut self, core: u32, class: &'static str, address: u64) {
        if let Some(shape) = self.shapes.get(class) {
            self.slabs.entry((core, size_of(class, *shape))).or_default().free.push(address);
        }
    }

    /// Room for what lives alone, or as long as the VM: more than any object takes.
    pub(crate) fn alone(&mut self) -> u64 {
        let address = self.top.max(LINE);
        self.top = address + 2 * PAGE;
        address
    }
}

/// Where fields lie that a design does not have.
pub(crate) const NOWHERE: u64 = 0;

/// The line of an address.
pub(crate) fn line_of(address: u64) -> LineId {
    (address / LINE) as LineId
}

#[cfg(test)]
mod tests;
