//! Guards: what holds a lock or a read section, and lets go when dropped.
//!
//! Dropping early is `drop(guard)`; a design whose defect is a lock left held uses `core::mem::forget`.

use crate::platform::{Platform, RawLock, RawRwLock};

macro_rules! lock_guard {
    ($(#[$doc:meta])* $name:ident, $assoc:ident) => {
        $(#[$doc])*
        #[must_use]
        pub struct $name<'a, P: Platform> {
            lock: &'a P::$assoc,
            ctx: &'a P::Ctx,
        }

        impl<'a, P: Platform> $name<'a, P> {
            /// Takes the lock.
            #[inline(always)]
            pub fn lock(lock: &'a P::$assoc, ctx: &'a P::Ctx) -> Self {
                lock.lock(ctx, false);
                Self { lock, ctx }
            }

            /// Takes the lock with interrupts masked (`_irqsave`).
            #[inline(always)]
            pub fn lock_irqsave(lock: &'a P::$assoc, ctx: &'a P::Ctx) -> Self {
                lock.lock(ctx, true);
                Self { lock, ctx }
            }

            /// Takes a second lock of the same class, in an order that the caller guarantees.
            #[inline(always)]
            pub fn lock_nested(lock: &'a P::$assoc, ctx: &'a P::Ctx) -> Self {
                lock.lock_nested(ctx);
                Self { lock, ctx }
            }
        }

        impl<P: Platform> Drop for $name<'_, P> {
            #[inline(always)]
            fn drop(&mut self) {
                self.lock.unlock(self.ctx);
            }
        }
    };
}

lock_guard!(
    /// A spin lock that is held.
    Spin, SpinLock
);
lock_guard!(
    /// A mutex that is held.
    Mutex, Mutex
);

/// A reader-writer lock that is held for reading.
#[must_use]
pub struct Read<'a, P: Platform> {
    lock: &'a P::RwLock,
    ctx: &'a P::Ctx,
}

impl<'a, P: Platform> Read<'a, P> {
    /// Takes the lock for reading, with interrupts masked (`read_lock_irqsave`).
    #[inline(always)]
    pub fn lock_irqsave(lock: &'a P::RwLock, ctx: &'a P::Ctx) -> Self {
        lock.read_lock(ctx, true);
        Self { lock, ctx }
    }
}

impl<P: Platform> Drop for Read<'_, P> {
    #[inline(always)]
    fn drop(&mut self) {
        self.lock.read_unlock(self.ctx);
    }
}

/// A reader-writer lock that is held for writing.
#[must_use]
pub struct Write<'a, P: Platform> {
    lock: &'a P::RwLock,
    ctx: &'a P::Ctx,
}

impl<'a, P: Platform> Write<'a, P> {
    /// Takes the lock for writing, with interrupts masked (`write_lock_irqsave`).
    #[inline(always)]
    pub fn lock_irqsave(lock: &'a P::RwLock, ctx: &'a P::Ctx) -> Self {
        lock.write_lock(ctx, true);
        Self { lock, ctx }
    }
}

impl<P: Platform> Drop for Write<'_, P> {
    #[inline(always)]
    fn drop(&mut self) {
        self.lock.write_unlock(self.ctx);
    }
}

/// An RCU read section.
#[must_use]
pub struct Rcu<'a, P: Platform>(&'a P::Ctx);

impl<'a, P: Platform> Rcu<'a, P> {
    /// Enters the section.
    #[inline(always)]
    pub fn read_lock(ctx: &'a P::Ctx) -> Self {
        P::rcu_read_lock(ctx);
        Rcu(ctx)
    }
}

impl<P: Platform> Drop for Rcu<'_, P> {
    #[inline(always)]
    fn drop(&mut self) {
        P::rcu_read_unlock(self.0);
    }
}

/// An SRCU read section.
#[must_use]
pub struct Srcu<'a, P: Platform>(&'a P::Ctx);

impl<'a, P: Platform> Srcu<'a, P> {
    /// Enters the section.
    #[inline(always)]
    pub fn read_lock(ctx: &'a P::Ctx) -> Self {
        P::srcu_read_lock(ctx);
        Srcu(ctx)
    }
}

impl<P: Platform> Drop for Srcu<'_, P> {
    #[inline(always)]
    fn drop(&mut self) {
        P::srcu_read_unlock(self.0);
    }
}
