//! After the fold: what no longer belongs on this `ap_list` leaves it (`vgic_prune_ap_list`).
//!
//! An LPI that is to go to another vCPU needs both `ap_list_lock`s, in the order of the vCPU ids, so the one that is
//! held must be dropped first. In that gap somebody else may take the LPI off the list (disable of LPIs) and put its
//! last reference. Up to 7.1.7 nothing guarded against either (CVE-2026-72288, CVE-2026-72289).

use super::Vcpu;
use crate::designs::{Design, EmptyList, PruneGap};
use crate::guard::Spin;
use crate::irq::{Irq, NO_VCPU};
use crate::obj::Obj;
use crate::platform::{Event, PlainCell, Platform};
use crate::vm::Vm;

impl<P: Platform, D: Design> Vm<P, D> {
    /// `kvm_vgic_sync_hwstate`, after the list registers were saved.
    pub(crate) fn sync_hwstate(&self, ctx: &P::Ctx, vcpu: &Vcpu<P>) {
        let skips_empty = self.spec().ap_list().empty == EmptyList::Skipped;
        if skips_empty && vcpu.ap_list.is_empty(ctx) && vcpu.used_list_registers.get(ctx) == 0 {
            return;
        }
        if !skips_empty || vcpu.used_list_registers.get(ctx) != 0 {
            self.fold_lr_state(ctx, vcpu);
        }
        self.prune_ap_list(ctx, vcpu);
    }

    pub(crate) fn prune_ap_list(&self, ctx: &P::Ctx, vcpu: &Vcpu<P>) {
        let mut deleted = false;
        let mut ap_list_lock = Spin::<P>::lock_irqsave(&vcpu.ap_list_lock, ctx);
        let mut at = vcpu.ap_list.first(ctx);
        while let Some(irq) = at {
            at = vcpu.ap_list.next(ctx, irq);
            let irq_lock = Spin::<P>::lock(&irq.irq_lock, ctx);
            if irq.vcpu.get(ctx) != vcpu.id {
                P::warn(ctx, "an LPI is on the ap_list of a vCPU that it is not queued on");
            }
            match self.target_oracle(ctx, &irq) {
                None => {
                    vcpu.ap_list.del(ctx, irq);
                    irq.vcpu.set(ctx, NO_VCPU);
                    drop(irq_lock);
                    // The list's reference. The lock of the index nests inside ap_list_lock here, or must wait.
                    deleted |= self.put_irq_norelease(ctx, irq);
                }
                Some(target) if target == vcpu.id => drop(irq_lock),
                Some(target) => {
                    if self.spec().ap_list().prune_gap == PruneGap::Referenced {
                        irq.refcount.get(ctx);
                    }
                    drop(irq_lock);
                    drop(ap_list_lock);
                    self.migrate(ctx, vcpu, target, irq);
                    if self.spec().ap_list().prune_gap == PruneGap::Referenced {
                        self.put_irq(ctx, irq);
                    }
                    // The list may have changed meanwhile: start again.
                    ap_list_lock = Spin::lock_irqsave(&vcpu.ap_list_lock, ctx);
                    at = vcpu.ap_list.first(ctx);
                }
            }
        }
        drop(ap_list_lock);
        if deleted {
            self.release_deleted_lpis(ctx);
        }
    }

    /// Moves a queued LPI to the `ap_list` of `target`, unless that has changed.
    fn migrate(&self, ctx: &P::Ctx, vcpu: &Vcpu<P>, target: u32, irq: Obj<Irq<P>>) {
        let Some(other) = self.vcpus.get(target as usize) else { return };
        let (low, high) = if vcpu.id < other.id { (vcpu, other) } else { (other, vcpu) };
        let moved = {
            let _low = Spin::<P>::lock_irqsave(&low.ap_list_lock, ctx);
            let _high = Spin::<P>::lock_nested(&high.ap_list_lock, ctx);
            let _irq_lock = Spin::<P>::lock(&irq.irq_lock, ctx);
            let still = match self.spec().ap_list().prune_gap {
                PruneGap::Bare => true,
                PruneGap::Referenced => irq.vcpu.get(ctx) == vcpu.id,
            };
            let moved = still && self.target_oracle(ctx, &irq) == Some(target);
            if moved {
                vcpu.ap_list.del(ctx, irq);
                irq.vcpu.set(ctx, other.id);
                other.ap_list.add_tail(ctx, irq);
            }
            moved
        };
        if moved {
            P::count(ctx, Event::Migration);
            other.kick(ctx);
        }
    }
}
