//! An event is unmapped while its LPI is queued, and the INTID is mapped again on another vCPU: what is left of the old LPI
//! must not decide where the new one goes.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;
use vgic_core::irq::FIRST_LPI;

/// See the module's text.
pub struct RemapVsRun;

impl Scenario for RemapVsRun {
    const NAME: &'static str = "remap_vs_run";
    const ABOUT: &'static str =
        "a queued LPI is unmapped and mapped again on vCPU 1, while vCPU 0 runs: vCPU 1 must get it";
    const BOUND: &'static str = "2 vCPUs, 1 queued LPI, 1 DISCARD, 1 MAPTI, 1 run of vCPU 0";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        let _ = guest.send(ctx, 0);
        let _ = guest.discard(ctx, 0);
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.mapti(ctx, 1, 0, 1);
        });
        guest.join(ctx);
        let target = guest.vm.lpi(ctx, FIRST_LPI).and_then(|lpi| lpi.view.target_vcpu);
        guest.stage.expect(ctx, target == Some(1), || format!("an LPI of vCPU 1 goes to {target:?}"));
        guest.finish(ctx);
    }
}
