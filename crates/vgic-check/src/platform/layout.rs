//! [`ShuttleLayout`]: makes the fields of one object, each with its name and its place.

use super::Shuttle;
use super::atomics::{AtomicPtr, AtomicU32, AtomicU64, Cell, PtrCell};
use super::field::{Field, Object};
use super::locks::{Mutex, Parker, RwLock, SpinLock};
use core::cell::RefCell;
use std::sync::Arc;
use vgic_core::platform::{Layout, Plain};

/// Maker of the fields of one object.
#[derive(Debug)]
pub struct ShuttleLayout {
    object: Arc<Object>,
    names: RefCell<Vec<(&'static str, u16)>>,
    count: core::cell::Cell<u16>,
}

impl ShuttleLayout {
    pub(crate) fn new(object: Arc<Object>) -> Self {
        ShuttleLayout { object, names: RefCell::new(Vec::new()), count: core::cell::Cell::new(0) }
    }

    fn field(&self, name: &'static str) -> Field {
        let ordinal = self.count.replace(self.count.get() + 1);
        let mut names = self.names.borrow_mut();
        let occurrence = match names.last_mut() {
            // Fields of one name are made one after the other.
            Some((last, count)) if *last == name => {
                if *count == 1 {
                    self.object.arrays.update(|arrays| arrays.push(name));
                }
                *count += 1;
                *count - 1
            }
            _ => {
                names.push((name, 1));
                0
            }
        };
        Field { object: Arc::clone(&self.object), name, ordinal, occurrence }
    }
}

impl Layout<Shuttle> for ShuttleLayout {
    fn u32(&self, name: &'static str, value: u32) -> AtomicU32 {
        AtomicU32::new(self.field(name), value)
    }
    fn u64(&self, name: &'static str, value: u64) -> AtomicU64 {
        AtomicU64::new(self.field(name), value)
    }
    fn ptr<T: 'static>(&self, name: &'static str) -> AtomicPtr<T> {
        AtomicPtr::new(self.field(name))
    }
    fn cell<T: Plain>(&self, name: &'static str, value: T) -> Cell<T> {
        if name == "intid" {
            self.object.intid.set(Some(value.to_bits()));
        }
        Cell::new(self.field(name), value)
    }
    fn ptr_cell<T: 'static>(&self, name: &'static str) -> PtrCell<T> {
        PtrCell::new(self.field(name))
    }
    fn spin(&self, name: &'static str, rank: u8) -> SpinLock {
        SpinLock::new(self.field(name), rank)
    }
    fn mutex(&self, name: &'static str, rank: u8) -> Mutex {
        Mutex::new(self.field(name), rank)
    }
    fn rwlock(&self, name: &'static str, rank: u8) -> RwLock {
        RwLock::new(self.field(name), rank)
    }
    fn parker(&self, name: &'static str) -> Parker {
        Parker::new(self.field(name))
    }
    fn line(&self) {}
    fn skip(&self, _bytes: usize) {}
}
