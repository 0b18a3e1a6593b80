//! Locks: they spin for a while, then sleep.
//!
//! One type serves as spin lock and as mutex: a thread of a process can lose its CPU while it holds a lock, so a
//! waiter that only spun would burn the time slice that the holder needs. An uncontended pair of lock and unlock
//! is one locked instruction each. `irqs_off` has no meaning here.
//!
//! All of a lock is in its words ([`latch`](crate::latch)): sleepers wait on the word itself (a futex), so a new
//! lock works in a child of `fork` whatever the parent's threads were doing.

use crate::ctx::NativeCtx;
use crate::latch::{Gate, Latch, SleepWord};
use crate::lock_order::LockClass;
use core::sync::atomic::AtomicU32;
use vgic_core::platform::{RawLock, RawRwLock};

impl SleepWord for AtomicU32 {
    fn sleep(&self, value: u32) {
        atomic_wait::wait(self, value);
    }

    fn wake_one(&self) {
        atomic_wait::wake_one(self);
    }

    fn wake_all(&self) {
        atomic_wait::wake_all(self);
    }

    /// Most sections are shorter than a sleep: twice as long each time, then the CPU is given away a few times.
    fn pause(round: u32) -> bool {
        match round {
            0..6 => (0..1 << round).for_each(|_| core::hint::spin_loop()),
            6..12 => std::thread::yield_now(),
            _ => return false,
        }
        true
    }
}

/// A spin lock or mutex.
pub struct Lock {
    latch: Latch<AtomicU32>,
    class: LockClass,
}

impl Lock {
    pub(crate) fn new(class: LockClass) -> Self {
        Lock { latch: Latch::new(), class }
    }
}

impl RawLock<NativeCtx> for Lock {
    #[inline(always)]
    fn lock(&self, ctx: &NativeCtx, _irqs_off: bool) {
        self.class.taking(ctx, self, false);
        self.latch.lock();
    }

    #[inline(always)]
    fn lock_nested(&self, ctx: &NativeCtx) {
        self.class.taking(ctx, self, true);
        self.latch.lock();
    }

    #[inline(always)]
    fn unlock(&self, ctx: &NativeCtx) {
        self.class.released(ctx, self);
        self.latch.unlock();
    }
}

/// A reader-writer lock.
pub struct RwLock {
    gate: Gate<AtomicU32>,
    class: LockClass,
}

impl RwLock {
    pub(crate) fn new(class: LockClass) -> Self {
        RwLock { gate: Gate::new(), class }
    }
}

impl RawRwLock<NativeCtx> for RwLock {
    #[inline(always)]
    fn read_lock(&self, ctx: &NativeCtx, _irqs_off: bool) {
        self.class.taking(ctx, self, false);
        self.gate.enter();
    }

    #[inline(always)]
    fn read_unlock(&self, ctx: &NativeCtx) {
        self.class.released(ctx, self);
        self.gate.leave();
    }

    #[inline(always)]
    fn write_lock(&self, ctx: &NativeCtx, _irqs_off: bool) {
        self.class.taking(ctx, self, false);
        self.gate.close();
    }

    #[inline(always)]
    fn write_unlock(&self, ctx: &NativeCtx) {
        self.class.released(ctx, self);
        self.gate.open();
    }
}
