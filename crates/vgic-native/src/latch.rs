//! The orders on which locks stand, apart from whose words they are: [`Latch`], a mutex, and [`Gate`], for many readers
//! or one writer.
//!
//! Each is one word. Who does not get it spins for a while, says in the word that somebody sleeps, and sleeps until the
//! word is another; who gives it back wakes sleepers if the word says that there are any. [`Lock`](crate::locks::Lock)
//! and [`RwLock`](crate::locks::RwLock) run this code with the machine's words, the models of `vgic-loom` with loom's.

use crate::protocol::Word;
use core::sync::atomic::Ordering;

/// A word on which threads sleep.
pub trait SleepWord: Word<u32> {
    /// Sleeps while the word is `value`; may return early. To look and to lie down is one step, as seen by who wakes.
    fn sleep(&self, value: u32);
    /// Wakes one sleeper.
    fn wake_one(&self);
    /// Wakes all of them.
    fn wake_all(&self);
    /// Lets time pass before the next try; false from the round on that is better slept.
    fn pause(round: u32) -> bool;
}

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody may sleep.
const AWAITED: u32 = 2;

/// A mutex.
#[derive(Debug)]
pub struct Latch<W>(W);

impl<W: SleepWord> Latch<W> {
    /// Free.
    #[allow(clippy::new_without_default, reason = "a lock is made with what it guards")]
    pub fn new() -> Self {
        Latch(W::new(FREE))
    }

    /// Takes it.
    #[inline(always)]
    pub fn lock(&self) {
        if !self.try_lock() {
            self.wait();
        }
    }

    #[inline(always)]
    fn try_lock(&self) -> bool {
        // Acquire: pairs with the Release in `unlock`: what the last holder did is seen.
        self.0.compare_exchange(FREE, HELD, Ordering::Acquire).is_ok()
    }

    #[cold]
    fn wait(&self) {
        let mut round = 0;
        while W::pause(round) {
            round += 1;
            // Relaxed: only to spare an exchange that would fail.
            if self.0.load(Ordering::Relaxed) == FREE && self.try_lock() {
                return;
            }
        }
        // Whether others sleep is not known, so it is taken as awaited: one wake-up too many at most.
        // Acquire: as in `try_lock`.
        while self.0.swap(AWAITED, Ordering::Acquire) != FREE {
            self.0.sleep(AWAITED);
        }
    }

    /// Gives it back. For the holder only.
    #[inline(always)]
    pub fn unlock(&self) {
        // Release: pairs with the Acquire of who takes it next.
        if self.0.swap(FREE, Ordering::Release) == AWAITED {
            self.0.wake_one();
        }
    }
}

/// A writer is inside.
const WRITER: u32 = 1;
/// Somebody may sleep. While readers are inside, no other enters, so that a writer gets its turn.
const SLEEPER: u32 = 2;
/// One reader.
const READER: u32 = 4;

/// For many readers, or one writer.
#[derive(Debug)]
pub struct Gate<W>(W);

impl<W: SleepWord> Gate<W> {
    /// Nobody is inside.
    #[allow(clippy::new_without_default, reason = "a lock is made with what it guards")]
    pub fn new() -> Self {
        Gate(W::new(0))
    }

    /// Enters as a reader.
    #[inline(always)]
    pub fn enter(&self) {
        if !self.try_enter() {
            self.wait(Self::try_enter);
        }
    }

    #[inline(always)]
    fn try_enter(&self) -> bool {
        // Relaxed: the exchange looks again.
        let seen = self.0.load(Ordering::Relaxed);
        let free = seen & (WRITER | SLEEPER) == 0 || seen == SLEEPER;
        // Acquire: pairs with the Release in `open`.
        free && self.0.compare_exchange(seen, seen + READER, Ordering::Acquire).is_ok()
    }

    /// Leaves as a reader. For who has entered only.
    #[inline(always)]
    pub fn leave(&self) {
        // Release: pairs with the Acquire in `try_close`: a writer changes what has been read.
        let before = self.0.fetch_add(READER.wrapping_neg(), Ordering::Release);
        // Relaxed: it guards nothing. It fails if another was faster, who will wake the sleepers when it leaves.
        if before == READER | SLEEPER && self.0.compare_exchange(SLEEPER, 0, Ordering::Relaxed).is_ok() {
            self.0.wake_all();
        }
    }

    /// Enters as the writer.
    #[inline(always)]
    pub fn close(&self) {
        if !self.try_close() {
            self.wait(Self::try_close);
        }
    }

    #[inline(always)]
    fn try_close(&self) -> bool {
        // Relaxed: the exchange looks again.
        let seen = self.0.load(Ordering::Relaxed);
        // Acquire: pairs with the Release in `open` and `leave`.
        seen & !SLEEPER == 0 && self.0.compare_exchange(seen, seen | WRITER, Ordering::Acquire).is_ok()
    }

    /// Leaves as the writer. For the writer only.
    #[inline(always)]
    pub fn open(&self) {
        // Release: pairs with the Acquire in `try_enter` and `try_close`.
        if self.0.swap(0, Ordering::Release) & SLEEPER != 0 {
            self.0.wake_all();
        }
    }

    #[cold]
    fn wait(&self, enter: impl Fn(&Self) -> bool) {
        let mut round = 0;
        loop {
            if enter(self) {
                return;
            }
            if W::pause(round) {
                round += 1;
                continue;
            }
            // Relaxed: who sleeps looks again after it has woken.
            let seen = self.0.load(Ordering::Relaxed);
            let asleep = seen | SLEEPER;
            let inside = seen & !SLEEPER != 0;
            if inside && (seen == asleep || self.0.compare_exchange(seen, asleep, Ordering::Relaxed).is_ok()) {
                self.0.sleep(asleep);
            }
        }
    }
}
