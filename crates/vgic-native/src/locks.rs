//! Locks: they spin for a while, then sleep.
//!
//! One type serves as spin lock and as mutex: a thread of a process can lose its CPU while it holds a lock, so a
//! waiter that only spun would burn the time slice that the holder needs. An uncontended pair of lock and unlock
//! is one locked instruction each. `irqs_off` has no meaning here.

use crate::ctx::NativeCtx;
use crate::lock_order::LockClass;
use parking_lot::lock_api::{RawMutex as _, RawRwLock as _};
use vgic_core::platform::{RawLock, RawRwLock};

/// A spin lock or mutex.
pub struct Lock {
    raw: parking_lot::RawMutex,
    class: LockClass,
}

impl Lock {
    pub(crate) const fn new(class: LockClass) -> Self {
        Lock { raw: parking_lot::RawMutex::INIT, class }
    }
}

impl RawLock<NativeCtx> for Lock {
    #[inline(always)]
    fn lock(&self, ctx: &NativeCtx, _irqs_off: bool) {
        self.class.taking(ctx, self, false);
        self.raw.lock();
    }

    #[inline(always)]
    fn lock_nested(&self, ctx: &NativeCtx) {
        self.class.taking(ctx, self, true);
        self.raw.lock();
    }

    #[inline(always)]
    fn unlock(&self, ctx: &NativeCtx) {
        self.class.released(ctx, self);
        // SAFETY: N-02: only the holder calls this. The lock guards no memory of its own (all shared data is
        // atomic), so a caller that breaks the rule harms the logic, not memory.
        unsafe { self.raw.unlock() }
    }
}

/// A reader-writer lock.
pub struct RwLock {
    raw: parking_lot::RawRwLock,
    class: LockClass,
}

impl RwLock {
    pub(crate) const fn new(class: LockClass) -> Self {
        RwLock { raw: parking_lot::RawRwLock::INIT, class }
    }
}

impl RawRwLock<NativeCtx> for RwLock {
    #[inline(always)]
    fn read_lock(&self, ctx: &NativeCtx, _irqs_off: bool) {
        self.class.taking(ctx, self, false);
        self.raw.lock_shared();
    }

    #[inline(always)]
    fn read_unlock(&self, ctx: &NativeCtx) {
        self.class.released(ctx, self);
        // SAFETY: N-02: as for `Lock::unlock`.
        unsafe { self.raw.unlock_shared() }
    }

    #[inline(always)]
    fn write_lock(&self, ctx: &NativeCtx, _irqs_off: bool) {
        self.class.taking(ctx, self, false);
        self.raw.lock_exclusive();
    }

    #[inline(always)]
    fn write_unlock(&self, ctx: &NativeCtx) {
        self.class.released(ctx, self);
        // SAFETY: N-02: as for `Lock::unlock`.
        unsafe { self.raw.unlock_exclusive() }
    }
}
