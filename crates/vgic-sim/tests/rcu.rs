//! Grace periods, and whom they wait for.

mod common;

use common::Rig;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use vgic_core::{Obj, Platform};
use vgic_sim::machine::NS;
use vgic_sim::{Machine, Ps, Sim, SimCtx};

const GRACE: Ps = 100_000 * NS;

/// A machine whose grace periods have one length, and where it costs nothing to wake up.
fn rig() -> Rig {
    Rig::new(Machine { grace_period_min: GRACE, grace_period_max: GRACE, wake_latency: 0, ..Machine::flat(8) }, &[])
}

/// Tells that it is gone.
struct Thing(Arc<AtomicU64>);

impl Drop for Thing {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn free_later(ctx: &SimCtx, gone: &Arc<AtomicU64>) {
    let thing: Obj<Thing> = Sim::alloc(ctx, "thing", |_| Thing(Arc::clone(gone))).expect("memory");
    // SAFETY: nobody else has the handle.
    unsafe { Sim::free_rcu(ctx, thing) };
}

/// Who asks while one is under way waits for its end, and for the next one; all who do wait for the same.
#[test]
fn one_grace_period_comes_after_the_other() {
    let rig = rig();
    let asked = [(10, "a", 110), (20, "b", 210), (90, "c", 210), (120, "d", 310), (250, "e", 410), (1000, "f", 1100)];
    for (at, name, _) in asked {
        rig.at(at * 1000 * NS, move |ctx, say| {
            Sim::synchronize_rcu(ctx);
            say(name);
        });
    }
    let mut over = rig.run();
    over.sort_unstable();
    assert_eq!(over, asked.map(|(_, name, end)| (name, end * 1000 * NS)));
}

#[test]
fn a_grace_period_lies_between_the_shortest_and_the_longest() {
    let machine = Machine { grace_period_min: 1000, grace_period_max: 1003, wake_latency: 0, ..Machine::flat(1) };
    let rig = Rig::new(machine, &[]);
    rig.at(0, |ctx, say| {
        let lengths: BTreeSet<Ps> = (0..200)
            .map(|_| {
                let begin = ctx.now();
                Sim::synchronize_rcu(ctx);
                ctx.now() - begin
            })
            .collect();
        assert_eq!(lengths, [1000, 1001, 1002, 1003].into());
        say("done");
    });
    assert_eq!(rig.run().len(), 1);
}

/// Who reads since before is waited for, to the end of its outermost section; who began later is not.
#[test]
fn readers_from_before_are_waited_for_and_no_others() {
    let rig = rig();
    rig.at(0, |ctx, say| {
        Sim::rcu_read_lock(ctx);
        ctx.work(20_000 * NS);
        ctx.in_order();
        Sim::rcu_read_lock(ctx);
        Sim::rcu_read_unlock(ctx);
        ctx.work(480_000 * NS);
        ctx.in_order();
        say("has read");
        Sim::rcu_read_unlock(ctx);
    });
    rig.at(10_000 * NS, |ctx, say| {
        Sim::synchronize_rcu(ctx);
        say("is over");
    });
    rig.at(30_000 * NS, |ctx, say| {
        Sim::rcu_read_lock(ctx);
        ctx.work(970_000 * NS);
        ctx.in_order();
        say("has read since later");
        Sim::rcu_read_unlock(ctx);
    });
    let said: Vec<_> = rig.run().into_iter().map(|(what, _)| what).collect();
    assert_eq!(said, ["has read", "is over", "has read since later"]);
}

#[test]
fn a_callback_waits_for_readers_too() {
    let rig = rig();
    let reading = Rc::new(Cell::new(true));
    let still = Rc::clone(&reading);
    rig.at(0, move |ctx, _| {
        Sim::rcu_read_lock(ctx);
        ctx.work(500_000 * NS);
        ctx.in_order();
        still.set(false);
        Sim::rcu_read_unlock(ctx);
    });
    rig.at(10_000 * NS, move |ctx, say| {
        let gone = Arc::default();
        free_later(ctx, &gone);
        ctx.work(300_000 * NS);
        Sim::rcu_throttle(ctx);
        assert!(!reading.get());
        assert_eq!(gone.load(Relaxed), 1);
        say("done");
    });
    assert_eq!(rig.run().len(), 1);
}

/// Each core has callbacks of its own, in whatever order cores come to have some; a barrier waits for those of its core.
#[test]
fn a_barrier_leaves_none_of_the_core() {
    let rig = rig();
    let all: [Arc<AtomicU64>; 3] = Default::default();
    for (core, at) in [(0, 30), (1, 10), (2, 20)] {
        let gone = Arc::clone(&all[core]);
        rig.at(at * 1000 * NS, move |ctx, say| {
            free_later(ctx, &gone);
            free_later(ctx, &gone);
            ctx.in_order();
            assert_eq!(gone.load(Relaxed), 0);
            Sim::rcu_barrier(ctx);
            assert_eq!(gone.load(Relaxed), 2);
            say("done");
        });
    }
    assert_eq!(rig.run().len(), 3);
}
