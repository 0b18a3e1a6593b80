//! [`Chance`]: random numbers from a seed (SplitMix64).

/// A stream of random numbers; the same seed gives the same stream.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// The stream of one thread of a run.
    pub(super) fn new(seed: u64, thread: usize) -> Chance {
        let mut chance = Chance(seed ^ (thread as u64 + 1).wrapping_mul(0xd1b5_4a32_d192_ed03));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not zero.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        ((self.next() >> 32) % u64::from(limit)) as u32
    }

    /// A seed for something else.
    pub(super) fn seed(&mut self) -> u64 {
        self.next()
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// One of several.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }
}
