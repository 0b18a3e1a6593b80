//! Who is told that a vCPU may have something, where its thread sleeps in an emulator's loop and not here.
//!
//! A vCPU is told once, and again only when its thread has looked. Each look is an entry and an exit of the guest: what it
//! has queued for another vCPU is handed over, and that one is told.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a vCPU was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// How often it was told that it may have something.
    pub times: u64,
    /// How often its next look found nothing.
    pub in_vain: u64,
}

/// The counts of a vCPU.
// Relaxed throughout: they are counts, read for themselves.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    times: AtomicU64,
    in_vain: AtomicU64,
}

impl Counts {
    pub(crate) fn told(&self) {
        self.times.fetch_add(1, Relaxed);
    }

    pub(crate) fn in_vain(&self) {
        self.in_vain.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> Told {
        Told { times: self.times.load(Relaxed), in_vain: self.in_vain.load(Relaxed) }
    }
}
