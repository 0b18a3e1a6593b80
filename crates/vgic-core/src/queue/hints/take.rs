//! Before the guest runs: LPIs that are due go into list registers.
//!
//! The vCPU picks first, by a look at each LPI that has a hint, then clears the hints of those that it has picked, then takes
//! each by an exchange of its word. One that cannot be taken any more was changed by somebody who sees to it; a hint that
//! leads to nothing is cleared on the way.
//!
//! With more LPIs than list registers the ones of higher priority go first. Linux gives all LPIs one priority, so the VM
//! notes which there are: with one of them, the first that are met will do, and nobody looks at the rest. The next look
//! begins behind them, so that a busy LPI of a low INTID does not keep out the others.

use super::{Bitmap, HintQueue, Part};
use crate::designs::Design;
use crate::guard::Rcu;
use crate::irq::Irq;
use crate::irq::word::Word;
use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, PlainCell, Platform, Work};
use crate::vcpu::list_register::{LR_PENDING, lr};
use crate::vcpu::{MAX_LIST_REGISTERS, Vcpu};
use crate::vm::Vm;

/// LPIs that may be taken, the highest priority first, among equals as they were met.
struct Picked<P: Platform> {
    all: [Option<(u8, Obj<Irq<P>>)>; MAX_LIST_REGISTERS],
    count: usize,
    room: usize,
}

impl<P: Platform> Picked<P> {
    fn new(room: usize) -> Self {
        Picked { all: [None; MAX_LIST_REGISTERS], count: 0, room }
    }

    fn is_full(&self) -> bool {
        self.count == self.room
    }

    /// Adds one; if there is no room for it, the last one goes.
    #[inline(always)]
    fn offer(&mut self, priority: u8, irq: Obj<Irq<P>>) {
        let mut at = self.count;
        while at > 0 && self.all[at - 1].is_some_and(|(other, _)| other > priority) {
            at -= 1;
        }
        if at == self.room {
            return;
        }
        self.count = (self.count + 1).min(self.room);
        self.all[at..self.count].rotate_right(1);
        self.all[at] = Some((priority, irq));
    }

    fn iter(&self) -> impl Iterator<Item = Obj<Irq<P>>> + Clone + '_ {
        self.all[..self.count].iter().flatten().map(|(_, irq)| *irq)
    }
}

impl<P: Platform> HintQueue<P> {
    pub(super) fn fill_registers<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) {
        let registers = vm.list_registers;
        let mut used = 0;
        // Hints stay while the distributor is off.
        if vm.distributor_enabled(ctx) {
            let rcu = Rcu::<P>::read_lock(ctx);
            loop {
                let mut picked = Picked::new(registers - used);
                Self::pick(vm, ctx, &rcu, vcpu, &mut picked);
                let left_out = picked.is_full();
                used = Self::take(ctx, vcpu, used, &picked);
                if used == registers {
                    vcpu.underflow.set(ctx, Self::of(vcpu).bitmap.any(ctx, |_| true));
                    break;
                }
                // A pick that could not be taken has left a register for one that was left out.
                if !left_out {
                    break;
                }
            }
        }
        for rest in &vcpu.list_registers[used..registers] {
            rest.set(ctx, 0);
        }
        vcpu.used_list_registers.set(ctx, used as u32);
    }

    /// Looks at the LPIs that have a hint, from the cursor on and around.
    #[inline(always)]
    fn pick<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        rcu: &Rcu<'_, P>,
        vcpu: &Vcpu<P, D::Queue<P>>,
        picked: &mut Picked<P>,
    ) {
        let Self { bitmap, cursor } = Self::of(vcpu);
        let start = cursor.get(ctx);
        let mut one_priority = None;
        for (mut from, to) in [(start, u32::MAX), (0, start)] {
            while let Some(bit) = bitmap.next(ctx, from).filter(|bit| *bit < to) {
                if !Self::pick_of(vm, ctx, rcu, vcpu, bit, picked) {
                    let (word, mask) = Bitmap::<P>::place(bit);
                    bitmap.clear(ctx, word, mask);
                    if Self::pick_of(vm, ctx, rcu, vcpu, bit, picked) {
                        bitmap.set(ctx, bit);
                    }
                }
                // Relaxed: see `configure`.
                let one = || vm.dist.priorities.load(ctx, Order::Relaxed).count_ones() <= 1;
                if picked.is_full() && *one_priority.get_or_insert_with(one) {
                    return;
                }
                from = bit + 1;
            }
        }
    }

    /// Picks what a hint leads to; false if it leads to nothing.
    #[inline(always)]
    fn pick_of<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        rcu: &Rcu<'_, P>,
        vcpu: &Vcpu<P, D::Queue<P>>,
        bit: u32,
        picked: &mut Picked<P>,
    ) -> bool {
        let mut found = false;
        Self::lpis_of(vm, ctx, rcu, bit, |irq| {
            if let Some(word) = Self::takes(ctx, &irq, vcpu.id) {
                picked.offer(word.priority(), irq);
                found = true;
            }
        });
        found
    }

    /// Takes what was picked, into the list registers from `used` on; how many are used then.
    fn take<W: Part<Self>>(ctx: &P::Ctx, vcpu: &Vcpu<P, W>, mut used: usize, picked: &Picked<P>) -> usize {
        let Self { bitmap, cursor } = Self::of(vcpu);
        let mut rest = picked.iter().peekable();
        while let Some(irq) = rest.next() {
            // The hints of one word go at once.
            let bit = Bitmap::<P>::bit_of(irq.intid.get(ctx));
            let (word, mut mask) = Bitmap::<P>::place(bit);
            let mut group = 1;
            let first = rest.clone();
            let same_word = |other: &Obj<Irq<P>>| Bitmap::<P>::place(Bitmap::<P>::bit_of(other.intid.get(ctx))).0 == word;
            while let Some(other) = rest.next_if(same_word) {
                mask |= Bitmap::<P>::place(Bitmap::<P>::bit_of(other.intid.get(ctx))).1;
                group += 1;
            }
            // The one that several share goes when it leads to nothing.
            if bit != Bitmap::<P>::BEYOND {
                bitmap.clear(ctx, word, mask);
            }
            for irq in core::iter::once(irq).chain(first).take(group) {
                if let Some(word) = Self::take_one(ctx, &irq, vcpu.id) {
                    P::work(ctx, Work::WriteListRegister);
                    let register = lr(irq.intid.get(ctx), word.priority()) | LR_PENDING;
                    vcpu.list_registers[used].set(ctx, register);
                    used += 1;
                }
                if picked.is_full() {
                    cursor.set(ctx, Bitmap::<P>::bit_of(irq.intid.get(ctx)) + 1);
                }
            }
        }
        used
    }

    /// Takes an LPI, if it is still due to the vCPU.
    #[inline(always)]
    fn take_one(ctx: &P::Ctx, irq: &Irq<P>, vcpu: u32) -> Option<Word> {
        let mut old = Self::word(ctx, irq);
        while old.may_be_taken() && old.target() == vcpu {
            // Acquire: the guest sees what the device wrote before it sent (O-12).
            let order = Order::Acquire(Pair::LpiTake);
            match irq.word().compare_exchange(ctx, old.0, old.taken_by(vcpu).0, order) {
                Ok(_) => return Some(old),
                Err(found) => old = Word(found),
            }
        }
        None
    }
}
