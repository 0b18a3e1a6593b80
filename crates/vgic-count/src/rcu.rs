//! RCU and SRCU with one thread: a grace period is over as soon as this thread is in no read section.

use crate::ctx::{CountCtx, Grace};
use crate::step::Kind;
use vgic_core::{Callback, Event};

pub(crate) fn call(ctx: &CountCtx, callback: Callback<CountCtx>) {
    ctx.note(Kind::CallRcu);
    ctx.push_callback(callback);
    run_early(ctx);
}

pub(crate) fn read_lock(ctx: &CountCtx) {
    ctx.note(Kind::RcuLock);
    ctx.rcu.set(ctx.rcu.get() + 1);
}

pub(crate) fn read_unlock(ctx: &CountCtx) {
    match ctx.rcu.get().checked_sub(1) {
        Some(depth) => ctx.rcu.set(depth),
        None => ctx.fail("rcu_read_unlock outside a read section".to_owned()),
    }
    ctx.note(Kind::RcuUnlock);
    run_early(ctx);
}

pub(crate) fn synchronize(ctx: &CountCtx) {
    ctx.may_sleep("synchronize_rcu");
    ctx.note(Kind::SynchronizeRcu);
    ctx.count_event(Event::GracePeriod);
    run(ctx);
}

pub(crate) fn barrier(ctx: &CountCtx) {
    ctx.may_sleep("rcu_barrier");
    ctx.note(Kind::RcuBarrier);
    run(ctx);
}

pub(crate) fn srcu_read_lock(ctx: &CountCtx) {
    ctx.note(Kind::SrcuLock);
    ctx.srcu.set(ctx.srcu.get() + 1);
}

pub(crate) fn srcu_read_unlock(ctx: &CountCtx) {
    match ctx.srcu.get().checked_sub(1) {
        Some(depth) => ctx.srcu.set(depth),
        None => ctx.fail("srcu_read_unlock outside a read section".to_owned()),
    }
    ctx.note(Kind::SrcuUnlock);
}

pub(crate) fn synchronize_srcu(ctx: &CountCtx) {
    ctx.may_sleep("synchronize_srcu");
    if ctx.srcu.get() > 0 {
        ctx.fail("synchronize_srcu inside an SRCU section waits for itself".to_owned());
    }
    ctx.note(Kind::SynchronizeSrcu);
}

/// With [`Grace::Early`], callbacks run as soon as they may.
fn run_early(ctx: &CountCtx) {
    if ctx.grace == Grace::Early && ctx.rcu.get() == 0 {
        run(ctx);
    }
}

/// Runs what is queued, as another thread would: without the locks of this one, and not written down.
fn run(ctx: &CountCtx) {
    ctx.apart(|| {
        while let Some(callback) = ctx.pop_callback() {
            // SAFETY: C-02: no read section runs, so a grace period has passed.
            unsafe { callback.run(ctx) }
        }
    });
}
