//! O-04 and O-08: a vCPU that enters the guest or goes to sleep misses nothing.

use super::{Guest, guest};
use crate::platform::Ctx;
use std::sync::Arc;

/// Either the vCPU stays out or takes the LPI, or it has been told to leave.
fn enter_beside_a_send(ctx: &Ctx, guest: &Arc<Guest>) {
    guest.spawn(ctx, "sender", |guest, ctx| {
        let _ = guest.send(ctx, 0);
    });
    ctx.note("enters the guest");
    let mut running = guest.vm.run_vcpu(ctx, 0);
    let stays_in = running.enter() && running.acknowledge().is_none();
    guest.join(ctx);
    ctx.expect(!stays_in || running.must_exit(), "a vCPU stays in the guest while an LPI is queued for it");
}

pub(super) fn kick_or_stay_out(ctx: &Ctx) {
    enter_beside_a_send(ctx, &guest(ctx, "v6.10"));
}

pub(super) fn kick_or_stay_out_6_19(ctx: &Ctx) {
    enter_beside_a_send(ctx, &guest(ctx, "v7.1.8"));
}

pub(super) fn kick_or_stay_out_hints(ctx: &Ctx) {
    enter_beside_a_send(ctx, &guest(ctx, "next-05"));
}

/// One of the two may find the summary set by the other.
pub(super) fn kick_or_stay_out_of_two(ctx: &Ctx) {
    let guest = guest(ctx, "next-05");
    guest.map(ctx, 1, 1, 0);
    guest.warm(ctx, &[1]);
    for event in 0..2 {
        guest.spawn(ctx, "sender", move |guest, ctx| {
            let _ = guest.send(ctx, event);
        });
    }
    ctx.note("enters the guest");
    let mut running = guest.vm.run_vcpu(ctx, 0);
    let mut missed = 0;
    if running.enter() {
        missed = 2;
        while let Some(intid) = running.acknowledge() {
            running.eoi(intid);
            missed -= 1;
        }
    }
    guest.join(ctx);
    ctx.expect(missed == 0 || running.must_exit(), "a vCPU stays in the guest while an LPI is due to it");
}

/// A wake-up that is lost is a deadlock.
fn block_beside(ctx: &Ctx, guest: &Arc<Guest>, other: impl FnOnce(&Guest, &Ctx) + Send + 'static) {
    guest.spawn(ctx, "other", other);
    ctx.note("blocks");
    let running = guest.vm.run_vcpu(ctx, 0);
    guest.vm.block(ctx, running.vcpu(), || false);
    guest.join(ctx);
}

/// The LPI is queued, but the distributor is off: the vCPU sees that without any lock.
pub(super) fn wake_or_stay_up(ctx: &Ctx) {
    let guest = guest(ctx, "v7.1.8");
    let _ = guest.send(ctx, 0);
    guest.vm.set_distributor_enabled(ctx, false);
    block_beside(ctx, &guest, |guest, ctx| guest.vm.set_distributor_enabled(ctx, true));
}

fn block_beside_a_send(ctx: &Ctx, guest: &Arc<Guest>) {
    block_beside(ctx, guest, |guest, ctx| {
        let _ = guest.send(ctx, 0);
    });
}

pub(super) fn wake_or_see_it(ctx: &Ctx) {
    block_beside_a_send(ctx, &guest(ctx, "v7.1.8"));
}

pub(super) fn wake_or_see_it_hints(ctx: &Ctx) {
    block_beside_a_send(ctx, &guest(ctx, "next-05"));
}
