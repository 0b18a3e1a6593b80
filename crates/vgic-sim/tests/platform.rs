//! The primitives in virtual time: what they promise, and what they cost.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vgic_core::platform::{Atomic, AtomicInt, Layout, Parker, PlainCell, RawLock, RawRwLock};
use vgic_core::{Event, Obj, Order, Pair, Platform};
use vgic_sim::machine::{Atomics, Machine, NS, SpinLocks};
use vgic_sim::{Ps, Sim, SimCtx, World};

fn world(machine: Machine) -> Rc<World> {
    World::new(machine, 1, BTreeSet::new(), 0)
}

/// Every lock keeps others out, however it hands over and whatever atomics the machine has.
#[test]
fn locks_exclude() {
    let near = [Atomics::Near, Atomics::FarStore, Atomics::LlSc];
    for (spin_locks, atomics) in
        [SpinLocks::Qspinlock, SpinLocks::Ticket].into_iter().flat_map(|s| near.map(|a| (s, a)))
    {
        let world = world(Machine { spin_locks, atomics, ..Machine::flat(9) });
        let spin = Rc::new(Sim::embed("a", |l| (l.spin("spin", 0), l.cell("value", 0_u64))));
        let mutex = Rc::new(Sim::embed("b", |l| (l.mutex("mutex", 0), l.cell("value", 0_u64))));
        let both =
            Rc::new(Sim::embed("c", |l| (l.rwlock("rwlock", 0), l.cell("value", 0_u64), l.cell("twice", 0_u64))));
        for core in 0..9 {
            let (spin, mutex, both) = (Rc::clone(&spin), Rc::clone(&mutex), Rc::clone(&both));
            world.spawn(&format!("sender{core}"), move |ctx| {
                let add = |cell: &vgic_sim::Cell<u64>| {
                    let value = cell.get(ctx);
                    // Longer than a line is under way, so that two at a time would lose one.
                    ctx.work(500 * NS);
                    cell.set(ctx, value + 1);
                    value + 1
                };
                for _ in 0..40 {
                    spin.0.lock(ctx, true);
                    add(&spin.1);
                    spin.0.unlock(ctx);
                    mutex.0.lock(ctx, false);
                    add(&mutex.1);
                    if core == 0 {
                        // Who waits for a sleeper sleeps, and is woken.
                        ctx.sleep_until(ctx.now() + 5000 * NS, vgic_sim::report::Spending::Idle);
                    }
                    mutex.0.unlock(ctx);
                    if core % 3 == 0 {
                        both.0.write_lock(ctx, true);
                        let value = add(&both.1);
                        both.2.set(ctx, 2 * value);
                        both.0.write_unlock(ctx);
                    } else {
                        both.0.read_lock(ctx, true);
                        let (value, twice) = (both.1.get(ctx), both.2.get(ctx));
                        assert_eq!(twice, 2 * value, "a reader sees no writer at work");
                        both.0.read_unlock(ctx);
                    }
                }
            });
        }
        world.run(|| ()).expect("an end");
        let ctx = SimCtx::set_up(&world);
        assert_eq!(
            (spin.1.get(&ctx), mutex.1.get(&ctx), both.1.get(&ctx)),
            (360, 360, 120),
            "{spin_locks:?} {atomics:?}"
        );
    }
}

#[test]
fn no_atomic_add_is_lost() {
    for atomics in [Atomics::Near, Atomics::FarStore, Atomics::LlSc] {
        let world = world(Machine { atomics, ..Machine::flat(16) });
        let word = Rc::new(Sim::embed("word", |l| l.u64("value", 0)));
        for core in 0..16 {
            let word = Rc::clone(&word);
            world.spawn(&format!("sender{core}"), move |ctx| {
                for _ in 0..100 {
                    word.add(ctx, 1);
                    word.fetch_add(ctx, 1, Order::SeqCst(Pair::KickEntry));
                }
            });
        }
        world.run(|| ()).expect("an end");
        assert_eq!(word.load(&SimCtx::set_up(&world), Order::Relaxed), 3200, "{atomics:?}");
    }
}

/// What one core alone spends.
fn alone(machine: Machine, f: impl Fn(&SimCtx) + 'static) -> Ps {
    let world = world(machine);
    let spent = Rc::new(Cell::new(0));
    let out = Rc::clone(&spent);
    world.spawn("sender0", move |ctx| {
        f(ctx);
        let begin = ctx.now();
        f(ctx);
        out.set(ctx.now() - begin);
    });
    world.run(|| ()).expect("an end");
    spent.get()
}

#[test]
fn a_far_atomic_costs_its_way_each_time_and_a_near_one_only_once() {
    // Also on a line that the core has just written itself.
    let costs = |atomics| {
        let machine = Machine { atomics, ..Machine::flat(2) };
        let slot: Rc<std::cell::OnceCell<vgic_sim::AtomicU64>> = Rc::default();
        alone(machine, move |ctx| slot.get_or_init(|| Sim::embed("word", |l| l.u64("value", 0))).add(ctx, 1))
    };
    let machine = Machine::flat(2);
    assert_eq!(costs(Atomics::Near), machine.step + machine.hit_rmw);
    assert_eq!(costs(Atomics::FarStore), machine.step + machine.far_atomic);
}

#[test]
fn a_store_does_not_wait_for_its_line_and_a_barrier_does() {
    let time = |store_buffer, barrier| {
        let world = world(Machine { store_buffer, ..Machine::flat(2) });
        let word = Rc::new(Sim::embed("word", |l| l.cell("value", 0_u64)));
        let spent = Rc::new(Cell::new(0));
        let (other, out) = (Rc::clone(&word), Rc::clone(&spent));
        world.spawn("vcpu0", move |ctx| other.set(ctx, 1));
        world.spawn("sender0", move |ctx| {
            ctx.sleep_until(1000 * NS, vgic_sim::report::Spending::Idle);
            let begin = ctx.now();
            word.set(ctx, 2);
            assert_eq!(word.get(ctx), 2, "its own store is seen at once");
            if barrier {
                Sim::fence(ctx, Pair::KickEntry);
            }
            out.set(ctx.now() - begin);
        });
        world.run(|| ()).expect("an end");
        spent.get()
    };
    let transfer = 43 * NS;
    assert!(time(8, false) < 10 * NS, "{}", time(8, false));
    assert!(time(8, true) >= transfer, "{}", time(8, true));
    assert!(time(0, false) >= transfer, "{}", time(0, false));
}

#[test]
fn grace_periods_have_the_drawn_length_and_wait_for_readers() {
    let machine = Machine { grace_period_min: 1000 * NS, grace_period_max: 1500 * NS, ..Machine::flat(3) };
    let world = world(machine);
    let freed = Arc::new(AtomicU64::new(0));
    let reading = Rc::new(Cell::new(true));
    let (freed_by, still) = (Arc::clone(&freed), Rc::clone(&reading));
    world.spawn("other0", move |ctx| {
        // A reader that stays longer than any grace period.
        Sim::rcu_read_lock(ctx);
        for _ in 0..100 {
            ctx.work(100 * NS);
            ctx.in_order();
            assert_eq!(freed_by.load(Relaxed), 0, "nothing is freed under a reader");
        }
        still.set(false);
        Sim::rcu_read_unlock(ctx);
    });
    world.spawn("other1", move |ctx| {
        ctx.work(10 * NS);
        Sim::synchronize_rcu(ctx);
        assert!(!reading.get(), "synchronize_rcu has waited for the reader");
        let begin = ctx.now();
        Sim::synchronize_rcu(ctx);
        let took = ctx.now() - begin - ctx.costs().wake_latency;
        assert!((1000 * NS..=3000 * NS).contains(&took), "{took}");
    });
    let counts = Arc::clone(&freed);
    world.spawn("other2", move |ctx| {
        struct Thing(Arc<AtomicU64>);
        impl Drop for Thing {
            fn drop(&mut self) {
                self.0.fetch_add(1, Relaxed);
            }
        }
        ctx.work(20 * NS);
        let thing: Obj<Thing> = Sim::alloc(ctx, "thing", |_| Thing(counts.clone())).expect("memory");
        // SAFETY: nobody else has the handle.
        unsafe { Sim::free_rcu(ctx, thing) };
        Sim::rcu_throttle(ctx);
        assert_eq!(counts.load(Relaxed), 0, "its grace period is not over");
        ctx.sleep_until(40_000 * NS, vgic_sim::report::Spending::Idle);
        Sim::rcu_throttle(ctx);
        assert_eq!(counts.load(Relaxed), 1, "it ran at the end of an operation behind the grace period");
    });
    world.run(|| ()).expect("an end");
    assert_eq!(freed.load(Relaxed), 1);
    assert_eq!(world.events()[Event::GracePeriod as usize], 2);
}

#[test]
fn a_sleeper_is_woken_and_a_wake_up_before_is_kept() {
    let world = world(Machine::flat(2));
    let parker = Rc::new(Sim::embed("p", |l| l.parker("wait")));
    let woken = Rc::new(RefCell::new(Vec::new()));
    let (sleeper, log) = (Rc::clone(&parker), Rc::clone(&woken));
    world.spawn("vcpu0", move |ctx| {
        for _ in 0..3 {
            sleeper.park(ctx);
            log.borrow_mut().push(ctx.now());
            ctx.sleep_until(100_000 * NS, vgic_sim::report::Spending::Idle);
        }
    });
    world.spawn("sender0", move |ctx| {
        ctx.work(10_000 * NS);
        parker.unpark(ctx);
        ctx.work(10_000 * NS);
        parker.unpark(ctx);
        ctx.work(280_000 * NS);
        parker.unpark(ctx);
    });
    world.run(|| ()).expect("an end");
    let woken = woken.borrow();
    assert!(woken[0] >= 12_000 * NS, "woken, and then it takes until it runs: {woken:?}");
    assert!(woken[1] < 101_000 * NS, "the token was there: {woken:?}");
    assert!(woken[2] >= 302_000 * NS, "each token is good for once: {woken:?}");
}

#[test]
fn a_deadlock_is_told_with_what_each_core_holds() {
    let world = world(Machine::flat(3));
    let locks =
        Rc::new(Sim::embed("pair", |l| [l.spin("first_lock", 0), l.spin("second_lock", 1), l.spin("done_with", 2)]));
    let third = Rc::clone(&locks);
    for core in 0..2 {
        let locks = Rc::clone(&locks);
        world.spawn(&format!("sender{core}"), move |ctx| {
            locks[core].lock(ctx, false);
            locks[2].lock(ctx, false);
            locks[2].unlock(ctx);
            ctx.work(500 * NS);
            locks[1 - core].lock(ctx, false);
        });
    }
    world.spawn("sender2", move |ctx| {
        ctx.work(10_000 * NS);
        third[0].lock(ctx, false);
    });
    let stuck = world.run(|| ()).expect_err("each waits for the other");
    std::mem::forget(world);
    assert_eq!(stuck.what, "deadlock");
    assert_eq!(stuck.cores.len(), 3);
    assert!(stuck.cores[0].contains("sender0 waits: second_lock; holds first_lock; last: "), "{}", stuck.cores[0]);
    // It looked again when sender2 had written to the line.
    let last = "write pair.first_lock, read pair.first_lock, read pair.first_lock";
    assert!(stuck.cores[1].ends_with(last), "{}", stuck.cores[1]);
    assert!(stuck.cores[2].contains("sender2 waits: first_lock; holds nothing; last: "), "{}", stuck.cores[2]);
}

#[test]
fn a_livelock_ends() {
    let world = world(Machine::flat(1));
    let word = Rc::new(Sim::embed("word", |l| l.u64("value", 0)));
    world.spawn("sender0", move |ctx| {
        // Long, but it goes forward.
        for _ in 0..2 {
            for _ in 0..3_000_000 {
                word.load(ctx, Order::Relaxed);
            }
            Sim::count(ctx, Event::GracePeriod);
        }
        while word.load(ctx, Order::Relaxed) == 0 {
            // To turn back is no way forward.
            Sim::count(ctx, Event::EntryCancelled);
        }
    });
    let stuck = world.run(|| ()).expect_err("nobody ever writes");
    assert_eq!((stuck.what, world.accesses() / 1_000_000), ("livelock", 11));
    std::mem::forget(world);
}

/// Neighbours in memory share a line, and what the kernel aligns does not.
#[test]
fn false_sharing_is_real() {
    let time = |apart: bool| {
        let world = world(Machine::flat(2));
        let words = Rc::new(Sim::embed("words", |l| {
            let first = l.u64("first", 0);
            if apart {
                l.line();
            }
            [first, l.u64("second", 0)]
        }));
        for core in 0..2 {
            let words = Rc::clone(&words);
            world.spawn(&format!("sender{core}"), move |ctx| {
                for _ in 0..100 {
                    words[core].fetch_add(ctx, 1, Order::Relaxed);
                    ctx.work(20 * NS);
                }
            });
        }
        world.run(|| ()).expect("an end");
        world.now()
    };
    assert!(time(false) > 2 * time(true), "{} and {}", time(false), time(true));
}

#[test]
fn small_objects_of_a_class_lie_together_as_kmalloc_packs_them() {
    let world = world(Machine::flat(1));
    world.spawn("sender0", |ctx| {
        let make = || Sim::alloc(ctx, "small", |l| l.u64("value", 0)).expect("memory");
        // The first shows how large they are, the others follow each other, eight bytes each: one line.
        let all: Vec<_> = (0..9).map(|_| make()).collect();
        let before = ctx.world().tally();
        for one in &all[1..] {
            one.fetch_add(ctx, 1, Order::Relaxed);
        }
        let after = ctx.world().tally();
        let misses = |tally: &vgic_sim::report::Tally| tally.fields().iter().map(|f| f.misses()).sum::<u64>();
        assert_eq!(misses(&after) - misses(&before), 1);
        for one in all {
            // SAFETY: the handle is not used any more.
            unsafe { Sim::free(ctx, one) };
        }
    });
    world.run(|| ()).expect("an end");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let world = World::new(Machine { jitter: 300, ..Machine::flat(8) }, seed, BTreeSet::new(), 1000);
        let lock = Rc::new(Sim::embed("a", |l| l.spin("lock", 0)));
        for core in 0..8 {
            let lock = Rc::clone(&lock);
            world.spawn(&format!("sender{core}"), move |ctx| {
                for _ in 0..50 {
                    lock.lock(ctx, false);
                    ctx.work(50 * NS);
                    lock.unlock(ctx);
                    ctx.work(200 * NS);
                }
            });
        }
        world.run(|| ()).expect("an end");
        (world.now(), world.accesses(), world.take_trace(), world.measured(world.now()))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}

/// Every picosecond of a core is accounted for.
#[test]
fn the_time_of_the_threads_adds_up() {
    let world = World::new(Machine { jitter: 300, ..Machine::flat(8) }, 1, BTreeSet::new(), 0);
    let shared = Rc::new(Sim::embed("a", |l| (l.spin("lock", 0), l.mutex("mutex", 0), l.cell("value", 0_u64))));
    let word = Rc::new(Sim::embed("b", |l| l.u64("word", 0)));
    for core in 0..8 {
        let (shared, word) = (Rc::clone(&shared), Rc::clone(&word));
        world.spawn(&format!("sender{core}"), move |ctx| {
            for round in 0..20 {
                word.fetch_add(ctx, 1, Order::Relaxed);
                shared.0.lock(ctx, false);
                shared.2.set(ctx, shared.2.get(ctx) + 1);
                shared.0.unlock(ctx);
                shared.1.lock(ctx, false);
                if core == 0 && round == 10 {
                    Sim::synchronize_rcu(ctx);
                }
                shared.1.unlock(ctx);
            }
            // All end together.
            ctx.sleep_until(1_000_000_000 * NS, vgic_sim::report::Spending::Idle);
        });
    }
    world.run(|| ()).expect("an end");
    let threads = &world.measured(world.now())[0];
    let sum: Ps = threads.spent.values().sum();
    assert_eq!((threads.count, sum), (8, 8 * 1_000_000_000 * NS), "{:?}", threads.spent);
    assert!(threads.spent["lock mutex"] > 0 && threads.spent["grace periods"] > 0);
    // Where lines stalled a thread while it wanted no lock, that is time of lines; else it is the lock's.
    let tally = world.tally();
    let (outside, stalled) = tally.fields().iter().fold((0, 0), |(outside, stalled), field| {
        (outside + field.outside.iter().sum::<Ps>(), stalled + field.stalled())
    });
    let lines = threads.spent["transfers"] + threads.spent["queueing"];
    assert!(0 < outside && outside <= lines && lines < stalled, "{outside} of {lines}, in all {stalled}");
}

#[test]
#[should_panic(expected = "a lock is taken twice by the set-up")]
fn the_set_up_takes_no_spin_lock_twice() {
    let world = world(Machine::flat(1));
    let (lock, ctx) = (Sim::embed("a", |l| l.spin("lock", 0)), SimCtx::set_up(&world));
    lock.lock(&ctx, false);
    lock.unlock(&ctx);
    lock.lock(&ctx, false);
    lock.lock(&ctx, false);
}

#[test]
#[should_panic(expected = "a mutex is taken twice by the set-up")]
fn the_set_up_takes_no_mutex_twice() {
    let world = world(Machine::flat(1));
    let (lock, ctx) = (Sim::embed("a", |l| l.mutex("lock", 0)), SimCtx::set_up(&world));
    lock.lock(&ctx, false);
    lock.unlock(&ctx);
    lock.lock(&ctx, false);
    lock.lock(&ctx, false);
}

#[test]
fn what_is_free_costs_no_transfer() {
    let time = |free: &[&str]| {
        let world = World::new(Machine::flat(8), 1, free.iter().map(|name| (*name).to_owned()).collect(), 0);
        let word = Rc::new(Sim::embed("word", |l| (l.u64("value", 0), l.spin("lock", 0))));
        for core in 0..8 {
            let word = Rc::clone(&word);
            world.spawn(&format!("sender{core}"), move |ctx| {
                for _ in 0..50 {
                    word.0.fetch_add(ctx, 1, Order::Relaxed);
                    word.1.lock(ctx, false);
                    word.1.unlock(ctx);
                }
            });
        }
        world.run(|| ()).expect("an end");
        assert_eq!(word.0.load(&SimCtx::set_up(&world), Order::Relaxed), 400);
        world.now()
    };
    let all = time(&[]);
    assert!(time(&["word.value"]) < all);
    assert!(time(&["lock"]) < all);
    assert!(time(&["word[0]"]) < time(&["lock"]));
}
