//! Memory that is freed: when it goes, and what it is when it comes back.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vgic_core::platform::{Atomic, AtomicInt, Layout};
use vgic_core::{Obj, Order, Platform};
use vgic_sim::machine::{Machine, NS};
use vgic_sim::{Ps, Sim, SimCtx, World};

type Word = vgic_sim::AtomicU64;

fn word(ctx: &SimCtx) -> Obj<Word> {
    // A line each, so that no other object brings the line into a cache.
    Sim::alloc(ctx, "word", |l| {
        l.line();
        let word = l.u64("value", 0);
        l.skip(56);
        word
    })
    .expect("memory")
}

fn free(ctx: &SimCtx, word: Obj<Word>) {
    // SAFETY: the caller does not use the handle any more.
    unsafe { Sim::free(ctx, word) }
}

/// What an atomic on the object costs its core now.
fn cost(ctx: &SimCtx, word: Obj<Word>) -> Ps {
    let begin = ctx.now();
    word.fetch_add(ctx, 1, Order::Relaxed);
    ctx.now() - begin
}

/// Runs two cores, one after the other.
fn run(first: impl FnOnce(&SimCtx) + 'static, second: impl FnOnce(&SimCtx) + 'static) {
    let world = World::new(Machine::flat(2), 1, BTreeSet::new(), 0);
    world.spawn("other0", first);
    world.spawn("other1", move |ctx| {
        ctx.sleep_until(100_000 * NS, vgic_sim::report::Spending::Idle);
        second(ctx);
    });
    world.run(|| ()).expect("an end");
}

#[test]
fn what_a_core_frees_it_gets_back_and_its_cache_still_has_it() {
    let machine = Machine::flat(2);
    let (hit, miss) = (machine.step + machine.hit_rmw, machine.step + machine.memory);
    run(
        move |ctx| {
            // The first shows how large they are.
            let (first, one) = (word(ctx), word(ctx));
            assert!(cost(ctx, one) >= miss, "no cache has it");
            assert_eq!(cost(ctx, one), hit);
            free(ctx, one);
            let again = word(ctx);
            assert_eq!(cost(ctx, again), hit, "the same line, with another object in it");
            let new = word(ctx);
            assert!(cost(ctx, new) >= miss, "another line: two that live share none");
            assert_eq!(again.load(ctx, Order::Relaxed), 1, "a new object");
            for word in [first, again, new] {
                free(ctx, word);
            }
        },
        |_| (),
    );
}

#[test]
fn what_another_core_frees_is_that_cores_and_comes_from_the_cache_that_had_it() {
    let machine = Machine::flat(2);
    let hit = machine.step + machine.hit_rmw;
    let handle = Rc::new(Cell::new(None));
    let given = Rc::clone(&handle);
    run(
        move |ctx| {
            word(ctx);
            let one = word(ctx);
            cost(ctx, one);
            given.set(Some(one));
            // After the other core has freed it.
            ctx.sleep_until(200_000 * NS, vgic_sim::report::Spending::Idle);
            let mine = word(ctx);
            assert!(cost(ctx, mine) > hit, "core 1 has got it, with its line");
            free(ctx, mine);
        },
        move |ctx| {
            free(ctx, handle.take().expect("core 0 is done"));
            let again = word(ctx);
            let transfer = cost(ctx, again);
            assert!(hit < transfer && transfer < machine.memory, "out of the cache of core 0: {transfer}");
            assert_eq!(cost(ctx, again), hit);
        },
    );
}

/// Callbacks above which a core waits, as the source has it.
const BACKLOG: u64 = 10_000;

/// How many of so many objects are gone after the end of an operation, and whether it waited for a grace period.
fn throttled(objects: u64) -> (u64, bool) {
    struct Thing(Arc<AtomicU64>);
    impl Drop for Thing {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    // Longer than it takes to leave all those callbacks.
    let grace = 1_000_000_000 * NS;
    let world = World::new(
        Machine { grace_period_min: grace, grace_period_max: grace, ..Machine::flat(1) },
        1,
        BTreeSet::new(),
        0,
    );
    let freed = Arc::new(AtomicU64::new(0));
    let result = Rc::new(Cell::new((0, false)));
    let (counts, out) = (Arc::clone(&freed), Rc::clone(&result));
    world.spawn("other0", move |ctx| {
        for _ in 0..objects {
            let thing: Obj<Thing> = Sim::alloc(ctx, "thing", |_| Thing(Arc::clone(&counts))).expect("memory");
            // SAFETY: nobody else has the handle.
            unsafe { Sim::free_rcu(ctx, thing) };
        }
        let begin = ctx.now();
        assert!(begin < grace, "no grace period is over");
        Sim::rcu_throttle(ctx);
        out.set((counts.load(Relaxed), ctx.now() >= grace));
    });
    world.run(|| ()).expect("an end");
    assert_eq!(freed.load(Relaxed), result.get().0);
    Sim::rcu_barrier(&SimCtx::set_up(&world));
    assert_eq!(freed.load(Relaxed), objects, "a barrier leaves none");
    result.get()
}

#[test]
fn a_backlog_of_callbacks_is_waited_for() {
    assert_eq!(throttled(0), (0, false));
    assert_eq!(throttled(BACKLOG), (0, false), "so many may wait");
    // The first is in the grace period that runs, the others are behind it: one less is few enough.
    assert_eq!(throttled(BACKLOG + 1), (1, true));
    // Two too many: the next grace period is waited for, and with it everything goes.
    assert_eq!(throttled(BACKLOG + 2), (BACKLOG + 2, true));
}
