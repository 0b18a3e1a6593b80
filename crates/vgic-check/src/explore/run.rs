//! Runs executions: shuttle switches the stacks, the world says to whom.

use super::knowledge::Knowledge;
use super::strategy::Strategy;
use crate::platform::ctx::Ctx;
use crate::platform::log::Line;
use crate::platform::world::{MAIN, Program, World};
use crate::violation::Violation;
use core::cell::{Cell, RefCell};
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use std::rc::Rc;
use std::sync::Arc;

/// What one execution came to.
pub(crate) struct Ended {
    pub(crate) violation: Option<Violation>,
    pub(crate) choices: Vec<(u32, u8)>,
    pub(crate) preemptions: u32,
    /// The program, if the scenario has drawn one.
    pub(crate) program: Option<Program>,
    pub(crate) log: Vec<Line>,
    pub(crate) world: Rc<World>,
}

/// Which programs the executions of a batch run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Programs {
    /// Always the same.
    One(Program),
    /// Another one each time, from this number on.
    From(u64),
}

impl Programs {
    fn of(self, execution: u64) -> Program {
        match self {
            Programs::One(program) => program,
            Programs::From(number) => Program { number: number + execution, without: 0 },
        }
    }
}

/// What one call of [`run`] shares with shuttle.
pub(crate) struct Batch {
    pub(crate) strategy: Rc<RefCell<dyn Strategy>>,
    pub(crate) knowledge: Rc<RefCell<Knowledge>>,
    pub(crate) step_limit: u32,
    /// For the scenario.
    pub(crate) seed: u64,
    pub(crate) programs: Programs,
    pub(crate) logged: bool,
    /// At most so many executions.
    pub(crate) executions: u64,
}

/// Stack of a thread: the engine is shallow, but a story is told from it.
const STACK: usize = 128 << 10;

/// One execution.
pub(crate) type Function = Arc<dyn Fn(&Ctx) + Send + Sync>;

/// What a batch came to.
pub(crate) struct Ran {
    /// The last execution: the one that has found something, if any has.
    pub(crate) last: Option<Ended>,
    pub(crate) executions: u64,
    /// Steps of the longest.
    pub(crate) longest: u32,
}

/// Runs executions until the strategy has no more, the batch is full, or one has found something.
pub(crate) fn run(batch: &Batch, scenario: &Function) -> Ran {
    crate::quiet::install();
    let mut config = shuttle::Config::new();
    config.stack_size = STACK;
    config.failure_persistence = shuttle::FailurePersistence::None;
    config.max_steps = shuttle::MaxSteps::None;
    config.silence_warnings = true;
    let _leave = Leave;
    let shared = Rc::new(Shared::default());
    let director = Director {
        batch: Batch { strategy: Rc::clone(&batch.strategy), knowledge: Rc::clone(&batch.knowledge), ..*batch },
        shared: Rc::clone(&shared),
    };
    let scenario = Arc::clone(scenario);
    shuttle::Runner::new(director, config).run(move || {
        let scenario = Arc::clone(&scenario);
        let ctx = Ctx { world: World::current(), id: MAIN };
        let first = move |ctx: &Ctx| {
            scenario(ctx);
            crate::platform::rcu::close(ctx);
        };
        crate::platform::body(&ctx, Box::new(first));
        ctx.world.end_of(MAIN);
    });
    Ran { last: shared.last.take(), executions: shared.executions.get(), longest: shared.longest.get() }
}

/// Afterwards no execution runs on this thread of the machine.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        World::leave();
    }
}

#[derive(Default)]
struct Shared {
    world: RefCell<Option<Rc<World>>>,
    last: RefCell<Option<Ended>>,
    executions: Cell<u64>,
    longest: Cell<u32>,
}

/// shuttle's scheduler, which does as the world says.
struct Director {
    batch: Batch,
    shared: Rc<Shared>,
}

impl Director {
    /// Looks at the execution that has ended; whether it has found something.
    fn look_back(&self) -> bool {
        let Some(world) = self.shared.world.take() else { return false };
        let violation = world.take_violation();
        let found = violation.is_some();
        self.shared.longest.set(self.shared.longest.get().max(world.step()));
        let ended = Ended {
            violation,
            choices: world.choices(),
            preemptions: world.preemptions(),
            program: world.program(),
            log: world.take_log(),
            world,
        };
        *self.shared.last.borrow_mut() = Some(ended);
        self.shared.executions.set(self.shared.executions.get() + 1);
        found
    }
}

impl Scheduler for Director {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.look_back() || self.shared.executions.get() >= self.batch.executions {
            return None;
        }
        let version = self.batch.knowledge.borrow().version();
        if !self.batch.strategy.borrow_mut().next(version) {
            return None;
        }
        let (strategy, knowledge) = (Rc::clone(&self.batch.strategy), Rc::clone(&self.batch.knowledge));
        let program = self.batch.programs.of(self.shared.executions.get());
        let Batch { step_limit, seed, logged, .. } = self.batch;
        let world = World::new(strategy, knowledge, step_limit, seed, program, logged);
        *self.shared.world.borrow_mut() = Some(world);
        Some(Schedule::new(0))
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, _yields: bool) -> Option<TaskId> {
        let world = World::current();
        if world.stopped() {
            return None;
        }
        let is = |id: usize| runnable.iter().map(|task| task.id()).find(|task| usize::from(*task) == id);
        if let Some(task) = is(world.running()) {
            return Some(task);
        }
        let ended = current.map_or(MAIN, usize::from);
        world.after_end(ended).and_then(is)
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}
