//! A vCPU takes an LPI while its event is unmapped: it may still be delivered once, and goes when it leaves the ap_list.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct FlushVsDiscard;

impl Scenario for FlushVsDiscard {
    const NAME: &'static str = "flush_vs_discard";
    const ABOUT: &'static str = "a vCPU flushes, takes and folds an LPI, against DISCARD of its event";
    const BOUND: &'static str = "1 vCPU, 2 events (one pending), 1 run, 1 DISCARD";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        let _ = guest.send(ctx, 0);
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.discard(ctx, 0);
        });
        guest.finish(ctx);
    }
}
