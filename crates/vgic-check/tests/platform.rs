//! What the platform notices, each by the smallest program that does it.

use std::sync::Arc;
use vgic_check::{Ctx, Options, Report, Rule, Shuttle, check_function};
use vgic_core::Platform;
use vgic_core::platform::{Atomic, Layout, Parker, PlainCell, RawLock};
use vgic_core::{Order, Work};

fn run(function: fn(&Ctx)) -> Report {
    check_function("test", "none", function, &Options::default(), &|| false).expect("nothing to look up")
}

/// The rule that is broken and the sentence that says so.
fn broken(function: fn(&Ctx)) -> (Rule, String) {
    let report = run(function);
    let story = report.story().expect("something is wrong");
    (story.rule, story.what.clone())
}

fn lock(name: &'static str, rank: u8) -> <Shuttle as Platform>::SpinLock {
    Shuttle::embed("test", |l| l.spin(name, rank))
}

fn mutex(name: &'static str, rank: u8) -> <Shuttle as Platform>::Mutex {
    Shuttle::embed("test", |l| l.mutex(name, rank))
}

#[test]
fn a_deadlock_says_who_holds_what() {
    let (rule, what) = broken(|ctx| {
        let parker = Arc::new(Shuttle::embed("test", |l| l.parker("wait")));
        let mutex = Arc::new(mutex("m", 1));
        let (p, m) = (Arc::clone(&parker), Arc::clone(&mutex));
        let sleeper = Shuttle::spawn(ctx, "sleeper", move |ctx| {
            m.lock(ctx, false);
            p.park(ctx);
            m.unlock(ctx);
        });
        let waker = Shuttle::spawn(ctx, "waker", move |ctx| {
            mutex.lock(ctx, false);
            mutex.unlock(ctx);
            parker.unpark(ctx);
        });
        Shuttle::join(ctx, sleeper);
        Shuttle::join(ctx, waker);
    });
    assert_eq!(rule, Rule::Deadlock);
    assert!(what.contains("waker waits for m, which sleeper holds"), "{what}");
}

#[test]
fn locks_have_an_order() {
    let (rule, what) = broken(|ctx| {
        let (low, high) = (lock("low", 1), lock("high", 2));
        high.lock(ctx, true);
        low.lock(ctx, true);
    });
    assert_eq!((rule, what.as_str()), (Rule::LockOrder, "lock order: takes low under high (main)"));
}

#[test]
fn a_lock_is_taken_once() {
    let (rule, what) = broken(|ctx| {
        let one = lock("one", 1);
        one.lock(ctx, true);
        one.lock(ctx, true);
    });
    assert_eq!(rule, Rule::Deadlock);
    assert!(what.starts_with("self-deadlock"), "{what}");
}

#[test]
fn nobody_sleeps_under_a_spin_lock() {
    let (rule, what) = broken(|ctx| {
        lock("spin", 1).lock(ctx, true);
        mutex("sleeping", 2).lock(ctx, false);
    });
    assert_eq!((rule, what.as_str()), (Rule::Context, "sleeping in atomic context: taking sleeping under spin"));
    let (rule, _) = broken(|ctx| {
        Shuttle::rcu_read_lock(ctx);
        Shuttle::work(ctx, Work::GuestAccess);
    });
    assert_eq!(rule, Rule::Context);
}

#[test]
fn freed_objects_are_known() {
    let (rule, what) = broken(|ctx| {
        let thing = Shuttle::alloc(ctx, "thing", |l| l.cell("value", 1_u32)).expect("memory");
        // SAFETY: K-01: that it is used below is what the test is about; the memory stays.
        unsafe { Shuttle::free(ctx, thing) };
        thing.get(ctx);
    });
    assert_eq!(rule, Rule::UseAfterFree);
    assert_eq!(what, "use after free: main reads value of thing#0, which main has freed");
    let (rule, _) = broken(|ctx| {
        let thing = Shuttle::alloc(ctx, "thing", |l| l.cell("value", 1_u32)).expect("memory");
        // SAFETY: K-01: that it is freed twice is what the test is about; the memory stays.
        unsafe {
            Shuttle::free(ctx, thing);
            Shuttle::free(ctx, thing);
        }
    });
    assert_eq!(rule, Rule::DoubleFree);
}

#[test]
fn a_callback_waits_for_readers_only() {
    fn reader(ctx: &Ctx, end_first: bool) {
        let thing = Shuttle::alloc(ctx, "thing", |l| l.u32("value", 1)).expect("memory");
        let reader = Shuttle::spawn(ctx, "reader", move |ctx| {
            Shuttle::rcu_read_lock(ctx);
            // Found before the writer frees it, or not at all.
            if thing.load(ctx, Order::Relaxed) == 1 {
                if end_first {
                    Shuttle::rcu_read_unlock(ctx);
                }
                thing.load(ctx, Order::Relaxed);
                if !end_first {
                    Shuttle::rcu_read_unlock(ctx);
                }
            }
        });
        Shuttle::join(ctx, reader);
    }
    fn writer(ctx: &Ctx, end_first: bool) {
        let thing = Shuttle::alloc(ctx, "thing", |l| l.u32("value", 1)).expect("memory");
        let found = Arc::new(Shuttle::embed("test", |l| l.u32("found", 1)));
        let seen = Arc::clone(&found);
        let reader = Shuttle::spawn(ctx, "reader", move |ctx| {
            Shuttle::rcu_read_lock(ctx);
            let there = seen.load(ctx, Order::Relaxed) == 1;
            if end_first {
                Shuttle::rcu_read_unlock(ctx);
            }
            if there {
                thing.load(ctx, Order::Relaxed);
            }
            if !end_first {
                Shuttle::rcu_read_unlock(ctx);
            }
        });
        let writer = Shuttle::spawn(ctx, "writer", move |ctx| {
            found.store(ctx, 0, Order::Relaxed);
            // SAFETY: K-04: nobody finds it any more.
            unsafe { Shuttle::free_rcu(ctx, thing) };
        });
        Shuttle::join(ctx, reader);
        Shuttle::join(ctx, writer);
        Shuttle::rcu_barrier(ctx);
    }
    assert!(run(|ctx| reader(ctx, false)).story().is_none());
    assert!(run(|ctx| writer(ctx, false)).story().is_none());
    let (rule, what) = broken(|ctx| writer(ctx, true));
    assert_eq!(rule, Rule::UseAfterFree);
    assert!(what.ends_with("which rcu has freed"), "{what}");
}

#[test]
fn a_panic_is_a_finding() {
    let (rule, what) = broken(|ctx| {
        let thread = Shuttle::spawn(ctx, "thread", |_| panic!("on purpose"));
        Shuttle::join(ctx, thread);
    });
    assert_eq!(rule, Rule::Panic);
    assert!(what.starts_with("panic: on purpose"), "{what}");
}

#[test]
fn an_endless_wait_is_a_finding() {
    let (rule, _) = broken(|ctx| {
        loop {
            Shuttle::relax(ctx, 1);
        }
    });
    assert_eq!(rule, Rule::Progress);
}

#[test]
fn an_allocation_may_fail() {
    let report = run(|ctx| {
        let alloc = || Shuttle::alloc(ctx, "thing", |l| l.u32("value", 0)).is_ok();
        ctx.fail_allocation(1);
        ctx.expect((alloc(), alloc(), alloc()) == (true, false, true), || "not the second".to_owned());
    });
    assert!(report.story().is_none());
}
