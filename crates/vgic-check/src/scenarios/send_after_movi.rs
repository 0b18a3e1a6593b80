//! An LPI that its vCPU has taken and ended without an exit is still on its `ap_list`. It is moved and sent: the new vCPU
//! must get it although the old one, which has to hand it over, stays in the guest for as long as nobody kicks it.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use vgic_core::Platform;

/// See the module's text.
pub struct SendAfterMovi;

impl Scenario for SendAfterMovi {
    const NAME: &'static str = "send_after_movi";
    const ABOUT: &'static str =
        "MOVI and an MSI, while the LPI is still queued on a vCPU that leaves the guest only if kicked";
    const BOUND: &'static str =
        "2 vCPUs, 1 cached event, 1 MOVI, 1 MSI; vCPU 0 runs until it is kicked, vCPU 1 sleeps until it has an LPI";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        let _ = guest.send(ctx, 0);
        let done = Arc::new(AtomicBool::new(false));
        let arrived = Arc::clone(&done);
        guest.spawn(ctx, "vcpu0", move |guest, ctx| {
            guest.stage.note(ctx, || "runs vCPU 0, which leaves only if kicked".to_owned());
            let mut running = guest.vm.run_vcpu(ctx, 0);
            while !arrived.load(Relaxed) {
                running.enter_always();
                if let Some(intid) = running.acknowledge() {
                    running.eoi(intid);
                }
                while !running.must_exit() && !arrived.load(Relaxed) {
                    P::relax(ctx, 1);
                }
                running.exit();
            }
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.movi(ctx, 0, 1);
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "vcpu1", move |guest, ctx| {
            guest.stage.note(ctx, || "blocks vCPU 1 until it has an LPI".to_owned());
            let running = guest.vm.run_vcpu(ctx, 1);
            guest.vm.block(ctx, running.vcpu(), || false);
            done.store(true, Relaxed);
        });
        guest.finish(ctx);
    }
}
