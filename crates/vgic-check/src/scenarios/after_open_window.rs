//! What a translation that stayed cached (see `lpis_disable_vs_resolver`) can do: both switches go off while an MSI is
//! resolved, the event is unmapped, its INTID is mapped again, and all is used.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct AfterOpenWindow;

impl Scenario for AfterOpenWindow {
    const NAME: &'static str = "after_open_window";
    const ABOUT: &'static str =
        "an MSI that misses, while the ITS and LPIs are turned off; then everything is mapped anew and used";
    const BOUND: &'static str = "1 vCPU, 1 event, 1 MSI, 2 writes; then DISCARD, MAPTI, MSIs and runs";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.overlook_the_open_window();
        guest.map(ctx, 0, 0, 0);
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            guest.set_its(ctx, 0, false);
            guest.set_lpis(ctx, 0, false);
        });
        guest.join(ctx);
        let _ = guest.send(ctx, 0);
        let _ = guest.discard(ctx, 0);
        let unmapped = guest.send(ctx, 0);
        guest.stage.expect(ctx, unmapped != Ok(true), || "an MSI to an unmapped event is taken".to_owned());
        let _ = guest.mapti(ctx, 0, 1, 0);
        guest.set_lpis(ctx, 0, true);
        guest.set_its(ctx, 0, true);
        let taken = guest.send(ctx, 0);
        guest.stage.expect(ctx, taken == Ok(true), || format!("an MSI to a mapped event was answered with {taken:?}"));
        guest.run(ctx, 0);
        guest.finish(ctx);
    }
}
