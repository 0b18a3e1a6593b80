//! An LPI is in a list register when LPIs are turned off and its event is unmapped: the fold finds nothing under its
//! INTID.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct FoldUnmapped;

impl Scenario for FoldUnmapped {
    const NAME: &'static str = "fold_unmapped";
    const ABOUT: &'static str = "an LPI in a list register loses its mapping and its place on the ap_list";
    const BOUND: &'static str = "1 vCPU, 2 events (one pending), 1 entry and exit, 1 write to GICR_CTLR, 1 DISCARD";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        let _ = guest.send(ctx, 0);
        guest.spawn(ctx, "vcpu0", |guest, ctx| guest.pass(ctx, 0));
        guest.spawn(ctx, "guest", |guest, ctx| {
            guest.set_lpis(ctx, 0, false);
            let _ = guest.discard(ctx, 0);
        });
        guest.finish(ctx);
    }
}
