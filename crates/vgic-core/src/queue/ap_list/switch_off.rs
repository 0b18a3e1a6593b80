//! LPIs of a vCPU are switched off: what becomes of those on its list.

use super::{ApListQueue, Part};
use crate::designs::{Design, LpisOff};
use crate::guard::Spin;
use crate::irq::NO_VCPU;
use crate::platform::{PlainCell, Platform};
use crate::vcpu::Vcpu;
use crate::vm::Vm;

impl<P: Platform> ApListQueue<P> {
    /// `vgic_flush_pending_lpis`: everything leaves the `ap_list`.
    pub(super) fn flush_pending_lpis<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) {
        let mut deleted = false;
        {
            let _lock = Spin::<P>::lock_irqsave(&Self::of(vcpu).ap_list_lock, ctx);
            for irq in Self::of(vcpu).ap_list.iter(ctx) {
                {
                    let _irq_lock = Spin::<P>::lock(&irq.irq_lock, ctx);
                    if vm.spec().lpis_off != LpisOff::Unqueue {
                        irq.drop_pending(vm.spec(), ctx);
                    }
                    Self::of(vcpu).ap_list.del(ctx, irq);
                    irq.vcpu.set(ctx, NO_VCPU);
                }
                deleted |= vm.put_irq_norelease(ctx, irq);
            }
        }
        if deleted {
            vm.release_deleted_lpis(ctx);
        }
    }

    /// Every LPI that targets the vCPU loses its pending state, also one that is masked and therefore not queued: a bit
    /// of the pending table only ever adds.
    pub(super) fn clear_pending_lpis<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) {
        vm.for_each_lpi(ctx, vcpu.id, |irq| {
            let _lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
            if irq.target_vcpu.get(ctx) == vcpu.id {
                irq.drop_pending(vm.spec(), ctx);
            }
        });
    }
}
