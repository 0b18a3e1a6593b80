//! A VMM saves the pending tables while MSIs come in and a vCPU wants to run: the LPI is saved as pending or not, and is
//! delivered all the same.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct SaveVsRun;

impl Scenario for SaveVsRun {
    const NAME: &'static str = "save_vs_run";
    const ABOUT: &'static str = "the save of pending tables, against an MSI and a run of its vCPU";
    const BOUND: &'static str = "1 vCPU, 1 cached event, 1 MSI, 1 save, 1 run";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.warm(ctx, &[0]);
        guest.spawn(ctx, "vmm", |guest, ctx| guest.save_pending(ctx));
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run(ctx, 0);
        });
        guest.finish(ctx);
    }
}
