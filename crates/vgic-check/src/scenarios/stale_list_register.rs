//! LPIs are turned off while the vCPU has one in a list register. If nothing folds that register, the LPI stays in it, and
//! the vCPU takes it at a later entry, whatever has become of the LPI. vCPU 0 is in the guest when the race begins.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::violation::Rule;
use vgic_core::Platform;

/// See the module's text.
pub struct StaleListRegister;

impl Scenario for StaleListRegister {
    const NAME: &'static str = "stale_list_register";
    const ABOUT: &'static str =
        "LPIs are turned off while one is in a list register; it is moved and unmapped, and its old vCPU enters again";
    const BOUND: &'static str = "2 vCPUs, 1 pending LPI; 2 entries, 1 write to GICR_CTLR, 1 DISCARD";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        let _ = guest.send(ctx, 0);
        guest.spawn_in_guest(ctx, 0, "takes nothing", |_| ());
        guest.spawn(ctx, "vcpu1", |guest, ctx| guest.set_lpis(ctx, 0, false));
        guest.join(ctx);
        let _ = guest.movi(ctx, 0, 1);
        let _ = guest.discard(ctx, 0);
        guest.stage.note(ctx, || "runs vCPU 0".to_owned());
        let mut running = guest.vm.run_vcpu(ctx, 0);
        running.enter_always();
        if let Some(intid) = running.acknowledge() {
            let what = format!("vCPU 0 takes LPI {intid}, which was moved and unmapped before it entered the guest");
            guest.stage.broken_lpi(ctx, Rule::Unwanted, what, intid);
        }
        drop(running);
        guest.finish(ctx);
    }
}
