//! [`check`]: a scenario in a design, searched; what is found is made short and told.

use crate::explore::bounded::Bounded;
use crate::explore::knowledge::Knowledge;
use crate::explore::run::{Batch, Ended, Function, Programs, run};
use crate::explore::shrink::{replay, shrink};
use crate::explore::strategy::{Misfit, Pct, Random, Replay, Strategy};
use crate::platform::ctx::Ctx;
use crate::platform::world::Program;
use crate::scenario::find;
use crate::story::{Met, Schedule, Story};
use crate::violation::Violation;
use core::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vgic_core::Design;
use vgic_core::designs::Composed;

/// Which schedules are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// All with at most so many preemptions, the fewest first.
    Bounded {
        /// The bound.
        preemptions: u32,
    },
    /// At random. A scenario that draws its operations draws others for each execution.
    Random,
    /// At random by priorities that change at so many places, less one; operations as with [`Search::Random`].
    Pct {
        /// The depth of the defects that it is good at.
        depth: u32,
    },
    /// One: the schedule of a story. One that does not fit is refused: another would be played, and say nothing of it.
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
    /// At most so long, so that nobody waits for ever; `None`: as long as it takes. What is found does not depend on it
    /// unless it ends the search ([`End::Time`]), nor does how short a story gets.
    pub time: Option<Duration>,
    /// An execution with so many steps counts as endless.
    pub step_limit: u32,
    /// Whether the search goes on after it has found something, until it has found so many different things.
    pub findings: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            search: Search::Bounded { preemptions: 2 },
            seed: 1,
            executions: u64::MAX,
            time: None,
            step_limit: 200_000,
            findings: 1,
        }
    }
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All that was asked for was tried; never so of random schedules.
    Complete,
    /// As many findings as were asked for.
    Found,
    /// [`Options::executions`].
    Executions,
    /// [`Options::time`].
    Time,
    /// The caller stopped it.
    Stopped,
}

/// What was done, and what it came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Each violation by its shortest way found, in the order in which they were met; none: nothing was found.
    pub stories: Vec<Story>,
    /// Executions of the search.
    pub executions: u64,
    /// Executions in which the findings were made short.
    pub shrinking: u64,
    /// The largest bound of which every schedule was tried.
    pub exhausted: Option<u32>,
    /// Why it ended.
    pub end: End,
    /// Steps of the longest execution.
    pub longest: u32,
    /// Plain fields that several threads use, at least one writing, without a common lock. Some are meant to be.
    pub bare: Vec<String>,
    /// How long it took.
    pub time: Duration,
}

impl Report {
    /// The first story, if there is one.
    pub fn story(&self) -> Option<&Story> {
        self.stories.first()
    }

    /// Whether all that was asked for was tried.
    pub fn complete(&self) -> bool {
        self.end == End::Complete
    }
}

/// Why nothing was searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// No scenario has this name.
    Unknown,
    /// The schedule cannot be read.
    Schedule,
    /// The schedule is not one of this scenario in this design.
    Misfit(Misfit),
}

/// Executions between two looks at the clock.
const BATCH: u64 = 64;

/// Executions in which a finding may be made shorter: seconds, but counted, so that every machine tells the same story.
const SHRINKING: u64 = 8_000;

/// Executions in which a smaller program is tried.
const TRYING: u64 = 1_000;

/// Searches a scenario, by name, in a design. Ends early when `stop` is true.
pub fn check(scenario: &str, design: Composed, options: &Options, stop: &dyn Fn() -> bool) -> Result<Report, Failed> {
    let run = find(scenario).ok_or(Failed::Unknown)?;
    check_function(scenario, design.name(), move |ctx| run(ctx, design), options, stop)
}

/// One execution of a function with a schedule, told from its beginning to its end: also one that breaks no rule, whose
/// story then says nothing in `what`.
pub fn trace_function(
    scenario: &str,
    design: &str,
    function: impl Fn(&Ctx) + Send + Sync + 'static,
    schedule: &str,
    options: &Options,
) -> Result<Story, Failed> {
    let batch = |strategy, programs| Batch {
        strategy,
        knowledge: Rc::default(),
        step_limit: options.step_limit,
        seed: options.seed,
        programs,
        logged: true,
        executions: 1,
    };
    let ended = played(schedule, &(Arc::new(function) as Function), batch)?;
    let violation = ended.violation.clone().unwrap_or_else(Violation::none);
    let met = Met { execution: 1, time: Duration::ZERO, times: 1 };
    Ok(Story::new(scenario, design, options.seed, &ended, &violation, met))
}

/// The same for a function that is no scenario; the names are for the story.
pub fn check_function(
    scenario: &str,
    design: &str,
    function: impl Fn(&Ctx) + Send + Sync + 'static,
    options: &Options,
    stop: &dyn Fn() -> bool,
) -> Result<Report, Failed> {
    let mut searcher = Searcher {
        function: Arc::new(function),
        options,
        stop,
        knowledge: Rc::default(),
        begin: Instant::now(),
        executions: 0,
        shrinking: 0,
        longest: 0,
        found: Vec::new(),
        known: HashMap::new(),
    };
    let mut exhausted = None;
    let end = match &options.search {
        Search::Replay(schedule) => {
            let batch = |strategy, programs| searcher.batch_of(&strategy, programs, 1);
            let ended = played(schedule, &searcher.function, batch)?;
            searcher.executions = 1;
            searcher.longest = ended.world.step();
            searcher.note(ended);
            End::Complete
        }
        Search::Random => searcher.search(&shared(Random::new(options.seed)), true),
        Search::Pct { depth } => searcher.search(&shared(Pct::new(options.seed, *depth)), true),
        Search::Bounded { preemptions } => {
            let mut end = End::Complete;
            for bound in 0..=*preemptions {
                end = searcher.search(&shared(Bounded::new(bound)), false);
                if end != End::Complete {
                    break;
                }
                exhausted = Some(bound);
            }
            end
        }
    };
    let stories = searcher.stories(scenario, design);
    let bare = searcher.knowledge.borrow().bare();
    let Searcher { executions, shrinking, longest, begin, .. } = searcher;
    Ok(Report { stories, executions, shrinking, exhausted, end, longest, bare, time: begin.elapsed() })
}

/// The execution of a schedule, which must be one of this function.
fn played(
    schedule: &str,
    function: &Function,
    batch: impl FnOnce(Rc<RefCell<dyn Strategy>>, Programs) -> Batch,
) -> Result<Ended, Failed> {
    let Schedule { program, choices } = schedule.parse().map_err(|()| Failed::Schedule)?;
    let strategy = Rc::new(RefCell::new(Replay::new(choices)));
    let batch = batch(Rc::clone(&strategy) as _, Programs::One(program));
    let ended = run(&batch, function).last.expect("one execution runs");
    let misfit = strategy.borrow_mut().misfit(ended.world.step(), ended.violation.is_some());
    match misfit_of(program, &ended).or(misfit) {
        Some(misfit) => Err(Failed::Misfit(misfit)),
        None => Ok(ended),
    }
}

/// Whether the program of a schedule is one that the scenario has drawn.
fn misfit_of(program: Program, ended: &Ended) -> Option<Misfit> {
    let left_out = u64::BITS - program.without.leading_zeros();
    let fits = program == Program::default() || ended.program.is_some() && left_out <= ended.world.operations();
    (!fits).then_some(Misfit::Program)
}

fn shared(strategy: impl Strategy + 'static) -> Rc<RefCell<dyn Strategy>> {
    Rc::new(RefCell::new(strategy))
}

/// A violation, and the best way to it so far.
struct Found {
    violation: Violation,
    program: Program,
    /// How many operations were drawn for it.
    operations: u32,
    choices: Vec<(u32, u8)>,
    preemptions: u32,
    met: Met,
}

impl Found {
    fn is_like(&self, ended: &Ended) -> bool {
        ended.violation.as_ref().is_some_and(|violation| violation.is_like(&self.violation))
    }

    /// Takes a way that is shorter.
    fn take(&mut self, ended: Ended) {
        self.program = ended.program.unwrap_or_default();
        self.operations = ended.world.operations();
        self.preemptions = ended.preemptions;
        self.choices = ended.choices;
    }

    fn weight(ended: &Ended) -> (u32, usize) {
        (ended.preemptions, ended.choices.len())
    }
}

struct Searcher<'a> {
    function: Function,
    options: &'a Options,
    stop: &'a dyn Fn() -> bool,
    knowledge: Rc<RefCell<Knowledge>>,
    begin: Instant,
    executions: u64,
    shrinking: u64,
    longest: u32,
    found: Vec<Found>,
    /// Place of each signature among those.
    known: HashMap<String, usize>,
}

impl Searcher<'_> {
    fn batch_of(&self, strategy: &Rc<RefCell<dyn Strategy>>, programs: Programs, executions: u64) -> Batch {
        Batch {
            strategy: Rc::clone(strategy),
            knowledge: Rc::clone(&self.knowledge),
            step_limit: self.options.step_limit,
            seed: self.options.seed,
            programs,
            logged: false,
            executions,
        }
    }

    /// A batch of one program, whose strategy is still to be set.
    fn batch(&self, program: Program, executions: u64) -> Batch {
        self.batch_of(&shared(Random::new(0)), Programs::One(program), executions)
    }

    /// Runs until enough is found, the strategy has no more, or a limit is met.
    fn search(&mut self, strategy: &Rc<RefCell<dyn Strategy>>, many_programs: bool) -> End {
        loop {
            let left = self.options.executions.saturating_sub(self.executions).min(BATCH);
            if (self.stop)() {
                return End::Stopped;
            }
            if left == 0 {
                return End::Executions;
            }
            if self.options.time.is_some_and(|time| self.begin.elapsed() > time) {
                return End::Time;
            }
            let programs = match many_programs {
                true => Programs::From(self.executions),
                false => Programs::One(Program::default()),
            };
            let ran = run(&self.batch_of(strategy, programs, left), &self.function);
            self.executions += ran.executions;
            self.longest = self.longest.max(ran.longest);
            let found = ran.last.is_some_and(|ended| self.note(ended));
            if self.found.len() >= self.options.findings {
                return End::Found;
            }
            if ran.executions < left && !found {
                return End::Complete;
            }
        }
    }

    /// Keeps what an execution has found; whether it has found anything.
    fn note(&mut self, ended: Ended) -> bool {
        let Some(violation) = ended.violation.clone() else { return false };
        if let Some(at) = self.known.get(&violation.signature) {
            let found = &mut self.found[*at];
            found.met.times += 1;
            if Found::weight(&ended) < (found.preemptions, found.choices.len()) {
                found.take(ended);
            }
            return true;
        }
        self.known.insert(violation.signature.clone(), self.found.len());
        let met = Met { execution: self.executions, time: self.begin.elapsed(), times: 1 };
        let mut found =
            Found { violation, program: Program::default(), operations: 0, choices: Vec::new(), preemptions: 0, met };
        found.take(ended);
        self.found.push(found);
        true
    }

    fn stories(&mut self, scenario: &str, design: &str) -> Vec<Story> {
        let found = core::mem::take(&mut self.found);
        let share = 4 * SHRINKING / found.len().max(1) as u64;
        let shrinks = !matches!(self.options.search, Search::Replay(_));
        let budget = if shrinks { share.clamp(SHRINKING / 4, SHRINKING) } else { 0 };
        let tell = |found| {
            let (ended, found) = self.shortest(found, budget)?;
            let violation = ended.violation.as_ref()?;
            Some(Story::new(scenario, design, self.options.seed, &ended, violation, found.met))
        };
        found.into_iter().filter_map(tell).collect()
    }

    /// The same violation with fewer operations, preemptions and choices, with everything written down. `budget`:
    /// executions to try them in.
    fn shortest(&mut self, mut found: Found, budget: u64) -> Option<(Ended, Found)> {
        let end = self.shrinking + budget;
        let first = (found.program, found.choices.clone());
        if !matches!(self.options.search, Search::Bounded { .. }) {
            // A long random schedule gets much shorter soon; then a search for fewer preemptions has less to do.
            if let Some(better) = self.fewer_choices(&found, budget / 4) {
                found.take(better);
            }
            if found.preemptions > 0 {
                if let Some(better) = self.within(&found, found.program, found.preemptions - 1, budget / 4) {
                    found.take(better);
                }
            }
        }
        // Operations that it does without.
        for operation in (0..found.operations).rev() {
            let program = Program { without: found.program.without | 1 << operation, ..found.program };
            if program == found.program || self.shrinking >= end {
                continue;
            }
            if let Some(better) = self.within(&found, program, found.preemptions, TRYING.min(budget / 8)) {
                found.take(better);
            }
        }
        let left = end.saturating_sub(self.shrinking);
        if let Some(better) = self.fewer_choices(&found, left) {
            found.take(better);
        }
        let told = replay(&found.choices, &self.batch(found.program, 1), true, &self.function);
        let told = told.filter(|ended| found.is_like(ended));
        // If the execution was not the same again, what was found first is told.
        let told = told.or_else(|| replay(&first.1, &self.batch(first.0, 1), true, &self.function));
        told.filter(|ended| ended.violation.is_some()).map(|ended| (ended, found))
    }

    /// The same violation with fewer choices, as far as `budget` executions go.
    fn fewer_choices(&mut self, found: &Found, budget: u64) -> Option<Ended> {
        let batch = self.batch(found.program, 1);
        let tried = Cell::new(0);
        let choices = shrink(
            found.choices.clone(),
            &found.violation,
            |choices| {
                tried.set(tried.get() + 1);
                replay(choices, &batch, false, &self.function)
            },
            || tried.get() < budget && !(self.stop)(),
        );
        self.shrinking += tried.get();
        replay(&choices, &batch, false, &self.function).filter(|ended| found.is_like(ended))
    }

    /// The same violation in a program, with at most so many preemptions, as far as `budget` executions go.
    fn within(&mut self, found: &Found, program: Program, preemptions: u32, budget: u64) -> Option<Ended> {
        let end = self.shrinking + budget;
        for bound in 0..=preemptions.min(2) {
            let strategy = shared(Bounded::new(bound));
            let batch = self.batch_of(&strategy, Programs::One(program), BATCH);
            while self.shrinking < end && !(self.stop)() {
                let ran = run(&batch, &self.function);
                self.shrinking += ran.executions;
                let violated = ran.last.filter(|ended| ended.violation.is_some());
                let more = ran.executions == BATCH || violated.is_some();
                let like = violated.filter(|ended| found.is_like(ended));
                if like.is_some() || !more {
                    if like.is_some() {
                        return like;
                    }
                    break;
                }
            }
        }
        None
    }
}
