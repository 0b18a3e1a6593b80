//! A walk of all LPIs copies their INTIDs and looks each up, or walks the index itself; an LPI may be gone meanwhile.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct WalkVsDiscard;

impl Scenario for WalkVsDiscard {
    const NAME: &'static str = "walk_vs_discard";
    const ABOUT: &'static str = "GICR_INVALLR visits all LPIs, against DISCARD of one (85a71ee9a070)";
    const BOUND: &'static str = "1 vCPU, 2 events, 1 walk, 1 DISCARD";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        guest.spawn(ctx, "redist", |guest, ctx| {
            guest.stage.note(ctx, || "GICR_INVALLR of vCPU 0".to_owned());
            guest.vm.reload_lpi_configs(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.discard(ctx, 0);
        });
        guest.finish(ctx);
    }
}
