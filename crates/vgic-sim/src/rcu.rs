//! RCU: readers cost next to nothing, grace periods have a length that is drawn, callbacks run in batches.
//!
//! One grace period after the other, as on a machine: who asks while one is under way waits for its end and for the
//! next one. A callback runs on the core that left it, at the end of its next operation after the grace period.

use crate::Sim;
use crate::ctx::SimCtx;
use crate::layout::SimLayout;
use crate::machine::{Cost, Machine, Ps};
use crate::random::{draw, scramble};
use crate::report::Spending;
use core::cell::Cell;
use std::collections::VecDeque;
use vgic_core::platform::{AtomicInt, Layout};
use vgic_core::{Callback, Event, Pair, Platform};

/// Callbacks of a core above which it waits.
const BACKLOG: usize = 10_000;

/// Grace periods and callbacks.
pub(crate) struct Rcu {
    random: Cell<u64>,
    /// End of the grace period that runs, if it is not over.
    ends: Ps,
    /// End of the one behind it, if somebody has asked.
    next_ends: Option<Ps>,
    /// Of each core: each with its grace period's end, in that order.
    callbacks: Vec<VecDeque<(Ps, Callback<SimCtx>)>>,
}

impl Rcu {
    pub(crate) fn new(seed: u64) -> Self {
        let random = Cell::new(scramble(seed, u64::MAX - 1));
        Rcu { random, ends: 0, next_ends: None, callbacks: Vec::new() }
    }

    /// When a grace period that is asked for now will be over.
    fn ask(&mut self, now: Ps, machine: &Machine) -> Ps {
        while now >= self.ends {
            let Some(next) = self.next_ends.take() else { break };
            self.ends = next;
        }
        let (shortest, longest) = (machine.grace_period_min, machine.grace_period_max);
        let drawn = shortest + draw(&self.random, longest - shortest + 1);
        if now >= self.ends {
            self.ends = now + drawn;
            return self.ends;
        }
        let ends = self.ends;
        *self.next_ends.get_or_insert(ends + drawn)
    }
}

pub(crate) fn read_lock(ctx: &SimCtx) {
    let Some(core) = ctx.if_core() else { return };
    core.spend(Spending::Hits, ctx.cost(Cost::rcu_section) / 2);
    if core.section.get() == 0 {
        core.section_begun.set(core.now());
    }
    core.section.set(core.section.get() + 1);
}

pub(crate) fn read_unlock(ctx: &SimCtx) {
    let Some(core) = ctx.if_core() else { return };
    core.section.set(core.section.get() - 1);
    core.spend(Spending::Hits, ctx.world.machine.rcu_section.div_ceil(2));
}

/// SRCU: two counters of each CPU, for entries and exits, one line for both. `which`: 0 to enter, 1 to leave. A full
/// barrier goes with each, as in the kernel.
pub(crate) fn srcu(ctx: &SimCtx, which: usize) {
    let Some(core) = ctx.if_core() else { return };
    let counters = core.srcu.get_or_init(|| {
        let layout = SimLayout::new(ctx.world.clone(), "srcu_data", ctx.world.places.borrow_mut().alone());
        [layout.u64("srcu_lock_count", 0), layout.u64("srcu_unlock_count", 0)]
    });
    counters[which].add(ctx, 1);
    Sim::fence(ctx, Pair::BusPublish);
}

pub(crate) fn synchronize(ctx: &SimCtx) {
    ctx.count(Event::GracePeriod);
    let Some(core) = ctx.if_core() else { return };
    assert_eq!(core.section.get(), 0, "synchronize_rcu in a read section");
    ctx.world.drain(core);
    ctx.world.in_order(core);
    let begin = core.now();
    let ends = ctx.world.rcu.borrow_mut().ask(begin, &ctx.world.machine);
    ctx.charge(Cost::grace_period_min, ends - begin);
    ctx.charge(Cost::grace_period_max, ends - begin);
    ctx.world.sleep_until(core, ends, Spending::Grace);
    wait_for_readers(ctx, begin);
    // Who waited slept.
    core.spend(Spending::Idle, ctx.cost(Cost::wake_latency));
    ctx.trace("grace", "synchronize_rcu", begin, None);
}

/// Grace periods are far longer than read sections; should a reader be there still, it is waited for.
fn wait_for_readers(ctx: &SimCtx, since: Ps) {
    let reads = |core: &crate::virtual_core::Core| core.section.get() > 0 && core.section_begun.get() <= since;
    while ctx.world.every_core().iter().any(|core| reads(core)) {
        let later = ctx.core().now() + 1_000_000;
        ctx.world.sleep_until(ctx.core(), later, Spending::Grace);
    }
}

pub(crate) fn call(ctx: &SimCtx, callback: Callback<SimCtx>) {
    let Some(core) = ctx.if_core() else {
        // SAFETY: X-04: the set-up runs while no core does.
        return unsafe { callback.run(ctx) };
    };
    ctx.world.in_order(core);
    let mut rcu = ctx.world.rcu.borrow_mut();
    let ends = rcu.ask(core.now(), &ctx.world.machine);
    let at = core.number as usize;
    if rcu.callbacks.len() <= at {
        rcu.callbacks.resize_with(at + 1, VecDeque::new);
    }
    rcu.callbacks[at].push_back((ends, callback));
}

/// Runs the core's callbacks whose time has come, and waits if there are too many.
pub(crate) fn throttle(ctx: &SimCtx) {
    let Some(core) = ctx.if_core() else { return };
    loop {
        let (next, left) = {
            let mut rcu = ctx.world.rcu.borrow_mut();
            let Some(queue) = rcu.callbacks.get_mut(core.number as usize) else { return };
            let Some((ends, _)) = queue.front() else { return };
            let left = queue.len();
            if *ends > core.now() { (Err(*ends), left) } else { (Ok(queue.pop_front()), left) }
        };
        match next {
            Ok(Some((ends, callback))) => {
                wait_for_readers(ctx, ends.min(core.now()));
                // SAFETY: X-04: its grace period is over.
                unsafe { callback.run(ctx) }
            }
            Ok(None) => return,
            Err(ends) if left > BACKLOG => ctx.world.sleep_until(core, ends, Spending::Grace),
            Err(_) => return,
        }
    }
}

/// Runs every callback: by the set-up, while no core runs.
pub(crate) fn barrier(ctx: &SimCtx) {
    if ctx.if_core().is_some() {
        synchronize(ctx);
        return throttle(ctx);
    }
    loop {
        let next = ctx.world.rcu.borrow_mut().callbacks.iter_mut().find_map(VecDeque::pop_front);
        let Some((_, callback)) = next else { return };
        // SAFETY: X-04: no core runs, so there is no reader.
        unsafe { callback.run(ctx) }
    }
}
