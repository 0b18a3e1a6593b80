//! The open window: a write to GITS_CTLR empties the cache without `its_lock`, so an MSI that was resolved before may be
//! cached after. Then a later MSI is taken although the ITS is off.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct ItsDisableVsResolver;

impl Scenario for ItsDisableVsResolver {
    const NAME: &'static str = "its_disable_vs_resolver";
    const ABOUT: &'static str = "an MSI that misses, while the ITS is turned off: nothing may stay cached";
    const BOUND: &'static str = "1 vCPU, 1 event that is not cached, 1 MSI, 1 write to GITS_CTLR, then 1 MSI";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| guest.set_its(ctx, 0, false));
        guest.join(ctx);
        let taken = guest.send(ctx, 0);
        guest.stage.expect(ctx, taken.is_err(), || {
            "an MSI is taken although the ITS is off: its translation stayed cached".to_owned()
        });
        guest.finish(ctx);
    }
}
