//! RCU: what readers may see, and what writers wait for. Each test runs with each strategy of the machine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vgic_core::guard::{Rcu, Srcu};
use vgic_core::platform::{Atomic, Layout};
use vgic_core::{Event, Obj, Order, Pair, Platform};
use vgic_native::{Native, NativeCtx, Runtime, Strategy, live_objects};

/// A runtime for each strategy.
fn runtimes() -> impl Iterator<Item = Arc<Runtime>> {
    [Strategy::Membarrier, Strategy::Fences].into_iter().filter(|s| s.available()).map(Runtime::new)
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}

type AtomicU64Of = <Native as Platform>::AtomicU64;

/// Two fields that belong together; poison breaks the bond.
struct Twins {
    value: AtomicU64Of,
    inverse: AtomicU64Of,
    // What the allocator writes into freed memory lands in the first words; the check above reads behind them.
    _tail: [u64; 4],
}

#[repr(C)]
struct Padded {
    _head: [u64; 4],
    twins: Twins,
}

fn twins(ctx: &NativeCtx, value: u64) -> Obj<Padded> {
    Native::alloc(ctx, "twins", |layout| Padded {
        _head: [0; 4],
        twins: Twins { value: layout.u64("value", value), inverse: layout.u64("inverse", !value), _tail: [0; 4] },
    })
    .unwrap()
}

#[test]
fn readers_never_see_freed_memory() {
    const UPDATES: u64 = 10_000;
    for runtime in runtimes() {
        let ctx = NativeCtx::with_runtime(&runtime, "main");
        let root: Arc<<Native as Platform>::AtomicPtr<Padded>> =
            Arc::new(Native::embed("root", |layout| layout.ptr("root")));
        root.store(&ctx, twins(&ctx, 0).as_ptr(), Order::Release(Pair::XArrayPublish));
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(AtomicU64::new(0));

        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (root, stop, seen) = (Arc::clone(&root), Arc::clone(&stop), Arc::clone(&seen));
                Native::spawn(&ctx, "reader", move |ctx| {
                    let mut reads = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let _rcu = Rcu::<Native>::read_lock(ctx);
                        let ptr = root.load(ctx, Order::Acquire(Pair::XArrayPublish));
                        // SAFETY: the root holds handles, which are freed after a grace period.
                        let obj = unsafe { Obj::from_ptr(ptr) }.unwrap();
                        for _ in 0..(reads % 4) * 8 {
                            let value = obj.twins.value.load(ctx, Order::Relaxed);
                            let inverse = obj.twins.inverse.load(ctx, Order::Relaxed);
                            assert_eq!(value, !inverse, "a reader saw freed memory");
                        }
                        reads += 1;
                    }
                    seen.fetch_add(reads, Ordering::Relaxed);
                })
            })
            .collect();
        let updaters: Vec<_> = (0..2)
            .map(|id| {
                let root = Arc::clone(&root);
                Native::spawn(&ctx, "updater", move |ctx| {
                    for i in 0..UPDATES {
                        let new = twins(ctx, i << 8 | id);
                        let old = root.swap(ctx, new.as_ptr(), Order::AcqRel(Pair::XArrayPublish));
                        // SAFETY: the root holds handles; the swap made this one ours.
                        let old = unsafe { Obj::from_ptr(old) }.unwrap();
                        if i % 2 == id {
                            // SAFETY: unlinked; only readers that run now may still have it.
                            unsafe { Native::free_rcu(ctx, old) };
                            Native::rcu_throttle(ctx);
                        } else {
                            Native::synchronize_rcu(ctx);
                            // SAFETY: unlinked, and the readers that may have had it have left.
                            unsafe { Native::free(ctx, old) };
                        }
                    }
                })
            })
            .collect();
        assert!(updaters.into_iter().all(|thread| Native::join(&ctx, thread)));
        stop.store(true, Ordering::Relaxed);
        assert!(readers.into_iter().all(|thread| Native::join(&ctx, thread)));

        assert!(seen.load(Ordering::Relaxed) > 0);
        Native::rcu_barrier(&ctx);
        // SAFETY: the threads are gone.
        unsafe { Native::free(&ctx, Obj::from_ptr(root.load(&ctx, Order::Relaxed)).unwrap()) };
        assert_eq!(live_objects()["twins"], 0);
        let stats = runtime.rcu_stats();
        assert_eq!((stats.callbacks_queued, stats.callbacks_run), (UPDATES, UPDATES));
        assert!(stats.grace_periods >= UPDATES);
    }
}

/// The store buffering pattern of R-03, as bare as it gets: an object is a number, and it is freed when `freed` passes
/// it. A section that read a number must not see it freed. Reader and writer meet before each round and set off with
/// a lag that changes from round to round. A pass proves little: without the heavy barrier a run fails now and then.
#[test]
fn a_section_that_misses_the_unlinking_is_waited_for() {
    #[derive(Default)]
    #[repr(align(128))]
    struct Line(AtomicU64);
    #[derive(Default)]
    struct Shared {
        linked: Line,
        freed: Line,
        reader_at: Line,
        writer_at: Line,
    }
    /// Meets the other side; false if it has gone.
    fn meet(mine: &Line, other: &Line, round: u64) -> bool {
        mine.0.store(round, Ordering::Release);
        let mut spins = 0;
        while other.0.load(Ordering::Acquire) < round {
            spins += 1;
            if spins % 1_000 == 0 {
                std::thread::yield_now();
            }
        }
        other.0.load(Ordering::Acquire) != u64::MAX
    }
    fn lag(steps: u64) {
        for step in 0..steps {
            std::hint::black_box(step);
        }
    }
    // Each is two turns of the scheduler where other programs want the CPUs.
    const ROUNDS: u64 = 20_000;
    for runtime in runtimes() {
        let ctx = NativeCtx::with_runtime(&runtime, "main");
        let shared = Arc::new(Shared::default());
        let reader = Native::spawn(&ctx, "reader", {
            let shared = Arc::clone(&shared);
            move |ctx| {
                for round in 1..=ROUNDS {
                    meet(&shared.reader_at, &shared.writer_at, round);
                    // Brings the line here, so that the section's load is done long before the store of its word.
                    let before = shared.linked.0.load(Ordering::Relaxed);
                    lag(round % 512);
                    let _rcu = Rcu::<Native>::read_lock(ctx);
                    let object = shared.linked.0.load(Ordering::Relaxed);
                    assert!(object >= before);
                    for _ in 0..20 {
                        if shared.freed.0.load(Ordering::Acquire) > object {
                            shared.reader_at.0.store(u64::MAX, Ordering::Release);
                            panic!("{object} was freed under its reader");
                        }
                        std::hint::spin_loop();
                    }
                }
            }
        });
        for round in 1..=ROUNDS {
            if !meet(&shared.writer_at, &shared.reader_at, round) {
                break;
            }
            shared.linked.0.store(round, Ordering::Relaxed);
            Native::synchronize_rcu(&ctx);
            shared.freed.0.store(round, Ordering::Release);
        }
        assert!(Native::join(&ctx, reader), "{:?}", runtime.rcu().strategy());
    }
}

#[test]
fn a_grace_period_waits_for_the_outermost_section_only() {
    for runtime in runtimes() {
        let ctx = NativeCtx::with_runtime(&runtime, "main");
        let entered = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicBool::new(false));
        let reader = Native::spawn(&ctx, "reader", {
            let (entered, done) = (Arc::clone(&entered), Arc::clone(&done));
            move |ctx| {
                let outer = Rcu::<Native>::read_lock(ctx);
                drop(Rcu::<Native>::read_lock(ctx));
                entered.store(true, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(50));
                assert!(!done.load(Ordering::SeqCst), "the grace period ended inside the outer section");
                drop(outer);
            }
        });
        while !entered.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Native::synchronize_rcu(&ctx);
        done.store(true, Ordering::SeqCst);
        assert!(Native::join(&ctx, reader));
        assert_eq!(ctx.counters()[Event::GracePeriod as usize], 1);
        assert!(ctx.grace_ns() > 0);
    }
}

#[test]
fn a_grace_period_of_rcu_does_not_wait_for_srcu_nor_the_other_way_round() {
    for runtime in runtimes() {
        let ctx = NativeCtx::with_runtime(&runtime, "main");
        {
            let _srcu = Srcu::<Native>::read_lock(&ctx);
            Native::synchronize_rcu(&ctx);
        }
        let _rcu = Rcu::<Native>::read_lock(&ctx);
        Native::synchronize_srcu(&ctx);
        assert_eq!((runtime.rcu_stats().grace_periods, runtime.srcu_stats().grace_periods), (1, 1));
    }
}

#[test]
fn waiting_inside_a_read_section_panics_instead_of_hanging() {
    for runtime in runtimes() {
        let ctx = NativeCtx::with_runtime(&runtime, "sender-3");
        for wait in [Native::synchronize_rcu as fn(&NativeCtx), Native::rcu_barrier] {
            let panic = catch_unwind(AssertUnwindSafe(|| {
                let _rcu = Rcu::<Native>::read_lock(&ctx);
                wait(&ctx);
            }))
            .unwrap_err();
            let message = message(&*panic);
            assert!(message.contains("`sender-3`") && message.contains("inside a read section"), "{message}");
        }
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _srcu = Srcu::<Native>::read_lock(&ctx);
            Native::synchronize_srcu(&ctx);
        }))
        .unwrap_err();
        assert!(message(&*panic).starts_with("srcu: "));
        // The guards let go while unwinding.
        Native::synchronize_rcu(&ctx);
        Native::synchronize_srcu(&ctx);
    }
}

#[test]
fn leaving_a_section_that_was_not_entered_panics() {
    let ctx = NativeCtx::new("vcpu-0");
    let panic = catch_unwind(AssertUnwindSafe(|| Native::rcu_read_unlock(&ctx))).unwrap_err();
    assert!(message(&*panic).contains("`vcpu-0` leaves a read section"));
}

#[test]
fn a_stalled_reader_is_reported_by_name_and_age_and_still_waited_for() {
    for runtime in runtimes() {
        let ctx = NativeCtx::with_runtime(&runtime, "main");
        let reports = Arc::new(Mutex::new(Vec::new()));
        let reported = Arc::new(AtomicBool::new(false));
        let limit = Duration::from_millis(20);
        runtime.rcu().stall_watch().set_after(limit);
        runtime.rcu().stall_watch().set_hook({
            let (reports, reported) = (Arc::clone(&reports), Arc::clone(&reported));
            move |stall| {
                reports.lock().unwrap().push((stall.to_string(), stall.reader.to_owned(), stall.age));
                reported.store(true, Ordering::SeqCst);
            }
        });
        let entered = Arc::new(AtomicBool::new(false));
        let left = Arc::new(AtomicBool::new(false));
        let sleeper = Native::spawn(&ctx, "sleeper", {
            let (entered, left, reported) = (Arc::clone(&entered), Arc::clone(&left), Arc::clone(&reported));
            move |ctx| {
                let _rcu = Rcu::<Native>::read_lock(ctx);
                entered.store(true, Ordering::SeqCst);
                while !reported.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                left.store(true, Ordering::SeqCst);
            }
        });
        while !entered.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Native::synchronize_rcu(&ctx);
        assert!(left.load(Ordering::SeqCst), "the writer gave up");
        assert!(Native::join(&ctx, sleeper));

        let reports = reports.lock().unwrap();
        let (text, reader, age) = &reports[0];
        assert_eq!(reader, "sleeper");
        assert!(*age >= limit);
        assert!(text.starts_with("rcu: reader `sleeper` has not left its read section for "), "{text}");
        assert_eq!(runtime.rcu_stats().stalls, reports.len() as u64);
    }
}

#[test]
fn readers_may_come_and_go_while_grace_periods_run() {
    for runtime in runtimes() {
        let ctx = NativeCtx::with_runtime(&runtime, "main");
        let churn: Vec<_> = (0..2)
            .map(|_| {
                Native::spawn(&ctx, "churn", |ctx| {
                    for _ in 0..2_000 {
                        let visitor = NativeCtx::with_runtime(ctx.runtime(), "visitor");
                        let _rcu = Rcu::<Native>::read_lock(&visitor);
                    }
                })
            })
            .collect();
        for _ in 0..2_000 {
            Native::synchronize_rcu(&ctx);
        }
        assert!(churn.into_iter().all(|thread| Native::join(&ctx, thread)));
        assert_eq!(runtime.rcu_stats().grace_periods, 2_000);
    }
}
