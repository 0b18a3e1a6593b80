//! The last put of an LPI against a new mapping of its INTID: the erase, by INTID, must not take out the newcomer, and
//! the LPI that the newcomer replaces must be freed by somebody.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use std::sync::Arc;
use vgic_core::Platform;
use vgic_core::irq::FIRST_LPI;

/// See the module's text.
pub struct AddVsRelease;

impl Scenario for AddVsRelease {
    const NAME: &'static str = "add_vs_release";
    const ABOUT: &'static str =
        "a vCPU drops the last reference of an LPI, while its INTID is mapped again (CVE-2026-74568)";
    const BOUND: &'static str =
        "1 vCPU, 1 unmapped LPI that is queued, and a neighbour; 1 run, 1 MAPTI of the same INTID";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 1, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 0);
        map_beside_release(ctx, guest);
    }
}

/// Event 0's LPI is unmapped and loses its last reference, while event 2 is mapped to its INTID; then event 2 must work.
pub(super) fn map_beside_release<P: Platform, S: Stage<P>>(ctx: &P::Ctx, guest: Arc<Guest<P, S>>) {
    // Unmapped while it is queued: the ap_list has the last reference.
    let _ = guest.send(ctx, 0);
    let _ = guest.discard(ctx, 0);
    guest.spawn(ctx, "vcpu0", |guest, ctx| {
        guest.run(ctx, 0);
    });
    guest.spawn(ctx, "guest", |guest, ctx| {
        let mapped = guest.mapti(ctx, 2, 0, 0);
        guest.stage.expect(ctx, mapped.is_ok(), || format!("MAPTI was answered with {mapped:?}"));
    });
    guest.join(ctx);
    let found = guest.vm.lpi(ctx, FIRST_LPI).is_some();
    guest.stage.expect(ctx, found, || "a mapped LPI is not found by its INTID".to_owned());
    let taken = guest.send(ctx, 2);
    guest.stage.expect(ctx, taken == Ok(true), || format!("an MSI to a mapped event was answered with {taken:?}"));
    guest.finish(ctx);
}
