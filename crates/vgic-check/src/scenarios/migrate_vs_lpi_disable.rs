//! As `prune_vs_lpi_disable`, with the LPI still mapped: it stays alive, but it is not on the list any more from which
//! the migration takes it.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct MigrateVsLpiDisable;

impl Scenario for MigrateVsLpiDisable {
    const NAME: &'static str = "migrate_vs_lpi_disable";
    const ABOUT: &'static str = "vCPU 0 migrates an LPI that is mapped, while its LPIs are turned off (CVE-2026-72289)";
    const BOUND: &'static str = "2 vCPUs, 1 pending LPI that was moved; 1 run, 1 write to GICR_CTLR, then 1 MSI";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        let _ = guest.send(ctx, 0);
        let _ = guest.movi(ctx, 0, 1);
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run(ctx, 0);
        });
        guest.spawn(ctx, "vcpu1", |guest, ctx| guest.set_lpis(ctx, 0, false));
        guest.join(ctx);
        // The switch takes an LPI that is meant for vCPU 1 off the list of vCPU 0, and it is lost or forgotten there; what
        // is looked for here is worse, so the next MSI queues it again.
        let _ = guest.send(ctx, 0);
        guest.finish(ctx);
    }
}
