//! Replay of a recorded guest: its ITS commands, the MSIs that its devices sent, the LPIs that it acknowledged.
//!
//! *As recorded*: one operation after the other, each acknowledge answered by the engine, to be compared. *Live*:
//! commands keep their place; between two of them one thread for each device sends, and a thread for each vCPU takes,
//! at full speed. *Lockstep* and *senders*: one thread, the recorded order, the vCPUs run where the recording has an
//! acknowledge, or not at all.

use crate::bench::Guest;
use crate::company::Company;
use crate::sample::{Length, Poll, Sample, Stopped, rounds};
use crate::stress::{Failure, Mode, drain, vcpu_thread};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError, RwLock};
use std::time::Instant;
use vgic_core::bus::TRANSLATER;
use vgic_core::its::Its;
use vgic_core::vcpu::MAX_LIST_REGISTERS;
use vgic_core::vcpu::run::Tie;
use vgic_core::vm::MAX_VCPUS;
use vgic_core::{Command, CommandError, Design, Msi, Obj, Platform, Vm, with_design};
use vgic_host::tables::{FlatTables, Shared};
use vgic_host::{ITS_BASE, Refused, check_design, in_range};
use vgic_native::{Native, NativeCtx};

/// Names of the operations of a program, in the order of their numbers from 0.
pub const OPS: &[&str] = &[
    "mapd",
    "mapc",
    "mapti",
    "mapi",
    "movi",
    "movall",
    "discard",
    "clear",
    "int",
    "inv",
    "invall",
    "sync",
    "msi",
    "acknowledge",
    "eoi",
    "lpis_enabled",
    "its_enabled",
];

/// One operation of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Command(Command),
    Msi { device_id: u32, event_id: u32 },
    Acknowledge { vcpu: u32, intid: u32 },
    Eoi { vcpu: u32 },
    LpisEnabled { vcpu: u32, on: bool },
    ItsEnabled(bool),
}

/// A recording, ready to be replayed.
pub struct Program {
    ops: Vec<(u64, Op)>,
    vcpus: u32,
}

/// Numbers in a row of a program: kind, line, and four operands.
pub const ROW: usize = 6;

impl Program {
    /// From rows of (kind, line, a, b, c, d).
    pub fn new(rows: &[u64], vcpus: u32) -> Result<Program, Refused> {
        in_range("vcpus", u64::from(vcpus), 1, u64::from(MAX_VCPUS))?;
        in_range("values in the last row of the program", (rows.len() % ROW) as u64, 0, 0)?;
        let ops = rows.chunks_exact(ROW).map(|row| Ok((row[1], Op::from_row(row, vcpus)?)));
        Ok(Program { ops: ops.collect::<Result<_, Refused>>()?, vcpus })
    }
}

impl Program {
    /// Whether a vCPU turns its LPIs off somewhere: not beside its own running thread, in designs with that race.
    fn turns_lpis_off(&self) -> bool {
        self.ops.iter().any(|(_, op)| matches!(op, Op::LpisEnabled { on: false, .. }))
    }
}

impl Op {
    fn from_row(row: &[u64], vcpus: u32) -> Result<Op, Refused> {
        let number = |index: usize| -> Result<u32, Refused> {
            in_range("an operand of the program", row[index], 0, u64::from(u32::MAX))?;
            Ok(row[index] as u32)
        };
        let vcpu = |index: usize| -> Result<u32, Refused> {
            in_range("a vCPU of the program", row[index], 0, u64::from(vcpus) - 1)?;
            Ok(row[index] as u32)
        };
        let (a, b, c, d) = (number(2)?, number(3)?, number(4)?, number(5)?);
        in_range("an operation of the program", row[0], 0, OPS.len() as u64 - 1)?;
        Ok(match OPS[row[0] as usize] {
            "mapd" => Op::Command(Command::Mapd { device_id: a, event_bits: b, itt_addr: 0, valid: c != 0 }),
            "mapc" => Op::Command(Command::Mapc { collection_id: a, vcpu: b, valid: c != 0 }),
            "mapti" => Op::Command(Command::Mapti { device_id: a, event_id: b, intid: c, collection_id: d }),
            "mapi" => Op::Command(Command::Mapi { device_id: a, event_id: b, collection_id: c }),
            "movi" => Op::Command(Command::Movi { device_id: a, event_id: b, collection_id: c }),
            "movall" => Op::Command(Command::Movall { from_vcpu: a, to_vcpu: b }),
            "discard" => Op::Command(Command::Discard { device_id: a, event_id: b }),
            "clear" => Op::Command(Command::Clear { device_id: a, event_id: b }),
            "int" => Op::Command(Command::Int { device_id: a, event_id: b }),
            "inv" => Op::Command(Command::Inv { device_id: a, event_id: b }),
            "invall" => Op::Command(Command::Invall { collection_id: a }),
            "sync" => Op::Command(Command::Sync { vcpu: a }),
            "msi" => Op::Msi { device_id: a, event_id: b },
            "acknowledge" => Op::Acknowledge { vcpu: vcpu(2)?, intid: b },
            "eoi" => Op::Eoi { vcpu: vcpu(2)? },
            "lpis_enabled" => Op::LpisEnabled { vcpu: vcpu(2)?, on: b != 0 },
            _ => Op::ItsEnabled(a != 0),
        })
    }
}

/// How a recording is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// In recorded order, once, each acknowledge compared.
    Recorded,
    /// At full speed.
    FlatOut(Mode),
}

/// One acknowledge of the recording and the engine's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledge {
    /// Who acknowledged.
    pub vcpu: u32,
    /// What the recording says; 0 for one that the recording does not have.
    pub recorded: u32,
    /// What the engine answered; 0 if nothing was pending.
    pub answered: u32,
    /// Line of the recording; 0 for one that the recording does not have.
    pub line: u64,
}

/// What a replay gave.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Counts and times.
    pub sample: Sample,
    /// As recorded: each acknowledge.
    pub acknowledges: Vec<Acknowledge>,
    /// Commands that were rejected: line and error.
    pub command_errors: Vec<(u64, CommandError)>,
}

/// A replay to run.
pub struct Replay<'a> {
    /// The recording.
    pub program: &'a Arc<Program>,
    /// How.
    pub how: How,
    /// Flat out: how many times, or how long.
    pub length: Length,
    /// List registers of the GIC.
    pub list_registers: u32,
}

struct Replica<D: Design> {
    vm: Vm<Native, D>,
    its: Obj<Its<Native>>,
}

impl<D: Design> Drop for Replica<D> {
    fn drop(&mut self) {
        self.vm.destroy(&NativeCtx::new("vgic-destroy"));
    }
}

impl<D: Design> Replica<D> {
    fn control(&self, ctx: &NativeCtx, op: &Op) -> Result<(), CommandError> {
        match *op {
            Op::Command(command) => self.vm.command(ctx, &self.its, command)?,
            Op::LpisEnabled { vcpu, on } => {
                self.vm.set_lpis_enabled(ctx, &self.vm.vcpus[vcpu as usize], on, true)?;
            }
            Op::ItsEnabled(on) => self.vm.set_its_enabled(ctx, &self.its, on),
            Op::Msi { .. } | Op::Acknowledge { .. } | Op::Eoi { .. } => {}
        }
        Ok(())
    }

    fn send(&self, ctx: &NativeCtx, device_id: u32, event_id: u32) -> bool {
        let msi = Msi { doorbell: ITS_BASE + TRANSLATER, device_id, event_id, device_id_valid: true };
        self.vm.inject_msi(ctx, &msi) == Ok(true)
    }

    fn acknowledge(&self, ctx: &NativeCtx, vcpu: u32) -> Option<u32> {
        let mut running = self.vm.run_vcpu(ctx, vcpu);
        running.enter_always();
        // The recordings are of QEMU's physical CPU interface.
        running.acknowledge_with(Tie::Intid)
    }
}

impl Replay<'_> {
    /// Runs it once, on a new VM of the design.
    pub fn run(&self, design: &str, allow_unsound: bool, poll: Poll<'_>) -> Result<Replayed, Failure> {
        let any = check_design(design, allow_unsound)?;
        let races = any.spec().has_control_races() && !allow_unsound;
        if self.how == How::FlatOut(Mode::Live) && races && self.program.turns_lpis_off() {
            return Err(Refused::Unsound(any.name(), "a recording that turns LPIs off, beside vCPUs that run").into());
        }
        in_range("list_registers", u64::from(self.list_registers), 1, MAX_LIST_REGISTERS as u64)?;
        with_design!(design, design => self.run_design(design, poll)).unwrap_or_else(|| self.run_design(any, poll))
    }

    fn run_design<D: Design>(&self, design: D, poll: Poll<'_>) -> Result<Replayed, Failure> {
        let _company = Company::new();
        let ctx = NativeCtx::new("main");
        let vcpus = self.program.vcpus;
        // What the set-up counts is not the run's.
        let set_up = NativeCtx::new("set-up");
        let vm =
            Vm::new(design, &set_up, vcpus, self.list_registers as usize, Box::new(Shared(FlatTables::new(vcpus))))?;
        let its = vm.add_its(&set_up, ITS_BASE)?;
        let guest = Arc::new(Replica::<D> { vm, its });
        let mut replayed = Replayed::default();
        let result = match self.how {
            How::Recorded => {
                self.as_recorded(&ctx, &guest, &mut replayed);
                Ok(())
            }
            How::FlatOut(Mode::Live) => self.live(&ctx, &guest, &mut replayed, poll),
            How::FlatOut(mode) => self.one_thread(&ctx, &guest, &mut replayed, mode, poll),
        };
        replayed.sample.add(&ctx);
        replayed.sample.pending = guest.vm.pending_count(&ctx);
        result.map(|()| replayed)
    }

    fn as_recorded<D: Design>(&self, ctx: &NativeCtx, guest: &Replica<D>, replayed: &mut Replayed) {
        let vcpus = self.program.vcpus as usize;
        let start = Instant::now();
        // An acknowledge whose MSI stands further down (the recorder's threads write one log) is answered later.
        let mut owed: Vec<Vec<usize>> = vec![Vec::new(); vcpus];
        // The guest ends what it acknowledged; with another answer, that one.
        let mut active: Vec<Vec<u32>> = vec![Vec::new(); vcpus];
        let answer =
            |vcpu: u32, owed: &mut Vec<Vec<usize>>, active: &mut Vec<Vec<u32>>, acks: &mut Vec<Acknowledge>| {
                while let Some(&index) = owed[vcpu as usize].first() {
                    let Some(intid) = guest.acknowledge(ctx, vcpu) else { return };
                    owed[vcpu as usize].remove(0);
                    acks[index].answered = intid;
                    active[vcpu as usize].push(intid);
                    // A late one is ended at once, or nothing else of its priority could be taken.
                    if acks.len() > index + 1 {
                        end(guest, ctx, vcpu, active);
                    }
                }
            };
        for (line, op) in &self.program.ops {
            match *op {
                Op::Msi { device_id, event_id } => {
                    replayed.sample.accepted += u64::from(guest.send(ctx, device_id, event_id));
                    for vcpu in 0..vcpus as u32 {
                        answer(vcpu, &mut owed, &mut active, &mut replayed.acknowledges);
                    }
                }
                Op::Acknowledge { vcpu, intid } => {
                    let row = Acknowledge { vcpu, recorded: intid, answered: 0, line: *line };
                    owed[vcpu as usize].push(replayed.acknowledges.len());
                    replayed.acknowledges.push(row);
                    answer(vcpu, &mut owed, &mut active, &mut replayed.acknowledges);
                }
                Op::Eoi { vcpu } => end(guest, ctx, vcpu, &mut active),
                ref control => {
                    if let Err(error) = guest.control(ctx, control) {
                        replayed.command_errors.push((*line, error));
                    }
                }
            }
        }
        // What the engine would still deliver although the guest took no more.
        for vcpu in 0..vcpus as u32 {
            while !active[vcpu as usize].is_empty() {
                end(guest, ctx, vcpu, &mut active);
            }
            while let Some(answered) = guest.acknowledge(ctx, vcpu) {
                replayed.acknowledges.push(Acknowledge { vcpu, recorded: 0, answered, line: 0 });
                active[vcpu as usize].push(answered);
                end(guest, ctx, vcpu, &mut active);
            }
        }
        replayed.sample.elapsed = start.elapsed();
    }

    fn one_thread<D: Design>(
        &self,
        ctx: &NativeCtx,
        guest: &Replica<D>,
        replayed: &mut Replayed,
        mode: Mode,
        poll: Poll<'_>,
    ) -> Result<(), Failure> {
        let mut vcpus = guest.vm.run_all_vcpus(ctx);
        let result = replayed.sample.timed_rounds(self.length, poll, |accepted| {
            for (_, op) in &self.program.ops {
                match *op {
                    Op::Msi { device_id, event_id } => *accepted += u64::from(guest.send(ctx, device_id, event_id)),
                    Op::Acknowledge { vcpu, .. } if mode == Mode::Lockstep => drain(&mut vcpus[vcpu as usize]),
                    Op::Acknowledge { .. } | Op::Eoi { .. } => {}
                    ref control => {
                        let _ = guest.control(ctx, control);
                    }
                }
            }
        });
        Ok(result?)
    }

    fn live<D: Design>(
        &self,
        ctx: &NativeCtx,
        guest: &Arc<Replica<D>>,
        replayed: &mut Replayed,
        poll: Poll<'_>,
    ) -> Result<(), Failure> {
        let mut devices: Vec<u32> = Vec::new();
        for (_, op) in &self.program.ops {
            if let Op::Msi { device_id, .. } = op
                && !devices.contains(device_id)
            {
                devices.push(*device_id);
            }
        }
        in_range("devices of the recording (a thread each)", devices.len() as u64, 0, 1024)?;
        let run = Arc::new(FlatOut {
            epoch: Barrier::new(devices.len() + 1),
            sends: RwLock::default(),
            accepted: AtomicU64::new(0),
            senders_end: AtomicBool::new(false),
            vcpus_stop: AtomicBool::new(false),
            result: Mutex::default(),
        });
        let mut senders = Vec::new();
        let mut vcpus = Vec::new();
        for id in 0..self.program.vcpus {
            let (guest, run) = (Arc::clone(guest), Arc::clone(&run));
            vcpus.push(Native::spawn(ctx, &format!("vcpu{id}"), move |ctx| {
                vcpu_thread::<Native, D>(&guest.vm, ctx, id, Guest::Fixed, &run.vcpus_stop);
                run.finish(ctx);
            }));
        }
        for device_id in devices.iter().copied() {
            let (guest, run) = (Arc::clone(guest), Arc::clone(&run));
            senders.push(Native::spawn(ctx, &format!("device{device_id:x}"), move |ctx| {
                run.send_epochs(&guest, ctx, device_id);
                run.finish(ctx);
            }));
        }

        let start = Instant::now();
        let result = self.epochs(ctx, guest, &run, poll);
        replayed.sample.elapsed = start.elapsed();
        run.senders_end.store(true, Ordering::Relaxed);
        run.epoch.wait();
        let mut sound = true;
        for thread in senders {
            sound &= Native::join(ctx, thread);
        }
        run.vcpus_stop.store(true, Ordering::Relaxed);
        for vcpu in &guest.vm.vcpus {
            vcpu.interrupt(ctx);
        }
        for thread in vcpus {
            sound &= Native::join(ctx, thread);
        }
        if !sound {
            return Err(Failure::Broken("a thread of the replay panicked".to_owned()));
        }
        replayed.sample.absorb(&run.result.lock().unwrap_or_else(PoisonError::into_inner));
        replayed.sample.accepted = run.accepted.load(Ordering::Relaxed);
        Ok(result.map(|_| ())?)
    }

    /// Runs the commands in their places and lets the senders go in between.
    fn epochs<D: Design>(
        &self,
        ctx: &NativeCtx,
        guest: &Replica<D>,
        run: &FlatOut,
        poll: Poll<'_>,
    ) -> Result<u64, Stopped> {
        rounds(self.length, poll, || {
            let mut sends: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for (_, op) in &self.program.ops {
                match *op {
                    Op::Msi { device_id, event_id } => sends.entry(device_id).or_default().push(event_id),
                    Op::Acknowledge { .. } | Op::Eoi { .. } => {}
                    ref control => {
                        run.epoch(&mut sends);
                        let _ = guest.control(ctx, control);
                    }
                }
            }
            run.epoch(&mut sends);
        })
    }
}

fn end<D: Design>(guest: &Replica<D>, ctx: &NativeCtx, vcpu: u32, active: &mut [Vec<u32>]) {
    if let Some(intid) = active[vcpu as usize].pop() {
        let mut running = guest.vm.run_vcpu(ctx, vcpu);
        running.enter_always();
        running.eoi(intid);
    }
}

/// What the threads of a live replay share.
struct FlatOut {
    epoch: Barrier,
    sends: RwLock<BTreeMap<u32, Vec<u32>>>,
    accepted: AtomicU64,
    senders_end: AtomicBool,
    vcpus_stop: AtomicBool,
    result: Mutex<Sample>,
}

impl FlatOut {
    /// Lets the senders send what was collected, and waits for them.
    fn epoch(&self, sends: &mut BTreeMap<u32, Vec<u32>>) {
        if sends.is_empty() {
            return;
        }
        *self.sends.write().unwrap_or_else(PoisonError::into_inner) = std::mem::take(sends);
        self.epoch.wait();
        self.epoch.wait();
    }

    fn send_epochs<D: Design>(&self, guest: &Replica<D>, ctx: &NativeCtx, device_id: u32) {
        loop {
            self.epoch.wait();
            if self.senders_end.load(Ordering::Relaxed) {
                return;
            }
            let mut accepted = 0;
            if let Some(events) = self.sends.read().unwrap_or_else(PoisonError::into_inner).get(&device_id) {
                for event_id in events {
                    accepted += u64::from(guest.send(ctx, device_id, *event_id));
                }
            }
            self.accepted.fetch_add(accepted, Ordering::Relaxed);
            self.epoch.wait();
        }
    }

    fn finish(&self, ctx: &NativeCtx) {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).add(ctx);
    }
}
