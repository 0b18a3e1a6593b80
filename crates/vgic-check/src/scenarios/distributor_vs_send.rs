//! An MSI that comes while the distributor is disabled stays pending and is not queued. When the distributor is enabled, it
//! must be.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct DistributorVsSend;

impl Scenario for DistributorVsSend {
    const NAME: &'static str = "distributor_vs_send";
    const ABOUT: &'static str =
        "GICD_CTLR is turned off and on, while an MSI is sent and its vCPU runs: it must arrive";
    const BOUND: &'static str = "1 vCPU, 1 cached event, 1 MSI, 2 writes to GICD_CTLR, 1 run";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.warm(ctx, &[0]);
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            for enabled in [false, true] {
                guest.stage.note(ctx, || format!("GICD_CTLR.EnableGrp1 = {}", u8::from(enabled)));
                guest.vm.set_distributor_enabled(ctx, enabled);
            }
        });
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run(ctx, 0);
        });
        guest.finish(ctx);
    }
}
