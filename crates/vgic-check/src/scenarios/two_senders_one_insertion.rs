//! Two senders miss the same event: both walk the tables, and the second finds that the first has cached it.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct TwoSendersOneInsertion;

impl Scenario for TwoSendersOneInsertion {
    const NAME: &'static str = "two_senders_one_insertion";
    const ABOUT: &'static str = "two MSIs to one event that is not cached";
    const BOUND: &'static str = "1 vCPU, 1 event, 2 MSIs";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        for name in ["first", "second"] {
            guest.spawn(ctx, name, |guest, ctx| {
                let taken = guest.send(ctx, 0);
                guest
                    .stage
                    .expect(ctx, taken == Ok(true), || format!("an MSI to a mapped event was answered with {taken:?}"));
            });
        }
        guest.join(ctx);
        let cached = guest.vm.cached_translations(ctx);
        guest.stage.expect(ctx, cached == 1, || format!("{cached} translations of one event are cached"));
        guest.finish(ctx);
    }
}
