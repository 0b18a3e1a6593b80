//! Before the guest runs: from the `ap_list` to the list registers (`kvm_vgic_flush_hwstate`).

use super::{ApListQueue, Part};
use crate::designs::{Design, EmptyList, Moved, Overflow, Spec};
use crate::guard::Spin;
use crate::irq::Irq;
use crate::obj::Obj;
use crate::platform::{PlainCell, Platform, Work};
use crate::vcpu::Vcpu;
use crate::vcpu::list_register::{LR_ACTIVE, LR_PENDING, lr};
use crate::vm::Vm;

impl<P: Platform> ApListQueue<P> {
    pub(super) fn flush_hwstate<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) {
        // Up to 6.18: an empty list needs no lock.
        if vm.spec().ap_list().empty == EmptyList::Skipped && Self::of(vcpu).ap_list.is_empty(ctx) {
            return;
        }
        let _lock = Spin::<P>::lock_irqsave(&Self::of(vcpu).ap_list_lock, ctx);
        Self::flush_lr_state(vm, ctx, vcpu);
    }

    fn flush_lr_state<D: Design<Queue<P>: Part<Self>>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, D::Queue<P>>) {
        let registers = vm.list_registers;
        match vm.spec().ap_list().overflow {
            Overflow::ByDepth => {
                if Self::ap_list_depth(vm.spec(), ctx, vcpu) > registers {
                    Self::of(vcpu).ap_list.sort(ctx, |a, b| Self::sorts_after_classic(vm.spec(), ctx, a, b));
                }
            }
            Overflow::BySummary => {
                if Self::ap_list_summary(vm, ctx, vcpu) > registers {
                    Self::of(vcpu).ap_list.sort(ctx, |a, b| Self::sorts_after_summary(vm, ctx, vcpu.id, a, b));
                }
            }
        }
        Self::forget_last_lr(vm, ctx, vcpu);
        let mut used = 0;
        let mut at = Self::of(vcpu).ap_list.first(ctx);
        while let Some(irq) = at {
            at = Self::of(vcpu).ap_list.next(ctx, irq);
            {
                let _irq_lock = Spin::<P>::lock(&irq.irq_lock, ctx);
                if Self::target_oracle(vm, ctx, &irq) == Some(vcpu.id) {
                    Self::populate_lr(vm.spec(), ctx, vcpu, used, &irq);
                    used += 1;
                    Self::note_last_lr(vm, ctx, vcpu, irq, used == registers);
                }
            }
            if used == registers {
                if at.is_some() {
                    vcpu.underflow.set(ctx, true);
                }
                break;
            }
        }
        for rest in &vcpu.list_registers[used..registers] {
            rest.set(ctx, 0);
        }
        vcpu.used_list_registers.set(ctx, used as u32);
    }

    /// `vgic_v3_populate_lr`: the pending state moves into the register.
    fn populate_lr<W>(spec: &Spec, ctx: &P::Ctx, vcpu: &Vcpu<P, W>, index: usize, irq: &Irq<P>) {
        P::work(ctx, Work::WriteListRegister);
        let mut lr = lr(irq.intid.get(ctx), irq.priority.get(ctx));
        if irq.is_active(spec, ctx) {
            lr |= LR_ACTIVE;
        }
        if irq.take_pending(spec, ctx) {
            lr |= LR_PENDING;
        }
        irq.set_on_lr(spec, ctx, true);
        vcpu.list_registers[index].set(ctx, lr);
    }

    /// How many registers the list would fill (`compute_ap_list_depth`).
    fn ap_list_depth(spec: &Spec, ctx: &P::Ctx, vcpu: &Vcpu<P, impl Part<Self>>) -> usize {
        let weight = |irq: Obj<Irq<P>>| {
            let _irq_lock = Spin::<P>::lock(&irq.irq_lock, ctx);
            usize::from(irq.is_pending(spec, ctx) || irq.is_active(spec, ctx))
        };
        Self::of(vcpu).ap_list.iter(ctx).map(weight).sum()
    }

    /// How many could go into registers (`summarize_ap_list`, 6.19).
    fn ap_list_summary<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) -> usize {
        let deliverable = |irq: &Obj<Irq<P>>| {
            let _irq_lock = Spin::<P>::lock(&irq.irq_lock, ctx);
            let target = Self::target_oracle(vm, ctx, irq);
            if vm.spec().ap_list().moved == Moved::Kicked && target.is_some_and(|target| target != vcpu.id) {
                // It was moved after the last prune: the entry is cancelled, and prune sends it on.
                vcpu.request(ctx);
            }
            target == Some(vcpu.id)
        };
        Self::of(vcpu).ap_list.iter(ctx).filter(deliverable).count()
    }

    /// `vgic_irq_cmp`, classic: active first, then pending and enabled, then the lower priority value; stable. (The kernel's
    /// may be asked about one LPI twice; [`List::sort`](crate::list::List::sort) compares no element with itself.)
    fn sorts_after_classic(spec: &Spec, ctx: &P::Ctx, a: Obj<Irq<P>>, b: Obj<Irq<P>>) -> bool {
        let _lock_a = Spin::<P>::lock(&a.irq_lock, ctx);
        let _lock_b = Spin::<P>::lock_nested(&b.irq_lock, ctx);
        let key = |irq: Obj<Irq<P>>| {
            let deliverable = irq.is_enabled(spec, ctx) && irq.is_pending(spec, ctx);
            (!irq.is_active(spec, ctx), !deliverable, irq.priority.get(ctx))
        };
        match (key(a), key(b)) {
            // Two active ones keep their order; so do two that are neither active nor deliverable.
            ((false, ..), _) => false,
            ((true, ..), (false, ..)) => true,
            ((_, true, _), (_, other, _)) => !other,
            (key_a, key_b) => key_a > key_b,
        }
    }

    /// `vgic_irq_cmp` from 6.19: deliverable here first, then pending before active, then the lower priority value.
    fn sorts_after_summary<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: u32,
        a: Obj<Irq<P>>,
        b: Obj<Irq<P>>,
    ) -> bool {
        let _lock_a = Spin::<P>::lock(&a.irq_lock, ctx);
        let _lock_b = Spin::<P>::lock_nested(&b.irq_lock, ctx);
        let key = |irq: Obj<Irq<P>>| {
            let here = Self::target_oracle(vm, ctx, &irq) == Some(vcpu);
            let pending = irq.is_pending(vm.spec(), ctx) && !irq.is_active(vm.spec(), ctx);
            (!here, !pending, irq.priority.get(ctx))
        };
        key(a) > key(b)
    }
}
