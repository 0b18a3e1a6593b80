//! [`explore`]: every execution of a model, up to a bound of preemptions, until one breaks a rule.

use crate::platform::{Ctx, MAX_THREADS, rcu, world};
use crate::story::Story;
use crate::weaken::{self, Site};
use core::any::Any;
use core::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, Instant};
use vgic_check::text_of_panic;

/// How to search.
#[derive(Clone, Debug)]
pub struct Options {
    /// At most so many preemptions in an execution; any number if `None`.
    pub preemptions: Option<usize>,
    /// At most so long, so that nobody waits for ever; a search that this ends is not complete.
    pub time: Duration,
    /// An execution with so many accesses counts as endless.
    pub accesses: usize,
    /// Whose order is taken away.
    pub weakened: Option<Site>,
}

impl Default for Options {
    fn default() -> Self {
        Options { preemptions: None, time: Duration::from_secs(1200), accesses: 20_000, weakened: None }
    }
}

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Executions.
    pub executions: u64,
    /// Whether all were tried: false where the time was up, a violation was found, or loom gave up.
    pub complete: bool,
    /// What loom says where its own bookkeeping fails, as it does in a program that depends on chance. That is no
    /// finding, and no pass.
    pub gave_up: Option<String>,
    /// What was broken, if anything was.
    pub violation: Option<Story>,
    /// The places that asked for an order.
    pub met: BTreeSet<Site>,
    /// How long it took.
    pub time: Duration,
}

/// Executions between two looks at the clock.
const BATCH: usize = 64;

thread_local! {
    static EXECUTIONS: Cell<u64> = const { Cell::new(0) };
    static EXPLORING: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// The first panic of an execution.
struct Panic {
    text: String,
    /// Whether it is an assertion of loom's about itself.
    inside_loom: bool,
}

impl Panic {
    /// One that the hook has not seen: it is the process's, and the library of loom's stacks exchanges it for a moment
    /// where it takes one away.
    fn unseen(payload: &dyn Any) -> Self {
        let text = text_of_panic(payload).unwrap_or_default().to_owned();
        // Where it was is not known, so an assertion is taken for loom's: the search is not complete either way.
        let inside_loom = text.starts_with("assertion `");
        Self { text, inside_loom }
    }
}

/// Runs `model` in every way that loom tells apart.
pub fn explore(options: &Options, model: impl Fn(&Ctx) + Send + Sync + 'static) -> Report {
    watch_panics();
    let begin = Instant::now();
    EXECUTIONS.set(0);
    PANIC.set(None);
    weaken::set(options.weakened);
    let mut builder = loom::model::Builder::new();
    builder.max_threads = MAX_THREADS;
    builder.max_branches = options.accesses;
    builder.preemption_bound = options.preemptions;
    builder.max_duration = Some(options.time);
    builder.checkpoint_interval = BATCH;
    builder.max_permutations = None;
    EXPLORING.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            EXECUTIONS.set(EXECUTIONS.get() + 1);
            world::begin();
            let ctx = Ctx { id: world::MAIN };
            model(&ctx);
            rcu::close(&ctx);
            world::end();
        });
    }));
    EXPLORING.set(false);
    let panic = result.err().map(|payload| PANIC.take().unwrap_or_else(|| Panic::unseen(&*payload)));
    let (threads, steps) = world::with(world::World::take_steps);
    let (violation, gave_up) = match panic {
        None => (None, None),
        Some(panic) if panic.inside_loom => (None, Some(panic.text)),
        Some(panic) => (Some(Story::new(panic.text, threads, steps)), None),
    };
    world::end();
    let (executions, time) = (EXECUTIONS.get(), begin.elapsed());
    // loom looks at the clock before each BATCH-th execution, and says nothing where it stops.
    let cut_short = (executions + 1) % BATCH as u64 == 0 && time >= options.time;
    let complete = violation.is_none() && gave_up.is_none() && !cut_short;
    Report { executions, complete, gave_up, violation, met: weaken::met(), time }
}

/// Panics of a model are findings: they are kept instead of being printed, and end the execution.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !EXPLORING.get() {
                return before(info);
            }
            world::stop();
            let text = text_of_panic(info.payload()).unwrap_or_default().to_owned();
            let own = |file: &str| file.ends_with("rt/atomic.rs") || file.ends_with("rt/path.rs");
            let inside_loom = text.starts_with("assertion `") && info.location().is_some_and(|at| own(at.file()));
            PANIC.with_borrow_mut(|panic| {
                panic.get_or_insert(Panic { text, inside_loom });
            });
        }));
    });
}
