//! An event is unmapped, and its LPI mapped to another event on another vCPU, while an MSI of the old event is on its way
//! and the old vCPU runs. Nothing of the old LPI may take the place of the MSI that is sent to the new one.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct RemapVsSend;

impl Scenario for RemapVsSend {
    const NAME: &'static str = "remap_vs_send";
    const ABOUT: &'static str =
        "an MSI in flight while its LPI is unmapped and mapped elsewhere: what is sent to the new mapping arrives";
    const BOUND: &'static str =
        "2 vCPUs, 1 cached event, 1 MSI of the old event, 1 DISCARD, 1 MAPTI, 1 MSI of the new event, 1 run of vCPU 0";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        guest.warm(ctx, &[0]);
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.discard(ctx, 0);
            let _ = guest.mapti(ctx, 1, 0, 1);
            let _ = guest.send(ctx, 1);
        });
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run(ctx, 0);
        });
        guest.finish(ctx);
    }
}
