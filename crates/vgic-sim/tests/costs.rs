//! What locks and RCU cost, as sums of the machine's values.

mod common;
mod sums;

use common::Rig;
use std::rc::Rc;
use sums::{alone, costs, machine, thing};
use vgic_core::Platform;
use vgic_core::platform::{Layout, Parker, RawLock, RawRwLock};
use vgic_sim::machine::{Machine, NS, SpinLocks};
use vgic_sim::report::Spending;
use vgic_sim::{Mutex, Ps, RwLock, Sim, SimCtx, SpinLock};

fn spin_lock() -> Rc<SpinLock> {
    Rc::new(Sim::embed("a", |l| l.spin("lock", 0)))
}

fn mutex() -> Rc<Mutex> {
    Rc::new(Sim::embed("a", |l| l.mutex("lock", 0)))
}

#[test]
fn a_spin_lock_alone() {
    for spin_locks in [SpinLocks::Qspinlock, SpinLocks::Ticket] {
        let things = || {
            let lock = spin_lock();
            let do_ = |name, f: fn(&SpinLock, &SimCtx)| {
                let lock = Rc::clone(&lock);
                thing(name, move |ctx| f(&lock, ctx))
            };
            vec![
                do_("take", |lock, ctx| lock.lock(ctx, true)),
                do_("let go", |lock, ctx| lock.unlock(ctx)),
                do_("take again", |lock, ctx| lock.lock_nested(ctx)),
                do_("let go again", |lock, ctx| lock.unlock(ctx)),
            ]
        };
        let expected = match spin_locks {
            SpinLocks::Qspinlock => ["memory + rmw + step", "rmw + step"],
            // It looks whether its number is served.
            SpinLocks::Ticket => ["memory + load + rmw + 2 step", "near load + rmw + 2 step"],
        };
        let expected = [
            ("take", expected[0]),
            ("let go", "store + step"),
            ("take again", expected[1]),
            ("let go again", "store + step"),
        ];
        alone(&Machine { spin_locks, ..machine() }, things, &expected);
    }
}

/// Takes a lock, works, lets it go.
fn hold(lock: &impl RawLock<SimCtx>, ctx: &SimCtx, work: Ps, say: &dyn Fn(&'static str), words: [&'static str; 3]) {
    lock.lock(ctx, false);
    say(words[0]);
    ctx.work(work);
    say(words[1]);
    lock.unlock(ctx);
    say(words[2]);
}

const FOUR: [[&str; 3]; 4] = [
    ["0", "0 lets go", "0 free"],
    ["1", "1 lets go", "1 free"],
    ["2", "2 lets go", "2 free"],
    ["3", "3 lets go", "3 free"],
];

/// One holds a lock while three others come, with time between them.
fn four<L: RawLock<SimCtx> + 'static>(rig: &Rig, lock: &Rc<L>) {
    for (words, at) in FOUR.into_iter().zip(0..) {
        let lock = Rc::clone(lock);
        rig.at(at * 2000 * NS, move |ctx, say| hold(&*lock, ctx, 10_000 * NS, say, words));
    }
}

/// What it takes the others to get it, one after the other, and who lets it go to be free.
fn handed_over(to: [&str; 3]) -> Vec<(&str, &str, &str)> {
    let free = [("0 lets go", "0 free", "store + step"), ("3 lets go", "3 free", "store + step")];
    let got = [("0 lets go", "1", to[0]), ("1 lets go", "2", to[1]), ("2 lets go", "3", to[2])];
    got.into_iter().chain(free).collect()
}

/// The word is taken from all who look at it, comes to the first one, who takes it from the last holder: it looks, and
/// writes. Each keeps the line for a moment. Who is behind it is told that it is the first, by a store.
#[test]
fn a_spin_lock_is_handed_over() {
    let first = "2.8 transfer + store + 3 rmw + 3 step + 2 hold";
    let last = "2.8 transfer + 3 rmw + 3 step + 2 hold";
    costs(&machine(), &[], |rig| four(rig, &spin_lock()), &handed_over([first, first, last]));
}

/// All look at the word, and the one whose number it is needs no write.
#[test]
fn a_ticket_lock_is_handed_over() {
    let machine = Machine { spin_locks: SpinLocks::Ticket, ..machine() };
    let sum = "1.9 transfer + near load + rmw + 2 step + hold";
    costs(&machine, &[], |rig| four(rig, &spin_lock()), &handed_over([sum; 3]));
}

#[test]
fn a_mutex_is_handed_over_to_who_spins() {
    let sum = "2.8 transfer + 3 rmw + 3 step + 2 hold";
    costs(&machine(), &[], |rig| four(rig, &mutex()), &handed_over([sum; 3]));
}

/// Without transfers there is nothing to wait for but the next look.
#[test]
fn a_lock_that_is_free_is_handed_over_at_the_next_look() {
    let machine = machine();
    let look = machine.relax + machine.hit_load + machine.step;
    let take = machine.hit_rmw + machine.step + machine.hit_store;
    for scene in [|rig: &Rig| four(rig, &spin_lock()), |rig: &Rig| four(rig, &mutex())] {
        let rig = Rig::new(machine.clone(), &["lock"]);
        scene(&rig);
        let log = rig.run();
        let at = |what| log.iter().find(|(said, _)| *said == what).expect("it was said").1;
        for (from, to) in [("0 lets go", "1"), ("1 lets go", "2"), ("2 lets go", "3")] {
            let took = at(to) - at(from);
            assert!((1..=2 * look + take).contains(&took), "{from}: {took}: {log:?}");
        }
        let accesses = rig.world.accesses();
        assert!(accesses < 20_000, "who waits looks once a turn: {accesses}");
    }
}

/// Who sleeps is woken, and runs a while later; only who was woken in vain is handed the mutex.
#[test]
fn a_mutex_is_handed_over_to_who_sleeps() {
    let scene = |rig: &Rig| {
        let mutex = mutex();
        let [first, second] = [0; 2].map(|_| Rc::clone(&mutex));
        rig.at(0, move |ctx, say| {
            mutex.lock(ctx, false);
            ctx.sleep_until(10_000 * NS, Spending::Idle);
            say("0 lets go");
            mutex.unlock(ctx);
            say("0 free");
        });
        rig.at(1000 * NS, move |ctx, say| hold(&*first, ctx, 1000 * NS, say, FOUR[1]));
        rig.at(2000 * NS, move |ctx, say| hold(&*second, ctx, 1000 * NS, say, FOUR[2]));
    };
    costs(
        &machine(),
        &[],
        scene,
        &[
            ("0 lets go", "0 free", "store + step + wake"),
            ("0 lets go", "1", "transfer + store + rmw + 2 step + wake + latency"),
            ("1 lets go", "1 free", "store + step + wake"),
            ("1 lets go", "2", "transfer + store + rmw + 2 step + wake + latency"),
            ("2 lets go", "2 free", "store + step"),
        ],
    );
}

fn rwlock() -> Rc<RwLock> {
    Rc::new(Sim::embed("a", |l| l.rwlock("lock", 0)))
}

#[test]
fn a_reader_writer_lock() {
    let things = || {
        let lock = rwlock();
        let do_ = |name, f: fn(&RwLock, &SimCtx)| {
            let lock = Rc::clone(&lock);
            thing(name, move |ctx| f(&lock, ctx))
        };
        vec![
            do_("read", |lock, ctx| lock.read_lock(ctx, true)),
            do_("have read", |lock, ctx| lock.read_unlock(ctx)),
            do_("write", |lock, ctx| lock.write_lock(ctx, true)),
            do_("have written", |lock, ctx| lock.write_unlock(ctx)),
        ]
    };
    alone(
        &machine(),
        things,
        &[
            ("read", "memory + rmw + step"),
            ("have read", "rmw + step"),
            // It looks whether there are readers.
            ("write", "load + rmw + 2 step"),
            ("have written", "store + step"),
        ],
    );
    let scene = |rig: &Rig| {
        let lock = rwlock();
        let [first, second, third] = [0; 3].map(|_| Rc::clone(&lock));
        rig.at(0, move |ctx, say| {
            first.read_lock(ctx, true);
            ctx.work(10_000 * NS);
            say("reads no more");
            first.read_unlock(ctx);
            say("has read");
        });
        rig.at(1000 * NS, move |ctx, say| {
            second.write_lock(ctx, true);
            say("writes");
            ctx.work(10_000 * NS);
            say("writes no more");
            second.write_unlock(ctx);
            say("has written");
        });
        rig.at(2000 * NS, move |ctx, say| {
            third.read_lock(ctx, true);
            say("reads");
        });
    };
    costs(
        &machine(),
        &[],
        scene,
        &[
            ("reads no more", "has read", "0.9 transfer + rmw + step"),
            // It is told of the write, and looks.
            ("reads no more", "writes", "1.9 transfer + near load + rmw + 2 step + hold"),
            ("writes no more", "has written", "store + step"),
            ("writes no more", "reads", "2.8 transfer + 3 rmw + 3 step + 2 hold"),
        ],
    );
}

#[test]
fn a_sleeper() {
    let scene = |rig: &Rig| {
        let parker = Rc::new(Sim::embed("p", |l| l.parker("wait")));
        let sleeper = Rc::clone(&parker);
        rig.at(0, move |ctx, say| {
            sleeper.park(ctx);
            say("wakes up");
            ctx.work(10_000 * NS);
            say("wants to sleep");
            sleeper.park(ctx);
            say("need not");
        });
        rig.at(10_000 * NS, move |ctx, say| {
            say("wakes");
            parker.unpark(ctx);
            say("woken");
            ctx.work(5000 * NS);
            say("wakes again");
            parker.unpark(ctx);
            say("woken again");
        });
    };
    costs(
        &machine(),
        &[],
        scene,
        &[
            ("wakes", "woken", "transfer + rmw + step"),
            ("wakes", "wakes up", "transfer + rmw + step + latency"),
            ("wakes again", "woken again", "rmw + step"),
            ("wants to sleep", "need not", "transfer + rmw + step"),
        ],
    );
}

#[test]
fn read_copy_update() {
    let things = || {
        vec![
            thing("lock", Sim::rcu_read_lock),
            thing("unlock", Sim::rcu_read_unlock),
            thing("wait", Sim::synchronize_rcu),
            thing("slock", Sim::srcu_read_lock),
            thing("sunlock", Sim::srcu_read_unlock),
            thing("swait", Sim::synchronize_srcu),
        ]
    };
    let expected = [
        ("lock", "0.5 section"),
        ("unlock", "0.5 section"),
        ("wait", "grace + latency"),
        // A full barrier each; counters of both kinds are on one line.
        ("slock", "memory + rmw + step + fence"),
        ("sunlock", "rmw + step + fence"),
        ("swait", "grace + latency"),
    ];
    alone(&machine(), things, &expected);
}
