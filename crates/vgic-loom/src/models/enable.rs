//! O-05: who reads that LPIs are off, and that it is done, finds nothing left.

use super::cache::hit;
use super::{guest, guest_of};
use crate::platform::Ctx;
use vgic_core::{Msi, SendError};

/// `GICR_CTLR` reads as 0: RWP is clear, so the translation is in no cache, and nothing is queued.
fn read_ctlr(ctx: &Ctx, design: &str) {
    let guest = guest(ctx, design);
    let _ = guest.send(ctx, 0);
    guest.spawn(ctx, "other", |guest, ctx| guest.set_lpis(ctx, 0, false));
    if guest.vm.vcpus[0].gicr_ctlr(ctx) == 0 {
        let running = guest.vm.run_vcpu(ctx, 0);
        ctx.expect(!running.has_queued(), "LPIs are off, and one is queued");
        ctx.expect(!hit(ctx, &guest), "LPIs are off, and one is still cached");
    }
    guest.join(ctx);
}

pub(super) fn off_when_rwp_is_clear(ctx: &Ctx) {
    read_ctlr(ctx, "v7.1.8");
}

pub(super) fn off_when_rwp_is_clear_patch_15(ctx: &Ctx) {
    read_ctlr(ctx, "patch-15");
}

/// The same where a hint may be left, and leads to nothing.
pub(super) fn off_when_rwp_is_clear_hints(ctx: &Ctx) {
    let guest = guest(ctx, "next-05");
    let _ = guest.send(ctx, 0);
    guest.spawn(ctx, "other", |guest, ctx| guest.set_lpis(ctx, 0, false));
    let vcpu = &guest.vm.vcpus[0];
    if vcpu.gicr_ctlr(ctx) == 0 {
        ctx.expect(!guest.vm.vcpu_pending_irq(ctx, vcpu), "LPIs are off, and one is due");
        ctx.expect(!hit(ctx, &guest), "LPIs are off, and one is still cached");
    }
    guest.join(ctx);
}

/// LPIs go on: a send that was taken is delivered.
fn on_beside_a_send_in(ctx: &Ctx, design: &str) {
    let guest = guest(ctx, design);
    guest.set_lpis(ctx, 0, false);
    guest.spawn(ctx, "other", |guest, ctx| guest.set_lpis(ctx, 0, true));
    let sent = guest.send(ctx, 0);
    guest.join(ctx);
    let taken = guest.run(ctx, 0);
    ctx.expect((sent == Ok(true)) == (taken == 1), "an MSI was taken and not delivered, or the other way round");
}

pub(super) fn on_beside_a_send(ctx: &Ctx) {
    on_beside_a_send_in(ctx, "hardened");
}

pub(super) fn on_beside_a_send_hints(ctx: &Ctx) {
    on_beside_a_send_in(ctx, "next-05");
}

/// Who finds the ITS enabled finds what was mapped before.
pub(super) fn mapped_before_it_is_on(ctx: &Ctx) {
    let guest = guest_of(ctx, "v7.1.8", 1);
    guest.set_its(ctx, 0, false);
    guest.spawn(ctx, "guest", |guest, ctx| {
        guest.map(ctx, 0, 0, 0);
        guest.set_its(ctx, 0, true);
    });
    let sent = guest.send(ctx, 0);
    ctx.expect(sent != Ok(false), "the ITS is enabled, but what was mapped before is not there");
    guest.join(ctx);
}

/// A sender finds the cache emptied since the ITS is off. Its walk should find that, too.
fn walk_after_a_miss(ctx: &Ctx, design: &str) {
    let guest = guest(ctx, design);
    guest.spawn(ctx, "guest", |guest, ctx| guest.set_its(ctx, 0, false));
    if !hit(ctx, &guest) {
        let msi = Msi { doorbell: guest.its[0].doorbell(), device_id: 0, event_id: 0, device_id_valid: true };
        let walked = guest.vm.inject_uncached(ctx, &msi);
        ctx.expect(walked == Err(SendError::Busy), "the cache was emptied, but the walk finds the ITS enabled");
    }
    guest.join(ctx);
}

pub(super) fn a_walk_behind_the_invalidation(ctx: &Ctx) {
    walk_after_a_miss(ctx, "hardened");
}

/// The same before `hardened`: not a model, since it fails. The invalidation and the walk have no lock in common.
pub fn a_walk_that_no_lock_orders(ctx: &Ctx) {
    walk_after_a_miss(ctx, "v7.1.8");
}
