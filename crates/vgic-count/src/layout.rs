//! [`CountLayout`]: makes the fields of one object, each with its name.

use crate::Count;
use crate::atomics::{AtomicPtr, AtomicU32, AtomicU64, Cell, PtrCell};
use crate::field::Object;
use crate::locks::{Mutex, Parker, RwLock, SpinLock};
use std::sync::Arc;
use vgic_core::platform::{Layout, Plain};

/// Maker of the fields of one object.
#[derive(Debug)]
pub struct CountLayout(pub(crate) Arc<Object>);

impl CountLayout {
    pub(crate) fn new(class: &'static str) -> Self {
        CountLayout(Object::new(class))
    }
}

impl Layout<Count> for CountLayout {
    fn u32(&self, name: &'static str, value: u32) -> AtomicU32 {
        AtomicU32::new(self.0.field(name), value)
    }
    fn u64(&self, name: &'static str, value: u64) -> AtomicU64 {
        AtomicU64::new(self.0.field(name), value)
    }
    fn ptr<T: 'static>(&self, name: &'static str) -> AtomicPtr<T> {
        AtomicPtr::new(self.0.field(name))
    }
    fn cell<T: Plain>(&self, name: &'static str, value: T) -> Cell<T> {
        Cell::new(self.0.field(name), value)
    }
    fn ptr_cell<T: 'static>(&self, name: &'static str) -> PtrCell<T> {
        PtrCell::new(self.0.field(name))
    }
    fn spin(&self, name: &'static str, rank: u8) -> SpinLock {
        SpinLock::new(self.0.field(name), rank)
    }
    fn mutex(&self, name: &'static str, rank: u8) -> Mutex {
        Mutex::new(self.0.field(name), rank)
    }
    fn rwlock(&self, name: &'static str, rank: u8) -> RwLock {
        RwLock::new(self.0.field(name), rank)
    }
    fn parker(&self, name: &'static str) -> Parker {
        Parker::new(self.0.field(name))
    }
    fn line(&self) {}
    fn skip(&self, _bytes: usize) {}
}
