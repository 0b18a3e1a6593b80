//! A cached MSI against the DISCARD of its event: who keeps the LPI alive between the cache and the queue?

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct SendVsDiscard;

impl Scenario for SendVsDiscard {
    const NAME: &'static str = "send_vs_discard";
    const ABOUT: &'static str = "an MSI that hits the cache, against DISCARD of its event (CVE-2024-26598)";
    const BOUND: &'static str = "1 vCPU, 2 events (one cached), 1 MSI, 1 DISCARD";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        // A neighbour keeps the trees in shape.
        guest.map(ctx, 1, 1, 0);
        guest.warm(ctx, &[0]);
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.discard(ctx, 0);
        });
        guest.finish(ctx);
    }
}
