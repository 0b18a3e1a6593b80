//! Replay of a recorded guest: its ITS commands, the MSIs that its devices sent, the LPIs that it acknowledged.
//!
//! - [`recorded`]: one operation after the other, each acknowledge answered by the engine, to be compared
//! - [`flat_out`]: *live*: commands keep their place; between two of them one thread for each device sends, and a thread
//!   for each vCPU takes, at full speed. *Lockstep* and *senders*: one thread, the recorded order, the vCPUs run where
//!   the recording has an acknowledge, or not at all

mod flat_out;
mod recorded;

pub use recorded::{Acknowledge, Reason};

use crate::company::Company;
use crate::sample::{Length, Poll, Sample};
use crate::stress::{Failure, Mode};
use std::sync::Arc;
use vgic_core::its::Its;
use vgic_core::its::TRANSLATER;
use vgic_core::vcpu::MAX_LIST_REGISTERS;
use vgic_core::vm::MAX_VCPUS;
use vgic_core::{Command, CommandError, Design, Msi, Obj, Vm, with_design};
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
    "reset",
    "its_tables",
    "pending_table",
];

/// One operation of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Command(Command),
    Msi {
        device_id: u32,
        event_id: u32,
    },
    Acknowledge {
        vcpu: u32,
        intid: u32,
    },
    Eoi {
        vcpu: u32,
        intid: u32,
    },
    LpisEnabled {
        vcpu: u32,
        on: bool,
    },
    ItsEnabled(bool),
    /// The machine was reset.
    Reset,
    /// The ITS got new tables of devices, of collections, or of both: nothing is mapped in them.
    ItsTables {
        devices: bool,
        collections: bool,
    },
    /// A redistributor got a new pending table, in which nothing is pending.
    PendingTable {
        vcpu: u32,
    },
}

/// An operation with its place in the recording.
#[derive(Clone, Copy, Debug)]
struct Step {
    line: u64,
    /// Microseconds; 0 throughout if the recording has no times.
    time: u64,
    op: Op,
}

/// A recording, ready to be replayed.
pub struct Program {
    steps: Vec<Step>,
    vcpus: u32,
}

/// Numbers in a row of a program: kind, line, time, and four operands.
pub const ROW: usize = 7;

impl Program {
    /// From rows of (kind, line, time in microseconds, a, b, c, d).
    pub fn new(rows: &[u64], vcpus: u32) -> Result<Program, Refused> {
        in_range("vcpus", u64::from(vcpus), 1, u64::from(MAX_VCPUS))?;
        in_range("values in the last row of the program", (rows.len() % ROW) as u64, 0, 0)?;
        let step = |row: &[u64]| Ok(Step { line: row[1], time: row[2], op: Op::from_row(row, vcpus)? });
        Ok(Program { steps: rows.chunks_exact(ROW).map(step).collect::<Result<_, Refused>>()?, vcpus })
    }
}

impl Program {
    /// Whether a vCPU turns its LPIs off somewhere: not beside its own running thread, in designs with that race.
    fn turns_lpis_off(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.op, Op::LpisEnabled { on: false, .. }))
    }

    /// Whether there is a CLEAR somewhere: not beside running vCPUs, in designs where it may undo what they store.
    fn clears(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.op, Op::Command(Command::Clear { .. })))
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
        let (a, b, c, d) = (number(3)?, number(4)?, number(5)?, number(6)?);
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
            "acknowledge" => Op::Acknowledge { vcpu: vcpu(3)?, intid: b },
            "eoi" => Op::Eoi { vcpu: vcpu(3)?, intid: b },
            "lpis_enabled" => Op::LpisEnabled { vcpu: vcpu(3)?, on: b != 0 },
            "its_enabled" => Op::ItsEnabled(a != 0),
            "reset" => Op::Reset,
            "its_tables" => Op::ItsTables { devices: a != 0, collections: b != 0 },
            _ => Op::PendingTable { vcpu: vcpu(3)? },
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

/// What a replay gave.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Counts and times.
    pub sample: Sample,
    /// As recorded: each acknowledge.
    pub acknowledges: Vec<Acknowledge>,
    /// As recorded: LPIs that are pending at the end, each with its vCPU.
    pub left: Vec<(u32, u32)>,
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

/// The recorded machine, in one design.
struct Replica<D: Design> {
    vm: Vm<Native, D>,
    its: Obj<Its<Native>>,
    tables: Arc<FlatTables>,
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
            Op::ItsTables { devices, collections } => self.vm.free_tables(ctx, &self.its, devices, collections),
            Op::Reset => {
                self.vm.set_its_enabled(ctx, &self.its, false);
                self.vm.free_tables(ctx, &self.its, true, true);
            }
            Op::PendingTable { .. } | Op::Msi { .. } | Op::Acknowledge { .. } | Op::Eoi { .. } => {}
        }
        Ok(())
    }

    /// The rest of a reset, while no vCPU runs: beside running ones it would be a race that no machine has.
    fn stop_lpis(&self, ctx: &NativeCtx) -> Result<(), CommandError> {
        for vcpu in &self.vm.vcpus {
            self.vm.set_lpis_enabled(ctx, vcpu, false, false)?;
        }
        Ok(())
    }

    fn send(&self, ctx: &NativeCtx, device_id: u32, event_id: u32) -> bool {
        let msi = Msi { doorbell: ITS_BASE + TRANSLATER, device_id, event_id, device_id_valid: true };
        self.vm.inject_msi(ctx, &msi) == Ok(true)
    }
}

impl Replay<'_> {
    /// Runs it once, on a new VM of the design.
    pub fn run(&self, design: &str, allow_unsound: bool, poll: Poll<'_>) -> Result<Replayed, Failure> {
        let any = check_design(design, allow_unsound)?;
        if self.how == How::FlatOut(Mode::Live) && !allow_unsound {
            let refused = |why| Err(Refused::Unsound(any.name(), why).into());
            if any.spec().has_control_races() && self.program.turns_lpis_off() {
                return refused("a recording that turns LPIs off, beside vCPUs that run");
            }
            if any.spec().clear_may_miscount() && self.program.clears() {
                return refused("a recording with CLEAR, beside vCPUs that run: what is sent need not add up");
            }
        }
        in_range("list_registers", u64::from(self.list_registers), 1, MAX_LIST_REGISTERS as u64)?;
        match self.how {
            // Nothing is measured.
            How::Recorded => self.play(any, |ctx, guest, replayed| {
                recorded::run(self.program, ctx, guest, replayed);
                Ok(())
            }),
            How::FlatOut(mode) => with_design!(design, any, design => {
                self.play(design, |ctx, guest, replayed| match mode {
                    Mode::Live => self.live(ctx, guest, replayed, poll),
                    Mode::Lockstep | Mode::Senders => self.one_thread(ctx, guest, replayed, mode, poll),
                })
            }),
        }
    }

    /// Plays the recording on a new VM of a design.
    fn play<D: Design>(
        &self,
        design: D,
        how: impl FnOnce(&NativeCtx, &Arc<Replica<D>>, &mut Replayed) -> Result<(), Failure>,
    ) -> Result<Replayed, Failure> {
        let _company = Company::new();
        let ctx = NativeCtx::new("main");
        let vcpus = self.program.vcpus;
        // What the set-up counts is not the run's.
        let set_up = NativeCtx::new("set-up");
        let tables = FlatTables::new(vcpus);
        let vm = Vm::new(design, &set_up, vcpus, self.list_registers as usize, Box::new(Shared(Arc::clone(&tables))))?;
        let its = vm.add_its(&set_up, ITS_BASE)?;
        let guest = Arc::new(Replica::<D> { vm, its, tables });
        let mut replayed = Replayed::default();
        let result = how(&ctx, &guest, &mut replayed);
        replayed.sample.add(&ctx);
        replayed.sample.pending = guest.vm.pending_count(&ctx);
        result.map(|()| replayed)
    }
}
