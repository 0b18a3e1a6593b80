//! Where a vCPU thread sleeps: one token, one sleeper.
//!
//! The token is an atomic, so waking a thread that is not asleep, and parking when the token is there, cost one
//! exchange each; the mutex and the condition variable serve only a thread that really sleeps.

use crate::ctx::NativeCtx;
use core::sync::atomic::{AtomicU32, Ordering};
use parking_lot::{Condvar, Mutex};
use vgic_core::platform;

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const TOKEN: u32 = 2;

/// A place to sleep.
#[derive(Debug)]
pub struct Parker {
    state: AtomicU32,
    asleep: Mutex<()>,
    wake: Condvar,
}

impl Parker {
    pub(crate) const fn new() -> Self {
        Parker { state: AtomicU32::new(EMPTY), asleep: Mutex::new(()), wake: Condvar::new() }
    }

    /// Takes the token if it is there.
    #[inline]
    fn take_token(&self) -> bool {
        // Acquire: pairs with the Release in `unpark`: what the waker did before is seen after the return.
        self.state.compare_exchange(TOKEN, EMPTY, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

impl platform::Parker<NativeCtx> for Parker {
    fn park(&self, _: &NativeCtx) {
        if self.take_token() {
            return;
        }
        let mut asleep = self.asleep.lock();
        // Relaxed: `state` alone decides; whoever finds PARKED takes the mutex before it notifies, so it cannot
        // notify between this exchange and the wait.
        match self.state.compare_exchange(EMPTY, PARKED, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {}
            Err(TOKEN) => {
                self.take_token();
                return;
            }
            // A second sleeper, which `Parker` does not promise to serve: it returns early.
            Err(_) => return,
        }
        while !self.take_token() {
            self.wake.wait(&mut asleep);
        }
    }

    fn unpark(&self, _: &NativeCtx) {
        // Release: pairs with the Acquire in `take_token`. A second unpark before the sleeper has run passes
        // on its own writes as well, since an exchange reads and writes: Release orders the write, and the value is
        // the same token.
        if self.state.swap(TOKEN, Ordering::Release) == PARKED {
            // The sleeper holds the mutex from before it says PARKED until it waits.
            drop(self.asleep.lock());
            self.wake.notify_one();
        }
    }
}
