//! Locks and parkers: loom's own, so that who waits is not a place to explore.
//!
//! Interrupts and the order of locks are no matter of weak memory: the checker on shuttle looks after them.

use super::Ctx;
use super::object::{Field, TakesTurns};
use core::cell::RefCell;
use core::mem::ManuallyDrop;
use loom::sync::{self as real, MutexGuard, Notify, RwLockReadGuard, RwLockWriteGuard};
use vgic_core::platform::{Parker as PlatformParker, RawLock, RawRwLock};

/// Guards that are out, since lock and unlock are two calls. Not dropped with the lock: a guard belongs to its execution.
type Guards<G> = TakesTurns<RefCell<Vec<ManuallyDrop<G>>>>;

fn keep<G>(guards: &Guards<G>, guard: G) {
    guards.0.borrow_mut().push(ManuallyDrop::new(guard));
}

fn give_back<G>(guards: &Guards<G>) {
    let guard = guards.0.borrow_mut().pop().expect("only a holder releases");
    drop(ManuallyDrop::into_inner(guard));
}

/// A spin lock or a mutex.
#[derive(Debug)]
pub struct Lock {
    field: Field,
    real: real::Mutex<()>,
    guards: Guards<MutexGuard<'static, ()>>,
}

impl Lock {
    #[inline(never)]
    pub(crate) fn new(field: Field) -> Self {
        Lock { field, real: real::Mutex::new(()), guards: Guards::default() }
    }
}

impl RawLock<Ctx> for Lock {
    #[inline(never)]
    fn lock(&self, ctx: &Ctx, _irqs_off: bool) {
        if !self.field.touch(ctx, "takes") {
            return;
        }
        let guard = self.real.lock().expect("no guard was dropped in a panic");
        // SAFETY: M-04: the guard is kept beside the lock that it borrows, and never used or dropped without it.
        let guard = unsafe { core::mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard) };
        keep(&self.guards, guard);
        self.field.done(ctx, "has", 0);
    }
    fn lock_nested(&self, ctx: &Ctx) {
        self.lock(ctx, true);
    }
    #[inline(never)]
    fn unlock(&self, ctx: &Ctx) {
        if self.field.touch(ctx, "releases") {
            give_back(&self.guards);
        }
    }
}

/// A reader-writer lock.
#[derive(Debug)]
pub struct RwLock {
    field: Field,
    real: real::RwLock<()>,
    reads: Guards<RwLockReadGuard<'static, ()>>,
    writes: Guards<RwLockWriteGuard<'static, ()>>,
}

impl RwLock {
    pub(crate) fn new(field: Field) -> Self {
        RwLock { field, real: real::RwLock::new(()), reads: Guards::default(), writes: Guards::default() }
    }
}

impl RawRwLock<Ctx> for RwLock {
    #[inline(never)]
    fn read_lock(&self, ctx: &Ctx, _irqs_off: bool) {
        if !self.field.touch(ctx, "takes") {
            return;
        }
        let guard = self.real.read().expect("no guard was dropped in a panic");
        // SAFETY: M-04: as in `Lock::lock`.
        let guard = unsafe { core::mem::transmute::<RwLockReadGuard<'_, ()>, RwLockReadGuard<'static, ()>>(guard) };
        keep(&self.reads, guard);
    }
    #[inline(never)]
    fn read_unlock(&self, ctx: &Ctx) {
        if self.field.touch(ctx, "releases") {
            give_back(&self.reads);
        }
    }
    #[inline(never)]
    fn write_lock(&self, ctx: &Ctx, _irqs_off: bool) {
        if !self.field.touch(ctx, "takes") {
            return;
        }
        let guard = self.real.write().expect("no guard was dropped in a panic");
        // SAFETY: M-04: as in `Lock::lock`.
        let guard = unsafe { core::mem::transmute::<RwLockWriteGuard<'_, ()>, RwLockWriteGuard<'static, ()>>(guard) };
        keep(&self.writes, guard);
    }
    #[inline(never)]
    fn write_unlock(&self, ctx: &Ctx) {
        if self.field.touch(ctx, "releases") {
            give_back(&self.writes);
        }
    }
}

/// A place to sleep. Wakes up for no reason once in a while, as it may.
#[derive(Debug)]
pub struct Parker {
    field: Field,
    real: Notify,
}

impl Parker {
    pub(crate) fn new(field: Field) -> Self {
        Parker { field, real: Notify::new() }
    }
}

impl PlatformParker<Ctx> for Parker {
    #[inline(never)]
    fn park(&self, ctx: &Ctx) {
        if self.field.touch(ctx, "parks at") {
            self.real.wait();
            self.field.done(ctx, "is up from", 0);
        }
    }
    #[inline(never)]
    fn unpark(&self, ctx: &Ctx) {
        if self.field.touch(ctx, "unparks") {
            self.real.notify();
        }
    }
}
