//! As `add_vs_release`, without a neighbour: the release may free the place that the new mapping has reserved, and the
//! store under the lock then needs memory.

use super::add_vs_release::map_beside_release;
use crate::guest::Guest;
use crate::platform::ctx::Ctx;
use crate::scenario::Scenario;
use vgic_core::Design;

/// See the module's text.
pub struct ReserveVsRelease;

impl Scenario for ReserveVsRelease {
    const NAME: &'static str = "reserve_vs_release";
    const ABOUT: &'static str =
        "a vCPU drops the last reference of the only LPI, while its INTID is mapped again (c32d26f0da86)";
    const BOUND: &'static str = "1 vCPU, 1 unmapped LPI that is queued; 1 run, 1 MAPTI of the same INTID";

    fn run<D: Design>(ctx: &Ctx) {
        let guest = Guest::<D>::new(ctx, 1, 1);
        guest.map(ctx, 0, 0, 0);
        map_beside_release(ctx, guest);
    }
}
