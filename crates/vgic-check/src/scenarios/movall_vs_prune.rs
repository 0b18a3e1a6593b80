//! MOVALL retargets a queued LPI while both vCPUs run: it moves when its vCPU prunes, through a gap without locks.

use crate::guest::Guest;
use crate::platform::ctx::Ctx;
use crate::scenario::Scenario;
use vgic_core::{Command, Design};

/// See the module's text.
pub struct MovallVsPrune;

impl Scenario for MovallVsPrune {
    const NAME: &'static str = "movall_vs_prune";
    const ABOUT: &'static str = "MOVALL of a pending LPI, while both vCPUs run";
    const BOUND: &'static str = "2 vCPUs, 1 pending LPI, 1 MOVALL, 1 run of each vCPU";

    fn run<D: Design>(ctx: &Ctx) {
        let guest = Guest::<D>::new(ctx, 2, 1);
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
