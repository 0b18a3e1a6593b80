//! Where a vCPU thread sleeps: one token, one sleeper.
//!
//! The token is an atomic, so waking a thread that is not asleep, and parking when the token is there, cost one
//! exchange each; the mutex and the condition variable serve only a thread that really sleeps. The orders are in
//! [`Parking`].

use crate::ctx::NativeCtx;
use crate::protocol::{Bed, Parking};
use crate::sync::{Condvar, Mutex};
use core::fmt;
use core::sync::atomic::AtomicU32;
use std::sync::OnceLock;
use vgic_core::platform;

/// A place to sleep.
#[derive(Debug)]
pub struct Parker(Parking<AtomicU32, Sleeper>);

impl Parker {
    pub(crate) fn new() -> Self {
        Parker(Parking::new(Sleeper { asleep: Mutex::new(()), wake: Condvar::new(), elsewhere: OnceLock::new() }))
    }

    /// The thread sleeps elsewhere from now on, never here: `wake` is called instead, once for each
    /// [`Parker::lie_down`], on the thread that wakes, which may hold mutexes of the engine. False if it did before.
    pub fn sleep_elsewhere(&self, wake: impl Fn() + Send + Sync + 'static) -> bool {
        self.0.bed().elsewhere.set(Box::new(wake)).is_ok()
    }

    /// Before each look of a thread that sleeps elsewhere: the next wake-up is told again. Whether one has been.
    pub fn lie_down(&self) -> bool {
        self.0.lie_down()
    }
}

impl platform::Parker<NativeCtx> for Parker {
    fn park(&self, _: &NativeCtx) {
        self.0.park();
    }

    fn unpark(&self, _: &NativeCtx) {
        self.0.unpark();
    }
}

struct Sleeper {
    asleep: Mutex<()>,
    wake: Condvar,
    /// Wakes who sleeps elsewhere.
    elsewhere: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Sleeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.elsewhere.get().is_some() { "Elsewhere" } else { "Here" })
    }
}

impl Bed for Sleeper {
    fn sleep(&self, enter: impl FnOnce() -> bool, leave: impl Fn() -> bool) {
        let mut asleep = self.asleep.lock();
        if enter() {
            while !leave() {
                asleep = self.wake.wait(asleep);
            }
        }
    }

    fn rouse(&self) {
        if let Some(wake) = self.elsewhere.get() {
            return wake();
        }
        drop(self.asleep.lock());
        self.wake.notify_one();
    }
}
