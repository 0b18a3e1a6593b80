//! As `add_vs_release`, without a neighbour: the release may free the place that the new mapping has reserved, and the
//! store under the lock then needs memory.

use super::add_vs_release::map_beside_release;
use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct ReserveVsRelease;

impl Scenario for ReserveVsRelease {
    const NAME: &'static str = "reserve_vs_release";
    const ABOUT: &'static str =
        "a vCPU drops the last reference of the only LPI, while its INTID is mapped again (c32d26f0da86)";
    const BOUND: &'static str = "1 vCPU, 1 unmapped LPI that is queued; 1 run, 1 MAPTI of the same INTID";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        map_beside_release(ctx, guest);
    }
}
