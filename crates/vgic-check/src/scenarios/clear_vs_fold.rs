//! CLEAR of an LPI while its vCPU leaves the guest with it. Where `on_lr` shares a byte with the pending state that CLEAR
//! stores without `irq_lock`, the fold's store to it may be undone: the LPI counts as in a register for good.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct ClearVsFold;

impl Scenario for ClearVsFold {
    const NAME: &'static str = "clear_vs_fold";
    const ABOUT: &'static str = "CLEAR of an LPI, while its vCPU leaves the guest with it; then it is sent again";
    const BOUND: &'static str = "1 vCPU, 1 LPI in a list register, 1 CLEAR, 1 exit, 1 MSI";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        let _ = guest.send(ctx, 0);
        guest.spawn_in_guest(ctx, 0, "takes nothing", |_| ());
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.command(ctx, Command::Clear { device_id: 0, event_id: 0 });
        });
        guest.join(ctx);
        let _ = guest.send(ctx, 0);
        guest.finish(ctx);
    }
}
