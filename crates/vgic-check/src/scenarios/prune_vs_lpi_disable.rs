//! A vCPU migrates an LPI while another turns its LPIs off: prune has to drop its lock for a moment.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct PruneVsLpiDisable;

impl Scenario for PruneVsLpiDisable {
    const NAME: &'static str = "prune_vs_lpi_disable";
    const ABOUT: &'static str =
        "vCPU 0 exits and migrates an LPI that is unmapped, while its LPIs are turned off (CVE-2026-72288)";
    const BOUND: &'static str = "2 vCPUs, 1 pending LPI that was moved, then unmapped; 1 run, 1 write to GICR_CTLR";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        let _ = guest.send(ctx, 0);
        // Queued on vCPU 0, meant for vCPU 1, and the ap_list has the last reference.
        let _ = guest.movi(ctx, 0, 1);
        let _ = guest.discard(ctx, 0);
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run(ctx, 0);
        });
        guest.spawn(ctx, "vcpu1", |guest, ctx| guest.set_lpis(ctx, 0, false));
        guest.finish(ctx);
    }
}
