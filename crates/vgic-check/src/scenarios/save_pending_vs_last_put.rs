//! The pending states are saved while a sender puts the last reference of an LPI whose event was discarded. A save keeps
//! all vCPUs, and so their commands, away; it keeps no sender away. Before 7.3 its walk holds no reference.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct SavePendingVsLastPut;

impl Scenario for SavePendingVsLastPut {
    const NAME: &'static str = "save_pending_vs_last_put";
    const ABOUT: &'static str =
        "DISCARD, and then pending tables are saved, against an MSI that has found the LPI before";
    const BOUND: &'static str = "1 vCPU, 2 events (one cached, its LPI disabled), 1 MSI, 1 DISCARD, 1 save";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        guest.warm(ctx, &[0]);
        // A disabled LPI is queued nowhere: the sender's is the only reference besides the mapping's.
        guest.configure(ctx, 0, false);
        let _ = guest.command(ctx, Command::Inv { device_id: 0, event_id: 0 });
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "vmm", |guest, ctx| {
            let _ = guest.discard(ctx, 0);
            guest.save_pending(ctx);
        });
        guest.finish(ctx);
    }
}
