//! Where a vCPU thread sleeps: one token, one sleeper.
//!
//! The token is an atomic, so waking a thread that is not asleep, and parking when the token is there, cost one
//! exchange each; the mutex and the condition variable serve only a thread that really sleeps. The orders are in
//! [`Parking`].

use crate::ctx::NativeCtx;
use crate::protocol::{Bed, Parking};
use crate::sync::{Condvar, Mutex};
use core::sync::atomic::AtomicU32;
use vgic_core::platform;

/// A place to sleep.
#[derive(Debug)]
pub struct Parker(Parking<AtomicU32, Sleeper>);

impl Parker {
    pub(crate) fn new() -> Self {
        Parker(Parking::new(Sleeper { asleep: Mutex::new(()), wake: Condvar::new() }))
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

#[derive(Debug)]
struct Sleeper {
    asleep: Mutex<()>,
    wake: Condvar,
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
        drop(self.asleep.lock());
        self.wake.notify_one();
    }
}
