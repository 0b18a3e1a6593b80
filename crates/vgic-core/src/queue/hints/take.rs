//! Before the guest runs: LPIs that are due go into list registers.
//!
//! The vCPU clears the hint of an LPI, then takes the LPI by an exchange of its word. One that cannot be taken was changed by
//! somebody who sees to it, or the hint was an old one.
//!
//! With more LPIs than list registers the ones of higher priority go first. Linux gives all LPIs one priority, so the VM
//! notes which there are: with one of them, the vCPU takes the first that it meets, and looks at no others. The next time it
//! begins behind them, so that a busy LPI of a low INTID does not keep out the rest. With more, it looks at all that have a
//! hint first, and picks.

use super::bitmap::{Bitmap, each_bit};
use super::{HintQueue, Part};
use crate::designs::Design;
use crate::guard::Rcu;
use crate::irq::Irq;
use crate::obj::Obj;
use crate::order::Order;
use crate::platform::{Atomic, PlainCell, Platform, PointerCell, Work};
use crate::vcpu::list_register::{LR_PENDING, lr};
use crate::vcpu::{MAX_LIST_REGISTERS, Vcpu};
use crate::vm::Vm;

/// Bits in a word of hints.
const BITS: u32 = u64::BITS;

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

    fn iter(&self) -> impl Iterator<Item = Obj<Irq<P>>> + '_ {
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
            // Relaxed: see `configure`.
            let one_priority = vm.dist.priorities.load(ctx, Order::Relaxed).count_ones() <= 1;
            used = if one_priority {
                Self::take_as_met(vm, ctx, &rcu, vcpu)
            } else {
                Self::take_by_priority(vm, ctx, &rcu, vcpu)
            };
            if used == registers {
                vcpu.underflow.set(ctx, !Self::of(vcpu).bitmap.is_empty(ctx));
            }
        }
        for rest in &vcpu.list_registers[used..registers] {
            rest.set(ctx, 0);
        }
        vcpu.used_list_registers.set(ctx, used as u32);
    }

    /// Takes LPIs as they are met, from the cursor on and around; how many registers are used then.
    #[inline(always)]
    fn take_as_met<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        rcu: &Rcu<'_, P>,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) -> usize {
        let Self { bitmap, cursor, .. } = Self::of(vcpu);
        let start = cursor.get(ctx);
        let (split, before) = (start / BITS, (1 << (start % BITS)) - 1);
        let (mut from, mut around) = (split, false);
        let mut used = 0;
        loop {
            let Some((word, bits)) = bitmap.next_word(ctx, from).filter(|(word, _)| !around || *word <= split) else {
                if around || start == 0 {
                    return used;
                }
                (from, around) = (0, true);
                continue;
            };
            let mut left = match (word == split, around) {
                (false, _) => bits,
                (true, false) => bits & !before,
                (true, true) => bits & before,
            };
            while left != 0 {
                let now = lowest(left, vm.list_registers - used);
                left &= !now;
                bitmap.clear(ctx, word, now);
                for bit in each_bit(now) {
                    used = Self::take_of(vm, ctx, rcu, vcpu, word * BITS + bit, used);
                }
                if used == vm.list_registers {
                    cursor.set(ctx, word * BITS + (BITS - now.leading_zeros()));
                    return used;
                }
            }
            from = word + 1;
        }
    }

    /// Takes what a hint leads to, which was cleared; how many registers are used then.
    #[inline(always)]
    fn take_of<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        rcu: &Rcu<'_, P>,
        vcpu: &Vcpu<P, D::Queue<P>>,
        bit: u32,
        mut used: usize,
    ) -> usize {
        let mut left_out = false;
        Self::lpis_of(vm, ctx, rcu, bit, |irq| {
            if used < vm.list_registers {
                used += usize::from(Self::take(ctx, vcpu, irq, used));
            } else {
                // One of several that share the hint.
                left_out |= Self::takes(ctx, &irq, vcpu.id).is_some();
            }
        });
        if left_out {
            Self::of(vcpu).bitmap.set(ctx, bit);
        }
        used
    }

    /// Looks at all LPIs that have a hint, and takes those of the highest priorities.
    #[inline(never)]
    fn take_by_priority<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        rcu: &Rcu<'_, P>,
        vcpu: &Vcpu<P, D::Queue<P>>,
    ) -> usize {
        let Self { bitmap, cursor, .. } = Self::of(vcpu);
        let mut used = 0;
        loop {
            let mut picked = Picked::new(vm.list_registers - used);
            Self::pick(vm, ctx, rcu, vcpu, &mut picked);
            for irq in picked.iter() {
                let bit = Bitmap::<P>::bit_of(irq.intid.get(ctx));
                // The one that several share goes when it leads to nothing.
                if bit != Bitmap::<P>::BEYOND {
                    bitmap.clear(ctx, bit / BITS, 1 << (bit % BITS));
                }
                used += usize::from(Self::take(ctx, vcpu, irq, used));
                if picked.is_full() {
                    cursor.set(ctx, bit + 1);
                }
            }
            // One that could not be taken any more has left a register for one that was not picked.
            if used == vm.list_registers || !picked.is_full() {
                return used;
            }
        }
    }

    /// Picks among the LPIs that have a hint, from the cursor on and around; clears hints that lead to nothing.
    fn pick<D: Design<Queue<P>: Part<Self>>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        rcu: &Rcu<'_, P>,
        vcpu: &Vcpu<P, D::Queue<P>>,
        picked: &mut Picked<P>,
    ) {
        let Self { bitmap, cursor, .. } = Self::of(vcpu);
        let start = cursor.get(ctx);
        for around in [false, true] {
            let mut from = if around { 0 } else { start / BITS };
            while let Some((word, bits)) = bitmap.next_word(ctx, from) {
                for bit in each_bit(bits).map(|bit| word * BITS + bit).filter(|bit| (*bit < start) == around) {
                    if !Self::pick_of(vm, ctx, rcu, vcpu, bit, picked) {
                        bitmap.clear(ctx, bit / BITS, 1 << (bit % BITS));
                        if Self::pick_of(vm, ctx, rcu, vcpu, bit, picked) {
                            bitmap.set(ctx, bit);
                        }
                    }
                }
                from = word + 1;
            }
        }
    }

    /// Picks what a hint leads to; false if it leads to nothing.
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

    /// Takes an LPI into a list register, if it is still due to the vCPU.
    #[inline(always)]
    fn take<W: Part<Self>>(ctx: &P::Ctx, vcpu: &Vcpu<P, W>, irq: Obj<Irq<P>>, register: usize) -> bool {
        // Relaxed is enough: the guest runs behind the full barrier of `enter`, and so sees what the device has written (O-12).
        let taken = Self::change(ctx, &irq, |word| word.may_be_taken_by(vcpu.id).then(|| word.taken_by(vcpu.id)));
        let Some((old, _)) = taken else { return false };
        P::work(ctx, Work::WriteListRegister);
        Self::of(vcpu).taken[register].set(ctx, Some(irq));
        vcpu.list_registers[register].set(ctx, lr(irq.intid.get(ctx), old.priority()) | LR_PENDING);
        true
    }
}

/// The lowest bits of a word, at most so many.
#[inline(always)]
fn lowest(bits: u64, count: usize) -> u64 {
    let (mut rest, mut count) = (bits, count);
    while rest != 0 && count != 0 {
        rest &= rest - 1;
        count -= 1;
    }
    bits & !rest
}
