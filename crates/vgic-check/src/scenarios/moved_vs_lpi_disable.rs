//! An LPI that was moved to another vCPU, but is still queued on its old one, whose LPIs are turned off. It belongs to the
//! new one, so it must arrive there.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::{Event, Platform};

/// See the module's text.
pub struct MovedVsLpiDisable;

impl Scenario for MovedVsLpiDisable {
    const NAME: &'static str = "moved_vs_lpi_disable";
    const ABOUT: &'static str = "vCPU 0's LPIs are turned off, while it has one queued that was moved to vCPU 1";
    const BOUND: &'static str =
        "2 vCPUs, 1 pending LPI that was moved; 1 entry and exit of vCPU 0, 1 write to GICR_CTLR";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        let _ = guest.send(ctx, 0);
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.stage.note(ctx, || "runs vCPU 0, which takes nothing".to_owned());
            let mut running = guest.vm.run_vcpu(ctx, 0);
            running.enter_always();
            running.exit();
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.movi(ctx, 0, 1);
            guest.set_lpis(ctx, 0, false);
        });
        guest.join(ctx);
        let dropped = guest.stage.events(ctx, Event::Dropped);
        guest.stage.expect(ctx, dropped == 0, || "an LPI of vCPU 1 is thrown away with those of vCPU 0".to_owned());
        guest.finish(ctx);
    }
}
