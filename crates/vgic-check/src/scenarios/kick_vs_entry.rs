//! A vCPU enters the guest while an MSI is sent to it: it sees the request and stays out, or it is kicked.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct KickVsEntry;

impl Scenario for KickVsEntry {
    const NAME: &'static str = "kick_vs_entry";
    const ABOUT: &'static str = "a vCPU that enters the guest, against an MSI to it: no kick may be lost";
    const BOUND: &'static str = "1 vCPU, 1 cached event, 1 MSI; the vCPU runs until it has taken the LPI";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.warm(ctx, &[0]);
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run_until_taken(ctx, 0, 1);
        });
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.finish(ctx);
    }
}
