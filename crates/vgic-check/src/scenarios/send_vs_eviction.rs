//! A cached MSI against one that makes room for itself in a full cache: the victim may be the entry that is being read.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;
use vgic_core::cache::ENTRIES_PER_VCPU;

/// See the module's text.
pub struct SendVsEviction;

impl Scenario for SendVsEviction {
    const NAME: &'static str = "send_vs_eviction";
    const ABOUT: &'static str = "a cached MSI, against a miss whose insertion evicts its entry";
    const BOUND: &'static str = "1 vCPU, a cache of 16 that is full, 17 events, 2 MSIs";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        for event in 0..=ENTRIES_PER_VCPU {
            guest.map(ctx, event, event, 0);
        }
        // Event 0 is the oldest, so it is the victim.
        guest.cache(ctx, 0..ENTRIES_PER_VCPU);
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "other", |guest, ctx| {
            let _ = guest.send(ctx, ENTRIES_PER_VCPU);
        });
        guest.finish(ctx);
    }
}
