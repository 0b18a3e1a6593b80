//! [`SimLayout`]: gives each field of an object its address.

use crate::Sim;
use crate::atomics::{AtomicPtr, AtomicU32, AtomicU64, Cell, PtrCell};
use crate::field::Field;
use crate::locks::{Parker, RwLock, SpinLock};
use crate::mutex::Mutex;
use crate::place::{LINE, Shape, line_of};
use crate::world::World;
use core::cell::Cell as StdCell;
use std::rc::Rc;
use vgic_core::platform::{Layout, Plain};

/// Maker of the fields of one object.
pub struct SimLayout {
    world: Rc<World>,
    class: &'static str,
    base: u64,
    offset: StdCell<u64>,
    aligned: StdCell<bool>,
}

impl SimLayout {
    pub(crate) fn new(world: Rc<World>, class: &'static str, base: u64) -> Self {
        SimLayout { world, class, base, offset: StdCell::new(0), aligned: StdCell::new(false) }
    }

    /// What the object takes.
    pub(crate) fn shape(&self) -> Shape {
        Shape { size: self.offset.get().next_multiple_of(8).max(8), aligned: self.aligned.get() }
    }

    /// The next field, of so many bytes, which it is aligned to.
    fn field(&self, name: &'static str, size: u64) -> Field {
        let offset = self.offset.get().next_multiple_of(size.min(8));
        self.offset.set(offset + size);
        let line = line_of(self.base + offset);
        self.world.know_line(line);
        // By the place in the object; the first line of one that is not aligned begins before it.
        let (kind, free) = self.world.tally.borrow_mut().field(self.class, name, offset / LINE);
        Field { line, kind, free }
    }
}

impl Layout<Sim> for SimLayout {
    fn u32(&self, name: &'static str, value: u32) -> AtomicU32 {
        AtomicU32::new(self.field(name, 4), value)
    }
    fn u64(&self, name: &'static str, value: u64) -> AtomicU64 {
        AtomicU64::new(self.field(name, 8), value)
    }
    fn ptr<T: 'static>(&self, name: &'static str) -> AtomicPtr<T> {
        AtomicPtr::new(self.field(name, 8))
    }
    fn cell<T: Plain>(&self, name: &'static str, value: T) -> Cell<T> {
        Cell::new(self.field(name, size_of::<T>() as u64), value)
    }
    fn ptr_cell<T: 'static>(&self, name: &'static str) -> PtrCell<T> {
        PtrCell::new(self.field(name, 8))
    }
    fn spin(&self, name: &'static str, _rank: u8) -> SpinLock {
        SpinLock::new(&self.world, self.field(name, 4), name)
    }
    fn mutex(&self, name: &'static str, _rank: u8) -> Mutex {
        let mutex = Mutex::new(&self.world, self.field(name, 8), name);
        // The rest of a struct mutex: wait_lock, osq, wait_list.
        self.skip(24);
        mutex
    }
    fn rwlock(&self, name: &'static str, _rank: u8) -> RwLock {
        RwLock::new(&self.world, self.field(name, 8), name)
    }
    fn parker(&self, name: &'static str) -> Parker {
        Parker::new(self.field(name, 8))
    }
    fn line(&self) {
        self.aligned.set(true);
        self.offset.set(self.offset.get().next_multiple_of(LINE));
    }
    fn skip(&self, bytes: usize) {
        self.offset.set(self.offset.get() + bytes as u64);
    }
}
