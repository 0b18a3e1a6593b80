//! [`here`]: what a few things cost on this machine, for a profile of it.
//!
//! Each is the best of several samples: what disturbs a sample only makes it longer.

use crate::clock::pin_to_cpu;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// Costs, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Here {
    /// CPUs that were measured.
    pub cpus: Vec<usize>,
    /// Half a round of compare-and-swap between two CPUs: `matrix[from][to]`; zero from one to itself.
    pub matrix: Vec<Vec<f64>>,
    /// A load that hits, one after the other.
    pub hit_load: f64,
    /// A store.
    pub hit_store: f64,
    /// An atomic add.
    pub hit_rmw: f64,
    /// A full barrier behind a store, without the store.
    pub fence: f64,
    /// `getppid(2)`.
    pub syscall: f64,
}

/// Most CPUs of which pairs are measured.
const MOST_CPUS: usize = 16;
const SAMPLES: u32 = 7;

/// Measures for about so long.
pub fn here(time: Duration) -> Here {
    let cpus: Vec<usize> = usable().into_iter().take(MOST_CPUS).collect();
    let pairs = (cpus.len() * cpus.len().saturating_sub(1) / 2).max(1) as u32;
    let each = time / 2 / (SAMPLES * 5);
    let word = AtomicU64::new(0);
    let store = cost(each, || word.store(1, Ordering::Relaxed));
    let mut here = Here {
        // The next address depends on the loaded value, so loads cannot overlap.
        hit_load: chained_loads(each),
        hit_store: store,
        hit_rmw: cost(each, || {
            word.fetch_add(1, Ordering::Relaxed);
        }),
        fence: (cost(each, || {
            word.store(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }) - store)
            .max(0.0),
        syscall: cost(each, || {
            // SAFETY: L-03: the call takes nothing and touches no memory.
            black_box(unsafe { libc::getppid() });
        }),
        matrix: vec![vec![0.0; cpus.len()]; cpus.len()],
        cpus,
    };
    let each = time / 2 / (SAMPLES * pairs);
    for a in 0..here.cpus.len() {
        for b in a + 1..here.cpus.len() {
            let cost = ping_pong(here.cpus[a], here.cpus[b], each);
            here.matrix[a][b] = cost;
            here.matrix[b][a] = cost;
        }
    }
    here
}

/// CPUs that this process may use.
fn usable() -> Vec<usize> {
    let count = thread::available_parallelism().map_or(1, usize::from);
    // Those that a thread can really be pinned to: numbers may have gaps.
    let can = |cpu: &usize| thread::scope(|scope| scope.spawn(|| pin_to_cpu(*cpu).is_ok()).join().unwrap_or(false));
    (0..4 * count.max(16)).filter(can).take(count).collect()
}

/// Nanoseconds of `f`, the best of several samples.
fn cost(each: Duration, mut f: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..SAMPLES {
        let begin = Instant::now();
        let mut done = 0_u64;
        while begin.elapsed() < each {
            for _ in 0..1000 {
                f();
            }
            done += 1000;
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / done as f64);
    }
    best
}

fn chained_loads(each: Duration) -> f64 {
    let ring: Vec<AtomicU64> = (0..64).map(|at| AtomicU64::new((at + 1) % 64)).collect();
    let mut at = 0;
    let cost = cost(each, || at = ring[at as usize & 63].load(Ordering::Relaxed));
    black_box(at);
    cost
}

/// Two pinned threads take turns at one word; nanoseconds of half a round.
fn ping_pong(a: usize, b: usize, each: Duration) -> f64 {
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
        let mut best = f64::MAX;
        for _ in 0..SAMPLES {
            let (begin, first) = (Instant::now(), turn);
            while begin.elapsed() < each {
                for _ in 0..100 {
                    while word.0.compare_exchange(turn, turn + 1, Ordering::AcqRel, Ordering::Acquire).is_err() {
                        std::hint::spin_loop();
                    }
                    turn += 2;
                }
            }
            best = best.min(begin.elapsed().as_nanos() as f64 / (turn - first) as f64);
        }
        // The other one may have a turn to take still.
        while word.0.compare_exchange(turn, STOP, Ordering::AcqRel, Ordering::Acquire).is_err() {
            std::hint::spin_loop();
        }
        best
    });
    let best = mine.join().unwrap_or(0.0);
    let _ = other.join();
    best
}
