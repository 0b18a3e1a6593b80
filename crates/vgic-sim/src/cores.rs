//! [`CoreSet`]: a set of cores, a bit each.

use crate::machine::MAX_CORES;

const WORDS: usize = MAX_CORES as usize / 64;

/// A set of cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CoreSet {
    words: [u64; WORDS],
    /// Words that are in use: those behind are zero.
    used: u8,
}

impl CoreSet {
    pub(crate) const EMPTY: CoreSet = CoreSet { words: [0; WORDS], used: 0 };

    fn words(&self) -> &[u64] {
        &self.words[..usize::from(self.used)]
    }

    pub(crate) fn has(&self, core: u32) -> bool {
        self.words[core as usize / 64] & 1 << (core % 64) != 0
    }

    pub(crate) fn insert(&mut self, core: u32) {
        let word = core as usize / 64;
        self.words[word] |= 1 << (core % 64);
        self.used = self.used.max(word as u8 + 1);
    }

    pub(crate) fn clear(&mut self) {
        self.words[..usize::from(self.used)].fill(0);
        self.used = 0;
    }

    /// Whether this core is the only member.
    pub(crate) fn is_only(&self, core: u32) -> bool {
        self.has(core) && self.words().iter().map(|word| word.count_ones()).sum::<u32>() == 1
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.words().iter().all(|word| *word == 0)
    }

    /// The members, in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words().iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            core::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(at as u32 * 64 + bit)
            })
        })
    }
}
