//! Requests and kicks: how a vCPU learns that something is pending for it.
//!
//! Two handshakes, each the store-buffering pattern with a full barrier on both sides:
//!
//! - A sender sets a request, then looks at the mode. A vCPU that enters the guest publishes its mode, then looks at
//!   its requests. So either the sender sees the vCPU in the guest and kicks it out, or the vCPU sees the request
//!   and does not go in (O-04).
//! - A sender queues, then looks whether the vCPU blocks. A vCPU that blocks says so, then looks whether something is
//!   pending. So either the sender wakes it, or it does not sleep (O-08).
//!
//! A thread that sleeps elsewhere, in an emulator's loop, has said once and for all that it blocks: whoever queues wakes
//! it, and what becomes of that is its parker's business.

use super::Vcpu;
use crate::designs::Design;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, AtomicInt, Event, Parker, Platform, Work};
use crate::queue::Queue;
use crate::vm::Vm;

/// The vCPU is not in the guest.
pub(crate) const OUTSIDE_GUEST_MODE: u32 = 0;
/// The vCPU is in the guest, or past its last look at the requests.
pub(crate) const IN_GUEST_MODE: u32 = 1;
/// Somebody has sent an IPI; others need not.
pub(crate) const EXITING_GUEST_MODE: u32 = 2;

/// `KVM_REQ_IRQ_PENDING`.
pub(crate) const IRQ_PENDING: u32 = 1;

impl<P: Platform, Q> Vcpu<P, Q> {
    /// `kvm_make_request(KVM_REQ_IRQ_PENDING)` and `kvm_vcpu_kick`.
    #[inline(always)]
    pub(crate) fn kick(&self, ctx: &P::Ctx) {
        self.make_request(ctx, IRQ_PENDING);
        if self.blocked.load(ctx, Order::Relaxed) != 0 {
            self.wake(ctx);
            return;
        }
        self.send_ipi(ctx);
    }

    /// Makes a request that a vCPU on its way into the guest finds; what follows comes after it.
    #[inline(always)]
    pub(crate) fn make_request(&self, ctx: &P::Ctx, request: u32) {
        // Release: what was queued before is visible to who sees the request, also if it was made before (O-04).
        self.requests.fetch_or(ctx, request, Order::Release(Pair::KickEntry));
        // Full: between the request, and the looks at `blocked` (O-08) and `mode` (O-04).
        P::fence_after_rmw(ctx, Pair::KickEntry);
    }

    /// Kicks the vCPU out of the guest, if it is there and nobody has done so.
    #[inline(always)]
    pub(crate) fn send_ipi(&self, ctx: &P::Ctx) {
        // SeqCst: a value-returning atomic, fully ordered as in the kernel (O-04).
        let order = Order::SeqCst(Pair::KickEntry);
        if self.mode.compare_exchange(ctx, IN_GUEST_MODE, EXITING_GUEST_MODE, order).is_ok() {
            P::count(ctx, Event::Kick);
            P::work(ctx, Work::SendIpi(self.id));
        }
    }

    /// Makes the vCPU look again before it enters the guest; called by its own thread on its way there.
    pub(crate) fn request(&self, ctx: &P::Ctx) {
        // Relaxed: the same thread looks at it.
        self.requests.fetch_or(ctx, IRQ_PENDING, Order::Relaxed);
    }

    #[cold]
    fn wake(&self, ctx: &P::Ctx) {
        P::count(ctx, Event::Wake);
        P::work(ctx, Work::WakeUp);
        self.wait.unpark(ctx);
    }

    /// Says that the vCPU's thread sleeps or is about to; what follows comes after it.
    fn say_blocked(&self, ctx: &P::Ctx) {
        // Relaxed: the fence below orders it (O-08).
        self.blocked.store(ctx, 1, Order::Relaxed);
        // Full: between saying so and looking whether to sleep (O-08).
        P::fence(ctx, Pair::KickBlock);
    }

    /// Where its thread sleeps.
    pub fn parker(&self) -> &P::Parker {
        &self.wait
    }

    /// Makes the vCPU leave the guest or wake up, so that its thread can look around (a signal).
    pub fn interrupt(&self, ctx: &P::Ctx) {
        self.kick(ctx);
        self.wait.unpark(ctx);
    }
}

impl<P: Platform, D: Design> Vm<P, D> {
    /// From now on the vCPU counts as blocked, whatever its thread does, which never calls [`Vm::block`]: whoever has
    /// something for it unparks [`Vcpu::parker`], and sends no IPI. Whether something is pending by now.
    ///
    /// A look of its thread that finds nothing must be an entry and exit, so that what is queued here for another vCPU is
    /// handed over.
    pub fn block_elsewhere(&self, ctx: &P::Ctx, vcpu: &Vcpu<P, D::Queue<P>>) -> bool {
        vcpu.say_blocked(ctx);
        D::Queue::has_pending(self, ctx, vcpu)
    }

    /// Sleeps until something is pending for the vCPU or `stop` is true (`kvm_vcpu_block`, WFI). The caller runs the
    /// vCPU and is outside the guest. Call [`Vcpu::interrupt`] after making `stop` true.
    pub fn block(&self, ctx: &P::Ctx, vcpu: &Vcpu<P, D::Queue<P>>, stop: impl Fn() -> bool) {
        loop {
            vcpu.say_blocked(ctx);
            if stop() || D::Queue::has_pending(self, ctx, vcpu) {
                break;
            }
            vcpu.wait.park(ctx);
        }
        // Relaxed: a wake-up too many does no harm.
        vcpu.blocked.store(ctx, 0, Order::Relaxed);
    }
}
