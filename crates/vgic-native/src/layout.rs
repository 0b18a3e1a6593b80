//! [`NativeLayout`]: makes fields; it has no state, and names matter only to the lock order of debug builds.

use crate::Native;
use crate::atomics::{AtomicPtr, AtomicU32, AtomicU64, Cell, PtrCell};
use crate::lock_order::LockClass;
use crate::locks::{Lock, RwLock};
use crate::parker::Parker;
use core::marker::PhantomData;
use core::ptr::null_mut;
use core::sync::atomic;
use vgic_core::platform::{Layout, Plain};

/// Maker of fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeLayout;

impl Layout<Native> for NativeLayout {
    #[inline(always)]
    fn u32(&self, _: &'static str, value: u32) -> AtomicU32 {
        AtomicU32(atomic::AtomicU32::new(value))
    }
    #[inline(always)]
    fn u64(&self, _: &'static str, value: u64) -> AtomicU64 {
        AtomicU64(atomic::AtomicU64::new(value))
    }
    #[inline(always)]
    fn ptr<T: 'static>(&self, _: &'static str) -> AtomicPtr<T> {
        AtomicPtr(atomic::AtomicPtr::new(null_mut()))
    }
    #[inline(always)]
    fn cell<T: Plain>(&self, _: &'static str, value: T) -> Cell<T> {
        Cell(atomic::AtomicU64::new(value.to_bits()), PhantomData)
    }
    #[inline(always)]
    fn ptr_cell<T: 'static>(&self, _: &'static str) -> PtrCell<T> {
        PtrCell(atomic::AtomicPtr::new(null_mut()))
    }
    #[inline(always)]
    fn spin(&self, name: &'static str, rank: u8) -> Lock {
        Lock::new(LockClass::new(name, rank))
    }
    #[inline(always)]
    fn mutex(&self, name: &'static str, rank: u8) -> Lock {
        Lock::new(LockClass::new(name, rank))
    }
    #[inline(always)]
    fn rwlock(&self, name: &'static str, rank: u8) -> RwLock {
        RwLock::new(LockClass::new(name, rank))
    }
    #[inline(always)]
    fn parker(&self, _: &'static str) -> Parker {
        Parker::new()
    }
    #[inline(always)]
    fn line(&self) {}
    #[inline(always)]
    fn skip(&self, _: usize) {}
}
