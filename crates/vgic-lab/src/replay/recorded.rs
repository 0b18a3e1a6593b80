//! A replay as recorded: at each acknowledge the engine is asked which LPI the vCPU gets.
//!
//! The recordings are of QEMU's physical CPU interface and of a guest that chose; the engine is KVM's. So that one
//! difference does not make a hundred, the replay *follows the guest*: what it took is taken here, if it is pending here,
//! and nothing else is. What the engine would have given instead is written down, with the reason:
//!
//! - *tie*: both were pending on this vCPU, at one priority, at this moment. The architecture leaves the choice open
//!   (Arm IHI 0069, 4.8).
//! - *log order*: it was not pending yet, and the MSI that makes it so stands further down, within [`SKEW_STEPS`] and
//!   [`SKEW_TIME`]: two of the recorder's threads have written their lines the wrong way round.
//! - *missing*, *unexplained*: it is not pending here; the engine has nothing to give, or something else.
//!
//! Where QEMU's interface and KVM's differ, the replay does what lets the recorded order happen:
//!
//! - QEMU moves a pending LPI at once. In KVM it stays on the `ap_list` of its old vCPU until that exits; so after a
//!   command that moves LPIs every vCPU that has some queued exits.
//! - A physical LPI has no active state, so it may be moved and acknowledged on another vCPU while
//!   the first is still in its handler. In a list register it is active until it is ended, and up to 6.18 does not move
//!   before; so who acknowledges it elsewhere, or turns LPIs off, ends it.
//! - DISCARD takes the pending state away. KVM leaves an LPI that is queued where it is; so it is cleared first.
//! - With EnableLPIs off, QEMU's pending LPIs stay in the pending table in memory. KVM forgets them; so the replay writes
//!   them to the table, where enabling finds them.

use super::{Op, Program, Replayed, Replica, Step};
use std::time::Instant;
use vgic_core::vcpu::run::Tie;
use vgic_core::{Command, CommandError, Design};
use vgic_host::tables::LpiTables;
use vgic_native::NativeCtx;

/// How many operations further down the MSI of an acknowledge may stand.
const SKEW_STEPS: usize = 32;
/// How much later, in microseconds.
const SKEW_TIME: u64 = 1000;

/// Why the engine's answer is another than the recording's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not.
    Same,
    /// Both were pending, at one priority.
    Tie,
    /// The recording has the acknowledge before its MSI.
    LogOrder,
    /// Nothing was pending.
    Missing,
    /// Only others were pending.
    Unexplained,
}

/// One acknowledge of the recording and the engine's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledge {
    /// Who acknowledged.
    pub vcpu: u32,
    /// What the recording says.
    pub recorded: u32,
    /// What the engine would give; 0 if nothing was pending.
    pub answered: u32,
    /// Line of the recording.
    pub line: u64,
    /// Why the two differ.
    pub reason: Reason,
}

/// Replays a program once, and writes down what it gave.
pub(super) fn run<D: Design>(program: &Program, ctx: &NativeCtx, guest: &Replica<D>, replayed: &mut Replayed) {
    let start = Instant::now();
    let vcpus = program.vcpus as usize;
    let (active, unsaved) = (vec![Vec::new(); vcpus], vec![Vec::new(); vcpus]);
    let mut replay = Recorded { ctx, guest, replayed, active, owed: Vec::new(), in_memory: unsaved };
    for (index, step) in program.steps.iter().enumerate() {
        replay.step(index, step);
    }
    replay.end();
    replayed.sample.elapsed = start.elapsed();
}

/// An acknowledge whose MSI may stand further down.
struct Owed {
    row: usize,
    vcpu: u32,
    intid: u32,
    /// The last step, and the last time, at which the MSI may come.
    step: usize,
    time: u64,
}

struct Recorded<'a, D: Design> {
    ctx: &'a NativeCtx,
    guest: &'a Replica<D>,
    replayed: &'a mut Replayed,
    /// What each vCPU has acknowledged and not ended.
    active: Vec<Vec<u32>>,
    owed: Vec<Owed>,
    /// What this replay has written to each pending table.
    in_memory: Vec<Vec<u32>>,
}

impl<D: Design> Recorded<'_, D> {
    fn step(&mut self, index: usize, step: &Step) {
        self.owed.retain(|owed| index <= owed.step && step.time <= owed.time);
        match step.op {
            Op::Msi { device_id, event_id } => {
                self.replayed.sample.accepted += u64::from(self.guest.send(self.ctx, device_id, event_id));
                self.pay();
            }
            Op::Acknowledge { vcpu, intid } => self.acknowledge(index, step, vcpu, intid),
            Op::Eoi { vcpu, intid } => self.eoi(vcpu, intid),
            ref control => {
                if let Err(error) = self.control(control) {
                    self.replayed.command_errors.push((step.line, error));
                }
            }
        }
    }

    fn control(&mut self, op: &Op) -> Result<(), CommandError> {
        let (ctx, guest) = (self.ctx, self.guest);
        match *op {
            Op::LpisEnabled { vcpu, on: true } => {
                guest.control(ctx, op)?;
                self.clear_table(vcpu)?;
            }
            Op::LpisEnabled { vcpu, on: false } if guest.vm.vcpus[vcpu as usize].lpis_enabled(ctx) => {
                self.end_all(vcpu);
                let pending = self.pending_on(vcpu);
                guest.control(ctx, op)?;
                self.clear_table(vcpu)?;
                for intid in pending {
                    guest.tables.write_pending(vcpu, intid, true)?;
                    self.in_memory[vcpu as usize].push(intid);
                }
            }
            Op::PendingTable { vcpu } => self.clear_table(vcpu)?,
            Op::Reset => {
                for vcpu in 0..self.active.len() as u32 {
                    self.end_all(vcpu);
                    self.clear_table(vcpu)?;
                }
                guest.stop_lpis(ctx)?;
                guest.control(ctx, op)?;
            }
            Op::Command(Command::Discard { device_id, event_id }) => {
                // Of what is not mapped, DISCARD says so itself.
                let _ = guest.control(ctx, &Op::Command(Command::Clear { device_id, event_id }));
                guest.control(ctx, op)?;
            }
            _ => guest.control(ctx, op)?,
        }
        match op {
            Op::Command(
                Command::Movi { .. } | Command::Movall { .. } | Command::Mapc { .. } | Command::Discard { .. },
            ) => self.exit_all(),
            Op::Command(Command::Int { .. }) => self.pay(),
            _ => {}
        }
        Ok(())
    }

    /// Every vCPU that has LPIs queued enters and exits: what belongs elsewhere goes there.
    fn exit_all(&self) {
        for vcpu in 0..self.active.len() as u32 {
            let mut running = self.guest.vm.run_vcpu(self.ctx, vcpu);
            if running.has_queued() {
                running.enter_always();
            }
        }
    }

    fn acknowledge(&mut self, index: usize, step: &Step, vcpu: u32, intid: u32) {
        // Whatever was acknowledged before has the priority of this one, and would have kept it out: it has been ended,
        // whether the recording has that line or not.
        self.end_all(vcpu);
        for other in 0..self.active.len() as u32 {
            self.eoi(other, intid);
        }
        let offered = {
            let mut running = self.guest.vm.run_vcpu(self.ctx, vcpu);
            running.enter_always();
            let offered = running.highest_pending(Tie::Intid);
            if offered.is_some_and(|(first, _)| first == intid) {
                running.acknowledge_with(Tie::Intid);
            }
            offered
        };
        let reason = match offered {
            Some((first, _)) if first == intid => Reason::Same,
            Some((_, priority)) if self.pending_priority(vcpu, intid) == Some(priority) && self.take(vcpu, intid) => {
                Reason::Tie
            }
            Some(_) => Reason::Unexplained,
            None => Reason::Missing,
        };
        if matches!(reason, Reason::Same | Reason::Tie) {
            self.active[vcpu as usize].push(intid);
        } else {
            let row = self.replayed.acknowledges.len();
            let (step, time) = (index + SKEW_STEPS, step.time.saturating_add(SKEW_TIME));
            self.owed.push(Owed { row, vcpu, intid, step, time });
        }
        let answered = offered.map_or(0, |(first, _)| first);
        self.replayed.acknowledges.push(Acknowledge { vcpu, recorded: intid, answered, line: step.line, reason });
    }

    /// Lets a vCPU take a given LPI that is pending on it, although the engine would give another first.
    fn take(&self, vcpu: u32, intid: u32) -> bool {
        let vm = &self.guest.vm;
        vm.vcpus[vcpu as usize].put_first(self.ctx, intid);
        let mut running = vm.run_vcpu(self.ctx, vcpu);
        running.enter_always();
        let there = running.highest_pending(Tie::Given(intid)).is_some_and(|(first, _)| first == intid);
        there && running.acknowledge_with(Tie::Given(intid)).is_some()
    }

    /// Takes what is pending now and was acknowledged further up. It is ended at once.
    fn pay(&mut self) {
        for owed in std::mem::take(&mut self.owed) {
            if self.pending_priority(owed.vcpu, owed.intid).is_some() && self.take(owed.vcpu, owed.intid) {
                self.replayed.acknowledges[owed.row].reason = Reason::LogOrder;
                self.active[owed.vcpu as usize].push(owed.intid);
                self.eoi(owed.vcpu, owed.intid);
            } else {
                self.owed.push(owed);
            }
        }
    }

    /// Ends an LPI on a vCPU, if it is in progress there; the vCPU exits.
    fn eoi(&mut self, vcpu: u32, intid: u32) {
        let active = &mut self.active[vcpu as usize];
        if let Some(place) = active.iter().position(|one| *one == intid) {
            active.remove(place);
            let mut running = self.guest.vm.run_vcpu(self.ctx, vcpu);
            running.enter_always();
            running.eoi(intid);
        }
    }

    fn end_all(&mut self, vcpu: u32) {
        while let Some(intid) = self.active[vcpu as usize].last().copied() {
            self.eoi(vcpu, intid);
        }
    }

    /// The priority of an LPI, if it is pending on a vCPU that does not run.
    fn pending_priority(&self, vcpu: u32, intid: u32) -> Option<u8> {
        let state = self.guest.vm.lpi(self.ctx, intid)?;
        let state = state.view;
        let here = state.queued_on == Some(vcpu) && state.target_vcpu == Some(vcpu);
        (here && state.pending && state.enabled && !state.active).then_some(state.priority)
    }

    fn pending_on(&self, vcpu: u32) -> Vec<u32> {
        let all = self.guest.vm.lpis(self.ctx).into_iter();
        all.filter(|lpi| lpi.view.pending && lpi.view.target_vcpu == Some(vcpu)).map(|lpi| lpi.intid).collect()
    }

    fn clear_table(&mut self, vcpu: u32) -> Result<(), CommandError> {
        for intid in self.in_memory[vcpu as usize].drain(..) {
            self.guest.tables.write_pending(vcpu, intid, false)?;
        }
        Ok(())
    }

    /// What is pending still. It is not taken: the guest did not take it.
    fn end(&mut self) {
        for vcpu in 0..self.active.len() as u32 {
            self.end_all(vcpu);
        }
        self.exit_all();
        let queued = |lpi: vgic_core::audit::look::LpiState| {
            lpi.view.queued_on.filter(|_| lpi.view.pending).map(|vcpu| (vcpu, lpi.intid))
        };
        self.replayed.left = self.guest.vm.lpis(self.ctx).into_iter().filter_map(queued).collect();
    }
}
