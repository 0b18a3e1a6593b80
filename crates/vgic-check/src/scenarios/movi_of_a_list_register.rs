//! An LPI is pending in a list register of a vCPU in the guest when it is moved. That vCPU must leave the guest, and the
//! other must get the LPI.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::Platform;

/// See the module's text.
pub struct MoviOfAListRegister;

impl Scenario for MoviOfAListRegister {
    const NAME: &'static str = "movi_of_a_list_register";
    const ABOUT: &'static str =
        "an LPI that is moved while it is pending in a list register, and sent again: it goes to its new vCPU";
    const BOUND: &'static str =
        "2 vCPUs, vCPU 0 in the guest, 1 LPI pending in its list register, 1 MOVI, 1 MSI, 1 run of vCPU 1";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 2, 1);
        guest.map(ctx, 0, 0, 0);
        guest.warm(ctx, &[0]);
        let _ = guest.send(ctx, 0);
        guest.spawn_in_guest(ctx, 0, "has the LPI pending in a list register", |_| {});
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.movi(ctx, 0, 1);
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "vcpu1", |guest, ctx| {
            guest.run(ctx, 1);
        });
        guest.finish(ctx);
    }
}
