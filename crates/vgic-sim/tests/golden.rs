//! A medley of everything that cores do, on machines that differ, and where all of the time went.
//!
//! The other tests say what a thing costs alone and why. Here eight cores do them all at once, at random, so that a cost or
//! an order that changes anywhere shows as a difference of `tests/golden/<machine>.txt`. Is the change meant,
//! `VGIC_BLESS=1 cargo test -p vgic-sim --test golden` writes the files again, and the difference is part of what is reviewed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::{env, fs};
use vgic_core::platform::{Atomic, AtomicInt, Layout, Parker as _, PlainCell, RawLock, RawRwLock};
use vgic_core::{Event, Obj, Order, Pair, Platform, Work};
use vgic_sim::machine::{Atomics, Distance, Machine, NS, SpinLocks};
use vgic_sim::report::Spending;
use vgic_sim::{Mutex, Parker, RwLock, Sim, SimCtx, SpinLock, World};

const CORES: u32 = 8;
/// The first of them run vCPUs.
const VCPUS: u32 = 2;
const TURNS: u32 = 600;

type Words = [vgic_sim::AtomicU64; 3];

struct Things {
    mutex: Mutex,
    other_mutex: Mutex,
    spin: SpinLock,
    nested: SpinLock,
    rwlock: RwLock,
    words: Words,
    cell: vgic_sim::Cell<u32>,
    parkers: Vec<Parker>,
    /// One core frees what another has made.
    made: RefCell<Vec<Obj<vgic_sim::AtomicU64>>>,
    /// Cores that are not done.
    left: Cell<u32>,
}

fn things() -> Things {
    let (mutex, other_mutex, spin, nested, rwlock) = Sim::embed("locks", |l| {
        let mutexes = (l.mutex("mutex", 0), l.mutex("other_mutex", 1));
        (mutexes.0, mutexes.1, l.spin("spin", 2), l.spin("nested", 2), l.rwlock("rwlock", 3))
    });
    let (words, cell) = Sim::embed("words", |l| {
        let first = l.u64("first", 0);
        let cell = l.cell("cell", 0_u32);
        l.line();
        ([first, l.u64("second", 0), l.u64("third", 0)], cell)
    });
    let parkers = Sim::embed("parkers", |l| (0..CORES).map(|_| l.parker("parker")).collect());
    let (made, left) = (RefCell::default(), Cell::new(0));
    Things { mutex, other_mutex, spin, nested, rwlock, words, cell, parkers, made, left }
}

fn make(ctx: &SimCtx) -> Obj<vgic_sim::AtomicU64> {
    Sim::alloc(ctx, "object", |l| l.u64("value", 0)).expect("memory")
}

/// One thing, drawn by the core's chance.
fn turn(ctx: &SimCtx, it: &Things) {
    let short = (1 + ctx.random(40)) * NS;
    match ctx.random(20) {
        0 => {
            it.mutex.lock(ctx, false);
            it.cell.set(ctx, it.cell.get(ctx) + 1);
            if ctx.random(3) == 0 {
                ctx.sleep_until(ctx.now() + 3000 * NS, Spending::Idle);
            }
            ctx.work(short);
            it.mutex.unlock(ctx);
        }
        1 => {
            it.mutex.lock(ctx, false);
            it.other_mutex.lock_nested(ctx);
            ctx.work(5 * short);
            it.mutex.unlock(ctx);
            it.other_mutex.unlock(ctx);
        }
        2 | 3 => {
            it.spin.lock(ctx, true);
            it.words[0].store(ctx, 1, Order::Relaxed);
            ctx.work(4 * short);
            if ctx.random(2) == 0 {
                it.nested.lock_nested(ctx);
                it.words[1].fetch_add(ctx, 1, Order::Relaxed);
                it.nested.unlock(ctx);
            }
            it.spin.unlock(ctx);
        }
        4 | 5 => {
            it.rwlock.read_lock(ctx, false);
            it.words[2].load(ctx, Order::Relaxed);
            ctx.work(short);
            it.rwlock.read_unlock(ctx);
        }
        6 => {
            it.rwlock.write_lock(ctx, false);
            it.words[2].store(ctx, 3, Order::Relaxed);
            ctx.work(short);
            it.rwlock.write_unlock(ctx);
        }
        7 => it.words.iter().for_each(|word| _ = word.load(ctx, Order::Relaxed)),
        8 => _ = it.words[1].fetch_add(ctx, 1, Order::Relaxed),
        9 => it.words[0].add(ctx, 1),
        10 => it.words[2].store(ctx, 1, Order::Release(Pair::KickEntry)),
        11 => {
            Sim::rcu_read_lock(ctx);
            it.words[0].load(ctx, Order::Relaxed);
            ctx.work(10 * short);
            Sim::rcu_read_unlock(ctx);
        }
        12 => {
            Sim::srcu_read_lock(ctx);
            ctx.work(short);
            Sim::srcu_read_unlock(ctx);
        }
        13 => {
            let new = make(ctx);
            new.fetch_add(ctx, 1, Order::Relaxed);
            it.made.borrow_mut().push(new);
        }
        14 => {
            ctx.in_order();
            let old = it.made.borrow_mut().pop();
            if let Some(old) = old {
                old.load(ctx, Order::Relaxed);
                // SAFETY: it was taken out, so nobody else has the handle.
                if ctx.random(2) == 0 { unsafe { Sim::free(ctx, old) } } else { unsafe { Sim::free_rcu(ctx, old) } }
            }
        }
        15 => Sim::fence(ctx, Pair::KickEntry),
        16 => Sim::work(ctx, Work::SendIpi(ctx.random(u64::from(VCPUS) + 1) as u32)),
        17 => it.parkers[ctx.random(u64::from(CORES)) as usize].unpark(ctx),
        18 => ctx.sleep_until(ctx.now() + 10 * short, Spending::Idle),
        _ => rare(ctx, it),
    }
}

/// What takes long.
fn rare(ctx: &SimCtx, it: &Things) {
    match ctx.random(9) {
        0 => Sim::synchronize_rcu(ctx),
        1 => Sim::synchronize_srcu(ctx),
        2 => Sim::rcu_barrier(ctx),
        3 => it.parkers[ctx.number() as usize].park(ctx),
        4 => Sim::rcu_throttle(ctx),
        5 => Sim::count(ctx, Event::GracePeriod),
        6 => Sim::warn(ctx, "rare"),
        7 => Sim::fence_after_rmw(ctx, Pair::KickEntry),
        _ => (0..4).for_each(|spins| Sim::relax(ctx, spins)),
    }
}

/// Takes IPIs between its turns.
fn vcpu_turn(ctx: &SimCtx) {
    Sim::work(ctx, Work::EnterGuest);
    if ctx.random(4) == 0 {
        ctx.wait_for_ipi();
    }
    if !ctx.take_ipi() {
        ctx.spend(Spending::Guest, 200 * NS);
        ctx.forget_ipi();
    }
    Sim::work(ctx, Work::ExitGuest);
}

fn play(machine: Machine, free: &[&str]) -> String {
    let world = World::new(machine, 7, free.iter().map(|name| (*name).to_owned()).collect(), 100_000);
    let it = Rc::new(things());
    // The set-up has locks to itself, and it costs nothing.
    let set_up = SimCtx::set_up(&world);
    it.spin.lock(&set_up, false);
    it.spin.unlock(&set_up);
    it.mutex.lock(&set_up, false);
    it.mutex.unlock(&set_up);
    it.words[0].store(&set_up, 9, Order::Relaxed);
    let ends = Rc::new(RefCell::new(vec![0; CORES as usize + 1]));
    it.left.set(CORES);
    for core in 0..CORES {
        let (it, ends) = (Rc::clone(&it), Rc::clone(&ends));
        let name = format!("{}{core}", if core < VCPUS { "vcpu" } else { "sender" });
        world.spawn(&name, move |ctx| {
            if core < VCPUS {
                ctx.runs_vcpu(core);
            }
            for turns in 0..TURNS {
                // What was before is forgotten, by a core that others may be behind.
                if (core, turns) == (3, TURNS / 4) {
                    ctx.measure();
                }
                turn(ctx, &it);
                if core < VCPUS {
                    vcpu_turn(ctx);
                }
            }
            it.left.set(it.left.get() - 1);
            ends.borrow_mut()[core as usize] = ctx.now();
        });
    }
    // Nobody is left asleep, nor in a guest.
    let (last, at) = (Rc::clone(&it), Rc::clone(&ends));
    world.spawn("other", move |ctx| {
        while last.left.get() > 0 {
            ctx.sleep_until(ctx.now() + 5000 * NS, Spending::Idle);
            (0..VCPUS).for_each(|vcpu| Sim::work(ctx, Work::SendIpi(vcpu)));
            last.parkers.iter().for_each(|parker| parker.unpark(ctx));
        }
        at.borrow_mut()[CORES as usize] = ctx.now();
    });
    world.run(|| ()).expect("an end");
    told(&world, &ends.borrow())
}

/// All that a run tells.
fn told(world: &World, ends: &[u64]) -> String {
    let mut text = String::new();
    let mut say = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a string takes it");
    say(format_args!("{} accesses, measured from {} to {} ps", world.accesses(), world.measured_from(), world.now()));
    for (name, end) in world.core_names().iter().zip(ends) {
        say(format_args!("{name} ends at {end}"));
    }
    for threads in world.measured(world.now()) {
        say(format_args!("{} {}", threads.count, threads.name));
        for (name, time) in threads.spent.iter().filter(|(_, time)| **time > 0) {
            say(format_args!("    {name} {time}"));
        }
    }
    let tally = world.tally();
    for lock in tally.locks() {
        say(format_args!("lock {}: {} times, waited {}", lock.name, lock.taken, lock.waited));
    }
    for (number, field) in tally.fields().iter().enumerate() {
        let [reads, writes] = tally.accesses(number);
        say(format_args!("{}.{} in line {}: {reads} reads, {writes} writes", field.class, field.name, field.line));
        say(format_args!("    misses {:?} {:?}", field.reads, field.writes));
        say(format_args!("    stalls {:?}, outside locks {:?}", field.stalls, field.outside));
    }
    say(format_args!("events {:?}, {} warnings", world.events(), world.warnings().len()));
    let trace = world.take_trace();
    for kind in ["lock", "wait", "grace"] {
        let (mut count, mut time) = (0, 0);
        for event in trace.iter().filter(|event| event.kind == kind) {
            (count, time) = (count + 1, time + event.end - event.begin);
        }
        say(format_args!("picture: {count} {kind}, {time}"));
    }
    text
}

fn check(name: &str, machine: Machine, free: &[&str]) {
    let told = play(machine, free);
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if env::var_os("VGIC_BLESS").is_some() {
        fs::write(&file, &told).expect("it can be written");
    }
    let expected = fs::read_to_string(&file).expect("a golden file");
    for (line, (told, expected)) in told.lines().zip(expected.lines()).enumerate() {
        assert_eq!(told, expected, "{name}, line {}: see the head of this test", line + 1);
    }
    assert_eq!(told.lines().count(), expected.lines().count());
}

/// Two sockets of two clusters each; grace periods that a run of the medley sees many of.
fn machine() -> Machine {
    let distance = Distance::Classes { cluster: 2, socket: 4, cost: [20 * NS, 45 * NS, 130 * NS] };
    Machine {
        distance,
        jitter: 100,
        grace_period_min: 20_000 * NS,
        grace_period_max: 40_000 * NS,
        ..Machine::flat(CORES + 1)
    }
}

#[test]
fn near_atomics_and_queued_locks() {
    check("near", machine(), &[]);
}

#[test]
fn far_atomics_and_ticket_locks() {
    let machine = Machine { atomics: Atomics::FarStore, spin_locks: SpinLocks::Ticket, ..machine() };
    check("far", machine, &[]);
}

#[test]
fn load_and_conditional_store_without_a_store_buffer() {
    let machine = Machine { atomics: Atomics::LlSc, store_buffer: 0, ..machine() };
    check("llsc", machine, &[]);
}

/// A store buffer of one, and things whose transfers cost nothing.
#[test]
fn what_is_free() {
    let free: BTreeSet<&str> = ["mutex", "spin", "words.first", "words[1]", "parkers.parker"].into();
    let machine = Machine { store_buffer: 1, spin_locks: SpinLocks::Ticket, ..machine() };
    check("free", machine.clone(), &free.iter().copied().collect::<Vec<_>>());
    check("free-queued", Machine { spin_locks: SpinLocks::Qspinlock, ..machine }, &["spin", "mutex", "rwlock"]);
}
