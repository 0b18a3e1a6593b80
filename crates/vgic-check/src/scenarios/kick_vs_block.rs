//! A vCPU goes to sleep while an MSI is sent to it: it sees the LPI before it sleeps, or it is woken.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct KickVsBlock;

impl Scenario for KickVsBlock {
    const NAME: &'static str = "kick_vs_block";
    const ABOUT: &'static str = "a vCPU that blocks, against an MSI to it: no wake-up may be lost";
    const BOUND: &'static str = "1 vCPU, 1 cached event, 1 MSI, 1 sleep";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.warm(ctx, &[0]);
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            {
                guest.stage.note(ctx, || "blocks".to_owned());
                let running = guest.vm.run_vcpu(ctx, 0);
                guest.vm.block(ctx, running.vcpu(), || false);
            }
            let taken = guest.run(ctx, 0);
            guest.stage.expect(ctx, taken == 1, || format!("the vCPU woke up for {taken} LPIs"));
        });
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.finish(ctx);
    }
}
