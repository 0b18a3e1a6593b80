//! Read sections, grace periods, and the thread that runs callbacks.
//!
//! A grace period is over when each section that ran at its start has ended. Callbacks run in a thread of their own, so
//! that what they free is freed at every moment at which it may be.

use super::ctx::Ctx;
use super::log::Did;
use super::world::Wait;
use crate::violation::Rule;
use std::collections::VecDeque;
use vgic_core::{Callback, Event, Platform};

/// RCU or SRCU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Rcu,
    Srcu,
}

impl Flavour {
    fn name(self, rcu: &'static str, srcu: &'static str) -> &'static str {
        match self {
            Flavour::Rcu => rcu,
            Flavour::Srcu => srcu,
        }
    }
}

/// Callbacks.
#[derive(Debug, Default)]
pub(crate) struct Rcu {
    queue: VecDeque<Callback<Ctx>>,
    queued: u64,
    pub(crate) done: u64,
    worker: Option<usize>,
    closing: bool,
}

impl Rcu {
    pub(crate) fn has_work(&self) -> bool {
        !self.queue.is_empty() || self.closing
    }
}

#[inline(never)]
pub(crate) fn enter(ctx: &Ctx, flavour: Flavour) {
    if !ctx.world.tick() {
        return ctx.over();
    }
    ctx.log(|| Did::Section(flavour.name("rcu_read_lock", "srcu_read_lock")));
    ctx.world.thread(ctx.id, |thread| {
        let (depth, section) = &mut thread.sections[flavour as usize];
        *depth += 1;
        if *depth == 1 {
            *section += 1;
        }
    });
}

#[inline(never)]
pub(crate) fn exit(ctx: &Ctx, flavour: Flavour) {
    if ctx.world.stopped() {
        return;
    }
    ctx.world.tick();
    let balanced = ctx.world.thread(ctx.id, |thread| {
        let (depth, _) = &mut thread.sections[flavour as usize];
        thread.stretch += 1;
        match depth.checked_sub(1) {
            Some(less) => {
                *depth = less;
                true
            }
            None => false,
        }
    });
    if !balanced {
        ctx.fail(Rule::Context, "the end of a read section outside of one".to_owned());
    }
    ctx.log(|| Did::Section(flavour.name("rcu_read_unlock", "srcu_read_unlock")));
}

/// Waits for a grace period.
pub(crate) fn synchronize(ctx: &Ctx, flavour: Flavour) {
    ctx.may_sleep(flavour.name("synchronize_rcu", "synchronize_srcu"));
    ctx.log(|| Did::Grace(flavour.name("synchronize_rcu", "synchronize_srcu")));
    if flavour == Flavour::Rcu {
        ctx.world.count_event(Event::GracePeriod);
    }
    wait_for_readers(ctx, flavour);
}

fn wait_for_readers(ctx: &Ctx, flavour: Flavour) {
    let mut readers = Vec::new();
    for id in 0..ctx.world.names().len() {
        let (depth, section) = ctx.world.thread(id, |thread| thread.sections[flavour as usize]);
        if depth > 0 {
            readers.push((id, section));
        }
    }
    // Waited for even if there are none: whoever waits for a grace period lets others go on.
    ctx.world.wait(ctx.id, Wait::Readers(readers, flavour));
    if ctx.world.stopped() {
        ctx.over();
    }
}

#[inline(never)]
pub(crate) fn call(ctx: &Ctx, callback: Callback<Ctx>) {
    let world = &ctx.world;
    if !world.tick() {
        return ctx.over();
    }
    ctx.log(|| Did::CallRcu(world.objects.borrow().find(callback.data().addr() as u64)));
    let (idle, worker) = {
        let mut rcu = world.rcu.borrow_mut();
        rcu.queue.push_back(callback);
        rcu.queued += 1;
        (rcu.queue.len() == 1 && rcu.done + 1 == rcu.queued, rcu.worker)
    };
    if idle {
        world.activity(1);
    }
    if worker.is_none() {
        let id = super::spawn(ctx, "rcu", false, Box::new(work));
        world.rcu.borrow_mut().worker = Some(id);
        // It was counted above, with its first callback.
        world.activity(-1);
    }
}

/// The thread that runs callbacks.
fn work(ctx: &Ctx) {
    let world = &ctx.world;
    loop {
        if !world.rcu.borrow().has_work() {
            world.wait(ctx.id, Wait::Callbacks);
        }
        if world.stopped() {
            return ctx.over();
        }
        let batch: Vec<_> = world.rcu.borrow_mut().queue.drain(..).collect();
        if batch.is_empty() {
            // The count of active threads goes down once when a thread ends.
            world.activity(1);
            return;
        }
        wait_for_readers(ctx, Flavour::Rcu);
        for callback in batch {
            // SAFETY: K-03: the sections that ran when it was taken from the queue have ended.
            unsafe { callback.run(ctx) }
            world.rcu.borrow_mut().done += 1;
        }
        let idle = world.rcu.borrow().queue.is_empty();
        if idle {
            world.activity(-1);
        }
    }
}

/// Waits until every callback queued before has run.
pub(crate) fn barrier(ctx: &Ctx) {
    ctx.may_sleep("rcu_barrier");
    let (queued, done) = {
        let rcu = ctx.world.rcu.borrow();
        (rcu.queued, rcu.done)
    };
    if done < queued {
        ctx.world.wait(ctx.id, Wait::Barrier(queued));
    }
    if ctx.world.stopped() {
        ctx.over();
    }
}

/// Nothing calls any more: the thread of RCU ends.
pub(crate) fn close(ctx: &Ctx) {
    barrier(ctx);
    let worker = {
        let mut rcu = ctx.world.rcu.borrow_mut();
        rcu.closing = true;
        rcu.worker
    };
    if let Some(worker) = worker {
        super::Shuttle::join(ctx, super::Thread(worker));
    }
}
