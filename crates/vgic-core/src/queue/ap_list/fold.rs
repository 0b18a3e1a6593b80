//! After the guest ran: from the list registers back to the LPIs (`vgic_v3_fold_lr_state`).

use super::{ApListQueue, Part};
use crate::designs::{Design, EmptyList, FoldActive, LpisOff, Replay};
use crate::guard::Spin;
use crate::platform::{Event, PlainCell, Platform, PointerCell, Work};
use crate::vcpu::Vcpu;
use crate::vcpu::list_register::{LR_ACTIVE, LR_PENDING, LR_STALE, lr_intid};
use crate::vm::Vm;

impl<P: Platform> ApListQueue<P> {
    pub(super) fn fold_lr_state<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) {
        vcpu.underflow.set(ctx, false);
        let replay = vm.spec().ap_list().replay;
        let last = match replay {
            Replay::BehindLast | Replay::BehindLastHeld => Self::of(vcpu).last_lr_irq.get(ctx),
            _ => None,
        };
        if replay == Replay::BehindLast && last.is_none() {
            return;
        }
        if replay == Replay::Locked {
            Self::replay_locked(vm, ctx, vcpu);
        }
        let used = vcpu.used_list_registers.get(ctx) as usize;
        for register in &vcpu.list_registers[..used] {
            P::work(ctx, Work::ReadListRegister);
            let lr = register.get(ctx);
            let pending = lr & LR_PENDING != 0;
            // Each register costs a look-up: in the baseline a walk of all LPIs of the VM, under the one lock.
            let Some(irq) = vm.get_irq(ctx, lr_intid(lr)) else {
                // Unmapped while it was in the register: what was pending there is gone.
                if pending && lr & LR_STALE == 0 {
                    P::count(ctx, Event::Dropped);
                }
                register.set(ctx, 0);
                continue;
            };
            {
                let irq_lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
                // An LPI has no active state once its priority has dropped; up to 6.18 the register's bit was kept.
                let active = vm.spec().ap_list().fold_active == FoldActive::Kept && lr & LR_ACTIVE != 0;
                irq.set_active(vm.spec(), ctx, active);
                irq.set_on_lr(vm.spec(), ctx, false);
                if pending {
                    if vm.spec().ap_list().empty == EmptyList::Skipped && lr & LR_STALE != 0 {
                        P::count(ctx, Event::PendingLoaded);
                    }
                    irq.make_pending(vm.spec(), ctx);
                    // It has left the ap_list if LPIs were switched off while it was in the register.
                    if vm.spec().lpis_off == LpisOff::ClearAndPrune && irq.vcpu.get(ctx) != vcpu.id {
                        Self::queue_irq_unlock(vm, ctx, irq, irq_lock);
                    }
                }
            }
            register.set(ctx, 0);
            vm.put_irq(ctx, irq);
        }
        vcpu.used_list_registers.set(ctx, 0);
        if let Some(last) = last {
            Self::replay_behind(vm, ctx, vcpu, last);
        }
    }
}
