//! [`Bitmap`]: which LPIs a vCPU should look at, one bit an INTID, and a summary of the words that have any.
//!
//! A bit is a **hint**. It says that somebody has changed an LPI so that this vCPU may take it, not that it still may. Who
//! sets a bit has changed the LPI before; the vCPU clears the bit before it looks at the LPI. So a bit that was set too
//! early, too late or for nothing costs a look, and an LPI that may be taken has its bit, or somebody is about to set it
//! (O-10).
//!
//! A bit and its summary are two accesses. A setter sets the bit, then looks at the summary, and sets that only if it is not
//! set. The vCPU clears a summary when it has found the word empty, then looks at the word again. So either the setter finds
//! the summary cleared and sets it, or the vCPU finds the word's new bit and does (O-11). A summary over an empty word is a
//! normal state, and costs a look.
//!
//! Anybody sets bits; only the vCPU's own thread clears them.

use crate::irq::FIRST_LPI;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, AtomicInt, Layout, Platform};
use alloc::boxed::Box;

/// Bits in a word.
const BITS: u32 = u64::BITS;

/// The bits of a vCPU.
pub(super) struct Bitmap<P: Platform> {
    summary: Box<[P::AtomicU64]>,
    words: Box<[P::AtomicU64]>,
}

impl<P: Platform> Bitmap<P> {
    /// The bit that all LPIs share that have none of their own.
    pub(super) const BEYOND: u32 = P::HINT_WORDS as u32 * BITS;

    /// No bit is set.
    pub(super) fn new(l: &P::Layout) -> Self {
        // The last word has the bit of those beyond.
        let words = P::HINT_WORDS + 1;
        l.line();
        let summary = (0..words.div_ceil(BITS as usize)).map(|_| l.u64("hint_summary", 0)).collect();
        l.line();
        let words = (0..words).map(|_| l.u64("hints", 0)).collect();
        l.line();
        Bitmap { summary, words }
    }

    /// The bit of an LPI.
    #[inline(always)]
    pub(super) fn bit_of(intid: u32) -> u32 {
        intid.wrapping_sub(FIRST_LPI).min(Self::BEYOND)
    }

    /// The first of the LPIs that share a bit.
    pub(super) fn first_beyond() -> u32 {
        FIRST_LPI + Self::BEYOND
    }

    /// Sets a bit. A full barrier follows it.
    #[inline(always)]
    pub(super) fn set(&self, ctx: &P::Ctx, bit: u32) {
        let at = bit / BITS;
        // Release: who clears the bit sees the LPI as it was made before (O-10).
        self.words[at as usize].fetch_or(ctx, 1 << (bit % BITS), Order::Release(Pair::HintState));
        // Full: between the bit and the look at the summary (O-11), and what the caller looks at behind it.
        P::fence_after_rmw(ctx, Pair::HintSummary);
        let summary = &self.summary[(at / BITS) as usize];
        let its_bit = 1 << (at % BITS);
        // Relaxed: the fences order it (O-11).
        if summary.load(ctx, Order::Relaxed) & its_bit == 0 {
            // Relaxed: it says where to look; what is found there has an order of its own.
            summary.fetch_or(ctx, its_bit, Order::Relaxed);
            // Full: as the one above, for what the caller looks at.
            P::fence_after_rmw(ctx, Pair::HintSummary);
        }
    }

    /// Clears bits of a word, of which the vCPU looks at the LPIs next.
    #[inline(always)]
    pub(super) fn clear(&self, ctx: &P::Ctx, word: u32, bits: u64) {
        // Acquire: the LPIs are looked at behind it, and are as whoever set the bits has made them (O-10).
        self.words[word as usize].fetch_and(ctx, !bits, Order::Acquire(Pair::HintState));
    }

    /// The word of a bit, and the bit in it.
    #[inline(always)]
    pub(super) fn place(bit: u32) -> (u32, u64) {
        (bit / BITS, 1 << (bit % BITS))
    }

    /// The lowest bit from `from` on that is set; by the vCPU's own thread, which clears a summary that it finds wrong.
    #[inline(always)]
    pub(super) fn next(&self, ctx: &P::Ctx, from: u32) -> Option<u32> {
        self.find(ctx, from, |at| self.clear_summary(ctx, at))
    }

    /// Whether a bit is set that `wanted` wants; by anybody.
    pub(super) fn any(&self, ctx: &P::Ctx, mut wanted: impl FnMut(u32) -> bool) -> bool {
        let mut from = 0;
        while let Some(bit) = self.find(ctx, from, |_| {}) {
            if wanted(bit) {
                return true;
            }
            from = bit + 1;
        }
        false
    }

    /// Walks the words that have a summary; `empty` is told of one that has no bit.
    #[inline(always)]
    fn find(&self, ctx: &P::Ctx, from: u32, empty: impl Fn(u32)) -> Option<u32> {
        let mut at = from / BITS;
        let mut mask = u64::MAX << (from % BITS);
        while let Some(summary) = self.summary.get((at / BITS) as usize) {
            // Relaxed, as the next one: a bit that comes later is followed by a kick, and what a bit leads to is looked at
            // when it is cleared (O-10).
            let words = summary.load(ctx, Order::Relaxed) & u64::MAX << (at % BITS);
            let next = if words == 0 { (at / BITS + 1) * BITS } else { at / BITS * BITS + words.trailing_zeros() };
            if next != at {
                mask = u64::MAX;
            }
            at = next;
            if words == 0 {
                continue;
            }
            let word = self.words[at as usize].load(ctx, Order::Relaxed);
            if word & mask != 0 {
                return Some(at * BITS + (word & mask).trailing_zeros());
            }
            if word == 0 {
                empty(at);
            }
            at += 1;
            mask = u64::MAX;
        }
        None
    }

    #[cold]
    fn clear_summary(&self, ctx: &P::Ctx, word: u32) {
        let summary = &self.summary[(word / BITS) as usize];
        let bit = 1 << (word % BITS);
        // Relaxed: the fence orders it (O-11).
        summary.fetch_and(ctx, !bit, Order::Relaxed);
        // Full: between the summary and the second look at the word (O-11).
        P::fence_after_rmw(ctx, Pair::HintSummary);
        if self.words[word as usize].load(ctx, Order::Relaxed) != 0 {
            summary.fetch_or(ctx, bit, Order::Relaxed);
        }
    }
}
