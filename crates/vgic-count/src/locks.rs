//! Locks: nobody else runs, so taking one only checks that it may be taken now, and notes it.

use crate::ctx::CountCtx;
use crate::field::Field;
use crate::step::Kind;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use vgic_core::platform::{Parker as PlatformParker, RawLock, RawRwLock};

/// What the checks know of a lock.
#[derive(Clone, Debug)]
pub(crate) struct LockField {
    pub(crate) field: Field,
    pub(crate) rank: u8,
    /// Whether who waits for it sleeps.
    pub(crate) sleeps: bool,
}

macro_rules! lock {
    ($(#[$doc:meta])* $name:ident, $sleeps:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(LockField);

        impl $name {
            pub(crate) fn new(field: Field, rank: u8) -> Self {
                $name(LockField { field, rank, sleeps: $sleeps })
            }
        }

        impl RawLock<CountCtx> for $name {
            fn lock(&self, ctx: &CountCtx, irqs_off: bool) {
                ctx.take(&self.0, Kind::Lock, irqs_off, false);
            }
            fn lock_nested(&self, ctx: &CountCtx) {
                ctx.take(&self.0, Kind::Lock, false, true);
            }
            fn unlock(&self, ctx: &CountCtx) {
                ctx.release(&self.0, Kind::Unlock);
            }
        }
    };
}

lock!(
    /// A spin lock.
    SpinLock, false
);
lock!(
    /// A mutex.
    Mutex, true
);

/// A reader-writer lock.
#[derive(Debug)]
pub struct RwLock(LockField);

impl RwLock {
    pub(crate) fn new(field: Field, rank: u8) -> Self {
        RwLock(LockField { field, rank, sleeps: false })
    }
}

impl RawRwLock<CountCtx> for RwLock {
    fn read_lock(&self, ctx: &CountCtx, irqs_off: bool) {
        ctx.take(&self.0, Kind::ReadLock, irqs_off, false);
    }
    fn read_unlock(&self, ctx: &CountCtx) {
        ctx.release(&self.0, Kind::ReadUnlock);
    }
    fn write_lock(&self, ctx: &CountCtx, irqs_off: bool) {
        ctx.take(&self.0, Kind::WriteLock, irqs_off, false);
    }
    fn write_unlock(&self, ctx: &CountCtx) {
        ctx.release(&self.0, Kind::WriteUnlock);
    }
}

/// Where a thread would sleep.
#[derive(Debug)]
pub struct Parker {
    field: Field,
    woken: AtomicBool,
}

impl Parker {
    pub(crate) fn new(field: Field) -> Self {
        Parker { field, woken: AtomicBool::new(false) }
    }
}

impl PlatformParker<CountCtx> for Parker {
    /// Returns at once if somebody has woken it; nobody will from now on, so otherwise it panics.
    fn park(&self, ctx: &CountCtx) {
        ctx.may_sleep("park");
        self.field.touch(ctx, Kind::Park, None);
        if !self.woken.swap(false, Relaxed) {
            ctx.fail(format!("{} sleeps for ever: no other thread can wake it", self.field.label()));
        }
    }
    fn unpark(&self, ctx: &CountCtx) {
        self.field.touch(ctx, Kind::Unpark, None);
        self.woken.store(true, Relaxed);
    }
}
