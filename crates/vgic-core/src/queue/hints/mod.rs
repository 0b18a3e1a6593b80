//! Hints instead of a list: the state of an LPI is one [word](crate::irq::word), and a vCPU has a [`bitmap`] that says at
//! which LPIs it should look. No lock, and no reference on an LPI.
//!
//! An LPI is **due** while it is pending and enabled and has a target, and may be **taken** while it is due and in no list
//! register. One rule keeps all of them:
//!
//! > Whoever changes a word so that its LPI is due, or due to another vCPU, sees to it that the vCPU looks: by a hint to the
//! > target and a kick, or, if a list register has the LPI, by a kick of the vCPU whose register it is, which does the same
//! > when it has folded.
//!
//! A word changes as a whole, so each such change has one author. The target clears the hint, looks at the word, and takes
//! the LPI by an exchange of the word, which is possible only while it is due to that very vCPU. So a hint that is late or
//! wrong costs a look: after a MOVI the new target has a hint of its own; a masked LPI gets one when it is unmasked; what was
//! unmapped is dead or gone, and what is mapped under its INTID later is not pending. Nobody who moves, masks or unmaps has
//! to meet a sender.
//!
//! An LPI whose last reference goes while a list register has it belongs to that vCPU, which frees it when it folds.
//!
//! A send that finds the LPI pending is done after one access: who made it pending owes the hint.
//!
//! - here: the changes, and who sees to what · [`bitmap`]: the hints
//! - [`take`]: into list registers · [`give_back`]: out of them

mod bitmap;
mod give_back;
mod take;

use super::{Applies, LpiView, Part, Queue, some_vcpu};
use crate::designs::{Design, Spec, TableBit};
use crate::guard::Rcu;
use crate::irq::word::Word;
use crate::irq::{FIRST_LPI, Irq};
use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, AtomicInt, Event, Layout, PlainCell, Platform, PointerCell};
use crate::vcpu::{MAX_LIST_REGISTERS, Vcpu};
use crate::vm::Vm;
use bitmap::Bitmap;

/// A vCPU's hints.
pub struct HintQueue<P: Platform> {
    bitmap: Bitmap<P>,
    /// The bit at which the vCPU looks first: behind the last LPI that got a register while others did not.
    cursor: P::Cell<u32>,
    /// The LPIs that are in list registers.
    taken: [P::PtrCell<Irq<P>>; MAX_LIST_REGISTERS],
}

impl<P: Platform, W: Part<Self>> Queue<P, W> for HintQueue<P> {
    type Held<'a> = ();

    fn new(l: &P::Layout, _spec: &Spec) -> Self {
        HintQueue {
            cursor: l.cell("cursor", 0),
            taken: core::array::from_fn(|_| l.ptr_cell("taken")),
            bitmap: Bitmap::new(l),
        }
    }

    #[inline(always)]
    fn send<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> bool {
        // Release: who takes the LPI sees what the device wrote before it sent, also of a send that coalesces (O-12).
        let old = Word(irq.word().fetch_or(ctx, Word::PENDING, Order::Release(Pair::LpiTake)));
        if old.is_dead() {
            return false;
        }
        if old.is_pending() {
            P::count(ctx, Event::Coalesced);
        } else {
            Self::see_to(vm, ctx, &irq, old, old.with_pending(true));
        }
        true
    }

    fn look_again<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        Self::announce(vm, ctx, &irq, Self::word(ctx, &irq));
    }

    fn configure<D: Design<Queue<P> = W>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        byte: u8,
        only_target: Option<u32>,
    ) {
        // Before the LPI has the priority: see `take`.
        let priority = 1 << (byte >> 2);
        let seen = &vm.dist.priorities;
        if seen.load(ctx, Order::Relaxed) & priority == 0 {
            // Relaxed: who takes an LPI too early for it is kicked by whoever makes the LPI due.
            seen.fetch_or(ctx, priority, Order::Relaxed);
        }
        let applied = Self::change(ctx, &irq, |word| {
            only_target.is_none_or(|target| word.target() == target).then(|| word.with_configuration(byte))
        });
        if let Some((old, new)) = applied {
            Self::see_to(vm, ctx, &irq, old, new);
        }
    }

    fn retarget<D: Design<Queue<P> = W>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        only_from: Option<u32>,
        vcpu: u32,
    ) {
        let moved = Self::change(ctx, &irq, |word| {
            only_from.is_none_or(|from| word.target() == from).then(|| word.with_target(vcpu))
        });
        let Some((old, new)) = moved else { return };
        if new.is_in_register() && new.holder() != vcpu {
            // It may be pending in the register: the vCPU folds it, and hands it over.
            Self::kick(vm, ctx, new.holder());
            return;
        }
        if old.may_be_taken() && old.target() != vcpu {
            P::count(ctx, Event::Migration);
        }
        Self::see_to(vm, ctx, &irq, old, new);
    }

    fn load<D: Design<Queue<P> = W>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        vcpu: u32,
        pending: bool,
        applies: Applies,
    ) -> bool {
        let replaces = vm.spec().table_bit == TableBit::Replaces;
        let loaded = Self::change(ctx, &irq, |word| {
            let is_target = applies == Applies::ToAny || word.target() == vcpu;
            let loads = is_target && (pending || replaces);
            (is_target || applies != Applies::ToTarget).then(|| if loads { word.with_pending(pending) } else { word })
        });
        let Some((old, new)) = loaded else { return false };
        match (old.is_pending(), new.is_pending()) {
            (false, true) => P::count(ctx, Event::PendingLoaded),
            (true, false) => P::count(ctx, Event::Dropped),
            _ => {}
        }
        Self::announce(vm, ctx, &irq, new);
        true
    }

    fn clear<D: Design<Queue<P> = W>>(_vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        Self::throw_away(ctx, &irq, |_| true);
    }

    fn retire(_spec: &Spec, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> bool {
        // Acquire and release: of this and the vCPU that gives the LPI back, the later one frees it (O-03). A send that comes
        // later finds it dead.
        let old = Word(irq.word().fetch_or(ctx, Word::DEAD, Order::AcqRel(Pair::RefDrop)));
        if old.is_pending() {
            P::count(ctx, Event::Dropped);
        }
        !old.is_in_register()
    }

    fn switch_off<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>) {
        vm.for_each_lpi(ctx, vcpu.id, |irq| Self::throw_away(ctx, &irq, |word| word.target() == vcpu.id));
    }

    fn flush<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>) {
        Self::fill_registers(vm, ctx, vcpu);
    }

    fn sync<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>) {
        Self::fold_registers(vm, ctx, vcpu);
    }

    fn has_pending<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>) -> bool {
        if !vm.distributor_enabled(ctx) {
            return false;
        }
        let rcu = Rcu::<P>::read_lock(ctx);
        Self::of(vcpu).bitmap.any(ctx, |bit| {
            let mut found = false;
            Self::lpis_of(vm, ctx, &rcu, bit, |irq| found |= Self::takes(ctx, &irq, vcpu.id).is_some());
            found
        })
    }

    fn is_empty(&self, ctx: &P::Ctx) -> bool {
        self.bitmap.is_empty(ctx)
    }

    fn hold<'a>(&'a self, _ctx: &'a P::Ctx, _first: bool) {}

    fn put_first(&self, ctx: &P::Ctx, intid: u32) {
        let bit = Bitmap::<P>::bit_of(intid);
        if self.bitmap.any(ctx, |other| other == bit) {
            self.cursor.set(ctx, bit);
        }
    }

    /// A hint is no reference, and a list register has none: what lives is in the index.
    fn for_each_kept(&self, _ctx: &P::Ctx, _f: impl FnMut(Obj<Irq<P>>)) {}

    fn for_each<D: Design<Queue<P> = W>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, W>,
        mut f: impl FnMut(Obj<Irq<P>>),
    ) {
        let rcu = Rcu::<P>::read_lock(ctx);
        let mut look = |irq: Obj<Irq<P>>| {
            let word = Self::word(ctx, &irq);
            let holds = word.is_in_register() && word.holder() == vcpu.id;
            if holds || word.may_be_taken_by(vcpu.id) {
                f(irq);
            }
        };
        let used = vcpu.used_list_registers.get(ctx) as usize;
        for taken in &Self::of(vcpu).taken[..used] {
            taken.get(ctx).into_iter().for_each(&mut look);
        }
        Self::of(vcpu).bitmap.any(ctx, |bit| {
            Self::lpis_of(vm, ctx, &rcu, bit, &mut look);
            false
        });
    }

    fn target(_spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> Option<u32> {
        some_vcpu(Self::word(ctx, irq).target())
    }

    fn is_pending(_spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> bool {
        Self::word(ctx, irq).is_pending()
    }

    fn view(_spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> LpiView {
        let word = Self::word(ctx, irq);
        let taken = word.is_in_register().then_some(word.holder());
        LpiView {
            target_vcpu: some_vcpu(word.target()),
            pending: word.is_pending(),
            active: false,
            enabled: word.is_enabled(),
            priority: word.priority(),
            queued_on: taken.or(word.may_be_taken().then_some(word.target())),
        }
    }

    /// Hints are no references.
    fn destroy<D: Design<Queue<P> = W>>(&self, _vm: &Vm<P, D>, _ctx: &P::Ctx) {}
}

impl<P: Platform> HintQueue<P> {
    /// The one of a vCPU.
    #[inline(always)]
    fn of<W: Part<Self>>(vcpu: &Vcpu<P, W>) -> &Self {
        vcpu.queue.part()
    }

    /// An LPI's state; a look.
    #[inline(always)]
    fn word(ctx: &P::Ctx, irq: &Irq<P>) -> Word {
        // Relaxed: who acts on it exchanges it, or owes no more than a hint.
        Word(irq.word().load(ctx, Order::Relaxed))
    }

    /// Its state, if that vCPU may take it now; a look.
    #[inline(always)]
    fn takes(ctx: &P::Ctx, irq: &Irq<P>, vcpu: u32) -> Option<Word> {
        let word = Self::word(ctx, irq);
        word.may_be_taken_by(vcpu).then_some(word)
    }

    /// Exchanges an LPI's state, unless `new` has none for it: the state before, and behind it.
    #[inline(always)]
    fn change(ctx: &P::Ctx, irq: &Irq<P>, new: impl Fn(Word) -> Option<Word>) -> Option<(Word, Word)> {
        let mut old = Self::word(ctx, irq);
        loop {
            let wanted = new(old)?;
            // Relaxed: nobody stores to a word, so every exchange hands on what senders have published before (O-12).
            match irq.word().compare_exchange(ctx, old.0, wanted.0, Order::Relaxed) {
                Ok(_) => return Some((old, wanted)),
                Err(found) => old = Word(found),
            }
        }
    }

    /// Throws the pending state away, if `which` says so, and counts it as dropped.
    fn throw_away(ctx: &P::Ctx, irq: &Irq<P>, which: impl Fn(Word) -> bool) {
        let thrown =
            Self::change(ctx, irq, |word| (word.is_pending() && which(word)).then(|| word.with_pending(false)));
        if thrown.is_some_and(|(old, _)| !old.is_dead()) {
            P::count(ctx, Event::Dropped);
        }
    }

    /// What the author of a change owes.
    #[inline(always)]
    fn see_to<D: Design<Queue<P>: Part<Self>>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: &Irq<P>, old: Word, new: Word) {
        if !old.is_due() || old.target() != new.target() {
            Self::announce(vm, ctx, irq, new);
        }
    }

    /// Makes the vCPU look to which an LPI is due, or the one whose list register has it.
    #[inline(always)]
    fn announce<D: Design<Queue<P>: Part<Self>>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: &Irq<P>, word: Word) {
        if !word.is_due() {
            return;
        }
        if word.is_in_register() {
            return Self::kick(vm, ctx, word.holder());
        }
        Self::hint(vm, ctx, word.target(), irq.intid.get(ctx));
    }

    /// Gives a vCPU a hint, and makes it look.
    #[inline(always)]
    fn hint<D: Design<Queue<P>: Part<Self>>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: u32, intid: u32) {
        let Some(target) = vm.vcpus.get(vcpu as usize) else { return };
        Self::of(target).bitmap.set(ctx, Bitmap::<P>::bit_of(intid));
        target.kick(ctx);
    }

    fn kick<D: Design>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: u32) {
        if let Some(vcpu) = vm.vcpus.get(vcpu as usize) {
            vcpu.kick(ctx);
        }
    }

    /// The LPIs at which a bit tells to look.
    #[inline(always)]
    fn lpis_of<D: Design>(vm: &Vm<P, D>, ctx: &P::Ctx, rcu: &Rcu<'_, P>, bit: u32, mut look: impl FnMut(Obj<Irq<P>>)) {
        let store = &vm.dist.store.lpi_xa;
        if bit < Bitmap::<P>::BEYOND {
            store.load(ctx, rcu, FIRST_LPI + bit).into_iter().for_each(&mut look);
            return;
        }
        let mut from = Bitmap::<P>::first_beyond();
        while let Some((intid, irq)) = store.find(ctx, rcu, from, u32::MAX) {
            look(irq);
            let Some(next) = intid.checked_add(1) else { break };
            from = next;
        }
    }
}
