//! What a few things cost on this machine, for a profile of it: one sample each. What disturbs a sample only makes it
//! longer, so the best of several counts.

use crate::clock::pin_to_cpu;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// What one thread does alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// A load that hits, one after the other.
    Load,
    /// A store that hits.
    Store,
    /// An atomic add that hits.
    Rmw,
    /// A store with a full barrier behind it.
    StoreAndFence,
    /// `getppid(2)`.
    Syscall,
}

impl Cost {
    /// Nanoseconds of one, over so long.
    pub fn sample(self, time: Duration) -> f64 {
        let word = AtomicU64::new(0);
        match self {
            Cost::Load => chained_loads(time),
            Cost::Store => sample(time, || word.store(1, Ordering::Relaxed)),
            Cost::Rmw => sample(time, || {
                word.fetch_add(1, Ordering::Relaxed);
            }),
            Cost::StoreAndFence => sample(time, || {
                word.store(1, Ordering::Relaxed);
                fence(Ordering::SeqCst);
            }),
            Cost::Syscall => sample(time, || {
                // SAFETY: L-03: the call takes nothing and touches no memory.
                black_box(unsafe { libc::getppid() });
            }),
        }
    }
}

/// CPUs that this process may use.
pub fn usable() -> Vec<usize> {
    let count = thread::available_parallelism().map_or(1, usize::from);
    // Those that a thread can really be pinned to: numbers may have gaps.
    let can = |cpu: &usize| thread::scope(|scope| scope.spawn(|| pin_to_cpu(*cpu).is_ok()).join().unwrap_or(false));
    (0..4 * count.max(16)).filter(can).take(count).collect()
}

/// Nanoseconds of `f`.
fn sample(time: Duration, mut f: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut done = 0_u64;
    while done == 0 || begin.elapsed() < time {
        for _ in 0..1000 {
            f();
        }
        done += 1000;
    }
    begin.elapsed().as_nanos() as f64 / done as f64
}

/// The next address depends on the loaded value, so loads cannot overlap.
fn chained_loads(time: Duration) -> f64 {
    let ring: Vec<AtomicU64> = (0..64).map(|at| AtomicU64::new((at + 1) % 64)).collect();
    let mut at = 0;
    let cost = sample(time, || at = ring[at as usize & 63].load(Ordering::Relaxed));
    black_box(at);
    cost
}

/// Two pinned threads take turns at one word; nanoseconds of half a round.
pub fn ping_pong(a: usize, b: usize, time: Duration) -> f64 {
    #[repr(align(256))]
    struct Alone(AtomicU64);
    const STOP: u64 = u64::MAX;
    let word = Arc::new(Alone(AtomicU64::new(0)));
    let start = Arc::new(Barrier::new(2));
    let other = {
        let (word, start) = (Arc::clone(&word), Arc::clone(&start));
        thread::spawn(move || {
            let _ = pin_to_cpu(b);
            start.wait();
            let mut turn = 1;
            loop {
                // Acquire and release: as the tools that measure this do; no other data depends on the word.
                match word.0.compare_exchange(turn, turn + 1, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => turn += 2,
                    Err(STOP) => return,
                    Err(_) => std::hint::spin_loop(),
                }
            }
        })
    };
    let mine = thread::spawn(move || {
        let _ = pin_to_cpu(a);
        start.wait();
        let mut turn = 0;
        let begin = Instant::now();
        while turn == 0 || begin.elapsed() < time {
            for _ in 0..100 {
                while word.0.compare_exchange(turn, turn + 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
                    std::hint::spin_loop();
                }
                turn += 2;
            }
        }
        let half = begin.elapsed().as_nanos() as f64 / turn as f64;
        // The other one may have a turn to take still.
        while word.0.compare_exchange(turn, STOP, Ordering::AcqRel, Ordering::Acquire).is_err() {
            std::hint::spin_loop();
        }
        half
    });
    let half = mine.join().unwrap_or(0.0);
    let _ = other.join();
    half
}
