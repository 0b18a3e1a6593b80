//! CLEAR of an LPI beside a reading of its configuration on another vCPU. Where both bits share a byte and one of the two
//! stores without `irq_lock`, the other store is undone: the LPI stays as it was before.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct ClearVsInv;

impl Scenario for ClearVsInv {
    const NAME: &'static str = "clear_vs_inv";
    const ABOUT: &'static str =
        "CLEAR of an LPI, while another vCPU disables it and writes GICR_INVLPIR: it must be disabled";
    const BOUND: &'static str = "1 vCPU, 1 enabled LPI, 1 CLEAR, 1 change of its configuration with GICR_INVLPIR";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.command(ctx, Command::Clear { device_id: 0, event_id: 0 });
        });
        guest.spawn(ctx, "vcpu1", |guest, ctx| {
            guest.configure(ctx, 0, false);
            guest.stage.note(ctx, || format!("writes {FIRST_LPI} to GICR_INVLPIR"));
            let _ = guest.vm.reload_lpi_config(ctx, FIRST_LPI);
        });
        guest.join(ctx);
        let enabled = guest.vm.lpi(ctx, FIRST_LPI).is_some_and(|lpi| lpi.view.enabled);
        guest.stage.expect(ctx, !enabled, || {
            "the LPI is enabled although the table and GICR_INVLPIR say otherwise".to_owned()
        });
        guest.finish(ctx);
    }
}
