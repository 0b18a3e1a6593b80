//! O-09: who stops the VM finds list registers folded, and a vCPU that goes on finds what was changed.

use super::guest;
use crate::platform::Ctx;

/// LPIs go off while the vCPU enters and leaves; in the end nothing is queued on it.
pub(super) fn halted_beside_an_exit(ctx: &Ctx) {
    let guest = guest(ctx, "halt");
    let _ = guest.send(ctx, 0);
    guest.spawn(ctx, "other", |guest, ctx| guest.set_lpis(ctx, 0, false));
    ctx.note("enters the guest, and leaves it");
    let mut running = guest.vm.run_vcpu(ctx, 0);
    if !running.enter() {
        running.enter();
    }
    running.exit();
    guest.join(ctx);
    ctx.expect(!running.has_queued(), "LPIs are off, and one is queued");
}
