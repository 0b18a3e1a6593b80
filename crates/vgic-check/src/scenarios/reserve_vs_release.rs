//! As `add_vs_release`, without a neighbour: the release may free the place that the new mapping has reserved, and the
//! store under the lock then needs memory.

use crate::guest::Guest;
use crate::platform::ctx::Ctx;
use crate::scenario::Scenario;
use vgic_core::Design;
use vgic_core::irq::FIRST_LPI;

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
        // Unmapped while it is queued: the ap_list has the last reference.
        let _ = guest.send(ctx, 0);
        let _ = guest.discard(ctx, 0);
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let mapped = guest.mapti(ctx, 2, 0, 0);
            ctx.expect(mapped.is_ok(), || format!("MAPTI was answered with {mapped:?}"));
        });
        guest.join(ctx);
        let found = guest.vm.lpi(ctx, FIRST_LPI).is_some();
        ctx.expect(found, || "a mapped LPI is not found by its INTID".to_owned());
        let taken = guest.send(ctx, 2);
        ctx.expect(taken == Ok(true), || format!("an MSI to a mapped event was answered with {taken:?}"));
        guest.finish(ctx);
    }
}
