//! Who is where: [`Meeting`] brings threads to a halt and lets them go on, [`Pulse`] says what a thread does, and
//! [`Watchdog`] notices the one that does nothing any more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vgic_native::sync::{Condvar, Mutex};

/// How long threads that were told to end may take: on a busy machine, some time; where one is known to be stuck, less.
pub(super) fn patience(one_is_stuck: bool) -> Duration {
    Duration::from_secs(if one_is_stuck { 5 } else { 120 })
}

/// A place where threads rest while they are called there.
pub(super) struct Meeting {
    members: usize,
    called: AtomicBool,
    resting: Mutex<usize>,
    changed: Condvar,
}

impl Meeting {
    pub(super) fn new(members: usize) -> Meeting {
        Meeting { members, called: AtomicBool::new(true), resting: Mutex::new(0), changed: Condvar::new() }
    }

    /// Whether threads are to come. SeqCst: a vCPU that is about to sleep looks here, and who has called wakes it after;
    /// one of them sees the other.
    pub(super) fn is_called(&self) -> bool {
        self.called.load(Ordering::SeqCst)
    }

    pub(super) fn call(&self) {
        self.called.store(true, Ordering::SeqCst);
    }

    /// Lets everybody go.
    pub(super) fn dismiss(&self) {
        let _resting = self.resting.lock();
        self.called.store(false, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Whether all have come; waits a moment if not.
    pub(super) fn is_complete(&self) -> bool {
        let mut resting = self.resting.lock();
        if *resting < self.members {
            resting = self.changed.wait_for(resting, Duration::from_millis(2)).0;
        }
        *resting == self.members
    }

    /// Rests while called.
    pub(super) fn rest(&self, pulse: &Pulse) {
        let _excused = pulse.excused("rests");
        let mut resting = self.resting.lock();
        *resting += 1;
        self.changed.notify_all();
        while self.is_called() {
            resting = self.changed.wait(resting);
        }
        *resting -= 1;
    }
}

/// What a thread does, for others to see.
pub(super) struct Pulse {
    pub(super) name: String,
    begun: AtomicU64,
    doing: Mutex<&'static str>,
    excused: AtomicBool,
    pub(super) ended: AtomicBool,
}

impl Pulse {
    pub(super) fn new(name: String) -> Pulse {
        let (excused, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        Pulse { name, begun: AtomicU64::new(0), doing: Mutex::new("starts"), excused, ended }
    }

    /// The thread begins something.
    pub(super) fn begin(&self, what: &'static str) {
        *self.doing.lock() = what;
        // Relaxed: a count that orders nothing.
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// The thread has a reason to make no progress, until the guard is dropped.
    pub(super) fn excused(&self, why: &'static str) -> impl Drop + '_ {
        struct Excuse<'a>(&'a Pulse);
        impl Drop for Excuse<'_> {
            fn drop(&mut self) {
                self.0.excused.store(false, Ordering::SeqCst);
            }
        }
        self.begin(why);
        self.excused.store(true, Ordering::SeqCst);
        Excuse(self)
    }

    /// Whether it has one.
    pub(super) fn is_excused(&self) -> bool {
        self.excused.load(Ordering::SeqCst)
    }

    /// Its name and what it did last, unless it has ended.
    pub(super) fn not_ended(&self) -> Option<String> {
        (!self.ended.load(Ordering::SeqCst)).then(|| format!("{} (did last: {})", self.name, self.doing()))
    }

    pub(super) fn doing(&self) -> &'static str {
        *self.doing.lock()
    }

    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }
}

/// Waits for the threads to end, for so long; whether they have. `urge` is called again and again until then.
pub(super) fn all_end(pulses: &[Pulse], patience: Duration, mut urge: impl FnMut()) -> bool {
    let begin = Instant::now();
    let ended = || pulses.iter().all(|pulse| pulse.ended.load(Ordering::SeqCst));
    while !ended() && begin.elapsed() < patience {
        urge();
        std::thread::sleep(Duration::from_millis(1));
    }
    ended()
}

/// Since when each thread has been at what it does now.
pub(super) struct Watchdog {
    limit: Duration,
    since: Vec<(u64, Instant)>,
}

impl Watchdog {
    pub(super) fn new(limit: Duration, threads: usize) -> Watchdog {
        Watchdog { limit, since: vec![(0, Instant::now()); threads] }
    }

    /// Says which threads have made no progress for the limit, and what each did last.
    pub(super) fn check(&mut self, pulses: &[Pulse]) -> Option<String> {
        let now = Instant::now();
        let mut stuck = Vec::new();
        for (pulse, since) in pulses.iter().zip(&mut self.since) {
            let begun = pulse.begun();
            if begun != since.0 || pulse.is_excused() || pulse.ended.load(Ordering::SeqCst) {
                *since = (begun, now);
            } else if now - since.1 >= self.limit {
                stuck.push(format!("{} (did last: {})", pulse.name, pulse.doing()));
            }
        }
        let seconds = self.limit.as_secs_f64();
        (!stuck.is_empty()).then(|| format!("deadlock: no progress for {seconds} s: {}", stuck.join(", ")))
    }
}
