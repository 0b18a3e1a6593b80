//! What accesses and work cost, as sums of the machine's values: hits, and lines that come from somewhere.

mod common;
mod sums;

use common::Rig;
use std::rc::Rc;
use sums::{alone, costs, machine, thing};
use vgic_core::platform::{Atomic, AtomicInt, Layout, PlainCell};
use vgic_core::{Order, Pair, Platform, Work};
use vgic_sim::machine::{Atomics, Distance, Machine, NS};
use vgic_sim::{Ps, Sim, SimCtx};

#[test]
fn fields() {
    let things = || {
        let word = Rc::new(Sim::embed("a", |l| (l.u64("word", 0), l.cell("cell", 0_u32))));
        let do_ = |name, f: fn(&(vgic_sim::AtomicU64, vgic_sim::Cell<u32>), &SimCtx)| {
            let word = Rc::clone(&word);
            thing(name, move |ctx| f(&word, ctx))
        };
        vec![
            do_("load", |word, ctx| _ = word.0.load(ctx, Order::Relaxed)),
            do_("store", |word, ctx| word.0.store(ctx, 1, Order::Relaxed)),
            do_("release", |word, ctx| word.0.store(ctx, 1, Order::Release(Pair::KickEntry))),
            do_("get", |word, ctx| _ = word.1.get(ctx)),
            do_("set", |word, ctx| word.1.set(ctx, 1)),
            do_("exchange", |word, ctx| _ = word.0.swap(ctx, 1, Order::Relaxed)),
            do_("add", |word, ctx| word.0.add(ctx, 1)),
            do_("fetch_add", |word, ctx| _ = word.0.fetch_add(ctx, 1, Order::Relaxed)),
            do_("fence", |_, ctx| Sim::fence(ctx, Pair::KickEntry)),
            do_("fence after", |_, ctx| Sim::fence_after_rmw(ctx, Pair::KickEntry)),
            do_("relax", |_, ctx| Sim::relax(ctx, 1)),
        ]
    };
    let expected = |exchange, add, fetch_add| {
        [
            ("load", "memory + load + step"),
            ("store", "store + step"),
            ("release", "store + step"),
            ("get", "near load + step"),
            ("set", "store + step"),
            ("exchange", exchange),
            ("add", add),
            ("fetch_add", fetch_add),
            ("fence", "fence"),
            ("fence after", "fence"),
            ("relax", "relax"),
        ]
    };
    let (near, twice) = ("rmw + step", "2 rmw + 2 step");
    alone(&machine(), things, &expected(near, near, near));
    alone(&Machine { atomics: Atomics::LlSc, ..machine() }, things, &expected(twice, twice, twice));
    // It comes back from where it was executed: a clean copy.
    let back = "0.6 transfer + rmw + step";
    alone(&Machine { atomics: Atomics::FarStore, ..machine() }, things, &expected(near, "far + step", back));
}

#[test]
fn work() {
    let things = || {
        let do_ = |name, work: Work| thing(name, move |ctx| Sim::work(ctx, work));
        vec![
            do_("no bus", Work::BusLookup(0)),
            do_("one", Work::BusLookup(1)),
            do_("eight", Work::BusLookup(8)),
            do_("ipi", Work::SendIpi(0)),
            do_("wake", Work::WakeUp),
            do_("in", Work::EnterGuest),
            do_("out", Work::ExitGuest),
            do_("write", Work::WriteListRegister),
            do_("read", Work::ReadListRegister),
            do_("guest", Work::GuestAccess),
            thing("objects", |ctx| {
                let one = Sim::alloc(ctx, "one", |l| l.u64("value", 0)).expect("memory");
                // SAFETY: nobody else has the handle.
                unsafe { Sim::free(ctx, one) }
            }),
        ]
    };
    let expected = [
        // Each halving is a step, and the last look is one.
        ("no bus", "bus"),
        ("one", "bus"),
        ("eight", "4 bus"),
        ("ipi", "ipi"),
        ("wake", "wake"),
        ("in", "in"),
        ("out", "out"),
        ("write", "write lr"),
        ("read", "read lr"),
        ("guest", "guest"),
        ("objects", "kmalloc + kfree"),
    ];
    alone(&machine(), things, &expected);
}

type Access = fn(&vgic_sim::AtomicU64, &SimCtx);

/// One more core does something to a word, and says so before and behind.
fn access(rig: &Rig, word: &Rc<vgic_sim::AtomicU64>, at: Ps, from: &'static str, to: &'static str, f: Access) {
    let word = Rc::clone(word);
    rig.at(at, move |ctx, say| {
        say(from);
        f(&word, ctx);
        say(to);
    });
}

/// Who reads a line that others have, and who takes it from them.
#[test]
fn lines() {
    let scene = |rig: &Rig| {
        let word = Rc::new(Sim::embed("a", |l| l.u64("word", 0)));
        let do_ = |at: Ps, from, to, f: Access| access(rig, &word, at * 1000 * NS, from, to, f);
        let load: Access = |word, ctx| _ = word.load(ctx, Order::Relaxed);
        let change: Access = |word, ctx| _ = word.swap(ctx, 1, Order::Relaxed);
        do_(0, "0 reads", "0 has read", load);
        do_(1, "1 reads", "1 has read", load);
        do_(2, "2 writes", "2 has written", change);
        do_(3, "3 reads", "3 has read", load);
        // At the same time.
        do_(4, "4 reads", "4 has read", load);
        do_(4, "5 reads", "5 has read", load);
        do_(4, "6 writes", "6 has written", change);
        do_(4, "7 reads", "7 has read", load);
    };
    costs(
        &machine(),
        &[],
        scene,
        &[
            ("0 reads", "0 has read", "memory + load + step"),
            ("1 reads", "1 has read", "0.6 transfer + load + step"),
            ("2 writes", "2 has written", "0.9 transfer + rmw + step"),
            ("3 reads", "3 has read", "transfer + load + step"),
            ("4 reads", "4 has read", "0.6 transfer + load + step"),
            // Copies are served one behind the other, and who writes has its turn behind them.
            ("5 reads", "5 has read", "0.6 transfer + occupancy + load + step"),
            ("6 writes", "6 has written", "0.9 transfer + 2 occupancy + rmw + step"),
            // Behind the writer, who keeps the line for a moment.
            ("7 reads", "7 has read", "1.9 transfer + 2 occupancy + load + rmw + 2 step + hold"),
        ],
    );
}

/// A release waits for the stores before it, also one that is a read-modify-write; a store that releases nothing does not.
#[test]
fn a_release_waits_for_stores() {
    let scene = |rig: &Rig| {
        let words = || Rc::new(Sim::embed("a", |l| l.u64("word", 0)));
        let all = [words(), words(), words()];
        let theirs = all.clone();
        rig.at(0, move |ctx, _| theirs[1..].iter().for_each(|word| _ = word.swap(ctx, 1, Order::Relaxed)));
        rig.at(1000 * NS, move |ctx, say| {
            let [mine, first, second] = &all;
            mine.swap(ctx, 1, Order::Relaxed);
            first.store(ctx, 2, Order::Relaxed);
            say("store");
            mine.store(ctx, 2, Order::Relaxed);
            say("release");
            mine.store(ctx, 3, Order::Release(Pair::KickEntry));
            say("exchange");
            second.store(ctx, 2, Order::Relaxed);
            mine.swap(ctx, 4, Order::AcqRel(Pair::KickEntry));
            say("end");
        });
    };
    costs(
        &machine(),
        &[],
        scene,
        &[
            ("store", "release", "store + step"), // The line was under way while two stores were done, of which this is one.
            ("release", "exchange", "transfer + -1 store"),
            ("exchange", "end", "transfer + rmw + 2 step"),
        ],
    );
}

/// A clean copy comes from near who wrote the line last; a line is taken from the farthest who shares it.
#[test]
fn near_and_far() {
    let near = 10 * NS;
    let far = 1000 * NS;
    let distance = Distance::Classes { cluster: 2, socket: 8, cost: [near, far, far] };
    let machine = Machine { distance, atomics: Atomics::FarStore, ..machine() };
    let rig = Rig::new(machine.clone(), &[]);
    let word = Rc::new(Sim::embed("a", |l| l.u64("word", 0)));
    let do_ = |at: Ps, from, to, f: Access| access(&rig, &word, at * 10_000 * NS, from, to, f);
    let load: Access = |word, ctx| _ = word.load(ctx, Order::Relaxed);
    // Cores 0 and 1 are near each other, and so are 2 and 3.
    do_(4, "0 takes", "0 took", |word, ctx| _ = word.swap(ctx, 1, Order::Relaxed));
    do_(5, "1 adds", "1 added", |word, ctx| {
        word.add(ctx, 1);
        word.load(ctx, Order::Relaxed);
    });
    do_(3, "2 reads", "2 read", load);
    do_(1, "3 writes", "3 wrote", |word, ctx| _ = word.swap(ctx, 1, Order::Relaxed));
    do_(2, "4 reads", "4 read", load);
    let log = rig.run();
    let at = |what| log.iter().find(|(said, _)| *said == what).expect("it was said").1;
    let took = |from, to| at(to) - at(from) - machine.step;
    // Half of the distance at least, as it is shorter than the time that the line is kept for.
    let (near, far) = (near / 2, far - machine.hit_rmw - machine.step - machine.hold);
    assert_eq!(took("3 writes", "3 wrote"), machine.memory + machine.hit_rmw);
    assert_eq!(took("4 reads", "4 read"), far + machine.hit_load, "from its owner");
    assert_eq!(took("2 reads", "2 read"), near * 6 / 10 + machine.hit_load, "from the neighbour who wrote it");
    assert_eq!(took("0 takes", "0 took"), far * 9 / 10 + machine.hit_rmw, "from all");
    // It goes home, and comes back from beside the core.
    let back = machine.step + near * 6 / 10 + machine.hit_load;
    assert_eq!(took("1 adds", "1 added"), machine.far_atomic + back);
}
