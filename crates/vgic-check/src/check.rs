//! [`check`]: a scenario in a design, searched; what is found is made short and told.

use crate::explore::bounded::Bounded;
use crate::explore::knowledge::Knowledge;
use crate::explore::run::{Batch, Ended, run};
use crate::explore::shrink::{replay, shrink};
use crate::explore::strategy::{Pct, Random, Strategy};
use crate::platform::ctx::Ctx;
use crate::scenario::find;
use crate::story::{Story, choices};
use crate::violation::Violation;
use core::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Which schedules are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// All with at most so many preemptions, the fewest first.
    Bounded {
        /// The bound.
        preemptions: u32,
    },
    /// At random.
    Random,
    /// At random by priorities that change at so many places, less one.
    Pct {
        /// The depth of the defects that it is good at.
        depth: u32,
    },
    /// One: the schedule of a story.
    Replay(String),
}

/// How to search.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which schedules.
    pub search: Search,
    /// Seed of the random ones, and of scenarios that draw their operations.
    pub seed: u64,
    /// At most so many executions.
    pub executions: u64,
    /// At most so long; what was found is still made short, for up to a few seconds.
    pub time: Duration,
    /// An execution with so many steps counts as endless.
    pub step_limit: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            search: Search::Bounded { preemptions: 2 },
            seed: 1,
            executions: u64::MAX,
            time: Duration::from_secs(10),
            step_limit: 200_000,
        }
    }
}

/// What a search came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Nothing was found.
    Passed,
    /// The shortest way found to the first violation.
    Violation(Box<Story>),
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it came to.
    pub outcome: Outcome,
    /// Executions of the search.
    pub executions: u64,
    /// Executions in which the finding was made short.
    pub shrinking: u64,
    /// The largest bound of which every schedule was tried.
    pub exhausted: Option<u32>,
    /// Whether all that was asked for was tried: false for random schedules, and where a limit or the caller stopped it.
    pub complete: bool,
    /// Whether the caller stopped it.
    pub stopped: bool,
    /// Steps of the longest execution.
    pub longest: u32,
    /// Plain fields that several threads use, at least one writing, without a common lock. Some are meant to be.
    pub bare: Vec<String>,
    /// How long it took.
    pub time: Duration,
}

impl Report {
    /// The story, if there is one.
    pub fn story(&self) -> Option<&Story> {
        match &self.outcome {
            Outcome::Passed => None,
            Outcome::Violation(story) => Some(story),
        }
    }
}

/// Why nothing was searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// No scenario or no design has this name.
    Unknown,
    /// The schedule cannot be read.
    Schedule,
}

/// Executions between two looks at the clock.
const BATCH: u64 = 64;

/// How long a finding may be made shorter.
const SHRINKING: Duration = Duration::from_secs(4);

/// Searches a scenario in a design; both by name. Ends early when `stop` is true.
pub fn check(scenario: &str, design: &str, options: &Options, stop: &dyn Fn() -> bool) -> Result<Report, Failed> {
    let function = find(scenario, design).ok_or(Failed::Unknown)?;
    check_function(scenario, design, function, options, stop)
}

/// The same for a function that is no scenario; the names are for the story.
pub fn check_function(
    scenario: &str,
    design: &str,
    function: fn(&Ctx),
    options: &Options,
    stop: &dyn Fn() -> bool,
) -> Result<Report, Failed> {
    let mut searcher = Searcher {
        function,
        options,
        stop,
        knowledge: Rc::default(),
        begin: Instant::now(),
        executions: 0,
        longest: 0,
        stopped: false,
    };
    let mut exhausted = None;
    let mut complete = false;
    let found = match &options.search {
        Search::Replay(schedule) => {
            let choices = choices(schedule).ok_or(Failed::Schedule)?;
            complete = true;
            searcher.executions = 1;
            replay(&choices, &searcher.batch(1), true, function).filter(|ended| ended.violation.is_some())
        }
        Search::Random => searcher.search(&(Rc::new(RefCell::new(Random::new(options.seed))) as _)),
        Search::Pct { depth } => searcher.search(&(Rc::new(RefCell::new(Pct::new(options.seed, *depth))) as _)),
        Search::Bounded { preemptions } => {
            let mut found = None;
            for bound in 0..=*preemptions {
                let strategy = Rc::new(RefCell::new(Bounded::new(bound)));
                found = searcher.search(&(Rc::clone(&strategy) as _));
                if found.is_some() || !strategy.borrow().complete {
                    break;
                }
                exhausted = Some(bound);
                complete = bound == *preemptions;
            }
            found
        }
    };
    let mut shrinking = 0;
    let outcome = match found {
        None => Outcome::Passed,
        Some(ended) => {
            let (ended, tried) = searcher.shortest(ended);
            shrinking = tried;
            let violation = ended.violation.as_ref().expect("a finding stays one");
            Outcome::Violation(Box::new(Story::new(scenario, design, &ended, violation)))
        }
    };
    let bare = searcher.knowledge.borrow().bare();
    let Searcher { executions, longest, stopped, begin, .. } = searcher;
    Ok(Report { outcome, executions, shrinking, exhausted, complete, stopped, longest, bare, time: begin.elapsed() })
}

struct Searcher<'a> {
    function: fn(&Ctx),
    options: &'a Options,
    stop: &'a dyn Fn() -> bool,
    knowledge: Rc<RefCell<Knowledge>>,
    begin: Instant,
    executions: u64,
    longest: u32,
    stopped: bool,
}

impl Searcher<'_> {
    fn batch_of(&self, strategy: &Rc<RefCell<dyn Strategy>>, executions: u64) -> Batch {
        Batch {
            strategy: Rc::clone(strategy),
            knowledge: Rc::clone(&self.knowledge),
            step_limit: self.options.step_limit,
            seed: self.options.seed,
            logged: false,
            executions,
        }
    }

    /// A batch whose strategy is still to be set.
    fn batch(&self, executions: u64) -> Batch {
        self.batch_of(&(Rc::new(RefCell::new(Random::new(0))) as _), executions)
    }

    /// Runs until something is found, the strategy has no more, or a limit is met.
    fn search(&mut self, strategy: &Rc<RefCell<dyn Strategy>>) -> Option<Ended> {
        loop {
            let left = self.options.executions.saturating_sub(self.executions).min(BATCH);
            self.stopped |= (self.stop)();
            if left == 0 || self.stopped || self.begin.elapsed() > self.options.time {
                return None;
            }
            let ran = run(&self.batch_of(strategy, left), self.function);
            self.executions += ran.executions;
            self.longest = self.longest.max(ran.longest);
            if ran.last.as_ref().is_some_and(|ended| ended.violation.is_some()) {
                return ran.last;
            }
            if ran.executions < left {
                return None;
            }
        }
    }

    /// The same violation with fewer preemptions and choices, with everything written down; and how many executions
    /// that took.
    fn shortest(&mut self, found: Ended) -> (Ended, u64) {
        let violation = found.violation.clone().expect("a finding");
        let like = |ended: &Ended, v: &Violation| ended.violation.as_ref().is_some_and(|found| found.is_like(v));
        let begin = Instant::now();
        let mut tried = 0;
        let mut choices = found.choices.clone();
        // Few preemptions read best: look there first, for half of the time.
        if !matches!(self.options.search, Search::Bounded { .. }) {
            for bound in 0..found.preemptions.min(3) {
                let strategy: Rc<RefCell<dyn Strategy>> = Rc::new(RefCell::new(Bounded::new(bound)));
                let mut better = None;
                while begin.elapsed() < SHRINKING / 2 && !(self.stop)() {
                    let ran = run(&self.batch_of(&strategy, BATCH), self.function);
                    tried += ran.executions;
                    let found = ran.last.filter(|ended| ended.violation.is_some());
                    let more = ran.executions == BATCH || found.is_some();
                    better = found.filter(|ended| like(ended, &violation));
                    if better.is_some() || !more {
                        break;
                    }
                }
                if let Some(better) = better {
                    choices = better.choices;
                    break;
                }
            }
        }
        let batch = self.batch(1);
        let choices = shrink(
            choices,
            &violation,
            |choices| {
                tried += 1;
                replay(choices, &batch, false, self.function)
            },
            || begin.elapsed() < SHRINKING && !(self.stop)(),
        );
        let told = replay(&choices, &batch, true, self.function).filter(|ended| like(ended, &violation));
        // What was learnt since may have moved the schedule: then what was found first is told.
        let told = told.or_else(|| replay(&found.choices, &batch, true, self.function));
        (told.filter(|ended| ended.violation.is_some()).unwrap_or(found), tried)
    }
}
