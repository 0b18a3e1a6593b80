//! What is told of a run: where the time went, pictures, warnings.

mod common;

use common::Rig;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use vgic_core::platform::{Atomic, Layout, RawLock};
use vgic_core::{Order, Platform};
use vgic_sim::machine::{Distance, Machine, NS};
use vgic_sim::report::Spending;
use vgic_sim::{Ps, Sim, SimCtx, World};

#[test]
fn a_picture_has_who_waited_for_a_lock_and_who_held_it() {
    let rig = Rig::new(Machine::flat(2), &[]);
    let locks = Rc::new(Sim::embed("a", |l| [l.spin("outer", 0), l.spin("inner", 1)]));
    let times: Rc<Cell<[Ps; 6]>> = Rc::default();
    let out = Rc::clone(&times);
    rig.at(100 * NS, move |ctx, _| {
        let begin = ctx.now();
        locks[0].lock(ctx, false);
        let outer = ctx.now();
        locks[1].lock(ctx, false);
        let inner = ctx.now();
        ctx.work(100 * NS);
        // Not in the order in which they were taken.
        locks[0].unlock(ctx);
        let let_go = ctx.now();
        ctx.work(100 * NS);
        locks[1].unlock(ctx);
        out.set([begin, outer, inner, let_go, ctx.now(), 0]);
        Sim::synchronize_rcu(ctx);
    });
    rig.run();
    let [begin, outer, inner, let_go, end, _] = times.get();
    let trace = rig.world.take_trace();
    let told: Vec<_> = trace.iter().map(|e| (e.kind, e.name.as_str(), e.begin, e.end)).collect();
    let expected = [
        ("wait", "outer", begin, outer),
        ("wait", "inner", outer, inner),
        ("lock", "outer", outer, let_go),
        ("lock", "inner", inner, end),
        ("grace", "synchronize_rcu", end, rig.world.now() + Machine::flat(2).wake_latency),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_picture_has_so_many_things_and_no_more() {
    for limit in [0, 2] {
        let world = World::new(Machine::flat(1), 1, BTreeSet::new(), limit);
        world.spawn("sender0", |ctx| (0..5).for_each(|n| ctx.trace("send", n, ctx.now(), Some(n))));
        world.run(|| ()).expect("an end");
        assert_eq!(world.take_trace().len(), limit);
        assert_eq!(world.take_trace().len(), 0, "they were taken");
    }
}

/// What was before measuring is forgotten, and who waits at its end has waited so long.
#[test]
fn what_is_measured_is_from_a_time_to_a_time() {
    let world = World::new(Machine::flat(4), 1, BTreeSet::new(), 0);
    let shared = Rc::new(Sim::embed("a", |l| (l.spin("lock", 0), l.u64("word", 0))));
    let used = Rc::clone(&shared);
    let done: Rc<Cell<bool>> = Rc::default();
    let out = Rc::clone(&done);
    world.spawn("sender0", move |ctx| {
        used.0.lock(ctx, false);
        used.0.unlock(ctx);
        used.1.load(ctx, Order::Relaxed);
        ctx.sleep_until(10_000 * NS, Spending::Idle);
        ctx.measure();
        ctx.work(400 * NS);
        used.0.lock(ctx, false);
        used.1.load(ctx, Order::Relaxed);
        let waited = ctx.now() - 10_400 * NS;
        used.0.unlock(ctx);
        ctx.work(20_000 * NS - ctx.now());
        ctx.in_order();
        let tally = ctx.world().tally();
        let field = tally.fields().iter().position(|field| field.name == "word").expect("it is there");
        assert_eq!(tally.accesses(field), [1, 0]);
        assert_eq!(tally.fields()[field].misses(), 0, "that was before");
        let lock = &tally.locks()[0];
        let costs = ctx.costs();
        assert_eq!((lock.taken, lock.waited), (1, costs.hit_rmw + costs.step));
        assert_eq!(ctx.world().measured_from(), 10_000 * NS);
        let measured = ctx.world().measured(20_000 * NS);
        let told: Vec<_> = measured.iter().map(|threads| (threads.name, threads.count)).collect();
        assert_eq!(told, [("sender", 1), ("vcpu", 2)]);
        let spent = |at: usize| -> BTreeMap<&str, Ps> {
            measured[at]
                .spent
                .iter()
                .filter(|(_, time)| **time > 0)
                .map(|(name, time)| (name.as_str(), *time))
                .collect()
        };
        let hits = waited - lock.waited + costs.hit_store + costs.step;
        let work = 10_000 * NS - lock.waited - hits;
        assert_eq!(spent(0), [("work", work), ("lock lock", lock.waited), ("hits", hits)].into());
        assert_eq!(spent(1), [("guest", 12_000 * NS), ("grace periods", 5000 * NS), ("idle", 3000 * NS)].into());
        out.set(true);
    });
    // Its wait is in the measured time, but for what was before or will be behind.
    world.spawn("vcpu0", |ctx| {
        ctx.sleep_until(12_000 * NS, Spending::Guest);
        ctx.sleep_until(15_000 * NS, Spending::Idle);
        ctx.sleep_until(30_000 * NS, Spending::Grace);
    });
    // It waited before, and waits still.
    world.spawn("vcpu1", |ctx| ctx.sleep_until(50_000 * NS, Spending::Guest));
    world.run(|| ()).expect("an end");
    assert!(done.get());
    assert_eq!(world.core_names(), ["sender0", "vcpu0", "vcpu1"]);
}

#[test]
fn it_is_told_what_the_engine_warns_of_and_that_a_run_goes_on() {
    let world = World::new(Machine::flat(2), 1, BTreeSet::new(), 0);
    for core in 0..2 {
        // They take turns.
        world.spawn(&format!("sender{core}"), |ctx| {
            for _ in 0..20_000 {
                ctx.work(10 * NS);
                ctx.in_order();
            }
        });
    }
    let mut calls = 0;
    world.run(|| calls += 1).expect("an end");
    assert_eq!(calls, 2, "of 40,000 events each 16,384th");
    let ctx = SimCtx::set_up(&world);
    Sim::warn(&ctx, "smoke");
    assert_eq!((world.warnings(), world.warnings()), (vec!["smoke"], vec![]));
}

/// Which line the next field is on, behind so many of a kind: what they take is what they take in C.
#[test]
fn fields_take_what_they_take_in_c() {
    let _world = World::new(Machine::flat(1), 1, BTreeSet::new(), 0);
    type Field = fn(&vgic_sim::SimLayout);
    let kinds: [(&str, u64, Field); 10] = [
        ("u32", 4, |l| _ = l.u32("field", 0)),
        ("u64", 8, |l| _ = l.u64("field", 0)),
        ("ptr", 8, |l| _ = l.ptr::<u64>("field")),
        ("cell", 4, |l| _ = l.cell("field", 0_u32)),
        ("ptr_cell", 8, |l| _ = l.ptr_cell::<u64>("field")),
        ("spin", 4, |l| _ = l.spin("field", 0)),
        ("mutex", 32, |l| _ = l.mutex("field", 0)),
        ("rwlock", 8, |l| _ = l.rwlock("field", 0)),
        ("parker", 8, |l| _ = l.parker("field")),
        ("skip", 16, |l| l.skip(16)),
    ];
    for (kind, size, field) in kinds {
        for (count, line) in [(64 / size - 1, 0), (64 / size, 1)] {
            let world = World::new(Machine::flat(1), 1, BTreeSet::new(), 0);
            Sim::embed("a", |l| {
                (0..count).for_each(|_| field(l));
                l.u32("next", 0);
            });
            let tally = world.tally();
            let next = tally.fields().iter().find(|field| field.name == "next").expect("it is there");
            assert_eq!(next.line, line, "behind {count} of {kind}");
        }
    }
}

#[test]
fn distances_are_by_cluster_and_socket() {
    let distance = Distance::Classes { cluster: 2, socket: 4, cost: [1, 2, 3] };
    let machine = Machine { distance, ..Machine::flat(8) };
    let row = |from| (0..8).map(|to| machine.distance(from, to)).collect::<Vec<_>>();
    assert_eq!(row(0), [0, 1, 2, 2, 3, 3, 3, 3]);
    assert_eq!(row(5), [3, 3, 3, 3, 1, 0, 2, 2]);
}

#[test]
fn chance_is_even_and_work_takes_longer_or_shorter() {
    for jitter in [0, 1, 300, 1000] {
        let world = World::new(Machine { jitter, ..Machine::flat(1) }, 1, BTreeSet::new(), 0);
        world.spawn("sender0", move |ctx| {
            let mut often = [0_u32; 10];
            (0..10_000).for_each(|_| often[ctx.random(10) as usize] += 1);
            assert!(often.iter().all(|count| (850..1150).contains(count)), "{often:?}");
            let (mut least, mut most, mut sum) = (Ps::MAX, 0, 0);
            for _ in 0..100_000 {
                let time = ctx.vary(1_000_000);
                (least, most, sum) = (least.min(time), most.max(time), sum + time);
            }
            let jitter = u64::from(jitter);
            assert_eq!((least, most), ((1000 - jitter) * 1000, (1000 + jitter) * 1000));
            let mean = sum / 100_000;
            assert!(mean.abs_diff(1_000_000) <= 10 * jitter, "{mean}");
            assert_eq!(ctx.vary(0), 0);
        });
        world.run(|| ()).expect("an end");
    }
}
