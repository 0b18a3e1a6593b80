//! An LPI that is pending in its vCPU's table is mapped, which takes the bit from the table, while LPIs are turned on,
//! which reads the table too: whoever finds the bit gone must not take the pending state away.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;
use vgic_core::irq::FIRST_LPI;

/// See the module's text.
pub struct LpisEnableVsMapti;

impl Scenario for LpisEnableVsMapti {
    const NAME: &'static str = "lpis_enable_vs_mapti";
    const ABOUT: &'static str =
        "LPIs are turned on, while an LPI that is pending in the table is mapped: it must arrive";
    const BOUND: &'static str = "1 vCPU whose LPIs are off, 1 bit in its table, 1 write to GICR_CTLR, 1 MAPTI";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.set_lpis(ctx, 0, false);
        let _ = guest.vm.tables.set_pending_byte(0, FIRST_LPI / 8, 1);
        guest.spawn(ctx, "vcpu0", |guest, ctx| guest.set_lpis(ctx, 0, true));
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.mapti(ctx, 0, 0, 0);
        });
        guest.join(ctx);
        let taken = guest.run(ctx, 0);
        guest.stage.expect(ctx, taken > 0, || "an LPI that was pending in the table did not arrive".to_owned());
        guest.finish(ctx);
    }
}
