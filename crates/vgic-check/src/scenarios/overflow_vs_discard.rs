//! More LPIs than list registers. While the vCPU is in the guest its LPIs are turned off and unmapped. What it has kept of
//! them to find its place on the `ap_list` again must still be there when it exits.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct OverflowVsDiscard;

impl Scenario for OverflowVsDiscard {
    const NAME: &'static str = "overflow_vs_discard";
    const ABOUT: &'static str = "LPIs fill the list registers, and are turned off and unmapped; then the vCPU exits";
    const BOUND: &'static str =
        "2 vCPUs, 2 list registers, 2 pending LPIs, 1 write to GICR_CTLR, 2 DISCARDs; vCPU 0 is in the guest";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        for event in [0, 1] {
            guest.map(ctx, event, event, 0);
            let _ = guest.send(ctx, event);
        }
        guest.spawn_in_guest(ctx, 0, "takes nothing", |_| ());
        guest.spawn(ctx, "vcpu1", |guest, ctx| {
            guest.set_lpis(ctx, 0, false);
            for event in [0, 1] {
                let _ = guest.discard(ctx, event);
            }
        });
        guest.finish(ctx);
    }
}
