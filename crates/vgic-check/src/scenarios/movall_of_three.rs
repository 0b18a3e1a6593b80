//! MOVALL from vCPU 0 to vCPU 1, with a third vCPU whose LPI is not meant. No race: one thread.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct MovallOfThree;

impl Scenario for MovallOfThree {
    const NAME: &'static str = "movall_of_three";
    const ABOUT: &'static str = "MOVALL from vCPU 0 to vCPU 1, while an LPI is on vCPU 2";
    const BOUND: &'static str = "3 vCPUs, 2 LPIs, 1 MOVALL, 2 MSIs, 1 run of each vCPU";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, 3, 1);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 2);
        let _ = guest.command(ctx, Command::Movall { from_vcpu: 0, to_vcpu: 1 });
        for event in [0, 1] {
            let _ = guest.send(ctx, event);
        }
        for (vcpu, wanted) in [(0, 0), (1, 1), (2, 1)] {
            let taken = guest.run(ctx, vcpu);
            guest.stage.expect(ctx, taken == wanted, || {
                format!("vCPU {vcpu} takes {taken} LPIs, not {wanted}, after MOVALL from vCPU 0 to 1")
            });
        }
        guest.finish(ctx);
    }
}
