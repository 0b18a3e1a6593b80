//! Queueing an LPI on the `ap_list` of the vCPU that should take it.

use super::Vcpu;
use crate::designs::{Design, DistributorOn, Moved};
use crate::guard::Spin;
use crate::irq::{Irq, NO_VCPU};
use crate::obj::Obj;
use crate::order::Order;
use crate::platform::{Atomic, PlainCell, Platform};
use crate::vm::Vm;

impl<P: Platform, D: Design> Vm<P, D> {
    /// Where an LPI belongs now (`vgic_target_oracle`, `irq_lock` held).
    #[inline(always)]
    pub(crate) fn target_oracle(&self, ctx: &P::Ctx, irq: &Irq<P>) -> Option<u32> {
        let some = |vcpu: u32| (vcpu != NO_VCPU).then_some(vcpu);
        if irq.active.get(ctx) {
            // An active one stays where it is until it is deactivated.
            return some(irq.vcpu.get(ctx)).or_else(|| some(irq.target_vcpu.get(ctx)));
        }
        if irq.enabled.get(ctx) && irq.is_pending(ctx) {
            let target = some(irq.target_vcpu.get(ctx))?;
            return self.distributor_enabled(ctx).then_some(target);
        }
        None
    }

    /// Queues an LPI if it should be queued and is not (`vgic_queue_irq_unlock`). Enters with `irq_lock` held, leaves with
    /// no lock.
    #[inline(always)]
    pub(crate) fn queue_irq_unlock(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>, irq_lock: Spin<'_, P>) {
        let mut irq_lock = irq_lock;
        loop {
            let target = self.target_oracle(ctx, &irq);
            let queued_on = irq.vcpu.get(ctx);
            if queued_on != NO_VCPU || target.is_none() {
                drop(irq_lock);
                // Queued already: an edge interrupt may have been taken without an exit, so the vCPU must look. That is
                // the one that has it, also when it is to go to another.
                let looks = |target| if D::SPEC.moved == Moved::Kicked { queued_on } else { target };
                if let Some(vcpu) = target.and_then(|target| self.vcpus.get(looks(target) as usize)) {
                    vcpu.kick(ctx);
                }
                return;
            }
            drop(irq_lock);
            let Some(vcpu) = target.and_then(|vcpu| self.vcpus.get(vcpu as usize)) else { return };
            let ap_list_lock = Spin::<P>::lock_irqsave(&vcpu.ap_list_lock, ctx);
            irq_lock = Spin::lock(&irq.irq_lock, ctx);
            // ap_list_lock comes first, so irq_lock had to be dropped: look again.
            if irq.vcpu.get(ctx) != NO_VCPU || self.target_oracle(ctx, &irq) != target {
                drop(irq_lock);
                drop(ap_list_lock);
                irq_lock = Spin::lock_irqsave(&irq.irq_lock, ctx);
                continue;
            }
            // The caller holds a reference or its_lock, so the count is not zero.
            irq.refcount.get(ctx);
            vcpu.ap_list.add_tail(ctx, irq);
            irq.vcpu.set(ctx, vcpu.id);
            drop(irq_lock);
            drop(ap_list_lock);
            vcpu.kick(ctx);
            return;
        }
    }

    /// Moves a queued LPI to the front of its vCPU's `ap_list`, so that among those of its priority it is the first to get
    /// a list register. The kernel has no such step: it is for a replay, which follows the choice that a guest was given.
    pub fn queue_first(&self, ctx: &P::Ctx, vcpu: &Vcpu<P>, intid: u32) {
        let _lock = Spin::<P>::lock_irqsave(&vcpu.ap_list_lock, ctx);
        let found = vcpu.ap_list.iter(ctx).find(|irq| irq.intid.get(ctx) == intid);
        if let Some(irq) = found {
            vcpu.ap_list.move_head(ctx, irq);
        }
    }

    /// Whether the vCPU should run (`kvm_vgic_vcpu_pending_irq`). The guest's priority mask is taken to be 0xff.
    pub fn vcpu_pending_irq(&self, ctx: &P::Ctx, vcpu: &Vcpu<P>) -> bool {
        if !self.distributor_enabled(ctx) {
            return false;
        }
        let _lock = Spin::<P>::lock_irqsave(&vcpu.ap_list_lock, ctx);
        vcpu.ap_list.iter(ctx).any(|irq| {
            let _irq_lock = Spin::<P>::lock(&irq.irq_lock, ctx);
            irq.is_pending(ctx) && irq.enabled.get(ctx) && !irq.active.get(ctx)
        })
    }

    /// `GICD_CTLR.EnableGrp1`.
    #[inline(always)]
    pub fn distributor_enabled(&self, ctx: &P::Ctx) -> bool {
        // Relaxed: a change takes effect when each vCPU exits next.
        self.dist.enabled.load(ctx, Order::Relaxed) != 0
    }

    /// Writes `GICD_CTLR.EnableGrp1`; enabling kicks every vCPU (`vgic_kick_vcpus`).
    pub fn set_distributor_enabled(&self, ctx: &P::Ctx, enabled: bool) {
        // Relaxed: the full barrier of each kick below orders it (O-04, O-08).
        let before = self.dist.enabled.swap(ctx, u32::from(enabled), Order::Relaxed);
        if before == 0 && enabled {
            if D::SPEC.distributor_on == DistributorOn::Queue {
                // What was sent or pruned while it was off is on no ap_list. irq_lock orders this look against a send or
                // a prune that still sees it off.
                self.for_each_lpi(ctx, NO_VCPU, |irq| {
                    let lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
                    self.queue_irq_unlock(ctx, irq, lock);
                });
            }
            for vcpu in &self.vcpus {
                vcpu.kick(ctx);
            }
        }
    }
}
