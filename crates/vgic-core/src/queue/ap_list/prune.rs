//! After the fold: what no longer belongs on this `ap_list` leaves it (`vgic_prune_ap_list`).
//!
//! An LPI that is to go to another vCPU needs both `ap_list_lock`s, in the order of the vCPU ids, so the one that is
//! held must be dropped first. In that gap somebody else may take the LPI off the list (disable of LPIs) and put its
//! last reference. Up to 7.1.7 nothing guarded against either (CVE-2026-72288, CVE-2026-72289).

use super::{ApListQueue, Part};
use crate::designs::{Design, EmptyList, InRegister, PruneGap};
use crate::guard::Spin;
use crate::irq::{Irq, NO_VCPU};
use crate::obj::Obj;
use crate::platform::{Event, PlainCell, Platform};
use crate::vcpu::Vcpu;
use crate::vcpu::list_register::{LR_PENDING, LR_STALE};
use crate::vm::Vm;

impl<P: Platform> ApListQueue<P> {
    /// `kvm_vgic_sync_hwstate`, after the list registers were saved.
    pub(super) fn sync_hwstate<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) {
        let skips_empty = vm.spec().ap_list().empty == EmptyList::Skipped;
        // Up to 6.18: an empty list is taken to mean that no list register is in use. It is not so for an LPI that was in
        // one when LPIs were switched off: it stays there, and the vCPU may take it much later.
        if skips_empty && Self::of(vcpu).ap_list.is_empty(ctx) {
            if vcpu.used_list_registers.get(ctx) != 0 {
                Self::leave_stale(ctx, vcpu);
            }
            return;
        }
        if !skips_empty || vcpu.used_list_registers.get(ctx) != 0 {
            Self::fold_lr_state(vm, ctx, vcpu);
        }
        Self::prune_ap_list(vm, ctx, vcpu);
    }

    /// List registers stay loaded: the next entry with something on the list overwrites them, one without shows them again.
    /// So what is pending there counts as dropped, until it is met again.
    #[cold]
    fn leave_stale<W>(ctx: &P::Ctx, vcpu: &Vcpu<P, W>) {
        let used = vcpu.used_list_registers.get(ctx) as usize;
        for register in &vcpu.list_registers[..used] {
            let lr = register.get(ctx);
            if lr & (LR_PENDING | LR_STALE) == LR_PENDING {
                P::count(ctx, Event::Dropped);
                register.set(ctx, lr | LR_STALE);
            }
        }
    }

    pub(super) fn prune_ap_list<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) {
        let mut deleted = false;
        let mut ap_list_lock = Spin::<P>::lock_irqsave(&Self::of(vcpu).ap_list_lock, ctx);
        let mut at = Self::of(vcpu).ap_list.first(ctx);
        while let Some(irq) = at {
            at = Self::of(vcpu).ap_list.next(ctx, irq);
            let irq_lock = Spin::<P>::lock(&irq.irq_lock, ctx);
            if irq.vcpu.get(ctx) != vcpu.id {
                P::warn(ctx, "an LPI is on the ap_list of a vCPU that it is not queued on");
            }
            if vm.spec().ap_list().in_register == InRegister::Stays && irq.is_on_lr(vm.spec(), ctx) {
                // Another thread prunes (EnableLPIs off): the vCPU folds it first, and prunes then.
                continue;
            }
            match Self::target_oracle(vm, ctx, &irq) {
                None => {
                    Self::of(vcpu).ap_list.del(ctx, irq);
                    irq.vcpu.set(ctx, NO_VCPU);
                    drop(irq_lock);
                    // The list's reference. The lock of the index nests inside ap_list_lock here, or must wait.
                    deleted |= vm.put_irq_norelease(ctx, irq);
                }
                Some(target) if target == vcpu.id => drop(irq_lock),
                Some(target) => {
                    if vm.spec().ap_list().prune_gap == PruneGap::Referenced {
                        irq.refcount.get(ctx);
                    }
                    drop(irq_lock);
                    drop(ap_list_lock);
                    Self::migrate(vm, ctx, vcpu, target, irq);
                    if vm.spec().ap_list().prune_gap == PruneGap::Referenced {
                        vm.put_irq(ctx, irq);
                    }
                    // The list may have changed meanwhile: start again.
                    ap_list_lock = Spin::lock_irqsave(&Self::of(vcpu).ap_list_lock, ctx);
                    at = Self::of(vcpu).ap_list.first(ctx);
                }
            }
        }
        deleted |= Self::put_last_lr(vm, ctx, vcpu);
        drop(ap_list_lock);
        if deleted {
            vm.release_deleted_lpis(ctx);
        }
    }

    /// Moves a queued LPI to the `ap_list` of `target`, unless that has changed.
    fn migrate<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
        target: u32,
        irq: Obj<Irq<P>>,
    ) {
        let Some(other) = vm.vcpus.get(target as usize) else { return };
        let (low, high) = if vcpu.id < other.id { (vcpu, other) } else { (other, vcpu) };
        let moved = {
            let _low = Spin::<P>::lock_irqsave(&Self::of(low).ap_list_lock, ctx);
            let _high = Spin::<P>::lock_nested(&Self::of(high).ap_list_lock, ctx);
            let _irq_lock = Spin::<P>::lock(&irq.irq_lock, ctx);
            let still = match vm.spec().ap_list().prune_gap {
                PruneGap::Bare => true,
                PruneGap::Referenced => irq.vcpu.get(ctx) == vcpu.id,
            };
            let moved = still && Self::target_oracle(vm, ctx, &irq) == Some(target);
            if moved {
                Self::of(vcpu).ap_list.del(ctx, irq);
                irq.vcpu.set(ctx, other.id);
                Self::of(other).ap_list.add_tail(ctx, irq);
            }
            moved
        };
        if moved {
            P::count(ctx, Event::Migration);
            other.kick(ctx);
        }
    }
}
