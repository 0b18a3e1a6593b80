//! IPIs to cores that run vCPUs, and the guest's time until one comes.

use crate::machine::{Cost, Ps};
use crate::queue::NO_LINE;
use crate::report::Spending;
use crate::virtual_core::{Core, State};
use crate::world::World;

/// Why a vCPU in the guest waits.
const IN_GUEST: &str = "in the guest, for an IPI";

impl World {
    /// This core runs a vCPU from now on.
    pub(crate) fn runs_vcpu(&self, core: u32, vcpu: u32) {
        let mut vcpus = self.vcpus.borrow_mut();
        if vcpus.len() <= vcpu as usize {
            vcpus.resize(vcpu as usize + 1, u32::MAX);
        }
        vcpus[vcpu as usize] = core;
    }

    /// An IPI to the core of a vCPU, sent at a time.
    pub(crate) fn send_ipi(&self, vcpu: u32, sent: Ps) {
        let Some(&number) = self.vcpus.borrow().get(vcpu as usize).filter(|core| **core != u32::MAX) else { return };
        let at = sent + self.cost(Cost::ipi_latency);
        let core = self.core(number);
        core.ipi.set(Some(core.ipi.get().map_or(at, |before| before.min(at))));
        if core.state.get() == State::Blocked(IN_GUEST) {
            self.wake(number, at);
        }
    }

    /// Whether an IPI has arrived; then it is taken.
    pub(crate) fn take_ipi(&self, core: &Core) -> bool {
        let arrived = core.ipi.get().is_some_and(|at| at <= core.clock.get());
        if arrived {
            core.ipi.set(None);
            core.spend(Spending::Ipi, self.cost(Cost::ipi_receive));
        }
        arrived
    }

    /// An IPI that is under way finds the guest not running.
    pub(crate) fn forget_ipi(&self, core: &Core) {
        if core.ipi.take().is_some() {
            core.spend(Spending::Ipi, self.cost(Cost::ipi_receive));
        }
    }

    /// The guest runs until an IPI comes.
    pub(crate) fn wait_for_ipi(&self, core: &Core) {
        // Nobody sends one at a time that is before this core's.
        self.in_order(core);
        match core.ipi.get() {
            None => self.block(core, IN_GUEST, Spending::Guest),
            Some(at) if at > core.clock.get() => {
                self.push(at, core.number, NO_LINE);
                self.suspend(core, State::Ready, Spending::Guest);
            }
            Some(_) => {}
        }
    }
}
