//! More events than a cache of limited size holds, one after the other.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;
use vgic_core::cache::ENTRIES_PER_VCPU;

/// See the module's text.
pub struct CacheLimit;

/// One more than fit.
const MANY: u32 = ENTRIES_PER_VCPU + 1;

impl Scenario for CacheLimit {
    const NAME: &'static str = "cache_limit";
    const ABOUT: &'static str = "one MSI to each of more events than the cache has place for";
    const BOUND: &'static str = "1 vCPU, a cache of 16, 17 events; no interleavings";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        for event in 0..MANY {
            guest.map(ctx, event, event, 0);
        }
        guest.cache(ctx, 0..MANY);
        guest.finish(ctx);
    }
}
