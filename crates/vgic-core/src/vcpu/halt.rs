//! Stopping the whole VM for a moment (`kvm_arm_halt_guest`), so that list registers are folded before LPIs are changed.
//!
//! Whoever halts raises a counter of every vCPU, sends each a request, and waits until each has left the guest. A vCPU that
//! finds the request on its way in sleeps until its counter is zero again: a counter, as two may halt at once.
//!
//! What it does not stop: senders, and threads of vCPUs that are outside the guest. And a vCPU that has filled its list
//! registers counts as outside until it publishes its mode: nobody waits for it, and it folds them while the VM is halted.

use super::Vcpu;
use super::kick::OUTSIDE_GUEST_MODE;
use crate::designs::{Design, Halt, Spec};
use crate::order::{Order, Pair};
use crate::platform::{Atomic, AtomicInt, Parker, Platform};
use crate::vm::Vm;

/// `KVM_REQ_SLEEP`.
pub(crate) const SLEEP: u32 = 2;

impl<P: Platform, D: Design> Vm<P, D> {
    /// Runs `f` with the VM halted, where the design does that.
    pub(crate) fn halted<R>(&self, ctx: &P::Ctx, f: impl FnOnce() -> R) -> R {
        if self.spec().halt == Halt::Nobody {
            return f();
        }
        self.halt_guest(ctx);
        let result = f();
        self.resume_guest(ctx);
        result
    }

    fn halt_guest(&self, ctx: &P::Ctx) {
        for vcpu in &self.vcpus {
            // Relaxed: the request below publishes it (O-04).
            vcpu.pause.fetch_add(ctx, 1, Order::Relaxed);
        }
        for vcpu in &self.vcpus {
            // A vCPU that sleeps need not be woken.
            vcpu.make_request(ctx, SLEEP);
            vcpu.send_ipi(ctx);
        }
        for vcpu in &self.vcpus {
            let mut spins = 0;
            // Acquire: who sees the vCPU outside sees what its sync has done; pairs with the release of its exit (O-09).
            while vcpu.mode.load(ctx, Order::Acquire(Pair::ExitPublish)) != OUTSIDE_GUEST_MODE {
                spins += 1;
                P::relax(ctx, spins);
            }
        }
    }

    fn resume_guest(&self, ctx: &P::Ctx) {
        for vcpu in &self.vcpus {
            // Release: the vCPU that sees zero sees what was done meanwhile (O-09).
            if vcpu.pause.fetch_sub(ctx, 1, Order::Release(Pair::ExitPublish)) == 1 {
                vcpu.wait.unpark(ctx);
            }
        }
    }
}

impl<P: Platform, Q> Vcpu<P, Q> {
    /// Handles requests on the way into the guest: sleeps while the VM is halted (`kvm_vcpu_sleep`).
    pub(crate) fn handle_requests(&self, spec: &Spec, ctx: &P::Ctx, requests: u32) {
        if spec.halt == Halt::Nobody || requests & SLEEP == 0 {
            return;
        }
        // Acquire: pairs with the release of who resumes (O-09).
        while self.pause.load(ctx, Order::Acquire(Pair::ExitPublish)) != 0 {
            self.wait.park(ctx);
        }
    }
}
