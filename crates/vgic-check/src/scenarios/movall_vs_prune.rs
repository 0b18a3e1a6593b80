//! MOVALL retargets a queued LPI while both vCPUs run: it moves when its vCPU prunes, through a gap without locks.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct MovallVsPrune;

impl Scenario for MovallVsPrune {
    const NAME: &'static str = "movall_vs_prune";
    const ABOUT: &'static str = "MOVALL of a pending LPI, while both vCPUs run";
    const BOUND: &'static str = "2 vCPUs, 1 pending LPI, 1 MOVALL, 1 run of each vCPU";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        let _ = guest.send(ctx, 0);
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.command(ctx, Command::Movall { from_vcpu: 0, to_vcpu: 1 });
        });
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run(ctx, 0);
        });
        guest.spawn(ctx, "vcpu1", |guest, ctx| {
            guest.run(ctx, 1);
        });
        guest.finish(ctx);
    }
}
