//! A masked LPI is sent and unmasked while its vCPU runs: the sender finds it masked, or the guest finds it pending, and one of
//! the two tells the vCPU.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Command;
use vgic_core::Platform;

/// See the module's text.
pub struct UnmaskVsSend;

impl Scenario for UnmaskVsSend {
    const NAME: &'static str = "unmask_vs_send";
    const ABOUT: &'static str =
        "an MSI to a masked LPI while that is unmasked and its vCPU runs: the vCPU learns of it";
    const BOUND: &'static str = "1 vCPU that runs until it has taken the LPI, 1 cached event, masked, 1 MSI, 1 INV";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.warm(ctx, &[0]);
        guest.configure(ctx, 0, false);
        let _ = guest.command(ctx, Command::Inv { device_id: 0, event_id: 0 });
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run_until_taken(ctx, 0, 1);
        });
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            guest.configure(ctx, 0, true);
            let _ = guest.command(ctx, Command::Inv { device_id: 0, event_id: 0 });
        });
        guest.finish(ctx);
    }
}
