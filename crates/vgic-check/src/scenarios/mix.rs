//! Anything against anything: three threads with a few operations each, drawn from the seed.

use crate::explore::random::Rng;
use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::{Command, Design, Platform};

/// See the module's text.
pub struct Mix;

/// Operations of each thread.
const OPERATIONS: usize = 3;

/// One operation. LPIs and ITSes stay on: what their switches race with has scenarios of its own, in which most designs
/// fail.
fn operate<P: Platform, S: Stage<P>, D: Design>(guest: &Guest<P, S, D>, ctx: &P::Ctx, rng: &mut Rng) {
    let event_id = rng.below(2) as u32;
    let vcpu = rng.below(2) as u32;
    match rng.below(10) {
        0..=3 => drop(guest.send(ctx, event_id)),
        4..=5 => drop(guest.run(ctx, vcpu)),
        6 => drop(guest.discard(ctx, event_id)),
        7 => drop(guest.mapti(ctx, event_id, event_id, vcpu)),
        8 => drop(guest.movi(ctx, event_id, vcpu)),
        _ => drop(guest.command(ctx, Command::Clear { device_id: 0, event_id })),
    }
}

impl Scenario for Mix {
    const NAME: &'static str = "mix";
    const ABOUT: &'static str = "MSIs, runs, DISCARD, MAPTI, MOVI and CLEAR by three threads, drawn from the seed";
    const BOUND: &'static str = "2 vCPUs, 2 events, 3 threads with 3 operations each";

    fn run<P: Platform, S: Stage<P>, D: Design>(ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S, D>::new(ctx, stage, 2, 1);
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
        guest.finish(ctx);
    }
}
