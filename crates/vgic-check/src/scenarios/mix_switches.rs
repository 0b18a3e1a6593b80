//! As `mix`, with everything that is switched or read again: three threads with a few operations each, drawn from the seed.

use crate::explore::random::Rng;
use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Design, Platform};

/// See the module's text.
pub struct MixSwitches;

/// Operations of each thread.
const OPERATIONS: usize = 3;

fn operate<P: Platform, S: Stage<P>, D: Design>(guest: &Guest<P, S, D>, ctx: &P::Ctx, rng: &mut Rng) {
    let (event_id, vcpu, on) = (rng.below(2) as u32, rng.below(2) as u32, rng.below(2) == 0);
    let its = rng.below(2);
    match rng.below(16) {
        0..=2 => drop(guest.send_to(ctx, its, event_id)),
        3..=4 => drop(guest.run(ctx, vcpu)),
        5..=6 => guest.set_lpis(ctx, vcpu, on),
        7 => guest.set_its(ctx, its, on),
        8 => guest.vm.set_distributor_enabled(ctx, on),
        9 => drop(guest.command_to(ctx, its, Command::Discard { device_id: 0, event_id })),
        10 => {
            let intid = FIRST_LPI + event_id;
            let mapti = Command::Mapti { device_id: 0, event_id, intid, collection_id: vcpu };
            let _ = guest.command_to(ctx, its, mapti);
        }
        11 => drop(guest.command_to(ctx, its, Command::Movi { device_id: 0, event_id, collection_id: vcpu })),
        12 => drop(guest.command_to(ctx, its, Command::Movall { from_vcpu: vcpu, to_vcpu: 1 - vcpu })),
        13 => drop(guest.command_to(ctx, its, Command::Mapc { collection_id: 0, vcpu, valid: on })),
        14 => {
            guest.stage.note(ctx, || "saves the pending tables".to_owned());
            let _ = guest.vm.save_pending_tables(ctx);
        }
        _ => drop(guest.command_to(ctx, its, Command::Mapd { device_id: 0, event_bits: 5, itt_addr: 0, valid: on })),
    }
}

impl Scenario for MixSwitches {
    const NAME: &'static str = "mix_switches";
    const ABOUT: &'static str =
        "MSIs, runs, commands, saves and writes to GICR_CTLR, GITS_CTLR and GICD_CTLR, drawn from the seed";
    const BOUND: &'static str = "2 vCPUs, 2 ITSes, 2 LPIs that they share, 3 threads with 3 operations each";

    fn run<P: Platform, S: Stage<P>, D: Design>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S, D>::new(ctx, stage, 2, 2);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 1);
        for (number, name) in (0..).zip(["first", "second", "third"]) {
            guest.spawn(ctx, name, move |guest, ctx| {
                let mut rng = Rng::new(guest.stage.seed(ctx) * 3 + number);
                for _ in 0..OPERATIONS {
                    operate(guest, ctx, &mut rng);
                }
            });
        }
        guest.join(ctx);
        guest.vm.set_distributor_enabled(ctx, true);
        guest.finish(ctx);
    }
}
