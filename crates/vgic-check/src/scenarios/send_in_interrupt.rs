//! A cached MSI that arrives in an interrupt of the host, against DISCARD. The interrupt may come to drop the last
//! reference, so the lock of the index is taken there; elsewhere it must be held with interrupts off.

use crate::guest::{DISABLED, Guest};
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct SendInInterrupt;

impl Scenario for SendInInterrupt {
    const NAME: &'static str = "send_in_interrupt";
    const ABOUT: &'static str = "a cached MSI in a host interrupt, against DISCARD of its event";
    const BOUND: &'static str = "1 vCPU, 2 events (one cached, its LPI disabled), 1 MSI in an interrupt, 2 DISCARDs";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        // Disabled, so that no ap_list keeps it alive.
        guest.map(ctx, 0, DISABLED, 0);
        guest.map(ctx, 1, 1, 0);
        guest.warm(ctx, &[0]);
        guest.interrupt(ctx, "interrupt", |guest, ctx| {
            guest.send_cached(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.discard(ctx, 0);
            let _ = guest.discard(ctx, 1);
        });
        guest.finish(ctx);
    }
}
