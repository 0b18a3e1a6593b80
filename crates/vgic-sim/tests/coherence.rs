//! What the model of cache coherence says of small programs whose answer is known.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vgic_core::platform::{Atomic, AtomicInt, Layout, RawLock};
use vgic_core::{Order, Platform};
use vgic_sim::machine::{Distance, Machine, NS, SpinLocks};
use vgic_sim::{Ps, Sim, SimCtx, World};

fn world(machine: Machine) -> Rc<World> {
    World::new(machine, 1, BTreeSet::new(), 0)
}

/// Increments by compare-and-swap: nanoseconds of the whole for one increment, and how often one failed.
fn cas_counter(machine: Machine, cores: u32, each: u64) -> (f64, f64) {
    let world = world(machine);
    let counter = Arc::new(Sim::embed("counter", |l| l.u64("value", 0)));
    let failures = Arc::new(AtomicU64::new(0));
    for core in 0..cores {
        let (counter, failures) = (Arc::clone(&counter), Arc::clone(&failures));
        world.spawn(&format!("other{core}"), move |ctx| {
            for _ in 0..each {
                let mut seen = counter.load(ctx, Order::Relaxed);
                while let Err(found) = counter.compare_exchange(ctx, seen, seen + 1, Order::Relaxed) {
                    failures.fetch_add(1, Relaxed);
                    seen = found;
                }
            }
        });
    }
    world.run(|| ()).expect("an end");
    assert_eq!(counter.load(&SimCtx::set_up(&world), Order::Relaxed), u64::from(cores) * each, "no increment is lost");
    let all = (u64::from(cores) * each) as f64;
    (world.now() as f64 / NS as f64 / all, failures.load(Relaxed) as f64 / all)
}

#[test]
fn the_owner_retries_while_it_holds_the_line_so_contended_compare_and_swap_goes_on() {
    for cores in [2, 4, 16, 64] {
        let (time, failures) = cas_counter(Machine::flat(cores), cores, 200);
        // Each increment needs the line at most twice: to look, and to write.
        assert!((50.0..=130.0).contains(&time), "{cores} cores: {time} ns an increment");
        assert!(failures < 1.5, "{cores} cores: {failures} failures an increment");
    }
}

/// Two cores take turns at one word; nanoseconds of half a round.
fn ping_pong(machine: &Machine, a: u32, b: u32) -> f64 {
    const ROUNDS: u64 = 200;
    let world = world(machine.clone());
    let word = Arc::new(Sim::embed("ball", |l| l.u64("value", 0)));
    for core in 0..machine.cores {
        let word = Arc::clone(&word);
        world.spawn(&format!("other{core}"), move |ctx| {
            let mine = if core == a { 0 } else { 1 };
            if core != a && core != b {
                return;
            }
            // As the tools do: each compares and swaps until it was its turn.
            for round in 0..ROUNDS {
                let turn = 2 * round + mine;
                while word.compare_exchange(ctx, turn, turn + 1, Order::Relaxed).is_err() {}
            }
        });
    }
    world.run(|| ()).expect("an end");
    world.now() as f64 / NS as f64 / (2 * ROUNDS) as f64
}

#[test]
fn ping_pong_gives_back_the_matrix() {
    let cores = 12;
    let cell =
        |from: u32, to: u32| if from == to { 0 } else { (30 + 7 * from.abs_diff(to) + (from + to) % 5) as u64 * NS };
    let matrix: Vec<Ps> = (0..cores * cores).map(|at| cell(at / cores, at % cores)).collect();
    // Whoever waits for its turn goes on looking at the word, so that it keeps the line for a visit.
    for visit in [0, 12 * NS] {
        let matrix = matrix.clone();
        let machine = Machine { visit, distance: Distance::Matrix(matrix), ..Machine::flat(cores) };
        for a in 0..cores {
            for b in a + 1..cores {
                let measured = ping_pong(&machine, a, b);
                let given = cell(a, b) as f64 / NS as f64;
                assert!((measured / given - 1.0).abs() < 0.02, "{a} to {b}: {measured} ns, but {given} ns were given");
            }
        }
    }
}

/// Nanoseconds of the whole for an increment of a counter, of `cores` cores that do nothing else.
fn increments(machine: Machine, cores: u32, increment: fn(&SimCtx, &vgic_sim::AtomicU64)) -> f64 {
    const EACH: u64 = 200;
    let world = world(machine);
    let counter = Arc::new(Sim::embed("counter", |l| l.u64("value", 0)));
    for core in 0..cores {
        let counter = Arc::clone(&counter);
        world.spawn(&format!("other{core}"), move |ctx| {
            for _ in 0..EACH {
                increment(ctx, &counter);
            }
        });
    }
    world.run(|| ()).expect("an end");
    assert_eq!(counter.load(&SimCtx::set_up(&world), Order::Relaxed), u64::from(cores) * EACH, "no increment is lost");
    world.now() as f64 / NS as f64 / (u64::from(cores) * EACH) as f64
}

#[test]
fn who_has_further_accesses_ready_keeps_a_line_for_a_visit_however_many_wait() {
    // 5 ns each: four or five fit into a visit of 21 ns, and the line is under way for the other 29 of 50 ns.
    let machine = |visit| Machine { visit, ..Machine::flat(16) };
    let add = |ctx: &SimCtx, counter: &vgic_sim::AtomicU64| counter.add(ctx, 1);
    for cores in [2, 4, 16] {
        let time = increments(machine(21 * NS), cores, add);
        assert!((50.0 / 5.5..=50.0 / 3.8).contains(&time), "{cores} cores: {time} ns an addition");
        assert!(increments(machine(0), cores, add) > 1.5 * time);
    }
}

#[test]
fn who_needs_the_outcome_for_what_follows_does_not_keep_a_line() {
    // The next addition follows at once, but somebody asked what this one gave.
    let fetch_add = |ctx: &SimCtx, counter: &vgic_sim::AtomicU64| {
        counter.fetch_add(ctx, 1, Order::Relaxed);
    };
    let time = |visit, distance| {
        let distance = Distance::Matrix(vec![distance; 64]);
        increments(Machine { visit, distance, ..Machine::flat(8) }, 8, fetch_add)
    };
    // The way is as long with a visit as without: 43 ns, as a visit of 21 ns, or an access of 7 ns, is in the distance.
    let (with, without) = (time(21 * NS, 64 * NS), time(0, 50 * NS));
    assert!((with / without - 1.0).abs() < 0.1, "{with} and {without} ns");
}

#[test]
fn who_uses_a_line_once_does_not_keep_it_for_a_visit() {
    // Each works elsewhere between two additions, and a visit would be longer than the line's way.
    let time = |visit| {
        let world = world(Machine { visit, ..Machine::flat(4) });
        let counter = Arc::new(Sim::embed("counter", |l| l.u64("value", 0)));
        for core in 0..4 {
            let counter = Arc::clone(&counter);
            world.spawn(&format!("other{core}"), move |ctx| {
                for _ in 0..100 {
                    counter.fetch_add(ctx, 1, Order::Relaxed);
                    ctx.work(30 * NS);
                }
            });
        }
        world.run(|| ()).expect("an end");
        world.now()
    };
    // The way itself is shorter, since a visit is in the distance.
    assert!(time(25 * NS) < time(0), "{} and {}", time(25 * NS), time(0));
}

/// Speed-up of `n` cores that each work for `apart` and then for `inside` under one lock.
fn locked(how: SpinLocks, n: u32, apart: Ps, inside: Ps, occupancy: Ps) -> f64 {
    const EACH: u64 = 150;
    let machine = Machine { spin_locks: how, read_occupancy: occupancy, jitter: 1000, ..Machine::flat(64) };
    let world = world(machine);
    let lock = Arc::new(Sim::embed("lock", |l| l.spin("lock", 0)));
    for core in 0..n {
        let lock = Arc::clone(&lock);
        world.spawn(&format!("other{core}"), move |ctx| {
            for _ in 0..EACH {
                ctx.work(apart);
                lock.lock(ctx, false);
                ctx.work(inside);
                lock.unlock(ctx);
            }
        });
    }
    world.run(|| ()).expect("an end");
    (u64::from(n) * EACH * (apart + inside)) as f64 / world.now() as f64
}

/// The same by the closed form of Boyd-Wickizer and others, "Non-scalable locks are dangerous" (2012): a Markov chain of how
/// many wait, where a hand-over to one of k costs half of k copies of the line.
fn closed_form(n: u32, apart: f64, inside: f64, copy: f64) -> f64 {
    let serve = |waiting: f64| 1.0 / (inside + copy * waiting / 2.0);
    let mut weight = 1.0;
    let mut weights = vec![weight];
    for k in 0..n {
        let arrive = f64::from(n - k) / apart;
        weight *= arrive / serve(f64::from(k));
        weights.push(weight);
    }
    let all: f64 = weights.iter().sum();
    let waiting: f64 = weights.iter().enumerate().map(|(k, weight)| k as f64 * weight / all).sum();
    f64::from(n) - waiting
}

fn peak(speed: impl Fn(u32) -> f64, most: u32) -> (u32, f64, f64) {
    let curve: Vec<_> = (1..=most).map(|n| (n, speed(n))).collect();
    let best = curve.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).expect("points");
    (best.0, best.1, curve[curve.len() - 1].1)
}

#[test]
fn a_ticket_lock_collapses_where_the_closed_form_says_and_a_queue_does_not() {
    let (apart, copy) = (20_000 * NS, 40 * NS);
    for inside in [400 * NS, 1000 * NS] {
        let (at, best, end) = peak(|n| locked(SpinLocks::Ticket, n, apart, inside, copy), 64);
        // A hand-over without anybody else is part of what is served.
        let serve = (inside + 150 * NS) as f64;
        let (expected, ..) = peak(|n| closed_form(n, apart as f64, serve, copy as f64), 64);
        let (_, mcs_best, mcs_end) = peak(|n| locked(SpinLocks::Qspinlock, n, apart, inside, copy), 64);
        assert!((f64::from(at) / f64::from(expected) - 1.0).abs() <= 0.25, "peak at {at} cores, not {expected}");
        assert!(end < 0.7 * best, "a ticket lock collapses: {best} to {end}");
        assert!(mcs_end > 0.9 * mcs_best, "a queue does not: {mcs_best} to {mcs_end}");
    }
}
