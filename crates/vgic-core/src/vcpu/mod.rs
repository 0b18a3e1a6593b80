//! A vCPU as the vGIC sees it (`struct vgic_cpu`, and what `struct kvm_vcpu` has for kicks).
//!
//! What is pending for it is in its [queue](crate::queue).
//!
//! - [`run`]: entry, the guest's interface, exit · [`kick`]: requests, mode, sleep · `halt`: stop the VM
//! - [`list_register`]: how LPIs are told to the guest · [`lpis`]: EnableLPIs and the LPI tables

pub(crate) mod halt;
pub mod kick;
pub mod list_register;
pub mod lpis;
pub mod run;

use crate::designs::{Halt, Replay, Spec, rank};
use crate::order::{Order, Pair};
use crate::platform::{Atomic, Layout, Platform, present_if};
use crate::queue::Queue;

/// Most list registers of a GIC (`ICH_VTR_EL2.ListRegs` + 1).
pub const MAX_LIST_REGISTERS: usize = 16;

/// One vCPU.
pub struct Vcpu<P: Platform, Q> {
    /// Its number, which is also its processor number for the ITS.
    pub id: u32,
    /// Held by the thread that runs the vCPU.
    pub(crate) mutex: P::Mutex,
    /// Pending requests; bit 0 is IRQ_PENDING.
    pub(crate) requests: P::AtomicU32,
    /// Where the vCPU is; see [`kick`].
    pub(crate) mode: P::AtomicU32,
    /// Whether its thread sleeps or is about to.
    pub(crate) blocked: P::AtomicU32,
    pub(crate) wait: P::Parker,
    /// How many have halted the VM.
    pub(crate) pause: P::AtomicU32,
    /// List registers, as the world switch saves and restores them.
    pub(crate) list_registers: [P::Cell<u64>; MAX_LIST_REGISTERS],
    /// Active priorities, one bit for each of the 32 preemption levels (`ICH_AP1R0_EL2`).
    pub(crate) active_priorities: P::Cell<u32>,
    pub(crate) used_list_registers: P::Cell<u32>,
    /// Underflow maintenance interrupt enabled (`ICH_HCR_EL2.UIE`).
    pub(crate) underflow: P::Cell<bool>,
    /// Interrupts that the guest has ended while they were in no list register (`ICH_HCR_EL2.EOIcount`).
    pub(crate) eoi_count: P::Cell<u32>,
    /// LPIs that are pending or active on this vCPU.
    pub(crate) queue: Q,
    /// `GICR_CTLR`: 0, EnableLPIs, or RWP while LPIs are being disabled.
    pub(crate) ctlr: P::AtomicU32,
}

/// `GICR_CTLR.EnableLPIs`.
pub(crate) const ENABLE_LPIS: u32 = 1;
/// `GICR_CTLR.RWP`.
pub(crate) const RWP: u32 = 8;

impl<P: Platform, Q: Queue<P>> Vcpu<P, Q> {
    pub(crate) fn new(spec: &Spec, id: u32) -> Self {
        P::embed("kvm_vcpu", |l| {
            // The fields that kickers write, on a line of their own as in the kernel.
            let mutex = l.mutex("mutex", rank::VCPU_MUTEX);
            l.line();
            let requests = l.u32("requests", 0);
            let mode = l.u32("mode", kick::OUTSIDE_GUEST_MODE);
            let blocked = l.u32("wait.task", 0);
            let wait = l.parker("wait");
            l.line();
            Vcpu {
                id,
                mutex,
                requests,
                mode,
                blocked,
                wait,
                pause: present_if::<P, _>(spec.halt == Halt::Everybody, l, |l| l.u32("pause", 0)),
                list_registers: core::array::from_fn(|_| l.cell("vgic_lr", 0)),
                active_priorities: l.cell("vgic_ap1r0", 0),
                used_list_registers: l.cell("used_lrs", 0),
                underflow: l.cell("vgic_hcr", false),
                eoi_count: present_if::<P, _>(spec.ap_list().replay != Replay::None, l, |l| {
                    l.cell("vgic_eoi_count", 0)
                }),
                queue: Q::new(l, spec),
                ctlr: l.u32("ctlr", 0),
            }
        })
    }

    /// Moves a queued LPI before the others: see [`Queue::put_first`].
    pub fn put_first(&self, ctx: &P::Ctx, intid: u32) {
        self.queue.put_first(ctx, intid);
    }

    /// `GICR_CTLR.EnableLPIs`; false also while LPIs are being disabled.
    #[inline(always)]
    pub fn lpis_enabled(&self, ctx: &P::Ctx) -> bool {
        self.gicr_ctlr(ctx) == ENABLE_LPIS
    }

    /// `GICR_CTLR`: EnableLPIs, or RWP while LPIs are being disabled.
    #[inline(always)]
    pub fn gicr_ctlr(&self, ctx: &P::Ctx) -> u32 {
        // Acquire: pairs with the exchanges in set_lpis_enabled (O-05).
        self.ctlr.load(ctx, Order::Acquire(Pair::EnableInvalidate))
    }
}
