//! Who gets a lock next, and who must wait.

mod common;

use common::Rig;
use std::rc::Rc;
use vgic_core::Platform;
use vgic_core::platform::{Layout, RawLock, RawRwLock};
use vgic_sim::machine::{Machine, NS};
use vgic_sim::report::Spending;
use vgic_sim::{Mutex, Ps, RwLock, Sim, SimCtx};

fn names(log: &[(&'static str, Ps)]) -> Vec<&'static str> {
    log.iter().map(|(name, _)| *name).collect()
}

/// Takes the mutex, works, lets it go.
fn hold(ctx: &SimCtx, mutex: &Mutex, work: Ps, got: impl FnOnce()) {
    mutex.lock(ctx, false);
    got();
    ctx.work(work);
    mutex.unlock(ctx);
}

/// Takes the mutex and sleeps with it, so that who waits sleeps too.
fn sleep_with(ctx: &SimCtx, mutex: &Mutex, until: Ps, got: impl FnOnce()) {
    mutex.lock(ctx, false);
    got();
    ctx.sleep_until(until, Spending::Idle);
    mutex.unlock(ctx);
}

fn mutex() -> Rc<Mutex> {
    Rc::new(Sim::embed("a", |l| l.mutex("mutex", 0)))
}

#[test]
fn sleepers_get_a_mutex_in_the_order_in_which_they_came() {
    let rig = Rig::new(Machine::flat(8), &[]);
    let mutex = mutex();
    let waiters = [(2000, "first"), (4000, "second"), (6000, "third")];
    // In another order than that in which they come: no number of a core helps.
    for (at, name) in [waiters[2], waiters[0], waiters[1]] {
        let mutex = Rc::clone(&mutex);
        rig.at(at * NS, move |ctx, say| hold(ctx, &mutex, 100 * NS, || say(name)));
    }
    rig.at(0, move |ctx, say| sleep_with(ctx, &mutex, 50_000 * NS, || say("holder")));
    assert_eq!(names(&rig.run()), ["holder", "first", "second", "third"]);
}

#[test]
fn spinners_get_a_mutex_in_the_order_in_which_they_came() {
    let rig = Rig::new(Machine::flat(8), &[]);
    let mutex = mutex();
    for (at, name) in [(6000, "third"), (2000, "first"), (4000, "second")] {
        let mutex = Rc::clone(&mutex);
        rig.at(at * NS, move |ctx, say| hold(ctx, &mutex, 100 * NS, || say(name)));
    }
    rig.at(0, move |ctx, say| hold(ctx, &mutex, 50_000 * NS, || say("holder")));
    assert_eq!(names(&rig.run()), ["holder", "first", "second", "third"]);
}

/// A mutex is let go before the sleeper is woken, so one who runs may be faster. But only once: a sleeper who was woken in
/// vain is handed the mutex, also past one who spins for it.
#[test]
fn who_was_woken_in_vain_is_handed_the_mutex() {
    let rig = Rig::new(Machine::flat(8), &[]);
    let mutex = mutex();
    let wake = Machine::flat(8).wake_latency;
    let let_go = 50_000 * NS;
    let thread = |at: Ps, work: Ps, name: &'static str| {
        let mutex = Rc::clone(&mutex);
        rig.at(at, move |ctx, say| hold(ctx, &mutex, work, || say(name)));
    };
    // The thief comes while the sleeper is on its way, and stays until that has come in vain.
    thread(let_go + 1000 * NS, 4 * wake, "thief");
    // It finds the thief running, so it spins; it is there when the thief lets go.
    thread(let_go + 2 * wake, 100 * NS, "spinner");
    thread(1000 * NS, 100 * NS, "sleeper");
    let holder = Rc::clone(&mutex);
    rig.at(0, move |ctx, say| sleep_with(ctx, &holder, let_go, || say("holder")));
    let log = rig.run();
    assert_eq!(names(&log), ["holder", "thief", "sleeper", "spinner"], "{log:?}");
    // It was the thief's to give only when the thief was done.
    assert!(log[2].1 >= log[1].1 + 4 * wake, "{log:?}");
}

/// Nobody slept for it in vain: who spins takes it, and the sleeper is told the next time.
#[test]
fn the_hand_over_is_forgotten_when_it_is_done() {
    let rig = Rig::new(Machine::flat(8), &[]);
    let mutex = mutex();
    let wake = Machine::flat(8).wake_latency;
    let let_go = 50_000 * NS;
    let thread = |at: Ps, work: Ps, name: &'static str| {
        let mutex = Rc::clone(&mutex);
        rig.at(at, move |ctx, say| hold(ctx, &mutex, work, || say(name)));
    };
    thread(let_go + 1000 * NS, 4 * wake, "thief");
    thread(1000 * NS, 100 * NS, "sleeper");
    // Long after all of it: the mutex is free.
    thread(2 * let_go, 100 * NS, "late");
    let holder = Rc::clone(&mutex);
    rig.at(0, move |ctx, say| sleep_with(ctx, &holder, let_go, || say("holder")));
    let log = rig.run();
    assert_eq!(names(&log), ["holder", "thief", "sleeper", "late"], "{log:?}");
    assert!(log[3].1 < 2 * let_go + 1000 * NS, "nothing is in its way: {log:?}");
}

fn rwlock() -> Rc<RwLock> {
    Rc::new(Sim::embed("a", |l| l.rwlock("rwlock", 0)))
}

fn read(ctx: &SimCtx, lock: &RwLock, work: Ps, say: &dyn Fn(&'static str), [begin, end]: [&'static str; 2]) {
    lock.read_lock(ctx, true);
    say(begin);
    ctx.work(work);
    ctx.in_order();
    say(end);
    lock.read_unlock(ctx);
}

fn write(ctx: &SimCtx, lock: &RwLock, work: Ps, say: &dyn Fn(&'static str)) {
    lock.write_lock(ctx, true);
    say("writes");
    ctx.work(work);
    ctx.in_order();
    say("written");
    lock.write_unlock(ctx);
}

#[test]
fn a_writer_waits_for_each_reader() {
    let rig = Rig::new(Machine::flat(8), &[]);
    let lock = rwlock();
    for (work, name) in [(20_000, ["first reads", "first has read"]), (40_000, ["second reads", "second has read"])] {
        let lock = Rc::clone(&lock);
        rig.at(work / 100 * NS, move |ctx, say| read(ctx, &lock, work * NS, say, name));
    }
    rig.at(5000 * NS, move |ctx, say| write(ctx, &lock, 100 * NS, say));
    let log = rig.run();
    let expected = ["first reads", "second reads", "first has read", "second has read", "writes", "written"];
    assert_eq!(names(&log), expected, "{log:?}");
}

#[test]
fn a_writer_that_works_or_waits_keeps_new_readers_out() {
    let rig = Rig::new(Machine::flat(8), &[]);
    let lock = rwlock();
    let (early, late) = (Rc::clone(&lock), Rc::clone(&lock));
    rig.at(0, move |ctx, say| read(ctx, &early, 20_000 * NS, say, ["reads", "has read"]));
    rig.at(10_000 * NS, move |ctx, say| read(ctx, &late, 100 * NS, say, ["late reads", "late has read"]));
    rig.at(5000 * NS, move |ctx, say| write(ctx, &lock, 20_000 * NS, say));
    let expected = ["reads", "has read", "writes", "written", "late reads", "late has read"];
    assert_eq!(names(&rig.run()), expected);
}
