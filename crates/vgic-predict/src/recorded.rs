//! [`Recorded`]: a recorded guest on another machine.
//!
//! Each vector has a sender, as the eventfd of an interrupt has, which sends at the recorded times; if it comes late it
//! sends at once, and the delay is part of the latency. But where the recorded device sent when the handler of its last
//! interrupt had ended, it waits for that here, too: a driver that masks its interrupt until then gets none before. MOVIs
//! are executed at their times, by a core of their own. A vCPU is in its guest all the time, takes what comes, and is in a
//! handler as long as the recorded guest was, but no shorter than the machine's own handlers are.
//!
//! As warm-up each vector is sent once, and the guest takes that; then the window and the recording begin.

use crate::entry::{Call, Door, Entry, Place};
use crate::gicv4::{self, Hardware};
use crate::guest::run_vcpu;
use crate::outcome::Outcome;
use crate::run::{Run, world};
use crate::{Setting, Workload};
use std::cell::Cell;
use std::rc::Rc;
use vgic_core::designs::Composed;
use vgic_core::irq::{FIRST_LPI, INTID_LIMIT};
use vgic_core::vcpu::MAX_LIST_REGISTERS;
use vgic_core::vm::MAX_VCPUS;
use vgic_core::{Command, CommandError, Vm};
use vgic_host::{Refused, in_range};
use vgic_lab::bench::{Bench, Guest, Load, message};
use vgic_lab::sample::Poll;
use vgic_lab::stress::Failure;
use vgic_sim::report::Spending;
use vgic_sim::{Cost, Ps, Sim, SimCtx};

/// The load.
#[derive(Clone, Debug)]
pub struct Recorded {
    vcpus: u32,
    vectors: Vec<Vector>,
    /// By time.
    moves: Vec<Move>,
    entry: Entry,
    list_registers: u32,
}

/// What one device raises with one EventID.
#[derive(Clone, Debug)]
struct Vector {
    device: u32,
    event: u32,
    /// The vCPU that it goes to at the begin.
    target: u32,
    /// When it is raised, from the begin on.
    sends: Vec<Send>,
    /// How long the handlers take, in turn.
    handlers: Vec<Ps>,
}

/// An MSI.
#[derive(Clone, Copy, Debug)]
struct Send {
    at: Ps,
    /// The handler of the vector's last one had ended by then.
    after: bool,
}

/// A MOVI.
#[derive(Clone, Copy, Debug)]
struct Move {
    at: Ps,
    vector: u32,
    to: u32,
}

/// The latest time, and the longest handler: some 11 days.
const MAX_TIME: u64 = 1_000_000_000_000_000_000;

impl Recorded {
    /// From rows of numbers; times are in picoseconds from the begin on. `vectors`: device, event, vCPU at the begin, each
    /// numbered from 0. `sends`: vector, time, whether the handler of its last one had ended. `handlers`: vector, time.
    /// `moves`: time, vector, vCPU.
    pub fn new(
        vcpus: u32,
        vectors: &[[u64; 3]],
        sends: &[[u64; 3]],
        handlers: &[[u64; 2]],
        moves: &[[u64; 3]],
        entry: Entry,
        list_registers: u32,
    ) -> Result<Self, Refused> {
        in_range("vcpus", u64::from(vcpus), 1, u64::from(MAX_VCPUS))?;
        in_range("vectors", vectors.len() as u64, 1, 1024)?;
        let last_vcpu = u64::from(vcpus) - 1;
        let mut all = Vec::with_capacity(vectors.len());
        for &[device, event, target] in vectors {
            in_range("device of a vector", device, 0, 1023)?;
            in_range("event of a vector", event, 0, 65535)?;
            in_range("vCPU of a vector", target, 0, last_vcpu)?;
            let (device, event, target) = (device as u32, event as u32, target as u32);
            all.push(Vector { device, event, target, sends: Vec::new(), handlers: Vec::new() });
        }
        let last_vector = all.len() as u64 - 1;
        for &[vector, at, after] in sends {
            in_range("vector of a send", vector, 0, last_vector)?;
            in_range("time of a send (ps)", at, 0, MAX_TIME)?;
            all[vector as usize].sends.push(Send { at, after: after != 0 });
        }
        for &[vector, time] in handlers {
            in_range("vector of a handler", vector, 0, last_vector)?;
            in_range("time of a handler (ps)", time, 0, MAX_TIME)?;
            all[vector as usize].handlers.push(time);
        }
        let mut moved = Vec::with_capacity(moves.len());
        for &[at, vector, to] in moves {
            in_range("time of a move (ps)", at, 0, MAX_TIME)?;
            in_range("vector of a move", vector, 0, last_vector)?;
            in_range("vCPU of a move", to, 0, last_vcpu)?;
            moved.push(Move { at, vector: vector as u32, to: to as u32 });
        }
        Ok(Recorded { vcpus, vectors: all, moves: moved, entry, list_registers })
    }

    fn load(&self) -> Load {
        let most = |of: fn(&Vector) -> u32| self.vectors.iter().map(of).max().unwrap_or(0) + 1;
        Load {
            vcpus: self.vcpus,
            devices: most(|vector| vector.device),
            events: most(|vector| vector.event),
            guest: Guest::Fixed,
            list_registers: self.list_registers,
            mapped: 0,
        }
    }

    /// Who has to come to the end: senders, and who executes MOVIs.
    fn actors(&self) -> u32 {
        self.vectors.len() as u32 + u32::from(!self.moves.is_empty())
    }
}

impl Workload for Recorded {
    fn check(&self) -> Result<(), Refused> {
        self.entry.check()?;
        in_range("list_registers", u64::from(self.list_registers), 1, MAX_LIST_REGISTERS as u64)?;
        let load = self.load();
        let lpis = u64::from(INTID_LIMIT - FIRST_LPI);
        in_range("devices x events", u64::from(load.devices) * u64::from(load.events), 1, lpis)
    }

    fn threads(&self) -> u64 {
        u64::from(self.vcpus) + u64::from(self.actors())
    }

    fn run(&self, design: Composed, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure> {
        let world = world(setting);
        let set_up = SimCtx::set_up(&world);
        let bench = self.load().bench::<Sim, Composed>(design, &set_up)?;
        for vector in &self.vectors {
            move_to(&bench, &set_up, vector, vector.target)?;
        }
        let door = Door::new(self.entry, self.vectors.len() as u32);
        let shared = Rc::new(Shared { bench, door, play: Play::new(self) });
        for id in 0..self.vcpus {
            let shared = Rc::clone(&shared);
            world.spawn(&format!("vcpu{id}"), move |ctx| {
                let Shared { bench, play, .. } = &*shared;
                let ended = |intid| play.ended(ctx, intid);
                run_vcpu(ctx, &bench.vm, &play.run, id, true, |intid| play.handler(ctx, intid), ended);
            });
        }
        for number in 0..self.vectors.len() {
            let shared = Rc::clone(&shared);
            world.spawn(&format!("sender{number}"), move |ctx| {
                let Shared { bench, door, play } = &*shared;
                let last = play.sender(ctx, number, |vector, place| {
                    door.send(&bench.vm, ctx, &message(vector.device, vector.event), number as u32, place)
                });
                stop_if(last, &bench.vm, ctx);
            });
        }
        if !self.moves.is_empty() {
            let shared = Rc::clone(&shared);
            world.spawn("commands", move |ctx| {
                let Shared { bench, play, .. } = &*shared;
                let last = play.commands(ctx, |vector, _, to| {
                    // Each vector is mapped, and stays so.
                    let _ = move_to(bench, ctx, vector, to);
                });
                stop_if(last, &bench.vm, ctx);
            });
        }
        let run = Rc::clone(&shared.play.run);
        run.finish(&world, shared, |shared| &shared.bench.vm, poll)
    }

    fn run_gicv4(&self, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure> {
        let world = world(setting);
        let hardware = Rc::new(Hardware::new(self.vcpus));
        let play = Rc::new(Play::new(self));
        let targets: Rc<[Cell<u32>]> = self.vectors.iter().map(|vector| Cell::new(vector.target)).collect();
        for id in 0..self.vcpus {
            let (hardware, play) = (Rc::clone(&hardware), Rc::clone(&play));
            world.spawn(&format!("vcpu{id}"), move |ctx| {
                let ended = |intid| play.ended(ctx, intid);
                gicv4::run_vcpu(ctx, &hardware, &play.run, id, true, |intid| play.handler(ctx, intid), ended);
            });
        }
        for number in 0..self.vectors.len() {
            let (hardware, play, targets) = (Rc::clone(&hardware), Rc::clone(&play), Rc::clone(&targets));
            world.spawn(&format!("sender{number}"), move |ctx| {
                let last = play.sender(ctx, number, |vector, _| {
                    hardware.send(ctx, play.load.intid(vector.device, vector.event), targets[number].get());
                    true
                });
                if last {
                    hardware.wake_all(ctx);
                }
            });
        }
        if !self.moves.is_empty() {
            let (hardware, play, targets) = (Rc::clone(&hardware), Rc::clone(&play), Rc::clone(&targets));
            world.spawn("commands", move |ctx| {
                if play.commands(ctx, |_, number, to| targets[number].set(to)) {
                    hardware.wake_all(ctx);
                }
            });
        }
        play.run.drive(&world, poll)?;
        Ok(play.run.outcome(&world, hardware.pending()))
    }
}

/// The guest moves an LPI: collections have the numbers of their vCPUs.
fn move_to(bench: &Bench<Sim, Composed>, ctx: &SimCtx, vector: &Vector, to: u32) -> Result<(), CommandError> {
    let command = Command::Movi { device_id: vector.device, event_id: vector.event, collection_id: to };
    bench.vm.command(ctx, &bench.its, command)
}

/// The last to end stops the vCPUs.
fn stop_if(last: bool, vm: &Vm<Sim, Composed>, ctx: &SimCtx) {
    if last {
        vm.vcpus.iter().for_each(|vcpu| vcpu.interrupt(ctx));
    }
}

/// What the threads share.
struct Shared {
    bench: Bench<Sim, Composed>,
    door: Door,
    play: Play,
}

/// The recording, and how far it is played.
struct Play {
    recorded: Recorded,
    load: Load,
    run: Rc<Run>,
    /// INTID, from the first LPI on -> vector.
    vector_of: Box<[usize]>,
    /// How far each vector is.
    progress: Box<[Progress]>,
}

/// How far a vector is.
#[derive(Default)]
struct Progress {
    /// LPIs taken.
    taken: Cell<usize>,
    /// It was sent, and its handler has not ended since.
    open: Cell<bool>,
    /// Its sender's core, while that waits for the handler to end.
    waiting: Cell<Option<u32>>,
}

impl Play {
    fn new(recorded: &Recorded) -> Self {
        let load = recorded.load();
        let mut vector_of = vec![0; (load.devices * load.events) as usize];
        for (number, vector) in recorded.vectors.iter().enumerate() {
            vector_of[(load.intid(vector.device, vector.event) - FIRST_LPI) as usize] = number;
        }
        let sends: usize = recorded.vectors.iter().map(|vector| vector.sends.len()).sum();
        Play {
            recorded: recorded.clone(),
            load,
            run: Run::new(recorded.actors(), sends as u64),
            vector_of: vector_of.into(),
            progress: recorded.vectors.iter().map(|_| Progress::default()).collect(),
        }
    }

    /// How long the handler of an LPI that is taken now will be.
    fn handler(&self, ctx: &SimCtx, intid: u32) -> Ps {
        let number = self.vector_of[(intid - FIRST_LPI) as usize];
        let handlers = &self.recorded.vectors[number].handlers;
        let turn = self.progress[number].taken.get();
        self.progress[number].taken.set(turn + 1);
        let recorded = if handlers.is_empty() { 0 } else { handlers[turn % handlers.len()] };
        recorded.max(ctx.cost(Cost::guest_interrupt))
    }

    /// The handler of an LPI has ended.
    fn ended(&self, ctx: &SimCtx, intid: u32) {
        ctx.in_order();
        let progress = &self.progress[self.vector_of[(intid - FIRST_LPI) as usize]];
        progress.open.set(false);
        if let Some(core) = progress.waiting.take() {
            ctx.wake(core, ctx.now());
        }
    }

    /// Waits for the others, and says when the recording begins.
    fn begin(&self, ctx: &SimCtx) -> Ps {
        self.run.warmed_up(ctx, true, true);
        ctx.world().measured_from()
    }

    /// The sender of a vector; true for the last one to end. `send` says whether it was taken.
    fn sender(&self, ctx: &SimCtx, number: usize, send: impl Fn(&Vector, Place) -> bool) -> bool {
        let vector = &self.recorded.vectors[number];
        let intid = self.load.intid(vector.device, vector.event);
        let progress = &self.progress[number];
        let one = |due| {
            progress.open.set(true);
            self.run.sending(intid, due);
            let taken = send(vector, Call::new(due, 1).next());
            self.run.sent(intid, taken);
        };
        one(ctx.now());
        let begin = self.begin(ctx);
        for &Send { at, after } in &vector.sends {
            let mut due = begin + at;
            if due > ctx.now() {
                ctx.sleep_until(due, Spending::Idle);
            }
            ctx.in_order();
            if after && progress.open.get() {
                progress.waiting.set(Some(ctx.number()));
                ctx.block("for the handler of its last interrupt", Spending::Idle);
                due = ctx.now();
            }
            one(due);
            self.run.step();
            if self.run.stop.get() {
                break;
            }
        }
        self.run.sender_done(ctx, false)
    }

    /// Who executes MOVIs; true if it is the last to end.
    fn commands(&self, ctx: &SimCtx, execute: impl Fn(&Vector, usize, u32)) -> bool {
        let begin = self.begin(ctx);
        for &Move { at, vector, to } in &self.recorded.moves {
            if begin + at > ctx.now() {
                ctx.sleep_until(begin + at, Spending::Idle);
            }
            if self.run.stop.get() {
                break;
            }
            execute(&self.recorded.vectors[vector as usize], vector as usize, to);
        }
        self.run.sender_done(ctx, false)
    }
}
