//! A collection is given to a vCPU whose LPIs are off. A translation of it that stays cached bypasses the check that a
//! table walk makes.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct SendVsMapc;

impl Scenario for SendVsMapc {
    const NAME: &'static str = "send_vs_mapc";
    const ABOUT: &'static str =
        "MAPC of a collection to a vCPU whose LPIs are off, against an MSI: nothing may stay cached";
    const BOUND: &'static str = "2 vCPUs, LPIs of vCPU 1 off, 1 event that is not cached, 1 MAPC, 1 MSI, then 1 MSI";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        guest.set_lpis(ctx, 1, false);
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.command(ctx, Command::Mapc { collection_id: 0, vcpu: 1, valid: true });
        });
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.join(ctx);
        let taken = guest.send(ctx, 0);
        guest.stage.expect(ctx, taken.is_err(), || {
            "an MSI is taken although its target's LPIs are off: its translation stayed cached".to_owned()
        });
        guest.finish(ctx);
    }
}
