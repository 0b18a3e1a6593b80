//! Interrupts that the guest has ended although no list register had them (`ICH_HCR_EL2.EOIcount`, 6.19).
//!
//! With more interrupts than list registers the guest may end one that is in none, and the hardware only counts. After the
//! exit KVM looks for so many active ones behind the last LPI that got a register (`last_lr_irq`). LPIs are not counted, and
//! have no active state outside registers: they are met as nodes that are walked over, and as the one where the walk begins.
//!
//! The walk holds no lock of the list. While the guest runs, another vCPU may take the first node off the list (EnableLPIs
//! off), and its last reference may go: then even the look at its link uses freed memory, until 7.2.9. From 7.2.10 on a
//! reference is held; but the link of a node that is on no list leads nowhere.

use super::{ApListQueue, Part};
use crate::designs::{Design, Replay};
use crate::guard::Spin;
use crate::irq::Irq;
use crate::obj::Obj;
use crate::platform::{PlainCell, Platform, PointerCell};
use crate::vcpu::Vcpu;
use crate::vm::Vm;

impl<P: Platform> ApListQueue<P> {
    /// Before list registers are filled (`ap_list_lock` held).
    #[inline(always)]
    pub(super) fn forget_last_lr<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) {
        if vm.spec().ap_list().replay == Replay::BehindLast {
            Self::of(vcpu).last_lr_irq.set(ctx, None);
        }
    }

    /// An LPI has got a list register, of which `full` says that it was the last one (`irq_lock` held).
    #[inline(always)]
    pub(super) fn note_last_lr<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
        irq: Obj<Irq<P>>,
        full: bool,
    ) {
        match vm.spec().ap_list().replay {
            Replay::BehindLast => Self::of(vcpu).last_lr_irq.set(ctx, Some(irq)),
            Replay::BehindLastHeld if full => {
                irq.refcount.get(ctx);
                Self::of(vcpu).last_lr_irq.set(ctx, Some(irq));
            }
            _ => {}
        }
    }

    /// Puts the reference that [`Self::note_last_lr`] has taken (`ap_list_lock` held); true if
    /// [`Vm::release_deleted_lpis`] has to follow.
    pub(super) fn put_last_lr<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) -> bool {
        if vm.spec().ap_list().replay != Replay::BehindLastHeld {
            return false;
        }
        let Some(irq) = Self::of(vcpu).last_lr_irq.get(ctx) else { return false };
        Self::of(vcpu).last_lr_irq.set(ctx, None);
        vm.put_irq_norelease(ctx, irq)
    }

    /// Replays what the guest has ended, behind `last`, which is what [`Self::note_last_lr`] has kept.
    pub(super) fn replay_behind<D: Design>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, D::Queue<P>>, last: Obj<Irq<P>>)
    where
        D::Queue<P>: Part<Self>,
    {
        let ended = vcpu.eoi_count.get(ctx);
        let (mut left, mut node) = (ended, last);
        loop {
            let was_on = if left == 0 { vcpu.id } else { node.vcpu.get(ctx) };
            // Without ap_list_lock.
            let next = Self::of(vcpu).ap_list.next(ctx, node);
            if left == 0 {
                break;
            }
            if was_on != vcpu.id && node.vcpu.get(ctx) != vcpu.id {
                vcpu.eoi_count.set(ctx, 0);
                P::warn(ctx, "the replay of EOIcount follows the link of an LPI that is not on the ap_list");
                return;
            }
            let Some(next) = next else { break };
            left = Self::replay_one(vm, ctx, left, &next);
            node = next;
        }
        // No store where there was nothing to replay.
        if ended != 0 {
            vcpu.eoi_count.set(ctx, 0);
        }
    }

    /// The same from the head of the list, under its lock, before the list registers are folded: those that are in one
    /// are left out.
    pub(super) fn replay_locked<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) {
        let mut left = vcpu.eoi_count.get(ctx);
        if left == 0 {
            return;
        }
        vcpu.eoi_count.set(ctx, 0);
        let _lock = Spin::<P>::lock_irqsave(&Self::of(vcpu).ap_list_lock, ctx);
        for irq in Self::of(vcpu).ap_list.iter(ctx) {
            left = Self::replay_one(vm, ctx, left, &irq);
        }
    }

    /// Deactivates an interrupt that is active outside the list registers; how many are left to be.
    fn replay_one<D: Design>(vm: &Vm<P, D>, ctx: &P::Ctx, left: u32, irq: &Irq<P>) -> u32 {
        let _irq_lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
        if left == 0 || irq.is_on_lr(vm.spec(), ctx) || !irq.is_active(vm.spec(), ctx) {
            return left;
        }
        irq.set_active(vm.spec(), ctx, false);
        left - 1
    }
}
