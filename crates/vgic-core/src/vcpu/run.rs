//! Running a vCPU: entry, what the guest does at its GIC CPU interface, exit.
//!
//! The guest itself is the caller: between [`Running::enter`] and [`Running::exit`] it may acknowledge and end
//! interrupts, which touches the list registers only, as on a machine with a GIC virtual interface.

use super::Vcpu;
use super::kick::{EXITING_GUEST_MODE, IN_GUEST_MODE, OUTSIDE_GUEST_MODE};
use super::list_register::{LR_ACTIVE, LR_PENDING, LR_STALE, lr_intid, lr_priority};
use crate::designs::{Design, EmptyList, ExitMode, Replay};
use crate::guard::Mutex;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, Event, PlainCell, Platform, Work};
use crate::queue::Queue;
use crate::vm::Vm;
use alloc::vec::Vec;

/// Which of several pending LPIs of the same priority is acknowledged first: the architecture leaves it to the
/// implementation (Arm IHI 0069, 4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// The one in the lowest list register, as QEMU's virtual CPU interface does: the order of the `ap_list`.
    Register,
    /// The one with the lowest INTID, as QEMU's physical CPU interface does.
    Intid,
    /// A given one, if it is among them: what a recorded guest took.
    Given(u32),
}

/// The right to run a vCPU: one thread at a time holds it.
pub struct Running<'a, P: Platform, D: Design> {
    vm: &'a Vm<P, D>,
    ctx: &'a P::Ctx,
    vcpu: &'a Vcpu<P, D::Queue<P>>,
    in_guest: bool,
    _mutex: Mutex<'a, P>,
}

impl<P: Platform, D: Design> Vm<P, D> {
    /// Takes the right to run vCPU `id`, which exists; waits while another thread has it.
    pub fn run_vcpu<'a>(&'a self, ctx: &'a P::Ctx, id: u32) -> Running<'a, P, D> {
        let vcpu = &self.vcpus[id as usize];
        let _mutex = Mutex::lock(&vcpu.mutex, ctx);
        Running { vm: self, ctx, vcpu, in_guest: false, _mutex }
    }

    /// Takes the right to run every vCPU; waits while other threads have them.
    pub fn run_all_vcpus<'a>(&'a self, ctx: &'a P::Ctx) -> Vec<Running<'a, P, D>> {
        let run = |vcpu: &'a Vcpu<P, D::Queue<P>>| {
            // One class, ascending ids.
            let mutex = &vcpu.mutex;
            let _mutex = if vcpu.id == 0 { Mutex::lock(mutex, ctx) } else { Mutex::lock_nested(mutex, ctx) };
            Running { vm: self, ctx, vcpu, in_guest: false, _mutex }
        };
        self.vcpus.iter().map(run).collect()
    }
}

impl<'a, P: Platform, D: Design> Running<'a, P, D> {
    /// The vCPU.
    pub fn vcpu(&self) -> &'a Vcpu<P, D::Queue<P>> {
        self.vcpu
    }

    /// Whether anything is queued for the vCPU; a hint.
    pub fn has_queued(&self) -> bool {
        !self.vcpu.queue.is_empty(self.ctx)
    }

    /// Tries to enter the guest: false if a request came in meanwhile (then everything is as before).
    pub fn enter(&mut self) -> bool {
        let (ctx, vcpu) = (self.ctx, self.vcpu);
        // IRQ_PENDING is simply cleared: the flush looks at the list.
        if vcpu.requests.load(ctx, Order::Relaxed) != 0 {
            // Acquire: what was queued before the request is seen by the flush (O-04).
            let requests = vcpu.requests.swap(ctx, 0, Order::Acquire(Pair::KickEntry));
            vcpu.handle_requests(self.vm.spec(), ctx, requests);
        }
        D::Queue::flush(self.vm, ctx, vcpu);
        vcpu.mode.store(ctx, IN_GUEST_MODE, Order::Relaxed);
        // Full: between the mode and the second look at the requests (O-04).
        P::fence(ctx, Pair::KickEntry);
        if vcpu.requests.load(ctx, Order::Relaxed) != 0 {
            self.leave();
            P::count(ctx, Event::EntryCancelled);
            return false;
        }
        P::work(ctx, Work::EnterGuest);
        P::count(ctx, Event::GuestEntry);
        self.in_guest = true;
        true
    }

    /// Enters the guest, however often it takes.
    pub fn enter_always(&mut self) {
        let mut spins = 0;
        while !self.enter() {
            spins += 1;
            P::relax(self.ctx, spins);
        }
    }

    /// Whether the guest has to be left: somebody kicked, or the list registers run dry while more is pending.
    #[inline(always)]
    pub fn must_exit(&self) -> bool {
        // Relaxed: this is the look of a guest that is told sooner or later, as by an IPI.
        self.vcpu.mode.load(self.ctx, Order::Relaxed) == EXITING_GUEST_MODE || self.runs_dry()
    }

    /// Whether the list registers run dry while more is pending: the maintenance interrupt (`ICH_HCR_EL2.UIE`).
    pub fn runs_dry(&self) -> bool {
        let (ctx, vcpu) = (self.ctx, self.vcpu);
        let valid = |register: &&P::Cell<u64>| register.get(ctx) & (LR_PENDING | LR_ACTIVE) != 0;
        let used = vcpu.used_list_registers.get(ctx) as usize;
        vcpu.underflow.get(ctx) && vcpu.list_registers[..used].iter().filter(valid).count() <= 1
    }

    /// Reads `ICC_IAR1_EL1`: the pending LPI of highest priority becomes active; `None` is INTID 1023 (spurious).
    #[inline]
    pub fn acknowledge(&mut self) -> Option<u32> {
        self.acknowledge_with(Tie::Register)
    }

    /// The same with a choice of what decides a tie.
    pub fn acknowledge_with(&mut self, tie: Tie) -> Option<u32> {
        let (ctx, vcpu) = (self.ctx, self.vcpu);
        let (index, lr) = self.highest(tie)?;
        let active = vcpu.active_priorities.get(ctx);
        vcpu.active_priorities.set(ctx, active | level(lr));
        vcpu.list_registers[index].set(ctx, lr & !(LR_PENDING | LR_STALE) | LR_ACTIVE);
        if self.vm.spec().ap_list().empty == EmptyList::Skipped && lr & LR_STALE != 0 {
            P::count(ctx, Event::PendingLoaded);
        }
        P::count(ctx, Event::Delivered);
        Some(lr_intid(lr))
    }

    /// INTID and priority of the LPI that [`Self::acknowledge_with`] would take: while there is one, the CPU interface
    /// signals an interrupt.
    pub fn highest_pending(&self, tie: Tie) -> Option<(u32, u8)> {
        self.highest(tie).map(|(_, lr)| (lr_intid(lr), lr_priority(lr)))
    }

    /// The list register that an acknowledge would take, and its value.
    #[inline]
    fn highest(&self, tie: Tie) -> Option<(usize, u64)> {
        let (ctx, vcpu) = (self.ctx, self.vcpu);
        let used = vcpu.used_list_registers.get(ctx) as usize;
        let rank = |lr: u64| {
            let among_equals = match tie {
                Tie::Register => 0,
                Tie::Intid => lr_intid(lr),
                Tie::Given(intid) => u32::from(lr_intid(lr) != intid),
            };
            (lr_priority(lr), among_equals)
        };
        let mut best: Option<(usize, u64)> = None;
        for (index, register) in vcpu.list_registers[..used].iter().enumerate() {
            let lr = register.get(ctx);
            let takes = lr & LR_PENDING != 0 && lr & LR_ACTIVE == 0;
            if takes && best.is_none_or(|(_, before)| rank(lr) < rank(before)) {
                best = Some((index, lr));
            }
        }
        // It must preempt what is active: the lower value wins.
        let active = vcpu.active_priorities.get(ctx);
        best.filter(|(_, lr)| active & (level(*lr) | (level(*lr) - 1)) == 0)
    }

    /// Writes `ICC_EOIR1_EL1`: drops the running priority and deactivates. Special INTIDs (1020 to 1023) end nothing.
    pub fn eoi(&mut self, intid: u32) {
        if (1020..1024).contains(&intid) {
            return;
        }
        let (ctx, vcpu) = (self.ctx, self.vcpu);
        let active = vcpu.active_priorities.get(ctx);
        vcpu.active_priorities.set(ctx, active & active.wrapping_sub(1));
        let used = vcpu.used_list_registers.get(ctx) as usize;
        for register in &vcpu.list_registers[..used] {
            let lr = register.get(ctx);
            if lr & LR_ACTIVE != 0 && lr_intid(lr) == intid {
                register.set(ctx, lr & !LR_ACTIVE);
                return;
            }
        }
    }

    /// Reads `ICC_AP1R0_EL1`: the levels of what is active, one bit for each of the 32.
    pub fn active_priorities(&self) -> u32 {
        self.vcpu.active_priorities.get(self.ctx)
    }

    /// Writes it, as a VMM that restores a vCPU does.
    pub fn set_active_priorities(&mut self, levels: u32) {
        self.vcpu.active_priorities.set(self.ctx, levels);
    }

    /// Writes `ICC_EOIR1_EL1` with an interrupt below the LPIs that is in no list register: the hardware counts it.
    pub fn eoi_of_none(&mut self) {
        let (ctx, vcpu) = (self.ctx, self.vcpu);
        if self.vm.spec().ap_list().replay != Replay::None {
            vcpu.eoi_count.set(ctx, vcpu.eoi_count.get(ctx) + 1);
        }
    }

    /// Leaves the guest: list registers are folded back into the queue.
    pub fn exit(&mut self) {
        if !core::mem::take(&mut self.in_guest) {
            return;
        }
        let ctx = self.ctx;
        P::work(ctx, Work::ExitGuest);
        self.leave();
        P::count(ctx, Event::GuestExit);
        P::rcu_throttle(ctx);
    }

    /// Says that the vCPU is outside, and folds its list registers: in the order of the design.
    #[inline(always)]
    fn leave(&self) {
        let (ctx, vcpu) = (self.ctx, self.vcpu);
        if self.vm.spec().exit_mode == ExitMode::BeforeSync {
            // Relaxed: a kick that comes later finds its request at the next entry (O-04).
            vcpu.mode.store(ctx, OUTSIDE_GUEST_MODE, Order::Relaxed);
            D::Queue::sync(self.vm, ctx, vcpu);
        } else {
            D::Queue::sync(self.vm, ctx, vcpu);
            // Release: who sees the vCPU outside sees what the sync has done (O-09).
            vcpu.mode.store(ctx, OUTSIDE_GUEST_MODE, Order::Release(Pair::ExitPublish));
        }
    }
}

/// The bit of an LPI's priority among the 32 preemption levels.
fn level(lr: u64) -> u32 {
    1 << (lr_priority(lr) >> 3)
}

impl<P: Platform, D: Design> Drop for Running<'_, P, D> {
    fn drop(&mut self) {
        self.exit();
    }
}
