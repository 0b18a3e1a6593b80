//! Strategies: who goes on, where several could.

use super::random::Rng;

/// A place where several threads could go on.
pub(crate) struct Decision<'a> {
    /// Steps of the execution so far: the same schedule comes to the same step here.
    pub(crate) step: u32,
    /// The running thread, if it can go on.
    pub(crate) current: Option<usize>,
    /// Who goes on if nothing else is wanted.
    pub(crate) default: usize,
    /// All who could; `default` is one of them.
    pub(crate) options: &'a [usize],
}

/// Decides, execution after execution.
pub(crate) trait Strategy {
    /// Prepares the next execution; false if there is none.
    fn next(&mut self, knowledge: u32) -> bool;
    /// Whether it is asked at every access, not only where others are known to matter.
    fn everywhere(&self) -> bool {
        false
    }
    /// Decides.
    fn choose(&mut self, decision: &Decision<'_>) -> usize;
}

/// Plays a schedule again: the choices that were not the usual ones, each with its step.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) choices: Vec<(u32, u8)>,
    at: usize,
    played: bool,
}

impl Replay {
    pub(crate) fn new(choices: Vec<(u32, u8)>) -> Self {
        Replay { choices, at: 0, played: false }
    }
}

impl Strategy for Replay {
    fn next(&mut self, _knowledge: u32) -> bool {
        !core::mem::replace(&mut self.played, true)
    }

    /// A schedule means the same whatever was learnt since.
    fn everywhere(&self) -> bool {
        true
    }

    fn choose(&mut self, decision: &Decision<'_>) -> usize {
        while self.choices.get(self.at).is_some_and(|(step, _)| *step < decision.step) {
            self.at += 1;
        }
        match self.choices.get(self.at) {
            Some((step, thread)) if *step == decision.step && decision.options.contains(&usize::from(*thread)) => {
                usize::from(*thread)
            }
            _ => decision.default,
        }
    }
}

/// At each place, a thread at random. How often the thread changes is drawn for each execution: where one of two places
/// is a change, hardly any operation happens whole; where one of a hundred is, most do.
#[derive(Debug)]
pub(crate) struct Random {
    rng: Rng,
    rarely: usize,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random { rng: Rng::new(seed), rarely: 1 }
    }
}

impl Strategy for Random {
    fn next(&mut self, _knowledge: u32) -> bool {
        self.rarely = 2 << self.rng.below(7);
        true
    }

    fn choose(&mut self, decision: &Decision<'_>) -> usize {
        if decision.current.is_some() && self.rng.below(self.rarely) != 0 {
            return decision.default;
        }
        decision.options[self.rng.below(decision.options.len())]
    }
}

/// Priorities at random, lowered at `depth - 1` places at random (Burckhardt and others, "A randomized scheduler with
/// probabilistic guarantees of finding bugs", 2010).
#[derive(Debug)]
pub(crate) struct Pct {
    rng: Rng,
    depth: u32,
    /// About how many decisions there are.
    usual: usize,
    decisions: usize,
    priorities: Vec<i64>,
    changes: Vec<usize>,
}

impl Pct {
    pub(crate) fn new(seed: u64, depth: u32) -> Self {
        let rng = Rng::new(seed);
        Pct { rng, depth, usual: 1, decisions: 0, priorities: Vec::new(), changes: Vec::new() }
    }
}

impl Strategy for Pct {
    fn next(&mut self, _knowledge: u32) -> bool {
        self.usual = (self.usual * 7 + self.decisions).div_ceil(8).max(1);
        self.decisions = 0;
        let threads = crate::platform::field::MAX_THREADS;
        self.priorities = (0..threads).map(|_| 1 + self.rng.below(1 << 20) as i64).collect();
        self.changes = (1..self.depth).map(|_| self.rng.below(self.usual * 3 / 2 + 1)).collect();
        true
    }

    fn choose(&mut self, decision: &Decision<'_>) -> usize {
        if let Some(at) = self.changes.iter().position(|change| *change == self.decisions) {
            self.priorities[decision.default] = -(at as i64);
        }
        self.decisions += 1;
        let best = decision.options.iter().copied().max_by_key(|id| self.priorities[*id]);
        best.unwrap_or(decision.default)
    }
}
