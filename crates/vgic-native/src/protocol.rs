//! The orders on which RCU and parking stand, apart from whose atomics they are.
//!
//! [`Domain`](crate::Domain) and [`Parker`](crate::Parker) run this code with the machine's atomics; the models of
//! `vgic-loom` run it with loom's, in every execution that weak memory allows.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A word that threads share.
pub trait Word<T>: Send + Sync {
    /// A word with this value.
    fn new(value: T) -> Self;
    /// Reads it.
    fn load(&self, order: Ordering) -> T;
    /// Writes it.
    fn store(&self, value: T, order: Ordering);
    /// Writes it, returns what was there.
    fn swap(&self, value: T, order: Ordering) -> T;
    /// Writes `new` if the value is `current`; `Err` holds what was found, in no order.
    fn compare_exchange(&self, current: T, new: T, order: Ordering) -> Result<T, T>;
    /// Adds, wrapping around; returns what was there.
    fn fetch_add(&self, value: T, order: Ordering) -> T;
}

macro_rules! word {
    ($($atomic:ty, $value:ty;)*) => {$(
        impl Word<$value> for $atomic {
            #[inline(always)]
            fn new(value: $value) -> Self {
                <$atomic>::new(value)
            }
            #[inline(always)]
            fn load(&self, order: Ordering) -> $value {
                self.load(order)
            }
            #[inline(always)]
            fn store(&self, value: $value, order: Ordering) {
                self.store(value, order);
            }
            #[inline(always)]
            fn swap(&self, value: $value, order: Ordering) -> $value {
                self.swap(value, order)
            }
            #[inline(always)]
            fn compare_exchange(&self, current: $value, new: $value, order: Ordering) -> Result<$value, $value> {
                self.compare_exchange(current, new, order, Ordering::Relaxed)
            }
            #[inline(always)]
            fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.fetch_add(value, order)
            }
        }
    )*};
}
word! {
    AtomicU32, u32;
    AtomicU64, u64;
}

/// The grace period number of a domain.
#[derive(Debug)]
pub struct Number<W>(W);

impl<W: Word<u64>> Number<W> {
    /// The first number; 0 is for who is in no section.
    #[allow(clippy::new_without_default, reason = "a number is made with its domain, nowhere else")]
    pub fn new() -> Self {
        Number(W::new(1))
    }

    /// Begins a grace period: sections that show a lower number than the one returned have to be waited for. The caller
    /// holds the registry's lock and `heavy` is the heavy half of the barrier.
    pub fn raise(&self, heavy: impl FnOnce()) -> u64 {
        heavy();
        // Relaxed: raised under the lock only; readers may see it late, never before the heavy barrier.
        let new = self.0.load(Ordering::Relaxed) + 1;
        self.0.store(new, Ordering::Relaxed);
        new
    }
}

/// What a reader shows to writers: 0, or the number that its section began in.
#[derive(Debug)]
pub struct Section<W>(W);

impl<W: Word<u64>> Section<W> {
    /// In no section.
    #[allow(clippy::new_without_default, reason = "made with its record, nowhere else")]
    pub fn new() -> Self {
        Section(W::new(0))
    }

    /// Begins. `light` is the light half of the barrier.
    #[inline(always)]
    pub fn enter(&self, number: &Number<W>, light: impl FnOnce()) {
        // Relaxed: an old number only makes a writer wait that need not; a new one was stored after the heavy
        // barrier, and the light barrier below keeps the section's reads behind this load.
        let number = number.0.load(Ordering::Relaxed);
        // Release: pairs with the Acquire in `is_before`, for the writer that misses the 0 of the section before
        // this one and reads this word instead.
        self.0.store(number, Ordering::Release);
        // Light: pairs with the heavy barrier in `raise`: the section's reads come after the store of the word,
        // as the writer sees it.
        light();
    }

    /// Ends.
    #[inline(always)]
    pub fn leave(&self) {
        // Release: pairs with the Acquire in `is_before`: what the section read and wrote happens before
        // whatever the writer does after its wait.
        self.0.store(0, Ordering::Release);
    }

    /// Whether it runs; asked by its own thread.
    #[inline(always)]
    pub fn is_running(&self) -> bool {
        // Relaxed: only this thread writes its word.
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Whether it runs and began before the number was raised to `new`.
    #[inline]
    pub fn is_before(&self, new: u64) -> bool {
        // Acquire: pairs with the Release stores in `enter` and `leave`: the section that ended before the store
        // happens before whatever the writer does next, such as freeing.
        let word = self.0.load(Ordering::Acquire);
        word != 0 && word < new
    }
}

/// Where a thread sleeps that has found no token: a mutex and a condition variable.
pub trait Bed: Send + Sync {
    /// Takes the mutex; if `enter` says so, waits, again and again, until `leave` says so.
    fn sleep(&self, enter: impl FnOnce() -> bool, leave: impl Fn() -> bool);
    /// Takes the mutex for a moment, then notifies who waits.
    fn rouse(&self);
}

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const TOKEN: u32 = 2;

/// A place to sleep: one token, one sleeper.
#[derive(Debug)]
pub struct Parking<W, B> {
    state: W,
    bed: B,
}

impl<W: Word<u32>, B: Bed> Parking<W, B> {
    /// Without a token.
    pub fn new(bed: B) -> Self {
        Parking { state: W::new(EMPTY), bed }
    }

    /// Takes the token if it is there.
    #[inline]
    fn take_token(&self) -> bool {
        // Acquire: pairs with the Release in `unpark`: what the waker did before is seen after the return.
        self.state.compare_exchange(TOKEN, EMPTY, Ordering::Acquire).is_ok()
    }

    /// Sleeps until there is a token, and takes it.
    pub fn park(&self) {
        if self.take_token() {
            return;
        }
        // Relaxed: `state` alone decides; whoever finds PARKED takes the mutex before it notifies, so it cannot notify
        // between this exchange and the wait.
        let lie_down = || match self.state.compare_exchange(EMPTY, PARKED, Ordering::Relaxed) {
            Ok(_) => true,
            Err(TOKEN) => {
                self.take_token();
                false
            }
            // A second sleeper, which is not promised to be served: it returns early.
            Err(_) => false,
        };
        self.bed.sleep(lie_down, || self.take_token());
    }

    /// For who sleeps elsewhere: takes the token, says whether there was one, and lets the next [`Parking::unpark`] rouse
    /// the bed. It is said before each look whether to sleep, so whoever comes behind the look rouses.
    pub fn lie_down(&self) -> bool {
        // Acquire: pairs with the Release in `unpark`: of all who put the token there, what they did before is
        // seen by the look that follows.
        self.state.swap(PARKED, Ordering::Acquire) == TOKEN
    }

    /// The bed.
    pub fn bed(&self) -> &B {
        &self.bed
    }

    /// Puts the token there, and wakes the sleeper.
    pub fn unpark(&self) {
        // Release: pairs with the Acquire in `take_token` and `lie_down`. A second unpark before the sleeper has run passes
        // on its own writes as well, since an exchange reads and writes: Release orders the write, and the value is
        // the same token.
        if self.state.swap(TOKEN, Ordering::Release) == PARKED {
            // The sleeper holds the mutex from before it says PARKED until it waits.
            self.bed.rouse();
        }
    }
}
