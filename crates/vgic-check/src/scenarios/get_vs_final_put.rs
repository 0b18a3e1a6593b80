//! A look-up by INTID against the last put: whoever finds an LPI in the index may find a dying one.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;
use vgic_core::irq::FIRST_LPI;

/// See the module's text.
pub struct GetVsFinalPut;

impl Scenario for GetVsFinalPut {
    const NAME: &'static str = "get_vs_final_put";
    const ABOUT: &'static str =
        "GICR_INVLPIR looks an LPI up by its INTID, against DISCARD, which drops its last reference";
    const BOUND: &'static str = "1 vCPU, 2 events, 1 look-up, 1 DISCARD";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        guest.spawn(ctx, "redist", |guest, ctx| {
            guest.stage.note(ctx, || "GICR_INVLPIR of LPI 8192".to_owned());
            let _ = guest.vm.reload_lpi_config(ctx, FIRST_LPI);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.discard(ctx, 0);
        });
        guest.finish(ctx);
    }
}
