//! As `lpi_in_two_registers`, but the vCPU enters the guest beside the write of EnableLPIs. A vCPU that has filled its list
//! registers says so only afterwards (its mode): who stops the VM in between takes it for outside, and does not wait.

use super::lpi_in_two_registers::off_and_elsewhere;
use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct HaltVsEntry;

impl Scenario for HaltVsEntry {
    const NAME: &'static str = "halt_vs_entry";
    const ABOUT: &'static str =
        "LPIs are turned off while the vCPU enters the guest with one; then it is moved, sent and entered elsewhere";
    const BOUND: &'static str = "2 vCPUs, 1 pending LPI, 1 write to GICR_CTLR, 1 MOVI, 1 MSI, 1 entry and exit";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        let _ = guest.send(ctx, 0);
        guest.spawn(ctx, "vcpu0", |guest, ctx| guest.pass(ctx, 0));
        off_and_elsewhere(&guest, ctx);
        guest.finish(ctx);
    }
}
