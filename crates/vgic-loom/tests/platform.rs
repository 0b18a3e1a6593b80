//! What the platform notices, each by the smallest program that does it; and what it tries.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use vgic_core::guard::Rcu;
use vgic_core::platform::{Atomic, Layout, Parker, PlainCell};
use vgic_core::{Order, Platform};
use vgic_loom::{Ctx, Loom, Options, explore};

fn broken(model: fn(&Ctx)) -> String {
    explore(&Options::default(), model).violation.expect("something is wrong").what
}

fn holds(model: fn(&Ctx)) {
    let report = explore(&Options::default(), model);
    assert!(report.violation.is_none() && report.complete, "{:?}", report.violation);
}

type U32 = <Loom as Platform>::AtomicU32;
type Cell = <Loom as Platform>::Cell<u32>;

fn words() -> Arc<[U32; 2]> {
    Arc::new(Loom::embed("words", |l| [l.u32("x", 0), l.u32("y", 0)]))
}

#[test]
fn plain_data_that_nothing_orders_is_a_race() {
    let what = broken(|ctx| {
        let cell: Arc<Cell> = Arc::new(Loom::embed("plain", |l| l.cell("value", 0)));
        let other = Arc::clone(&cell);
        let other = Loom::spawn(ctx, "other", move |ctx| other.set(ctx, 1));
        cell.get(ctx);
        Loom::join(ctx, other);
    });
    assert!(what.starts_with("Causality violation"), "{what}");
}

#[test]
fn a_free_that_an_access_is_not_ordered_before_is_noticed() {
    let what = broken(|ctx| {
        let thing = Loom::alloc(ctx, "thing", |l| l.u32("value", 0)).expect("memory");
        let other = Loom::spawn(ctx, "other", move |ctx| {
            thing.load(ctx, Order::Relaxed);
        });
        // SAFETY: M-02: that it is used meanwhile is what the test is about; the memory stays.
        unsafe { Loom::free(ctx, thing) };
        Loom::join(ctx, other);
    });
    assert!(
        what.starts_with("use after free: other reads value of thing#0") || what.starts_with("Causality"),
        "{what}"
    );
}

#[test]
fn a_second_free_is_noticed() {
    let what = broken(|ctx| {
        let thing = Loom::alloc(ctx, "thing", |l| l.u32("value", 0)).expect("memory");
        // SAFETY: M-02: that it is freed twice is what the test is about; the memory stays.
        unsafe {
            Loom::free(ctx, thing);
            Loom::free(ctx, thing);
        }
    });
    assert_eq!(what, "double free: main frees thing#0");
}

#[test]
fn who_sleeps_for_ever_is_noticed() {
    let what = broken(|ctx| Loom::embed("test", |l| l.parker("wait")).park(ctx));
    assert!(what.starts_with("deadlock"), "{what}");
}

#[test]
fn a_promise_that_is_broken_ends_the_execution() {
    assert_eq!(broken(|ctx| ctx.expect(false, "on purpose")), "on purpose");
    assert_eq!(broken(|_| panic!("on purpose")), "on purpose");
}

/// The store that a thread makes after a load of its own comes before another thread's load in some executions.
#[test]
fn a_load_hides_no_load_of_another_thread() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let kept = Arc::clone(&seen);
    let report = explore(&Options::default(), move |ctx| {
        let words = words();
        let other = Arc::clone(&words);
        let other = Loom::spawn(ctx, "other", move |ctx| {
            other[0].load(ctx, Order::Relaxed);
            other[0].store(ctx, 1, Order::Relaxed);
        });
        kept.lock().expect("no panic").insert(words[0].load(ctx, Order::Relaxed));
        Loom::join(ctx, other);
    });
    assert!(report.complete);
    assert_eq!(*seen.lock().expect("no panic"), BTreeSet::from([0, 1]));
}

/// A compare-exchange that fails is a load: it may fail with an old value.
#[test]
fn a_failed_exchange_may_be_stale() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let kept = Arc::clone(&seen);
    explore(&Options::default(), move |ctx| {
        let words = words();
        let other = Arc::clone(&words);
        let other = Loom::spawn(ctx, "other", move |ctx| {
            other[0].store(ctx, 1, Order::Relaxed);
            other[1].store(ctx, 1, Order::Relaxed);
        });
        let y = words[1].load(ctx, Order::Relaxed);
        let x = words[0].compare_exchange(ctx, 7, 8, Order::Relaxed);
        kept.lock().expect("no panic").insert((y, x));
        Loom::join(ctx, other);
    });
    assert!(seen.lock().expect("no panic").contains(&(1, Err(0))));
}

/// A section that a grace period has to wait for, and one that sees what came before it.
#[test]
fn a_grace_period_keeps_its_promise() {
    fn with_free(ctx: &Ctx, deferred: bool) {
        let thing = Loom::alloc(ctx, "thing", |l| l.cell("value", 0_u32)).expect("memory");
        let words = words();
        let there = Arc::clone(&words);
        let reader = Loom::spawn(ctx, "reader", move |ctx| {
            for _ in 0..2 {
                let _rcu = Rcu::<Loom>::read_lock(ctx);
                if there[0].load(ctx, Order::Relaxed) == 0 {
                    thing.get(ctx);
                }
            }
        });
        words[0].store(ctx, 1, Order::Relaxed);
        if !deferred {
            Loom::synchronize_rcu(ctx);
        }
        // SAFETY: M-06: no reader begins to look for it any more.
        unsafe {
            match deferred {
                true => Loom::free_rcu(ctx, thing),
                false => Loom::free(ctx, thing),
            }
        }
        Loom::join(ctx, reader);
    }
    holds(|ctx| with_free(ctx, false));
    holds(|ctx| with_free(ctx, true));
}

/// What a reader did in its section is not seen by who only queues a callback, nor the other way round.
#[test]
fn a_callback_orders_nobody_else() {
    for (deferred, races) in [(true, true), (false, false)] {
        let report = explore(&Options::default(), move |ctx| {
            let cell: Arc<Cell> = Arc::new(Loom::embed("plain", |l| l.cell("value", 0)));
            let words = words();
            let (there, written) = (Arc::clone(&words), Arc::clone(&cell));
            let reader = Loom::spawn(ctx, "reader", move |ctx| {
                let _rcu = Rcu::<Loom>::read_lock(ctx);
                if there[0].load(ctx, Order::Relaxed) == 0 {
                    written.set(ctx, 1);
                }
            });
            words[0].store(ctx, 1, Order::Relaxed);
            if deferred {
                let thing = Loom::alloc(ctx, "thing", |l| l.u32("value", 0)).expect("memory");
                // SAFETY: M-06: nobody else has it.
                unsafe { Loom::free_rcu(ctx, thing) };
            } else {
                Loom::synchronize_rcu(ctx);
            }
            cell.get(ctx);
            Loom::join(ctx, reader);
        });
        assert_eq!(report.violation.is_some(), races, "deferred: {deferred}");
    }
}

/// Loom has to do the same again to get to where executions part, so addresses must not depend on chance.
#[test]
fn a_walk_over_addresses_is_the_same_each_time() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let kept = Arc::clone(&seen);
    explore(&Options::default(), move |ctx| {
        let words = words();
        let other = Arc::clone(&words);
        let other = Loom::spawn(ctx, "other", move |ctx| other[0].store(ctx, 1, Order::Relaxed));
        words[0].load(ctx, Order::Relaxed);
        let things: Vec<_> =
            (0..8).map(|_| Loom::alloc(ctx, "thing", |l| l.u32("value", 0)).expect("memory").as_ptr().addr()).collect();
        assert!(things.is_sorted());
        kept.lock().expect("no panic").insert(things);
        Loom::join(ctx, other);
    });
    assert_eq!(seen.lock().expect("no panic").len(), 1);
}
