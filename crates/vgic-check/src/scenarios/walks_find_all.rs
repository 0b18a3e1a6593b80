//! What visits all LPIs must find them: INVALL, MOVALL, and the enable of LPIs.

use crate::guest::{DISABLED, Guest};
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct WalksFindAll;

impl Scenario for WalksFindAll {
    const NAME: &'static str = "walks_find_all";
    const ABOUT: &'static str = "INVALL after a change of the table, MOVALL, and LPIs turned on with a pending bit";
    const BOUND: &'static str = "2 vCPUs, 3 LPIs, one of each; no interleavings";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        let takes = |vcpu: u32, why: &str| {
            let taken = guest.run(ctx, vcpu);
            guest.stage.expect(ctx, taken == 1, || format!("vCPU {vcpu} takes {taken} LPIs, not 1, {why}"));
        };
        // Each by itself: a walk that finds nothing must not hide the next.
        let first = guest.stage.seed(ctx) as u32;
        for kind in (0..3).map(|kind| (first.wrapping_add(kind)) % 3) {
            match kind {
                0 => {
                    guest.map(ctx, 0, DISABLED, 0);
                    let _ = guest.send(ctx, 0);
                    guest.configure(ctx, DISABLED, true);
                    let _ = guest.command(ctx, Command::Invall { collection_id: 0 });
                    takes(0, "after INVALL has enabled one that is pending");
                }
                1 => {
                    guest.map(ctx, 1, 1, 0);
                    let _ = guest.command(ctx, Command::Movall { from_vcpu: 0, to_vcpu: 1 });
                    let _ = guest.send(ctx, 1);
                    takes(1, "after MOVALL has moved one to it");
                }
                _ => {
                    guest.map(ctx, 2, 2, 0);
                    guest.set_lpis(ctx, 0, false);
                    guest.set_pending_bit(0, 2);
                    guest.set_lpis(ctx, 0, true);
                    takes(0, "after LPIs were turned on with one bit in the pending table");
                }
            }
            guest.drain(ctx);
        }
        guest.finish(ctx);
    }
}
