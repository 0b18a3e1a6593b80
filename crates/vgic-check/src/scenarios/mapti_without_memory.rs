//! As `add_vs_release`, when memory runs out at one of the allocations of the mapping: what was reserved is given back, and
//! nothing that others have stored.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct MaptiWithoutMemory;

impl Scenario for MaptiWithoutMemory {
    const NAME: &'static str = "mapti_without_memory";
    const ABOUT: &'static str =
        "a vCPU drops the last reference of an LPI, while its INTID is mapped twice without memory";
    const BOUND: &'static str =
        "1 vCPU, 1 unmapped LPI that is queued; 1 run, 2 MAPTI, 1 allocation that fails (which: the seed)";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 2);
        guest.map(ctx, 0, 0, 0);
        let _ = guest.send(ctx, 0);
        let _ = guest.discard(ctx, 0);
        guest.stage.fail_allocation(ctx, guest.stage.seed(ctx) % 8);
        guest.spawn(ctx, "vcpu0", |guest, ctx| {
            guest.run(ctx, 0);
        });
        for (its, name) in [(0, "its0"), (1, "its1")] {
            guest.spawn(ctx, name, move |guest, ctx| {
                let intid = vgic_core::irq::FIRST_LPI;
                let mapti = vgic_core::Command::Mapti { device_id: 0, event_id: 2, intid, collection_id: 0 };
                if guest.command_to(ctx, its, mapti).is_ok() {
                    let taken = guest.send_to(ctx, its, 2);
                    guest.stage.expect(ctx, taken == Ok(true), || format!("an MSI was answered with {taken:?}"));
                }
            });
        }
        guest.finish(ctx);
    }
}
