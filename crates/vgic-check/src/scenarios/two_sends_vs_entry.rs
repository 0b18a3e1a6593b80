//! A vCPU runs until it has taken two LPIs, which two senders send. Each may find that the other has asked the vCPU to look
//! already, and leave the kick to it: the vCPU must not stay in the guest without one of them.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// An LPI so far from the first that no word of a bitmap, nor of what sums it up, has both.
const FAR: u32 = 64 * 64;

/// See the module's text.
pub struct TwoSendsVsEntry;

impl Scenario for TwoSendsVsEntry {
    const NAME: &'static str = "two_sends_vs_entry";
    const ABOUT: &'static str =
        "two MSIs to a vCPU that enters the guest: whoever leaves the kick to the other loses nothing";
    const BOUND: &'static str =
        "1 vCPU, 2 cached events, 2 senders with 1 MSI each; the vCPU runs until it has taken both";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, FAR, 0);
        guest.warm(ctx, &[0, 1]);
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run_until_taken(ctx, 0, 2);
        });
        for event in [0, 1] {
            guest.spawn(ctx, "sender", move |guest, ctx| {
                let _ = guest.send(ctx, event);
            });
        }
        guest.finish(ctx);
    }
}
