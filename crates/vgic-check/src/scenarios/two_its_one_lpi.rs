//! Two ITSes map one LPI: their commands exclude nothing of each other.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct TwoItsOneLpi;

impl Scenario for TwoItsOneLpi {
    const NAME: &'static str = "two_its_one_lpi";
    const ABOUT: &'static str = "DISCARD at one ITS, against MAPTI of the same INTID at another";
    const BOUND: &'static str = "1 vCPU, 2 ITSes, 1 LPI and a neighbour; 1 DISCARD, 1 MAPTI";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 2);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        guest.spawn(ctx, "its0", |guest, ctx| {
            let _ = guest.discard(ctx, 0);
        });
        guest.spawn(ctx, "its1", |guest, ctx| {
            let mapti = Command::Mapti { device_id: 0, event_id: 0, intid: FIRST_LPI, collection_id: 0 };
            let mapped = guest.command_to(ctx, 1, mapti);
            guest.stage.expect(ctx, mapped.is_ok(), || format!("MAPTI was answered with {mapped:?}"));
        });
        guest.join(ctx);
        let found = guest.vm.lpi(ctx, FIRST_LPI).is_some();
        guest.stage.expect(ctx, found, || "a mapped LPI is not found by its INTID".to_owned());
        guest.finish(ctx);
    }
}
