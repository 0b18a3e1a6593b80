//! O-04 and O-08: a vCPU that enters the guest or goes to sleep misses nothing.

use super::{Guest, guest};
use crate::platform::Ctx;

/// Either the vCPU stays out or takes the LPI, or it has been told to leave.
fn enter_beside_a_send(ctx: &Ctx, design: &str) {
    let guest = guest(ctx, design);
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
    enter_beside_a_send(ctx, "v6.10");
}

pub(super) fn kick_or_stay_out_6_19(ctx: &Ctx) {
    enter_beside_a_send(ctx, "v7.1.8");
}

/// A wake-up that is lost is a deadlock.
fn block_beside(ctx: &Ctx, guest: &std::sync::Arc<Guest>, other: impl FnOnce(&Guest, &Ctx) + Send + 'static) {
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

pub(super) fn wake_or_see_it(ctx: &Ctx) {
    let guest = guest(ctx, "v7.1.8");
    block_beside(ctx, &guest, |guest, ctx| {
        let _ = guest.send(ctx, 0);
    });
}
