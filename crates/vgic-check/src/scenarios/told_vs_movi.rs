//! vCPU threads that sleep elsewhere, as an emulator's do, and look only when they are told. An LPI is sent and moved: who
//! has it queued must be told, must hand it over at its exit, and who gets it then must be told of that.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use vgic_core::Platform;
use vgic_core::platform::Parker;

/// See the module's text.
pub struct ToldVsMovi;

impl Scenario for ToldVsMovi {
    const NAME: &'static str = "told_vs_movi";
    const ABOUT: &'static str = "vCPUs that sleep until they are told, against an MSI and a MOVI: nobody oversleeps";
    const BOUND: &'static str = "2 vCPUs that look when they are told, 1 cached event, 1 MSI, 1 MOVI";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        guest.warm(ctx, &[0]);
        for vcpu in &guest.vm.vcpus {
            guest.vm.block_elsewhere(ctx, vcpu);
        }
        let taken = Arc::new(AtomicU32::new(0));
        for (vcpu, name) in [(0, "vcpu0"), (1, "vcpu1")] {
            let taken = Arc::clone(&taken);
            guest.spawn(ctx, name, move |guest, ctx| {
                loop {
                    guest.stage.note(ctx, || format!("sleeps until vCPU {vcpu} is told"));
                    guest.vm.vcpus[vcpu].parker().park(ctx);
                    if taken.load(Relaxed) == 0 && guest.run(ctx, vcpu as u32) > 0 {
                        taken.store(1, Relaxed);
                        // The other one waits for nothing more.
                        guest.vm.vcpus[1 - vcpu].interrupt(ctx);
                    }
                    if taken.load(Relaxed) == 1 {
                        return;
                    }
                }
            });
        }
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.send(ctx, 0);
            let _ = guest.movi(ctx, 0, 1);
        });
        guest.finish(ctx);
    }
}
