//! The `ap_list`: the interrupts of a vCPU that are active or pending, on a list under `ap_list_lock`.
//!
//! An LPI's state is protected by its `irq_lock`, which nests inside `ap_list_lock`. An LPI is *queued* while `irq->vcpu`
//! names the vCPU whose list links it; changing that needs both locks. The list holds a reference.
//!
//! - here: who belongs where, queueing, and what happens to an LPI · [`flush`]: into list registers
//! - [`fold`]: back from them · [`replay`]: what was ended elsewhere
//! - [`prune`]: what no longer belongs there leaves · [`switch_off`]: EnableLPIs

mod flush;
mod fold;
mod prune;
mod replay;
mod switch_off;

use super::{Applies, LpiView, Part, Queue, some_vcpu};
use crate::designs::{Clear, Design, LpisOff, Moved, Replay, Spec, TableBit, rank};
use crate::guard::Spin;
use crate::irq::{ApList, Irq, NO_VCPU};
use crate::list::List;
use crate::obj::Obj;
use crate::platform::{Layout, PlainCell, Platform, present_if};
use crate::vcpu::Vcpu;
use crate::vm::Vm;

/// `struct vgic_cpu`, the list.
pub struct ApListQueue<P: Platform> {
    /// Protects the list.
    ap_list_lock: P::SpinLock,
    /// LPIs that are pending or active on this vCPU.
    ap_list: List<P, Irq<P>, ApList>,
    /// The last LPI that got a list register at the last entry; the vCPU's own thread alone uses it.
    last_lr_irq: P::PtrCell<Irq<P>>,
}

impl<P: Platform, W: Part<Self>> Queue<P, W> for ApListQueue<P> {
    type Held<'a> = Spin<'a, P>;

    fn new(l: &P::Layout, spec: &Spec) -> Self {
        ApListQueue {
            ap_list_lock: l.spin("ap_list_lock", rank::AP_LIST),
            ap_list: List::new(l, "ap_list_head.next", "ap_list_head.prev"),
            last_lr_irq: present_if::<P, _>(
                matches!(spec.ap_list().replay, Replay::BehindLast | Replay::BehindLastHeld),
                l,
                |l| l.ptr_cell("last_lr_irq"),
            ),
        }
    }

    #[inline(always)]
    fn send<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> bool {
        let lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
        irq.make_pending(vm.spec(), ctx);
        Self::queue_irq_unlock(vm, ctx, irq, lock);
        true
    }

    fn look_again<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        // irq_lock orders this look against a send or a prune that still sees what was before.
        let lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
        Self::queue_irq_unlock(vm, ctx, irq, lock);
    }

    fn configure<D: Design<Queue<P> = W>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        byte: u8,
        only_target: Option<u32>,
    ) {
        let lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
        if only_target.is_none_or(|target| irq.target_vcpu.get(ctx) == target) {
            irq.priority.set(ctx, byte & 0xfc);
            irq.set_enabled(vm.spec(), ctx, byte & 1 != 0);
            Self::queue_irq_unlock(vm, ctx, irq, lock);
        }
    }

    /// A queued LPI moves when its present vCPU prunes next.
    fn retarget<D: Design<Queue<P> = W>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        only_from: Option<u32>,
        vcpu: u32,
    ) {
        let lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
        if only_from.is_some_and(|from| irq.target_vcpu.get(ctx) != from) {
            return;
        }
        irq.target_vcpu.set(ctx, vcpu);
        if vm.spec().ap_list().moved == Moved::Kicked {
            let queued_on = irq.vcpu.get(ctx);
            drop(lock);
            if let Some(holder) = vm.vcpus.get(queued_on as usize).filter(|holder| holder.id != vcpu) {
                holder.kick(ctx);
            }
        }
    }

    fn load<D: Design<Queue<P> = W>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        vcpu: u32,
        pending: bool,
        applies: Applies,
    ) -> bool {
        let lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
        let is_target = applies == Applies::ToAny || irq.target_vcpu.get(ctx) == vcpu;
        if !is_target && applies == Applies::ToTarget {
            return false;
        }
        if is_target && (pending || vm.spec().table_bit == TableBit::Replaces) {
            irq.load_pending(vm.spec(), ctx, pending);
        }
        Self::queue_irq_unlock(vm, ctx, irq, lock);
        true
    }

    fn clear<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        let locked = vm.spec().clear == Clear::UnderIrqLock;
        let _lock = locked.then(|| Spin::<P>::lock_irqsave(&irq.irq_lock, ctx));
        irq.drop_pending(vm.spec(), ctx);
    }

    fn retire(spec: &Spec, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> bool {
        irq.drop_pending(spec, ctx);
        true
    }

    fn switch_off<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>) {
        if vm.spec().lpis_off == LpisOff::ClearAndPrune {
            Self::clear_pending_lpis(vm, ctx, vcpu);
            Self::prune_ap_list(vm, ctx, vcpu);
        } else {
            Self::flush_pending_lpis(vm, ctx, vcpu);
        }
    }

    fn flush<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>) {
        Self::flush_hwstate(vm, ctx, vcpu);
    }

    fn sync<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>) {
        Self::sync_hwstate(vm, ctx, vcpu);
    }

    fn has_pending<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>) -> bool {
        if !vm.distributor_enabled(ctx) {
            return false;
        }
        let queue = Self::of(vcpu);
        let _lock = Spin::<P>::lock_irqsave(&queue.ap_list_lock, ctx);
        queue.ap_list.iter(ctx).any(|irq| {
            let _irq_lock = Spin::<P>::lock(&irq.irq_lock, ctx);
            let spec = vm.spec();
            irq.is_pending(spec, ctx) && irq.is_enabled(spec, ctx) && !irq.is_active(spec, ctx)
        })
    }

    fn is_empty(&self, ctx: &P::Ctx) -> bool {
        self.ap_list.is_empty(ctx)
    }

    fn hold<'a>(&'a self, ctx: &'a P::Ctx, first: bool) -> Spin<'a, P> {
        if first { Spin::lock_irqsave(&self.ap_list_lock, ctx) } else { Spin::lock_nested(&self.ap_list_lock, ctx) }
    }

    fn put_first(&self, ctx: &P::Ctx, intid: u32) {
        let _lock = Spin::<P>::lock_irqsave(&self.ap_list_lock, ctx);
        let found = self.ap_list.iter(ctx).find(|irq| irq.intid.get(ctx) == intid);
        if let Some(irq) = found {
            self.ap_list.move_head(ctx, irq);
        }
    }

    fn for_each_kept(&self, ctx: &P::Ctx, f: impl FnMut(Obj<Irq<P>>)) {
        self.ap_list.iter(ctx).for_each(f);
    }

    fn for_each<D: Design<Queue<P> = W>>(_vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>, f: impl FnMut(Obj<Irq<P>>)) {
        Queue::<P, W>::for_each_kept(Self::of(vcpu), ctx, f);
    }

    fn target(_spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> Option<u32> {
        some_vcpu(irq.target_vcpu.get(ctx))
    }

    fn is_pending(spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> bool {
        irq.is_pending(spec, ctx)
    }

    fn view(spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> LpiView {
        LpiView {
            target_vcpu: some_vcpu(irq.target_vcpu.get(ctx)),
            pending: irq.is_pending(spec, ctx),
            active: irq.is_active(spec, ctx),
            enabled: irq.is_enabled(spec, ctx),
            priority: irq.priority.get(ctx),
            queued_on: some_vcpu(irq.vcpu.get(ctx)),
        }
    }

    fn destroy<D: Design<Queue<P> = W>>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        while let Some(irq) = self.ap_list.first(ctx) {
            self.ap_list.del(ctx, irq);
            irq.vcpu.set(ctx, NO_VCPU);
            vm.put_irq(ctx, irq);
        }
    }
}

impl<P: Platform> ApListQueue<P> {
    /// The one of a vCPU.
    #[inline(always)]
    fn of<W: Part<Self>>(vcpu: &Vcpu<P, W>) -> &Self {
        vcpu.queue.part()
    }

    /// Where an LPI belongs now (`vgic_target_oracle`, `irq_lock` held).
    #[inline(always)]
    fn target_oracle<D: Design>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: &Irq<P>) -> Option<u32> {
        if irq.is_active(vm.spec(), ctx) {
            // An active one stays where it is until it is deactivated.
            return some_vcpu(irq.vcpu.get(ctx)).or_else(|| some_vcpu(irq.target_vcpu.get(ctx)));
        }
        if irq.is_enabled(vm.spec(), ctx) && irq.is_pending(vm.spec(), ctx) {
            let target = some_vcpu(irq.target_vcpu.get(ctx))?;
            return vm.distributor_enabled(ctx).then_some(target);
        }
        None
    }

    /// Queues an LPI if it should be queued and is not (`vgic_queue_irq_unlock`). Enters with `irq_lock` held, leaves with
    /// no lock.
    #[inline(always)]
    fn queue_irq_unlock<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        irq_lock: Spin<'_, P>,
    ) {
        let mut irq_lock = irq_lock;
        loop {
            let target = Self::target_oracle(vm, ctx, &irq);
            let queued_on = irq.vcpu.get(ctx);
            if queued_on != NO_VCPU || target.is_none() {
                drop(irq_lock);
                // Queued already: an edge interrupt may have been taken without an exit, so the vCPU must look. That is
                // the one that has it, also when it is to go to another.
                let looks = |target| if vm.spec().ap_list().moved == Moved::Kicked { queued_on } else { target };
                if let Some(vcpu) = target.and_then(|target| vm.vcpus.get(looks(target) as usize)) {
                    vcpu.kick(ctx);
                }
                return;
            }
            drop(irq_lock);
            let Some(vcpu) = target.and_then(|vcpu| vm.vcpus.get(vcpu as usize)) else { return };
            let queue = Self::of(vcpu);
            let ap_list_lock = Spin::<P>::lock_irqsave(&queue.ap_list_lock, ctx);
            irq_lock = Spin::lock(&irq.irq_lock, ctx);
            // ap_list_lock comes first, so irq_lock had to be dropped: look again.
            if irq.vcpu.get(ctx) != NO_VCPU || Self::target_oracle(vm, ctx, &irq) != target {
                drop(irq_lock);
                drop(ap_list_lock);
                irq_lock = Spin::lock_irqsave(&irq.irq_lock, ctx);
                continue;
            }
            // The caller holds a reference or its_lock, so the count is not zero.
            irq.refcount.get(ctx);
            queue.ap_list.add_tail(ctx, irq);
            irq.vcpu.set(ctx, vcpu.id);
            drop(irq_lock);
            drop(ap_list_lock);
            vcpu.kick(ctx);
            return;
        }
    }
}
