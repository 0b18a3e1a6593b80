//! [`Bitmap`]: which LPIs a vCPU should look at, one bit an INTID, and above them summaries of where there are any.
//!
//! A bit is a **hint**. It says that somebody has changed an LPI so that this vCPU may take it, not that it still may. Who
//! sets a bit has changed the LPI before; the vCPU clears the bit before it looks at the LPI. So a bit that was set too
//! early, too late or for nothing costs a look, and an LPI that may be taken has its bit, or somebody is about to set it
//! (O-10).
//!
//! A bit and its summary are two accesses. A setter sets the bit, then looks at the summary, and sets that only if it is not
//! set. The vCPU clears a summary when it has found the word below empty, then looks at that word again. So either the setter
//! finds the summary cleared and sets it, or the vCPU finds the word's new bit and does (O-11). A summary over an empty word
//! is a normal state, and costs a look. So the first one that a walk meets stays: most vCPUs have their LPIs in one word, and
//! whoever sends them finds its summaries set. Only what lies behind it, before the next bit, is cleared, so a walk wastes
//! one look for each word that it finds, and one more.
//!
//! Whoever sets a bit looks at all summaries above it: one that is set may stand under one that its setter has not set yet.
//!
//! Anybody sets bits; only the vCPU's own thread clears them.

use crate::irq::FIRST_LPI;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, AtomicInt, Layout, Platform};
use alloc::boxed::Box;

/// Bits in a word.
const BITS: u32 = u64::BITS;
/// Words of hints, words with a bit for each of those, and one word with a bit for each of these: 262,144 hints.
const LEVELS: usize = 3;

/// The bits of a vCPU.
pub(super) struct Bitmap<P: Platform> {
    levels: [Box<[P::AtomicU64]>; LEVELS],
}

impl<P: Platform> Bitmap<P> {
    /// The bit that all LPIs share that have none of their own.
    pub(super) const BEYOND: u32 = P::HINT_WORDS as u32 * BITS;

    /// No bit is set.
    pub(super) fn new(l: &P::Layout) -> Self {
        let words = |name, number: usize| {
            l.line();
            (0..number).map(|_| l.u64(name, 0)).collect()
        };
        // The last word has the bit of those beyond.
        let hints = P::HINT_WORDS + 1;
        let summaries = hints.div_ceil(BITS as usize);
        let levels = [words("hint_top", 1), words("hint_summary", summaries), words("hints", hints)];
        l.line();
        let [top, summaries, hints] = levels;
        Bitmap { levels: [hints, summaries, top] }
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

    /// Sets a bit.
    #[inline(always)]
    pub(super) fn set(&self, ctx: &P::Ctx, bit: u32) {
        // Release: who clears the bit sees the LPI as it was made before (O-10).
        self.levels[0][(bit / BITS) as usize].fetch_or(ctx, 1 << (bit % BITS), Order::Release(Pair::HintState));
        // Full: between the bit and the looks at its summaries (O-11).
        P::fence_after_rmw(ctx, Pair::HintSummary);
        for level in 1..LEVELS {
            self.set_summary(ctx, level, bit / BITS.pow(level as u32));
        }
    }

    /// Sets bit `at` of a level of summaries.
    #[inline(always)]
    fn set_summary(&self, ctx: &P::Ctx, level: usize, at: u32) {
        let word = &self.levels[level][(at / BITS) as usize];
        let bit = 1 << (at % BITS);
        // Relaxed: the fences order it (O-11).
        if word.load(ctx, Order::Relaxed) & bit == 0 {
            // Relaxed: it says where to look; what is found there has an order of its own.
            word.fetch_or(ctx, bit, Order::Relaxed);
            if level + 1 < LEVELS {
                // Full: between this summary and the look at the one above it (O-11).
                P::fence_after_rmw(ctx, Pair::HintSummary);
            }
        }
    }

    /// Clears bits of a word, of which the vCPU looks at the LPIs next.
    #[inline(always)]
    pub(super) fn clear(&self, ctx: &P::Ctx, word: u32, bits: u64) {
        // Acquire: the LPIs are looked at behind it, and are as whoever set the bits has made them (O-10).
        self.levels[0][word as usize].fetch_and(ctx, !bits, Order::Acquire(Pair::HintState));
    }

    /// The first word from `from` on that has bits, and they; by the vCPU's own thread, which clears summaries that it finds
    /// wrong, but for the first.
    #[inline(always)]
    pub(super) fn next_word(&self, ctx: &P::Ctx, from: u32) -> Option<(u32, u64)> {
        let mut is_first = true;
        self.find_word(ctx, from, |level, at| {
            if !is_first {
                self.clear_summary(ctx, level, at);
            }
            is_first = false;
        })
    }

    /// Whether no bit is set; by anybody.
    #[inline(always)]
    pub(super) fn is_empty(&self, ctx: &P::Ctx) -> bool {
        self.find_word(ctx, 0, |_, _| {}).is_none()
    }

    /// Whether a bit is set that `wanted` wants; by anybody.
    pub(super) fn any(&self, ctx: &P::Ctx, mut wanted: impl FnMut(u32) -> bool) -> bool {
        let mut from = 0;
        while let Some((word, bits)) = self.find_word(ctx, from, |_, _| {}) {
            if each_bit(bits).any(|bit| wanted(word * BITS + bit)) {
                return true;
            }
            from = word + 1;
        }
        false
    }

    /// Walks the words that have a summary; `empty` is told of a word of a level that has no bit.
    ///
    /// All loads are relaxed: a bit that comes later is followed by a kick, and what a bit leads to is looked at when it is
    /// cleared (O-10).
    #[inline(always)]
    fn find_word(&self, ctx: &P::Ctx, from: u32, mut empty: impl FnMut(usize, u32)) -> Option<(u32, u64)> {
        let [hints, summaries, top] = &self.levels;
        let (first, behind) = (from / BITS, u64::MAX << (from % BITS));
        let mut groups = top[0].load(ctx, Order::Relaxed) & u64::MAX.checked_shl(first)?;
        while groups != 0 {
            let group = groups.trailing_zeros();
            let all = summaries[group as usize].load(ctx, Order::Relaxed);
            if all == 0 {
                empty(1, group);
            }
            let mut words = if group == first { all & behind } else { all };
            while words != 0 {
                let at = group * BITS + words.trailing_zeros();
                let bits = hints[at as usize].load(ctx, Order::Relaxed);
                if bits != 0 {
                    return Some((at, bits));
                }
                empty(0, at);
                words &= words - 1;
            }
            groups &= groups - 1;
        }
        None
    }

    /// Clears what is said above a word of a level that is empty.
    #[cold]
    fn clear_summary(&self, ctx: &P::Ctx, level: usize, word: u32) {
        let bit: u64 = 1 << (word % BITS);
        // Relaxed: the fence orders it (O-11).
        self.levels[level + 1][(word / BITS) as usize].fetch_and(ctx, !bit, Order::Relaxed);
        // Full: between the summary and the second look at the word (O-11).
        P::fence_after_rmw(ctx, Pair::HintSummary);
        if self.levels[level][word as usize].load(ctx, Order::Relaxed) != 0 {
            for above in level + 1..LEVELS {
                self.set_summary(ctx, above, word / BITS.pow((above - level - 1) as u32));
            }
        }
    }
}

/// The bits of a word, from the lowest on.
#[inline(always)]
pub(super) fn each_bit(mut bits: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = bits.trailing_zeros();
        bits &= bits.wrapping_sub(1);
        (bit < BITS).then_some(bit)
    })
}
