//! How a writer waits for a reader, and what it says when the reader takes too long.
//!
//! Sections last nanoseconds, so a writer first spins, then gives its CPU away (the reader may need it), then sleeps
//! for longer and longer. A reader that is waited for longer than a second was probably forgotten in its section;
//! it is reported by name and age, once per second however many writers wait for it, and the wait goes on.

use crate::rcu::Record;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// A reader that keeps a writer waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall<'a> {
    /// The domain, such as `rcu`.
    pub domain: &'a str,
    /// The thread.
    pub reader: &'a str,
    /// How long a writer has waited for it; the section is at least that old.
    pub age: Duration,
}

impl core::fmt::Display for Stall<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Stall { domain, reader, age } = self;
        write!(f, "{domain}: reader `{reader}` has not left its read section for {:.1} s", age.as_secs_f64())
    }
}

type Hook = Box<dyn Fn(&Stall<'_>) + Send + Sync>;

/// Who is told about stalled readers, and from which age on.
pub struct StallWatch {
    epoch: Instant,
    after_ns: AtomicU64,
    count: AtomicU64,
    hook: RwLock<Hook>,
}

const SECOND: u64 = 1_000_000_000;

impl StallWatch {
    pub(crate) fn new() -> Self {
        StallWatch {
            epoch: Instant::now(),
            after_ns: AtomicU64::new(SECOND),
            count: AtomicU64::new(0),
            hook: RwLock::new(Box::new(|stall| eprintln!("vgic: {stall}"))),
        }
    }

    /// Reports readers from this age on; one second at first.
    pub fn set_after(&self, age: Duration) {
        // Relaxed: a setting that orders nothing.
        self.after_ns.store(nanoseconds(age), Ordering::Relaxed);
    }

    /// Calls `hook` instead of writing to standard error. It must not wait for a grace period.
    pub fn set_hook(&self, hook: impl Fn(&Stall<'_>) + Send + Sync + 'static) {
        *self.hook.write().unwrap_or_else(PoisonError::into_inner) = Box::new(hook);
    }

    /// How many reports there were.
    pub fn count(&self) -> u64 {
        // Relaxed: a count that orders nothing.
        self.count.load(Ordering::Relaxed)
    }

    /// Reports the reader if it is due.
    pub(crate) fn check(&self, domain: &str, record: &Record, age: Duration) {
        // Relaxed: settings and times that order nothing; the exchange picks one reporter.
        if nanoseconds(age) < self.after_ns.load(Ordering::Relaxed) {
            return;
        }
        let now = nanoseconds(self.epoch.elapsed()).max(1);
        let last = record.reported.load(Ordering::Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= SECOND;
        if due && record.reported.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.count.fetch_add(1, Ordering::Relaxed);
            (self.hook.read().unwrap_or_else(PoisonError::into_inner))(&Stall { domain, reader: &record.name, age });
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A wait for one reader.
pub(crate) struct Waiting {
    begin: Instant,
    rounds: u32,
}

impl Waiting {
    /// Rounds that spin, and rounds until the thread begins to sleep.
    const SPIN: u32 = 100;
    const YIELD: u32 = 200;
    const LONGEST_SLEEP: Duration = Duration::from_millis(1);

    pub(crate) fn since(begin: Instant) -> Self {
        Waiting { begin, rounds: 0 }
    }

    /// Lets time pass; calls `slow` with the age of the wait once it is long.
    pub(crate) fn pause(&mut self, slow: impl FnOnce(Duration)) {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds <= Self::SPIN {
            core::hint::spin_loop();
        } else if self.rounds <= Self::YIELD {
            std::thread::yield_now();
        } else {
            let doublings = (self.rounds - Self::YIELD - 1).min(8);
            std::thread::sleep(Duration::from_micros(10 << doublings).min(Self::LONGEST_SLEEP));
            slow(self.begin.elapsed());
        }
    }
}
