//! A vCPU sleeps until something is pending, takes it, and does so again, while two LPIs are sent one after the other. What
//! says that something is pending, and the pending LPI, are two things: the vCPU may find the one without the other, as
//! x86 did (33fd0ccd2590), and must neither sleep with something pending nor be woken for nothing more than once for each.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// An LPI so far from the first that no word of a bitmap, nor of what sums it up, has both.
const FAR: u32 = 64 * 64;

/// See the module's text.
pub struct SendsVsSleeps;

impl Scenario for SendsVsSleeps {
    const NAME: &'static str = "sends_vs_sleeps";
    const ABOUT: &'static str =
        "a vCPU that sleeps twice, against two MSIs: it may find what says that something is pending without the LPI";
    const BOUND: &'static str = "1 vCPU, 2 cached events, 1 sender with 2 MSIs, up to 2 sleeps";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, FAR, 0);
        guest.warm(ctx, &[0, 1]);
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            let mut taken = 0;
            for _ in 0..2 {
                if taken < 2 {
                    guest.stage.note(ctx, || "blocks".to_owned());
                    {
                        let running = guest.vm.run_vcpu(ctx, 0);
                        guest.vm.block(ctx, running.vcpu(), || false);
                    }
                    let now = guest.run(ctx, 0);
                    guest.stage.expect(ctx, now > 0, || "the vCPU woke up for nothing".to_owned());
                    taken += now;
                }
            }
        });
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
            let _ = guest.send(ctx, 1);
        });
        guest.finish(ctx);
    }
}
