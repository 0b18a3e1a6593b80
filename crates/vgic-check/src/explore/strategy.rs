//! Strategies: who goes on, where several could.

use super::random::Rng;
use core::fmt;

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
///
/// A choice that does not fit is left out, and kept in mind: who makes a schedule shorter tries what may not fit, who
/// plays one again wants that one.
#[derive(Debug)]
pub(crate) struct Replay {
    choices: Vec<(u32, u8)>,
    at: usize,
    /// What became of the choice at `at` so far.
    met: Met,
    misfit: Option<Misfit>,
    played: bool,
}

/// What became of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    /// Its step has not come.
    Nothing,
    /// Its step has come, but its thread could not go on.
    Step,
    /// It was made.
    Made,
}

/// Why a schedule is not one of this scenario in this design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Nobody has a choice at this step, or it never comes.
    Step(u32),
    /// This thread cannot go on at this step.
    Thread(u32, u8),
    /// It says which operations are drawn, or are left out, and the scenario does not draw them.
    Program,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Step(step) => write!(f, "there is no choice of a thread at step {step}"),
            Misfit::Thread(step, thread) => write!(f, "thread {thread} cannot go on at step {step}"),
            Misfit::Program => write!(f, "the scenario does not draw the operations that it names"),
        }
    }
}

impl Replay {
    pub(crate) fn new(choices: Vec<(u32, u8)>) -> Self {
        Replay { choices, at: 0, met: Met::Nothing, misfit: None, played: false }
    }

    /// Goes past the present choice.
    fn pass(&mut self) {
        let Some(&(step, thread)) = self.choices.get(self.at) else { return };
        let misfit = match self.met {
            Met::Nothing => Some(Misfit::Step(step)),
            Met::Step => Some(Misfit::Thread(step, thread)),
            Met::Made => None,
        };
        self.misfit = self.misfit.or(misfit);
        self.met = Met::Nothing;
        self.at += 1;
    }

    /// The first choice that did not fit, after an execution that ended at this step: with a violation if it was cut
    /// short there, so that what was to follow says nothing.
    pub(crate) fn misfit(&mut self, end: u32, cut_short: bool) -> Option<Misfit> {
        while self.choices.get(self.at).is_some_and(|(step, _)| !cut_short || *step < end) {
            self.pass();
        }
        self.misfit
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
            self.pass();
        }
        match self.choices.get(self.at) {
            Some((step, thread)) if *step == decision.step => {
                let thread = usize::from(*thread);
                if decision.options.contains(&thread) {
                    self.met = Met::Made;
                    return thread;
                }
                self.met = Met::Step;
                decision.default
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
