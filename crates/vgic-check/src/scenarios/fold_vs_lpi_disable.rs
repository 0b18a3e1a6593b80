//! A vCPU leaves the guest with an LPI that it has not taken, while its LPIs are turned off. The fold makes the LPI pending
//! again after it was taken off the ap_list; when it is moved to a vCPU whose LPIs are on, nobody queues it.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct FoldVsLpiDisable;

impl Scenario for FoldVsLpiDisable {
    const NAME: &'static str = "fold_vs_lpi_disable";
    const ABOUT: &'static str = "vCPU 0 folds an LPI that it did not take, while its LPIs are turned off; then MOVI";
    const BOUND: &'static str = "2 vCPUs, 1 pending LPI; 1 entry and exit, 1 write to GICR_CTLR, then 1 MOVI";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        let _ = guest.send(ctx, 0);
        guest.spawn(ctx, "vcpu0", |guest, ctx| guest.pass(ctx, 0));
        guest.spawn(ctx, "vcpu1", |guest, ctx| guest.set_lpis(ctx, 0, false));
        guest.join(ctx);
        let _ = guest.movi(ctx, 0, 1);
        guest.finish(ctx);
    }
}
