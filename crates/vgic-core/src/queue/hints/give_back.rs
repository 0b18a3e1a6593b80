//! After the guest ran: the list registers are emptied, and what is left pending there is pending in its LPI again.

use super::{HintQueue, Part};
use crate::designs::Design;
use crate::guard::Rcu;
use crate::irq::Irq;
use crate::irq::word::Word;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, Event, PlainCell, Platform, Work};
use crate::vcpu::Vcpu;
use crate::vcpu::list_register::{LR_PENDING, lr_intid};
use crate::vm::Vm;

impl<P: Platform> HintQueue<P> {
    pub(super) fn fold_registers<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) {
        vcpu.underflow.set(ctx, false);
        let used = vcpu.used_list_registers.get(ctx) as usize;
        if used == 0 {
            return;
        }
        let rcu = Rcu::<P>::read_lock(ctx);
        for register in &vcpu.list_registers[..used] {
            P::work(ctx, Work::ReadListRegister);
            let lr = register.get(ctx);
            register.set(ctx, 0);
            let pending = lr & LR_PENDING != 0;
            let irq = vm.dist.store.lpi_xa.load(ctx, &rcu, lr_intid(lr));
            let given_back = irq.is_some_and(|irq| Self::give_back(vm, ctx, vcpu, &irq, pending));
            if pending && !given_back {
                // Unmapped while it was in the register.
                P::count(ctx, Event::Dropped);
            }
        }
        vcpu.used_list_registers.set(ctx, 0);
    }

    /// Gives an LPI back; false if the register had another one of this INTID, which is gone.
    #[inline(always)]
    fn give_back<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
        irq: &Irq<P>,
        pending: bool,
    ) -> bool {
        let mut old = Self::word(ctx, irq);
        let new = loop {
            if !old.is_in_register() || old.holder() != vcpu.id || old.is_dead() {
                return false;
            }
            let new = old.given_back().with_pending(pending || old.is_pending());
            // Release: another vCPU that takes it sees what the device wrote before it sent, as this one did (O-12).
            match irq.word().compare_exchange(ctx, old.0, new.0, Order::Release(Pair::LpiTake)) {
                Ok(_) => break new,
                Err(found) => old = Word(found),
            }
        };
        if pending && old.is_pending() {
            P::count(ctx, Event::Coalesced);
        }
        if new.target() != vcpu.id {
            if new.may_be_taken() {
                P::count(ctx, Event::Migration);
            }
            Self::announce(vm, ctx, irq, new);
        } else if new.may_be_taken() {
            // No kick: this thread looks again before the guest runs, or before it sleeps.
            Self::of(vcpu).bitmap.set(ctx, super::Bitmap::<P>::bit_of(irq.intid.get(ctx)));
        }
        true
    }
}
