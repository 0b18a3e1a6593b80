//! Anything against anything: a few operations one after the other, then two or three threads with a few each.
//!
//! All are drawn from the seed and the number of the execution, so one search runs many programs. What a guest does,
//! a vCPU does: thread n writes registers and commands as vCPU n, which does not run meanwhile, and a VMM that saves the
//! pending tables has stopped all vCPUs, as in the kernel. Commands have an effect only while the ITS is on.

use crate::explore::random::Rng;
use crate::guest::operation::Operation;
use crate::guest::{Guest, mapd};
use crate::scenario::Scenario;
use crate::stage::Stage;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Platform};

/// See the module's text.
pub struct Mix;

/// Threads, and vCPUs.
const THREADS: [&str; 3] = ["first", "second", "third"];
/// Fewer operations than this before the threads start, and at most so many of each thread.
const BEFORE: usize = 12;
const EACH: usize = 3;

/// A kind of operation, and how often it is drawn.
type Kind = (usize, fn(&mut Rng) -> Operation);

const KINDS: &[Kind] = &[
    (14, |rng| Operation::Send { its: often(rng) as usize, event: often(rng) }),
    (11, |rng| Operation::Run { vcpu: either(rng) }),
    (7, |rng| command(rng, |rng| Command::Discard { device_id: 0, event_id: often(rng) })),
    (6, |rng| {
        command(rng, |rng| {
            let (event_id, intid, collection_id) = (often(rng), FIRST_LPI + often(rng), either(rng));
            Command::Mapti { device_id: 0, event_id, intid, collection_id }
        })
    }),
    (7, |rng| command(rng, |rng| Command::Movi { device_id: 0, event_id: often(rng), collection_id: either(rng) })),
    (4, |rng| command(rng, |rng| Command::Movall { from_vcpu: either(rng), to_vcpu: either(rng) })),
    (2, |rng| command(rng, |rng| Command::Mapc { collection_id: either(rng), vcpu: either(rng), valid: true })),
    (1, |rng| command(rng, |rng| Command::Mapc { collection_id: either(rng), vcpu: 0, valid: false })),
    (1, |rng| command(rng, |_| mapd(true))),
    (1, |rng| command(rng, |_| mapd(false))),
    (1, |rng| command(rng, |rng| Command::Clear { device_id: 0, event_id: often(rng) })),
    (2, |rng| command(rng, |rng| Command::Int { device_id: 0, event_id: often(rng) })),
    (1, |rng| command(rng, |rng| Command::Inv { device_id: 0, event_id: often(rng) })),
    (2, |rng| command(rng, |rng| Command::Invall { collection_id: either(rng) })),
    (6, |rng| Operation::Lpis { vcpu: either(rng), on: false }),
    (2, |rng| Operation::Lpis { vcpu: either(rng), on: true }),
    (2, |rng| Operation::Its { its: often(rng) as usize, on: false }),
    (1, |rng| Operation::Its { its: often(rng) as usize, on: true }),
    (1, |rng| Operation::Configure { lpi: often(rng), on: either(rng) == 0 }),
    (2, |_| Operation::Save),
];

/// One of two.
fn either(rng: &mut Rng) -> u32 {
    rng.below(2) as u32
}

/// One of two, mostly the first: operations that have nothing in common do each other no harm.
fn often(rng: &mut Rng) -> u32 {
    u32::from(rng.below(4) == 0)
}

fn command(rng: &mut Rng, draw: impl FnOnce(&mut Rng) -> Command) -> Operation {
    Operation::Command { its: often(rng) as usize, command: draw(rng) }
}

fn draw(rng: &mut Rng, kinds: &[Kind]) -> Operation {
    let mut at = rng.below(kinds.iter().map(|(weight, _)| weight).sum());
    for (weight, draw) in kinds {
        match at.checked_sub(*weight) {
            Some(less) => at = less,
            None => return draw(rng),
        }
    }
    unreachable!("`at` is below the sum of the weights")
}

impl Scenario for Mix {
    const NAME: &'static str = "mix";
    const ABOUT: &'static str = "MSIs, runs, commands, switches and saves by two or three threads, drawn from the seed";
    const BOUND: &'static str =
        "3 vCPUs, 1 or 2 ITSes, 2 LPIs; up to 11 operations, then 2 or 3 threads with 1 to 3 each";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let mut rng = Rng::new(stage.seed(ctx));
        let mut number = 0;
        let mut some = |rng: &mut Rng, count: usize, kinds: &[Kind]| {
            let mut operations = Vec::new();
            for _ in 0..count {
                let operation = draw(rng, kinds);
                if stage.includes(ctx, number) {
                    operations.push(operation);
                }
                number += 1;
            }
            operations
        };
        let count = rng.below(BEFORE);
        let before = some(&mut rng, count, KINDS);
        let threads = 2 + rng.below(THREADS.len() - 1);
        // Another ITS in one program of four.
        let its_count = 1 + u64::from(rng.below(4) == 0);
        // One program in three has an interrupt of the host.
        let interrupt = if rng.below(3) == 0 { threads - 1 } else { threads };
        let sends: [Kind; 1] = [(1, |rng| Operation::SendCached { its: often(rng) as usize, event: often(rng) })];
        let programs: Vec<_> = (0..threads)
            .map(|thread| {
                let count = 1 + rng.below(EACH);
                some(&mut rng, count, if thread == interrupt { &sends } else { KINDS })
            })
            .collect();

        let guest = Guest::<P, S>::new(ctx, stage.clone(), THREADS.len() as u32, its_count);
        guest.map(ctx, 0, 0, 0);
        guest.map(ctx, 1, 1, 1);
        for operation in before {
            operation.execute(&guest, ctx, 0);
        }
        for (thread, program) in programs.into_iter().enumerate().filter(|(_, program)| !program.is_empty()) {
            let run = move |guest: &Guest<P, S>, ctx: &P::Ctx| {
                program.into_iter().for_each(|operation| operation.execute(guest, ctx, thread as u32));
            };
            match thread == interrupt {
                true => guest.interrupt(ctx, "interrupt", run),
                false => guest.spawn(ctx, THREADS[thread], run),
            }
        }
        guest.finish(ctx);
    }
}
