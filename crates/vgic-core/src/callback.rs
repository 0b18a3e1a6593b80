//! [`Callback`]: what is left to RCU, as each platform queues it.

/// A function to call after a grace period. A platform's [`call_rcu`](crate::Platform::call_rcu) makes it; whoever waits
/// for the grace period runs it.
pub struct Callback<C> {
    func: unsafe fn(&C, *mut ()),
    data: *mut (),
}

// SAFETY: S-02: who makes one promises that calling it from another thread after a grace period is sound.
unsafe impl<C> Send for Callback<C> {}

impl<C> Callback<C> {
    /// What [`call_rcu`](crate::Platform::call_rcu) was called with.
    ///
    /// # Safety
    /// As [`call_rcu`](crate::Platform::call_rcu): calling `func` with `data` from another thread after a grace period is
    /// sound.
    pub unsafe fn new(func: unsafe fn(&C, *mut ()), data: *mut ()) -> Self {
        Callback { func, data }
    }

    /// What `func` is called with.
    pub fn data(&self) -> *mut () {
        self.data
    }

    /// Calls it; once, as it is consumed.
    ///
    /// # Safety
    /// A grace period has passed since it was made.
    pub unsafe fn run(self, ctx: &C) {
        // SAFETY: S-02: the caller's promise, and that of who made it.
        unsafe { (self.func)(ctx, self.data) }
    }
}

impl<C> core::fmt::Debug for Callback<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Callback")
    }
}
