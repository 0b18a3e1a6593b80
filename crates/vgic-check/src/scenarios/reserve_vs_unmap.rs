//! A new LPI reserves its place in the index without a lock that is held until the store. Another ITS may map and unmap the
//! same INTID in between: its erase takes the reservation away, and the store, which may not allocate, fails.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct ReserveVsUnmap;

impl Scenario for ReserveVsUnmap {
    const NAME: &'static str = "reserve_vs_unmap";
    const ABOUT: &'static str =
        "MAPTI at one ITS, against MAPTI and DISCARD of the same INTID at another (c32d26f0da86, 66768669f27d)";
    const BOUND: &'static str = "1 vCPU, 2 ITSes, 1 LPI without neighbours; 2 MAPTIs, 1 DISCARD";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 2);
        guest.spawn(ctx, "its0", |guest, ctx| {
            let mapped = guest.mapti(ctx, 0, 0, 0);
            guest.stage.expect(ctx, mapped.is_ok(), || format!("MAPTI was answered with {mapped:?}"));
        });
        guest.spawn(ctx, "its1", |guest, ctx| {
            let mapped = guest.mapti_to(ctx, 1, 0, 0, 0);
            guest.stage.expect(ctx, mapped.is_ok(), || format!("MAPTI was answered with {mapped:?}"));
            let _ = guest.command_to(ctx, 1, Command::Discard { device_id: 0, event_id: 0 });
        });
        guest.join(ctx);
        let _ = guest.send(ctx, 0);
        guest.finish(ctx);
    }
}
