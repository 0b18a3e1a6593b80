//! Two invalidations of one cache at once: a write to GITS_CTLR holds `cmd_lock`, one to GICR_CTLR holds nothing. Who
//! puts the reference of an entry?

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct ConcurrentInvalidation;

impl Scenario for ConcurrentInvalidation {
    const NAME: &'static str = "concurrent_invalidation";
    const ABOUT: &'static str =
        "the ITS is turned off and unmapped, while a redistributor turns LPIs off (CVE-2026-46316)";
    const BOUND: &'static str =
        "1 vCPU, 2 events (both cached), 1 write to GITS_CTLR and 2 DISCARDs, 1 write to GICR_CTLR";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        guest.warm(ctx, &[0, 1]);
        guest.spawn(ctx, "its", |guest, ctx| {
            guest.set_its(ctx, 0, false);
            for event in [1, 0] {
                let _ = guest.discard(ctx, event);
            }
        });
        guest.spawn(ctx, "redist", |guest, ctx| guest.set_lpis(ctx, 0, false));
        guest.finish(ctx);
    }
}
