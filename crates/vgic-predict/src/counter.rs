//! [`contended`]: threads that increment one counter as fast as they can, in one of the ways that benchmarks of contention
//! measure. No engine runs: this is the model of coherence alone, beside what real machines were seen to do.

use std::collections::BTreeSet;
use std::rc::Rc;
use vgic_core::platform::{Atomic, AtomicInt, Layout, PlainCell};
use vgic_core::{Event, Order, Pair, Platform};
use vgic_host::{Refused, in_range};
use vgic_lab::stress::Failure;
use vgic_sim::{AtomicU64, Cell, Machine, Ps, Sim, SimCtx, World};

/// How a thread increments the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// An atomic addition.
    Add,
    /// A load, and a compare-and-swap until it succeeds.
    CompareAndSwap,
    /// A lock that all look at until it is free, and then try to take by a swap.
    SpinLock,
    /// A lock with numbers, and all wait for one word.
    TicketLock,
}

impl Counter {
    /// All, by name.
    pub const ALL: [(&'static str, Counter); 4] = [
        ("add", Counter::Add),
        ("cas", Counter::CompareAndSwap),
        ("spin", Counter::SpinLock),
        ("ticket", Counter::TicketLock),
    ];
}

/// What the threads share. In the measured program a lock begins a line, and what it protects lies on another one: so the
/// compilers lay it out that were tried (GCC 12 for both architectures).
struct Shared {
    lock: Lock,
    value: Cell<u64>,
}

/// The lock, on a line; or the counter itself, if it has none.
struct Lock {
    word: AtomicU64,
    serving: AtomicU64,
}

impl Shared {
    fn new() -> Self {
        Shared {
            lock: Sim::embed("lock", |l| Lock { word: l.u64("word", 0), serving: l.u64("serving", 0) }),
            value: Sim::embed("counter", |l| l.cell("value", 0)),
        }
    }

    fn increment(&self, ctx: &SimCtx, how: Counter) {
        let Lock { word, serving } = &self.lock;
        let order = Order::SeqCst(Pair::RefDrop);
        let count = || self.value.set(ctx, self.value.get(ctx) + 1);
        match how {
            Counter::Add => word.add(ctx, 1),
            Counter::CompareAndSwap => {
                let mut seen = word.load(ctx, Order::Relaxed);
                while let Err(found) = word.compare_exchange(ctx, seen, seen + 1, order) {
                    seen = found;
                }
            }
            // A store would be seen at once, although its line may be away; who gives a lock back swaps, which takes effect
            // when the line has come.
            Counter::SpinLock => {
                loop {
                    word.look_until(ctx, |taken| taken == 0);
                    if word.swap(ctx, 1, order) == 0 {
                        break;
                    }
                }
                count();
                word.swap(ctx, 0, order);
            }
            Counter::TicketLock => {
                let ticket = word.fetch_add(ctx, 1, Order::Relaxed);
                serving.look_until(ctx, |now| now == ticket);
                count();
                let next = serving.load(ctx, Order::Relaxed) + 1;
                serving.swap(ctx, next, order);
            }
        }
    }

    fn value(&self, ctx: &SimCtx, how: Counter) -> u64 {
        match how {
            Counter::Add | Counter::CompareAndSwap => self.lock.word.load(ctx, Order::Relaxed),
            Counter::SpinLock | Counter::TicketLock => self.value.get(ctx),
        }
    }
}

/// What `threads` threads on the first cores of a machine take until each has incremented the counter `each` times.
pub fn contended(machine: &Machine, how: Counter, threads: u32, each: u32) -> Result<Ps, Failure> {
    let check = || -> Result<(), Refused> {
        in_range("threads", u64::from(threads), 1, u64::from(machine.cores))?;
        in_range("each", u64::from(each), 1, 1 << 20)
    };
    check()?;
    let world = World::new(machine.clone(), 1, BTreeSet::new(), 0);
    let shared = Rc::new(Shared::new());
    for thread in 0..threads {
        let shared = Rc::clone(&shared);
        world.spawn(&format!("other{thread}"), move |ctx| {
            for _ in 0..each {
                shared.increment(ctx, how);
                // Somebody gets on.
                Sim::count(ctx, Event::Sent);
            }
        });
    }
    let ran = world.run(|| ());
    world.leave();
    if let Err(stuck) = ran {
        std::mem::forget(world);
        return Err(Failure::Broken(format!("the simulated threads are stuck ({})", stuck.what)));
    }
    let set_up = SimCtx::set_up(&world);
    assert_eq!(shared.value(&set_up, how), u64::from(threads) * u64::from(each), "no increment is lost");
    Ok(world.now())
}
