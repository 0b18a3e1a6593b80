//! [`Recorded`]: a recorded guest on another machine.
//!
//! Each vector has a sender, as the eventfd of an interrupt has, which sends at the recorded times; if it comes late it
//! sends at once, and the delay is part of the latency. But where the recorded device sent when the handler of its last
//! interrupt had ended, it waits for that here, too: a driver that masks its interrupt until then gets none before. MOVIs
//! are executed at their times, by a core of their own. A vCPU is in its guest all the time, takes what comes, and is in a
//! handler as long as the recorded guest was, but no shorter than the machine's own handlers are.
//!
//! A vCPU whose guest runs on does not look where its LPIs go, so one that is moved while it is on its way may wait there
//! until the vCPU exits. In a guest that is busy a timer sees to that: a vCPU that LPIs were moved away from exits a tick
//! later at the latest.
//!
//! As warm-up each vector is sent once, and the guest takes that; then the window and the recording begin.

use crate::entry::{Call, Door, Entry, Place};
use crate::gicv4::{self, Hardware};
use crate::guest::{run_vcpu, usual_time};
use crate::outcome::Outcome;
use crate::run::{Run, world};
use crate::{Setting, Workload};
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use vgic_core::designs::Composed;
use vgic_core::irq::{FIRST_LPI, INTID_LIMIT};
use vgic_core::vcpu::MAX_LIST_REGISTERS;
use vgic_core::vm::MAX_VCPUS;
use vgic_core::{Command, CommandError};
use vgic_host::{Refused, in_range};
use vgic_lab::bench::{Bench, Guest, Load, message};
use vgic_lab::sample::Poll;
use vgic_lab::stress::Failure;
use vgic_sim::report::Spending;
use vgic_sim::{Ps, Sim, SimCtx};

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

/// A tick of a guest's timer: 250 a second, as Debian's arm64 kernels have (`CONFIG_HZ_250`).
const TICK: Ps = 4_000_000_000;
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
        u64::from(self.vcpus) + self.vectors.len() as u64 + u64::from(!self.moves.is_empty())
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
                if last {
                    bench.vm.vcpus.iter().for_each(|vcpu| vcpu.interrupt(ctx));
                }
            });
        }
        if !self.moves.is_empty() {
            let shared = Rc::clone(&shared);
            world.spawn("commands", move |ctx| {
                let Shared { bench, play, .. } = &*shared;
                // Each vector is mapped, and stays so.
                let move_one = |vector: &Vector, _, to| {
                    let _ = move_to(bench, ctx, vector, to);
                };
                play.commands(ctx, move_one, |vcpu| bench.vm.vcpus[vcpu as usize].interrupt(ctx));
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
            let (play, targets) = (Rc::clone(&play), Rc::clone(&targets));
            world.spawn("commands", move |ctx| {
                play.commands(ctx, |_, number, to| targets[number].set(to), |_| ());
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
    /// The core that executes MOVIs, until the recording begins.
    commander: Cell<Option<u32>>,
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
            run: Run::new(recorded.vectors.len() as u32, sends as u64),
            vector_of: vector_of.into(),
            progress: recorded.vectors.iter().map(|_| Progress::default()).collect(),
            commander: Cell::new(None),
        }
    }

    /// How long the handler of an LPI that is taken now will be. Those of the warm-up are short: it leaves nothing behind.
    fn handler(&self, ctx: &SimCtx, intid: u32) -> Ps {
        if !self.run.measuring.get() {
            return usual_time(ctx);
        }
        let number = self.vector_of[(intid - FIRST_LPI) as usize];
        let handlers = &self.recorded.vectors[number].handlers;
        let turn = self.progress[number].taken.get();
        self.progress[number].taken.set(turn + 1);
        let recorded = if handlers.is_empty() { 0 } else { handlers[turn % handlers.len()] };
        // What was recorded varies by itself.
        recorded.max(usual_time(ctx))
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
        self.run.warmed_up(ctx, true, true);
        let begin = ctx.world().measured_from();
        if let Some(core) = self.commander.take() {
            ctx.wake(core, begin);
        }
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

    /// Who executes MOVIs. `kick` makes a vCPU exit.
    fn commands(&self, ctx: &SimCtx, execute: impl Fn(&Vector, usize, u32), kick: impl Fn(u32)) {
        if !self.run.measuring.get() {
            self.commander.set(Some(ctx.number()));
            ctx.block("for the recording to begin", Spending::Idle);
        }
        let begin = ctx.world().measured_from();
        let mut targets: Vec<u32> = self.recorded.vectors.iter().map(|vector| vector.target).collect();
        // When vCPUs exit that LPIs were moved away from, in order.
        let mut ticks: VecDeque<(Ps, u32)> = VecDeque::new();
        let mut moves = self.recorded.moves.iter().copied().peekable();
        loop {
            let next = moves.peek().map(|next| begin + next.at);
            let tick = ticks.front().map(|(at, _)| *at);
            let Some(at) = [next, tick].into_iter().flatten().min() else { break };
            if at > ctx.now() {
                ctx.sleep_until(at, Spending::Idle);
            }
            ctx.in_order();
            if self.run.stop.get() {
                break;
            }
            if tick == Some(at) {
                ticks.pop_front().into_iter().for_each(|(_, vcpu)| kick(vcpu));
            } else if let Some(Move { vector, to, .. }) = moves.next() {
                execute(&self.recorded.vectors[vector as usize], vector as usize, to);
                let left = std::mem::replace(&mut targets[vector as usize], to);
                ticks.push_back((ctx.now() + TICK, left));
            }
        }
    }
}
