//! An MSI that misses cannot be cached for lack of memory: it is delivered all the same, and costs no reference.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct CacheWithoutMemory;

/// More than any design allocates for an entry.
const ALLOCATIONS: u64 = 5;

impl Scenario for CacheWithoutMemory {
    const NAME: &'static str = "cache_without_memory";
    const ABOUT: &'static str =
        "MSIs that miss, where an allocation for the cache fails, each in its turn (be7e61127422)";
    const BOUND: &'static str =
        "1 vCPU, 1 event; 5 times an MSI, a run and a MOVI, which empties the cache; no interleavings";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 20, 0, 0);
        for failing in 0..ALLOCATIONS {
            guest.stage.note(ctx, || format!("allocation {failing} from now on fails"));
            guest.stage.fail_allocation(ctx, failing);
            let _ = guest.send(ctx, 20);
            guest.stage.fail_allocation(ctx, u64::MAX / 2);
            guest.drain(ctx);
            let _ = guest.movi(ctx, 20, 0);
            guest.join(ctx);
        }
        guest.finish(ctx);
    }
}
