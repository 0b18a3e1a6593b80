//! An MSI against MOVI of its event, while the vCPU that it leaves runs: the LPI is queued on one vCPU, meant for
//! another.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct SendVsMovi;

impl Scenario for SendVsMovi {
    const NAME: &'static str = "send_vs_movi";
    const ABOUT: &'static str = "a cached MSI against MOVI of its event, while its first vCPU runs";
    const BOUND: &'static str = "2 vCPUs, 1 cached event, 1 MSI, 1 MOVI, 1 run of vCPU 0";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        guest.warm(ctx, &[0]);
        guest.spawn(ctx, "sender", |guest, ctx| {
            let taken = guest.send(ctx, 0);
            guest
                .stage
                .expect(ctx, taken == Ok(true), || format!("an MSI to a mapped event was answered with {taken:?}"));
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.movi(ctx, 0, 1);
        });
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run(ctx, 0);
        });
        guest.finish(ctx);
    }
}
