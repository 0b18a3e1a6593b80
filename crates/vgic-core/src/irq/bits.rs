//! [`Bits`]: what is yes or no of an LPI, as a word each or as bits of one byte.
//!
//! Up to 6.18 each has a place of its own, and a store to one leaves the others alone. From 6.19 on they are bit fields that
//! share a byte: a store to one is a load of all and a store of all. `irq_lock` keeps two such stores apart; who stores
//! without it undoes what somebody else stores meanwhile. The load and the store are two accesses on every platform.
//!
//! Where vCPUs have hints, there is one [word](super::word) that is changed as a whole, and not through here.

use super::word::Word;
use crate::designs::{IrqBits, Spec};
use crate::order::Order;
use crate::platform::{Atomic, Layout, PlainCell, Platform, present_if};

/// One of them; the value is its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Bit {
    /// Pending, and not in a list register.
    PendingLatch = 1,
    /// Bit 0 of its configuration byte, as last read.
    Enabled = 2,
    /// Acknowledged and not yet deactivated.
    Active = 4,
    /// In a list register; there is none where each has a word.
    OnLr = 8,
}

/// All of them.
pub(super) struct Bits<P: Platform> {
    /// `pending_latch` alone, or the byte.
    word: P::AtomicU32,
    active: P::Cell<bool>,
    enabled: P::Cell<bool>,
}

impl<P: Platform> Bits<P> {
    /// None is set; `whole` is what an atomic word begins with.
    pub(super) fn new(l: &P::Layout, spec: &Spec, whole: Word) -> Self {
        let words = spec.irq_bits == IrqBits::Words;
        Bits {
            word: match spec.irq_bits {
                IrqBits::Words => l.u32("pending_latch", 0),
                IrqBits::OneByte => l.u32("bits", 0),
                IrqBits::Atomic => l.u32("state", whole.0),
            },
            active: present_if::<P, _>(words, l, |l| l.cell("active", false)),
            enabled: present_if::<P, _>(words, l, |l| l.cell("enabled", false)),
        }
    }

    /// The atomic word.
    #[inline(always)]
    pub(super) fn word(&self) -> &P::AtomicU32 {
        &self.word
    }

    /// Whether one is set.
    #[inline(always)]
    pub(super) fn get(&self, spec: &Spec, ctx: &P::Ctx, bit: Bit) -> bool {
        match (spec.irq_bits, bit) {
            (IrqBits::Words, Bit::Active) => self.active.get(ctx),
            (IrqBits::Words, Bit::Enabled) => self.enabled.get(ctx),
            (IrqBits::Words, Bit::OnLr) => false,
            // Relaxed: irq_lock orders it; a look without the lock is a hint.
            _ => self.word.load(ctx, Order::Relaxed) & bit as u32 != 0,
        }
    }

    /// Sets or clears one.
    #[inline(always)]
    pub(super) fn set(&self, spec: &Spec, ctx: &P::Ctx, bit: Bit, value: bool) {
        match (spec.irq_bits, bit) {
            (IrqBits::Words, Bit::Active) => self.active.set(ctx, value),
            (IrqBits::Words, Bit::Enabled) => self.enabled.set(ctx, value),
            (IrqBits::Words, Bit::OnLr) => {}
            // Relaxed: irq_lock orders it.
            (IrqBits::Words, Bit::PendingLatch) => self.word.store(ctx, u32::from(value), Order::Relaxed),
            (IrqBits::OneByte | IrqBits::Atomic, _) => {
                self.exchange(ctx, bit, value);
            }
        }
    }

    /// Sets or clears one, and tells what it was. The words' only one is `pending_latch`.
    #[inline(always)]
    pub(super) fn swap(&self, spec: &Spec, ctx: &P::Ctx, bit: Bit, value: bool) -> bool {
        match spec.irq_bits {
            // Relaxed: who exchanges it owns the event; irq_lock or, for CLEAR, nothing else depends on it.
            IrqBits::Words => self.word.swap(ctx, u32::from(value), Order::Relaxed) != 0,
            IrqBits::OneByte | IrqBits::Atomic => self.exchange(ctx, bit, value),
        }
    }

    /// As a compiler writes a bit field.
    #[inline(always)]
    fn exchange(&self, ctx: &P::Ctx, bit: Bit, value: bool) -> bool {
        let mask = bit as u32;
        // Relaxed: irq_lock orders both; without it, nothing would.
        let all = self.word.load(ctx, Order::Relaxed);
        self.word.store(ctx, if value { all | mask } else { all & !mask }, Order::Relaxed);
        all & mask != 0
    }
}
