//! LPIs are turned on, which reads the pending table, while an MSI is sent: what the table does not say must not undo what
//! the MSI has done.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct LpisEnableVsSend;

impl Scenario for LpisEnableVsSend {
    const NAME: &'static str = "lpis_enable_vs_send";
    const ABOUT: &'static str = "LPIs are turned on, while an MSI is sent until it is taken: it must arrive";
    const BOUND: &'static str = "1 vCPU whose LPIs are off, 1 event, 1 write to GICR_CTLR, 1 MSI that is taken";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.set_lpis(ctx, 0, false);
        guest.spawn(ctx, "guest", |guest, ctx| guest.set_lpis(ctx, 0, true));
        guest.spawn(ctx, "sender", |guest, ctx| {
            while guest.send(ctx, 0).is_err() {
                P::relax(ctx, 1);
            }
        });
        guest.join(ctx);
        let taken = guest.run(ctx, 0);
        guest.stage.expect(ctx, taken == 1, || format!("an MSI was taken, but the vCPU takes {taken} LPIs"));
        guest.finish(ctx);
    }
}
