//! [`LoomLayout`]: makes the fields of one object, each with its name.

use super::Loom;
use super::atomics::{AtomicPtr, AtomicU32, AtomicU64};
use super::cells::{Cell, PtrCell};
use super::locks::{Lock, Parker, RwLock};
use super::object::{Field, Object};
use std::sync::Arc;
use vgic_core::platform::{Layout, Plain};

/// Maker of the fields of one object.
#[derive(Debug)]
pub struct LoomLayout(Arc<Object>);

impl LoomLayout {
    pub(crate) fn new(object: &Arc<Object>) -> Self {
        LoomLayout(Arc::clone(object))
    }

    fn field(&self, name: &'static str) -> Field {
        Field { object: Arc::clone(&self.0), name }
    }
}

impl Layout<Loom> for LoomLayout {
    fn u32(&self, name: &'static str, value: u32) -> AtomicU32 {
        AtomicU32::new(self.field(name), value)
    }
    fn u64(&self, name: &'static str, value: u64) -> AtomicU64 {
        AtomicU64::new(self.field(name), value)
    }
    fn ptr<T: 'static>(&self, name: &'static str) -> AtomicPtr<T> {
        AtomicPtr::new(self.field(name), core::ptr::null_mut())
    }
    fn cell<T: Plain>(&self, name: &'static str, value: T) -> Cell<T> {
        Cell::new(self.field(name), value)
    }
    fn ptr_cell<T: 'static>(&self, name: &'static str) -> PtrCell<T> {
        PtrCell::new(self.field(name))
    }
    fn spin(&self, name: &'static str, _rank: u8) -> Lock {
        Lock::new(self.field(name))
    }
    fn mutex(&self, name: &'static str, _rank: u8) -> Lock {
        Lock::new(self.field(name))
    }
    fn rwlock(&self, name: &'static str, _rank: u8) -> RwLock {
        RwLock::new(self.field(name))
    }
    fn parker(&self, name: &'static str) -> Parker {
        Parker::new(self.field(name))
    }
    fn line(&self) {}
    fn skip(&self, _bytes: usize) {}
}
