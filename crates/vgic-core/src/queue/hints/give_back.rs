//! After the guest ran: the list registers are emptied, and what is left pending there is pending in its LPI again.

use super::bitmap::Bitmap;
use super::{HintQueue, Part};
use crate::designs::Design;
use crate::irq::Irq;
use crate::irq::word::Word;
use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, Event, PlainCell, Platform, PointerCell, Work};
use crate::vcpu::Vcpu;
use crate::vcpu::list_register::LR_PENDING;
use crate::vm::Vm;

impl<P: Platform> HintQueue<P> {
    pub(super) fn fold_registers<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) {
        vcpu.underflow.set(ctx, false);
        let used = vcpu.used_list_registers.get(ctx) as usize;
        for (register, taken) in vcpu.list_registers.iter().zip(&Self::of(vcpu).taken).take(used) {
            P::work(ctx, Work::ReadListRegister);
            let pending = register.get(ctx) & LR_PENDING != 0;
            register.set(ctx, 0);
            if let Some(irq) = taken.get(ctx) {
                Self::give_back(vm, ctx, vcpu, irq, pending);
            }
        }
        vcpu.used_list_registers.set(ctx, 0);
    }

    /// Gives an LPI back, or frees it if it has died meanwhile.
    #[inline(always)]
    fn give_back<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
        irq: Obj<Irq<P>>,
        pending: bool,
    ) {
        let intid = irq.intid.get(ctx);
        let mut old = Self::word(ctx, &irq);
        let new = loop {
            let new = old.given_back().with_pending(pending || old.is_pending());
            // Release: of this and `retire`, the later one frees it, behind the other (O-03). What a device wrote is handed on
            // all the same, as in `change`.
            match irq.word().compare_exchange(ctx, old.0, new.0, Order::Release(Pair::RefDrop)) {
                Ok(_) => break new,
                Err(found) => old = Word(found),
            }
        };
        if old.is_dead() {
            // What was pending outside was counted by whoever found it.
            if pending {
                P::count(ctx, Event::Dropped);
            }
            // Acquire: what others did with it comes before the free (O-03).
            P::fence_acquire(ctx, Pair::RefDrop);
            vm.free_retired(ctx, irq);
            return;
        }
        if pending && old.is_pending() {
            P::count(ctx, Event::Coalesced);
        }
        if !new.may_be_taken() {
            return;
        }
        // Not through the LPI, which is not held any more: it may be taken and freed by others.
        if new.target() == vcpu.id {
            // No kick: this thread looks again before the guest runs, or before it sleeps.
            Self::of(vcpu).bitmap.set(ctx, Bitmap::<P>::bit_of(intid));
        } else {
            P::count(ctx, Event::Migration);
            Self::hint(vm, ctx, new.target(), intid);
        }
    }
}
