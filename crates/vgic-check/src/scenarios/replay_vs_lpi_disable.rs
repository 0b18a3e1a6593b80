//! The guest ends an interrupt that is in no list register (an SPI, which the hardware counts), and another vCPU turns off
//! this one's LPIs. The exit looks for the interrupt behind the last LPI that got a register, which is on no list any more.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct ReplayVsLpiDisable;

impl Scenario for ReplayVsLpiDisable {
    const NAME: &'static str = "replay_vs_lpi_disable";
    const ABOUT: &'static str =
        "a vCPU has ended an interrupt that is in no list register; LPIs are turned off before it exits";
    const BOUND: &'static str =
        "2 vCPUs, 2 list registers, 3 pending LPIs, 1 write to GICR_CTLR; vCPU 0 is in the guest";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        for event in [0, 1, 2] {
            guest.map(ctx, event, event, 0);
            let _ = guest.send(ctx, event);
        }
        guest.spawn_in_guest(ctx, 0, "ends SPI 32", |running| running.eoi_of_none());
        guest.spawn(ctx, "vcpu1", |guest, ctx| guest.set_lpis(ctx, 0, false));
        guest.finish(ctx);
    }
}
