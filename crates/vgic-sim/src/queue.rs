//! [`Queue`]: what happens next. The smallest time first; among equals the smallest number of a core.
//!
//! A core has at most one event of its own, so these are kept as a tournament: a binary tree over the cores, in which each node
//! has the smaller key of its two children. A new event climbs as far as it wins, most often a step or two; one that is taken
//! leaves a walk to the root. Stores that are on their way by themselves are few; they have a heap.

use crate::machine::Ps;
use crate::memory::LineId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Bits of a key that name the core.
const CORE_BITS: u32 = 11;

/// An event without a line.
pub(crate) const NO_LINE: LineId = LineId::MAX;

/// No event.
const NEVER: u64 = u64::MAX;

/// Time and core as one number, which orders as events do.
#[inline]
pub(crate) fn key(at: Ps, core: u32) -> u64 {
    at << CORE_BITS | u64::from(core)
}

/// Something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) at: Ps,
    pub(crate) core: u32,
    /// A line is granted, or none.
    pub(crate) line: LineId,
    /// To a store for which the core does not wait.
    pub(crate) detached: bool,
}

/// What happens next.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Node 1 is the root, node `cores + n` the leaf of core `n`.
    tree: Box<[u64]>,
    cores: usize,
    lines: Vec<LineId>,
    detached: BinaryHeap<Reverse<(u64, LineId)>>,
    first: u64,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let (tree, lines) = (vec![NEVER; 4].into(), vec![NO_LINE; 2]);
        Queue { tree, cores: 2, lines, detached: BinaryHeap::new(), first: NEVER }
    }

    /// There are cores up to this one.
    pub(crate) fn reach(&mut self, core: u32) {
        if (core as usize) < self.cores {
            return;
        }
        let leaves = self.tree[self.cores..].to_vec();
        self.cores = (core as usize + 1).next_power_of_two();
        self.tree = vec![NEVER; 2 * self.cores].into();
        self.lines.resize(self.cores, NO_LINE);
        for (core, key) in leaves.into_iter().enumerate() {
            self.lower(core, key);
        }
    }

    /// The key of the first event, or one above every other.
    #[inline]
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// A core that had no event has one: on its way to the root it beats what is larger, and stops at what is not.
    #[inline]
    fn lower(&mut self, core: usize, key: u64) {
        let mut at = self.cores + core;
        while at > 0 && self.tree[at] > key {
            self.tree[at] = key;
            at /= 2;
        }
    }

    /// A core has no event any more.
    #[inline]
    fn remove(&mut self, core: u32) {
        let mut at = self.cores + core as usize;
        self.tree[at] = NEVER;
        let mut least = NEVER;
        while at > 1 {
            least = least.min(self.tree[at ^ 1]);
            at /= 2;
            self.tree[at] = least;
        }
    }

    fn first_detached(&self) -> u64 {
        self.detached.peek().map_or(NEVER, |Reverse((key, _))| *key)
    }

    /// A core goes on at a time; a line is granted to it then, or none.
    #[inline]
    pub(crate) fn push(&mut self, at: Ps, core: u32, line: LineId) {
        debug_assert_eq!(self.tree[self.cores + core as usize], NEVER, "a core has one event");
        self.lines[core as usize] = line;
        let key = key(at, core);
        self.lower(core as usize, key);
        self.first = self.first.min(key);
    }

    /// A line is granted then to a store for which its core does not wait.
    pub(crate) fn push_detached(&mut self, at: Ps, core: u32, line: LineId) {
        self.detached.push(Reverse((key(at, core), line)));
        self.first = self.first.min(key(at, core));
    }

    /// Takes the first event. Of a core's two at the same time its own comes first.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Next> {
        let first = self.first;
        if first == NEVER {
            return None;
        }
        let (at, core) = (first >> CORE_BITS, (first & ((1 << CORE_BITS) - 1)) as u32);
        let own = self.tree[1] == first;
        let line = if own {
            self.remove(core);
            self.lines[core as usize]
        } else {
            self.detached.pop()?.0.1
        };
        self.first = self.tree[1].min(self.first_detached());
        Some(Next { at, core, line, detached: !own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_the_order_of_time_and_core() {
        let mut queue = Queue::new();
        let mut random = 1_u64;
        let mut draw = |limit: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % limit
        };
        for core in 0..5 {
            queue.reach(core);
            queue.push(draw(10), core, NO_LINE);
        }
        let mut last = 0;
        for step in 0..10_000 {
            let next = queue.pop().expect("there is one for each core");
            assert!(key(next.at, next.core) >= last);
            last = key(next.at, next.core);
            if next.detached {
                assert_eq!(next.line, 7);
                continue;
            }
            if step % 3 == 0 {
                queue.push_detached(next.at + draw(5), next.core, 7);
            }
            queue.push(next.at + draw(5), next.core, NO_LINE);
        }
    }
}
