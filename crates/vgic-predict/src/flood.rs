//! [`Flood`]: the load of `vgic_lpi_stress`: every device sends every event, over and over.
//!
//! Without a gap all begin with their first event, released by a barrier while the clock runs, as there. With one, a
//! device is somewhere in its round and its gap when the window begins: if all began alike they would visit one vCPU
//! after the other together, and it takes a thousand sends until that has blurred.

use crate::entry::{Call, Door, Entry, Place};
use crate::guest::{run_vcpu, usual_time};
use crate::outcome::Outcome;
use crate::run::{Run, world};
use crate::{Setting, Workload, gicv4};
use std::rc::Rc;
use vgic_core::designs::Composed;
use vgic_core::irq::{FIRST_LPI, INTID_LIMIT};
use vgic_core::vcpu::MAX_LIST_REGISTERS;
use vgic_core::vm::MAX_VCPUS;
use vgic_host::{Refused, in_range};
use vgic_lab::bench::{Bench, Guest, Load, message};
use vgic_lab::sample::Poll;
use vgic_lab::stress::Failure;
use vgic_sim::report::Spending;
use vgic_sim::{Ps, Sim, SimCtx};

/// The load.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// What is mapped.
    pub load: Load,
    /// Rounds of each sender.
    pub iterations: u64,
    /// Rounds before that, which do not count.
    pub warmup: u64,
    /// How an MSI comes in.
    pub entry: Entry,
    /// Each sender sends once in so long; 0: as fast as it goes.
    pub gap: Ps,
}

/// Longest gap between two sends: a second.
const MAX_GAP: Ps = 1_000_000_000_000;

impl Workload for Flood {
    fn check(&self) -> Result<(), Refused> {
        let load = &self.load;
        let lpis = u64::from(INTID_LIMIT - FIRST_LPI);
        in_range("vcpus", u64::from(load.vcpus), 1, u64::from(MAX_VCPUS))?;
        in_range("devices", u64::from(load.devices), 1, 1024)?;
        in_range("events", u64::from(load.events), 1, 1 << 16)?;
        in_range("list_registers", u64::from(load.list_registers), 1, MAX_LIST_REGISTERS as u64)?;
        in_range("iterations", self.iterations, 1, 1 << 40)?;
        in_range("warmup", self.warmup, 0, 1 << 40)?;
        in_range("gap (ps)", self.gap, 0, MAX_GAP)?;
        self.entry.check()?;
        let all = u64::from(load.devices) * u64::from(load.events) + u64::from(load.mapped);
        in_range("devices x events + mapped", all, 1, lpis)
    }

    fn threads(&self) -> u64 {
        u64::from(self.load.vcpus) + u64::from(self.load.devices)
    }

    fn run(&self, design: Composed, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure> {
        let world = world(setting);
        let set_up = SimCtx::set_up(&world);
        let bench = self.load.bench::<Sim, Composed>(design, &set_up)?;
        let door = Door::new(self.entry, self.load.devices);
        let shared = Rc::new(Shared { flood: *self, bench, door, run: self.new_run() });
        for id in 0..self.load.vcpus {
            let shared = Rc::clone(&shared);
            world.spawn(&format!("vcpu{id}"), move |ctx| {
                let takes = shared.flood.load.guest == Guest::Fixed;
                run_vcpu(ctx, &shared.bench.vm, &shared.run, id, takes, |_| usual_time(ctx), |_| ());
            });
        }
        for device in 0..self.load.devices {
            let shared = Rc::clone(&shared);
            world.spawn(&format!("sender{device}"), move |ctx| shared.sender(ctx, device));
        }
        let run = Rc::clone(&shared.run);
        run.finish(&world, shared, |shared| &shared.bench.vm, poll)
    }

    fn run_gicv4(&self, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure> {
        gicv4::flood(self, setting, poll)
    }
}

impl Flood {
    /// What the run of this load shares.
    pub(crate) fn new_run(&self) -> Rc<Run> {
        Run::new(self.load.devices, self.rounds() * u64::from(self.load.devices))
    }

    fn rounds(&self) -> u64 {
        self.warmup + self.iterations
    }

    /// A sender: all its rounds. `send` sends an event with its INTID, at its place in a call, and says whether it was
    /// taken. True for the last sender.
    pub(crate) fn send_all(
        &self,
        ctx: &SimCtx,
        run: &Run,
        device: u32,
        send: impl Fn(u32, u32, Place) -> bool,
    ) -> bool {
        let Flood { load, warmup, gap, .. } = *self;
        let mut pace = Pace::new(ctx, gap);
        let mut first = pace.first(ctx, load.events);
        let mut call = Call::default();
        for round in 0..self.rounds() {
            if round == warmup {
                run.warmed_up(ctx, gap > 0, load.guest == Guest::Fixed);
                pace = Pace::new(ctx, gap);
                first = pace.first(ctx, load.events);
            }
            for turn in 0..load.events {
                let event = (first + turn) % load.events;
                if call.is_over() {
                    // No call goes on beyond the warm-up.
                    let until = if round < warmup { warmup } else { self.rounds() };
                    let left = (until - round) * u64::from(load.events) - u64::from(turn);
                    let due = pace.due(ctx, left.min(u64::from(self.entry.msis())) as u32);
                    call = Call::new(ctx.now(), due);
                }
                let place = call.next();
                let begin = ctx.now();
                let intid = load.intid(device, event);
                let number = run.sending(intid, call.begin);
                let taken = send(event, intid, place);
                ctx.trace("send", format_args!("LPI {intid}"), begin, Some(number));
                run.sent(intid, taken);
            }
            run.step();
            if run.stop.get() {
                break;
            }
        }
        run.sender_done(ctx, gap > 0)
    }
}

/// What the threads share.
struct Shared {
    flood: Flood,
    bench: Bench<Sim, Composed>,
    door: Door,
    run: Rc<Run>,
}

impl Shared {
    fn sender(&self, ctx: &SimCtx, device: u32) {
        let vm = &self.bench.vm;
        let send = |event, _, place| self.door.send(vm, ctx, &message(device, event), device, place);
        if self.flood.send_all(ctx, &self.run, device, send) {
            vm.vcpus.iter().for_each(|vcpu| vcpu.interrupt(ctx));
        }
    }
}

/// When a sender sends next.
struct Pace {
    gap: Ps,
    next: Ps,
}

impl Pace {
    fn new(ctx: &SimCtx, gap: Ps) -> Self {
        // Senders do not march in step.
        let next = if gap == 0 { 0 } else { ctx.now() + ctx.random(gap) };
        Pace { gap, next }
    }

    /// The event that a round begins with.
    fn first(&self, ctx: &SimCtx, events: u32) -> u32 {
        if self.gap == 0 { 0 } else { ctx.random(u64::from(events)) as u32 }
    }

    /// Waits until a send is due, and says how many are by then, of `most`.
    fn due(&mut self, ctx: &SimCtx, most: u32) -> u32 {
        if self.gap == 0 {
            return most;
        }
        if self.next > ctx.now() {
            ctx.sleep_until(self.next, Spending::Idle);
        }
        let mut due = 0;
        loop {
            self.next += ctx.vary(self.gap);
            due += 1;
            if due == most || self.next > ctx.now() {
                return due;
            }
        }
    }
}
