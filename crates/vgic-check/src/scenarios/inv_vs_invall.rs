//! Two vCPUs ask for an LPI's configuration to be read again, one after it has changed the byte, the other (for other LPIs)
//! at any time. The one that read before the change must not apply after it.

use crate::guest::{DISABLED, Guest};
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct InvVsInvall;

impl Scenario for InvVsInvall {
    const NAME: &'static str = "inv_vs_invall";
    const ABOUT: &'static str =
        "an LPI is enabled and INV sent, while another vCPU writes GICR_INVALLR: it must be enabled";
    const BOUND: &'static str = "1 vCPU, 1 disabled LPI, 1 change of its configuration with INV, 1 GICR_INVALLR";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, DISABLED, 0);
        guest.spawn(ctx, "vcpu1", |guest, ctx| {
            guest.stage.note(ctx, || "GICR_INVALLR".to_owned());
            guest.vm.reload_lpi_configs(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            guest.configure(ctx, DISABLED, true);
            let _ = guest.command(ctx, Command::Inv { device_id: 0, event_id: 0 });
        });
        guest.join(ctx);
        let enabled = guest.vm.lpi(ctx, FIRST_LPI + DISABLED).is_some_and(|lpi| lpi.view.enabled);
        guest.stage.expect(ctx, enabled, || "the LPI is disabled although the table and INV say otherwise".to_owned());
        guest.finish(ctx);
    }
}
