//! Two vCPUs turn off the LPIs of two others at once, which run: whoever stops the VM stops it for both, and whoever is
//! through first must not let anybody run before the other is through.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct TwoHalts;

impl Scenario for TwoHalts {
    const NAME: &'static str = "two_halts";
    const ABOUT: &'static str = "two vCPUs turn off LPIs of one another at once, while a third runs";
    const BOUND: &'static str = "3 vCPUs, 1 pending LPI, 2 writes to GICR_CTLR, 1 run";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 3, 1);
        guest.map(ctx, 0, 0, 2);
        let _ = guest.send(ctx, 0);
        guest.spawn(ctx, "vcpu0", |guest, ctx| guest.set_lpis(ctx, 1, false));
        guest.spawn(ctx, "vcpu1", |guest, ctx| guest.set_lpis(ctx, 0, false));
        guest.spawn(ctx, "vcpu2", |guest, ctx| {
            guest.run(ctx, 2);
        });
        guest.finish(ctx);
    }
}
