//! An LPI is in a list register of a vCPU in the guest when its last mapping goes, and its INTID is mapped anew. The register
//! has the old one: what leads to it must stay until the vCPU has folded, and must not be taken for the new one.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct RegisterVsRemap;

impl Scenario for RegisterVsRemap {
    const NAME: &'static str = "register_vs_remap";
    const ABOUT: &'static str =
        "an LPI that is unmapped while a list register has it, and mapped anew, against the exit of its vCPU";
    const BOUND: &'static str = "1 vCPU in the guest, 1 LPI pending in its list register, 1 DISCARD, 1 MAPTI, 1 MSI";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.warm(ctx, &[0]);
        let _ = guest.send(ctx, 0);
        guest.spawn_in_guest(ctx, 0, "has the LPI pending in a list register", |_| {});
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.discard(ctx, 0);
            let _ = guest.mapti(ctx, 0, 0, 0);
            let _ = guest.send(ctx, 0);
        });
        guest.finish(ctx);
    }
}
