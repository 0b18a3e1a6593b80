//! The pending states are saved while an event is unmapped. Before 7.1.8 the walk holds no reference, and the caller is
//! asked to exclude commands; here nobody does.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct SavePendingVsDiscard;

impl Scenario for SavePendingVsDiscard {
    const NAME: &'static str = "save_pending_vs_discard";
    const ABOUT: &'static str = "pending tables are saved, against DISCARD of an event";
    const BOUND: &'static str = "1 vCPU, 2 events, 1 save, 1 DISCARD";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        guest.spawn(ctx, "vmm", |guest, ctx| {
            guest.save_pending(ctx);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.discard(ctx, 0);
        });
        guest.finish(ctx);
    }
}
