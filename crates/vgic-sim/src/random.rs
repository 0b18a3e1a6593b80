//! Numbers that look like chance, and are the same for the same seed.

use core::cell::Cell;

/// A number that looks like chance, never zero.
pub(crate) fn scramble(seed: u64, stream: u64) -> u64 {
    let mut x = seed ^ stream.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ x >> 31) | 1
}

/// The next number of a stream, below `limit`, which is not zero.
pub(crate) fn draw(state: &Cell<u64>, limit: u64) -> u64 {
    let mut x = state.get();
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    state.set(x);
    (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit
}
