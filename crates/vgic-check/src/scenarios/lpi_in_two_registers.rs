//! LPIs of a vCPU are turned off while it is in the guest with one of them in a list register. The LPI leaves the `ap_list`,
//! and nobody knows that a register has it. Moved and sent again, it gets into a register of a second vCPU.
//!
//! The vCPU is in the guest before the race begins, and stays there for as long as nobody kicks it out or it likes to go.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use std::sync::Arc;
use vgic_core::Platform;

/// See the module's text.
pub struct LpiInTwoRegisters;

impl Scenario for LpiInTwoRegisters {
    const NAME: &'static str = "lpi_in_two_registers";
    const ABOUT: &'static str =
        "LPIs are turned off while one is in a list register; then it is moved, sent and entered elsewhere";
    const BOUND: &'static str = "2 vCPUs, 1 pending LPI, 1 write to GICR_CTLR, 1 MOVI, 1 MSI; vCPU 0 is in the guest";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        let _ = guest.send(ctx, 0);
        guest.spawn_in_guest(ctx, 0, "takes nothing", |_| ());
        off_and_elsewhere(&guest, ctx);
        guest.finish(ctx);
    }
}

/// Another vCPU turns the LPIs of vCPU 0 off; then event 0 is moved, sent and taken on vCPU 1.
pub(super) fn off_and_elsewhere<P: Platform, S: Stage<P>>(guest: &Arc<Guest<P, S>>, ctx: &P::Ctx) {
    guest.spawn(ctx, "vcpu1", |guest, ctx| {
        guest.set_lpis(ctx, 0, false);
        let _ = guest.movi(ctx, 0, 1);
        let _ = guest.send(ctx, 0);
        guest.run(ctx, 1);
    });
}
