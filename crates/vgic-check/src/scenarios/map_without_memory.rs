//! Each allocation of a MAPTI fails once: the command fails, and everything is as before.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct MapWithoutMemory;

/// More than any design allocates for a mapping.
const ALLOCATIONS: u64 = 12;

impl Scenario for MapWithoutMemory {
    const NAME: &'static str = "map_without_memory";
    const ABOUT: &'static str =
        "MAPTI where one allocation fails, each in its turn: nothing is lost, no lock stays held";
    const BOUND: &'static str = "1 vCPU, 1 LPI; up to 12 MAPTIs, then DISCARD, MAPTI and an MSI; no interleavings";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        for failing in 0..ALLOCATIONS {
            guest.stage.note(ctx, || format!("allocation {failing} from now on fails"));
            guest.stage.fail_allocation(ctx, failing);
            if guest.mapti(ctx, 0, 20, 0).is_ok() {
                break;
            }
            guest.join(ctx);
        }
        guest.stage.fail_allocation(ctx, u64::MAX / 2);
        let _ = guest.discard(ctx, 0);
        let mapped = guest.mapti(ctx, 0, 20, 0);
        guest.stage.expect(ctx, mapped.is_ok(), || format!("MAPTI was answered with {mapped:?}"));
        let _ = guest.send(ctx, 0);
        guest.finish(ctx);
    }
}
