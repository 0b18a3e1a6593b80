//! [`World`]: cores in virtual time. The core with the smallest clock runs, by number if several have it, and runs on
//! while it stays the smallest.
//!
//! Each core is a coroutine with a clock of its own. It stops at an access if another core's next event comes before, and
//! where it has to wait. So everything happens in the order of time, and the same seed gives the same run on every host.
//!
//! A core is *ready* (it has one event, at which it goes on), waits for a *line* (the grant is its event), for its stores
//! to *drain*, or is *blocked* until another one wakes it. Nothing else ever has an event of a core, so none is told twice.

use crate::ctx::SimCtx;
use crate::field::Field;
use crate::locks::LockState;
use crate::machine::{Cost, Machine, Ps};
use crate::memory::{Effect, LineId, Memory, Outcome, Want};
use crate::place::Places;
use crate::queue::{NO_LINE, Next, Queue, key};
use crate::random::scramble;
use crate::rcu::Rcu;
use crate::report::{Charges, Spending, Tally, ThreadKind, Threads};
use crate::stuck::Stuck;
use crate::trace::{Trace, TraceEvent};
use crate::virtual_core::{Core, State};
use core::cell::{Cell, RefCell};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::collections::BTreeSet;
use std::rc::Rc;
use vgic_core::Event;

/// Stack of a core.
const STACK: usize = 64 << 10;
/// Accesses without any LPI sent or delivered after which a run is taken to go round in circles.
const PATIENCE: u64 = 5_000_000;

/// A simulated machine that runs.
pub struct World {
    pub(crate) machine: Machine,
    memory: RefCell<Memory>,
    pub(crate) cores: RefCell<Vec<Rc<Core>>>,
    queue: RefCell<Queue>,
    /// The queue's first.
    first: Cell<u64>,
    now: Cell<Ps>,
    running: Cell<usize>,
    pub(crate) places: RefCell<Places>,
    pub(crate) rcu: RefCell<Rcu>,
    pub(crate) locks: RefCell<Vec<LockState>>,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) charged: Charges,
    pub(crate) trace: RefCell<Trace>,
    /// Which core runs a vCPU.
    pub(crate) vcpus: RefCell<Vec<u32>>,
    pub(crate) warnings: RefCell<Vec<&'static str>>,
    seed: u64,
    accesses: Cell<u64>,
    /// Accesses when an LPI was last sent or delivered.
    progress: Cell<u64>,
    measured_from: Cell<Ps>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

impl World {
    /// A machine; it is the one that this thread of the host makes objects for, until the next. `free`: fields
    /// (`vgic_irq.refcount`), lines (`vgic_irq[0]`) and locks whose transfers cost nothing. `trace`: how many events to keep.
    pub fn new(machine: Machine, seed: u64, free: BTreeSet<String>, trace: usize) -> Rc<World> {
        let world = Rc::new(World {
            queue: RefCell::new(Queue::new()),
            first: Cell::new(u64::MAX),
            machine,
            memory: RefCell::default(),
            cores: RefCell::default(),
            now: Cell::new(0),
            running: Cell::new(0),
            places: RefCell::default(),
            rcu: RefCell::new(Rcu::new(seed)),
            locks: RefCell::default(),
            tally: RefCell::new(Tally::new(free)),
            charged: Charges::default(),
            trace: RefCell::new(Trace { limit: trace, events: Vec::new() }),
            vcpus: RefCell::default(),
            warnings: RefCell::default(),
            seed,
            accesses: Cell::new(0),
            progress: Cell::new(0),
            measured_from: Cell::new(0),
        });
        CURRENT.with(|current| current.replace(Some(Rc::clone(&world))));
        world
    }

    /// The machine of this thread of the host.
    pub(crate) fn current() -> Rc<World> {
        CURRENT.with(|current| current.borrow().clone()).expect("a simulated machine")
    }

    /// It is not this thread's any more.
    pub fn leave(&self) {
        CURRENT.with(|current| current.take());
    }

    pub(crate) fn core(&self, number: u32) -> Rc<Core> {
        Rc::clone(&self.cores.borrow()[number as usize])
    }

    pub(crate) fn every_core(&self) -> Vec<Rc<Core>> {
        self.cores.borrow().clone()
    }

    pub(crate) fn know_line(&self, line: LineId) {
        self.memory.borrow_mut().reach(line);
    }

    /// How many accesses there were.
    pub fn accesses(&self) -> u64 {
        self.accesses.get()
    }

    /// The time of the last event.
    pub fn now(&self) -> Ps {
        self.now.get()
    }

    /// Measuring begins: what was before is forgotten. Only the core that runs calls this.
    pub(crate) fn measure(&self, from: Ps) {
        self.measured_from.set(from);
        self.tally.borrow_mut().forget();
        self.charged.forget();
        self.memory.borrow().charged.forget();
        self.cores.borrow().iter().for_each(|core| core.spent.forget());
    }

    /// Measuring ends: where the time went until now, of every thread. Called once.
    pub fn measured(&self, until: Ps) -> Vec<Threads> {
        let from = self.measured_from.get();
        let mut kinds: Vec<Threads> = Vec::new();
        for (kind, name) in ThreadKind::ALL {
            let mut threads = Threads { name, ..Threads::default() };
            for core in self.cores.borrow().iter().filter(|core| core.kind == kind) {
                threads.count += 1;
                // A core that waits has not charged its waiting yet.
                if core.state.get() != State::Done && until > core.clock.get() {
                    core.charge(core.on.get(), until - core.clock.get().max(from));
                }
                let (by, locks) = core.spent.all();
                let mut add = |name: String, time: Ps| *threads.spent.entry(name).or_default() += time;
                Spending::ALL.iter().zip(by).for_each(|((_, name), time)| add((*name).to_owned(), time));
                for (number, time) in (0..).zip(locks).filter(|(_, time)| *time > 0) {
                    add(format!("lock {}", self.tally.borrow().lock_name(number)), time);
                }
            }
            if threads.count > 0 {
                kinds.push(threads);
            }
        }
        kinds
    }

    /// What the fields and locks cost so far.
    pub fn tally(&self) -> Tally {
        self.tally.borrow().clone()
    }

    /// What something costs, which is charged to it from now on.
    #[inline]
    pub(crate) fn cost(&self, cost: Cost) -> Ps {
        let time = self.machine.time(cost);
        self.charged.add(cost, time);
        time
    }

    /// How much time hangs on each value of the machine so far, by name; those that none hangs on are left out.
    pub fn charged(&self) -> Vec<(&'static str, Ps)> {
        let memory = self.memory.borrow();
        let all = Cost::NAMES.iter().enumerate();
        all.map(|(at, name)| (*name, self.charged.get(at) + memory.charged.get(at)))
            .filter(|(_, time)| *time > 0)
            .collect()
    }

    /// The events of the picture.
    pub fn take_trace(&self) -> Vec<TraceEvent> {
        core::mem::take(&mut self.trace.borrow_mut().events)
    }

    /// Names of the cores.
    pub fn core_names(&self) -> Vec<String> {
        self.cores.borrow().iter().map(|core| core.name.clone()).collect()
    }

    /// What the engine warned about.
    pub fn warnings(&self) -> Vec<&'static str> {
        self.warnings.take()
    }

    /// Events counted by all cores.
    pub fn events(&self) -> [u64; Event::COUNT] {
        let mut sum = [0; Event::COUNT];
        for core in self.cores.borrow().iter() {
            sum.iter_mut().zip(core.events()).for_each(|(sum, count)| *sum += count);
        }
        sum
    }

    /// When measuring began.
    pub fn measured_from(&self) -> Ps {
        self.measured_from.get()
    }
}

impl World {
    // Running.

    /// Starts a core. It begins with [`World::run`]; while that runs, nobody starts one.
    pub fn spawn(self: &Rc<Self>, name: &str, f: impl FnOnce(&SimCtx) + 'static) -> u32 {
        let number = self.cores.borrow().len() as u32;
        assert!(number < self.machine.cores, "the machine has only {} cores", self.machine.cores);
        let random = scramble(self.seed, u64::from(number));
        let core = Rc::new(Core::new(number, name, self.now.get(), random));
        let ctx = SimCtx::new(Rc::clone(self), Rc::clone(&core));
        let stack = DefaultStack::new(STACK).expect("memory for a stack");
        let thread = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            ctx.core().yielder.set(yielder);
            f(&ctx);
            ctx.world.drain(ctx.core());
        });
        core.thread.replace(Some(thread));
        self.queue.borrow_mut().reach(number);
        self.push(core.clock.get(), number, NO_LINE);
        self.cores.borrow_mut().push(core);
        self.running.set(self.running.get() + 1);
        number
    }

    /// Runs until every core has ended, and calls `now_and_then` from time to time. If it returns `Err`, the cores stay where
    /// they are for ever: leak the world.
    pub fn run(&self, mut now_and_then: impl FnMut()) -> Result<(), Stuck> {
        let mut events = 0_u32;
        // Nobody starts a core while they run.
        let cores = self.cores.borrow();
        while self.running.get() > 0 {
            let Some(next) = self.with_queue(Queue::pop) else { return Err(self.stuck("deadlock")) };
            let Next { at, core: number, line, detached } = next;
            events = events.wrapping_add(1);
            if events % (1 << 14) == 0 {
                now_and_then();
            }
            if self.accesses.get() - self.progress.get() > PATIENCE {
                return Err(self.stuck("livelock"));
            }
            self.now.set(at);
            let core = &cores[number as usize];
            if line != NO_LINE {
                let mut memory = self.memory.borrow_mut();
                let granted = memory.grant(&self.machine, line, number, at);
                self.take_effects(&mut memory);
                drop(memory);
                if !granted {
                    continue;
                }
                if detached {
                    let mut stores = core.stores.borrow_mut();
                    stores.retain(|store| *store != line);
                    core.storing.set(stores.len());
                    let State::Drain { most, line } = core.state.get() else { continue };
                    if stores.len() > most || stores.contains(&line) {
                        continue;
                    }
                }
            }
            core.clock.set(core.clock.get().max(at));
            core.state.set(State::Ready);
            let ended = {
                let mut thread = core.thread.borrow_mut();
                thread.as_mut().is_none_or(|thread| matches!(thread.resume(()), CoroutineResult::Return(())))
            };
            if ended {
                core.thread.take();
                core.state.set(State::Done);
                self.running.set(self.running.get() - 1);
            }
        }
        Ok(())
    }

    /// Changes the queue; its first is at hand from then on.
    #[inline]
    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        let mut queue = self.queue.borrow_mut();
        let result = f(&mut queue);
        self.first.set(queue.first());
        result
    }

    #[inline]
    pub(crate) fn push(&self, at: Ps, core: u32, line: LineId) {
        self.with_queue(|queue| queue.push(at, core, line));
    }

    /// What the memory set off.
    fn take_effects(&self, memory: &mut Memory) {
        while let Some(effect) = memory.effects.pop_front() {
            match effect {
                Effect::Grant { at, core, line, queued, detached } => {
                    if detached {
                        self.with_queue(|queue| queue.push_detached(at, core, line));
                    } else {
                        self.cores.borrow()[core as usize].queued.set(queued);
                        self.push(at, core, line);
                    }
                }
                Effect::Written { core, line } => {
                    // It may have given up watching.
                    let watches = self.cores.borrow()[core as usize].watches.get() == line;
                    if watches {
                        self.wake(core, self.now.get());
                    }
                }
            }
        }
    }

    /// A blocked core goes on at a time, or at its own if that is later.
    pub(crate) fn wake(&self, number: u32, at: Ps) {
        let cores = self.cores.borrow();
        let core = &cores[number as usize];
        if let State::Blocked(_) = core.state.get() {
            core.state.set(State::Ready);
            self.push(at.max(core.clock.get()), number, NO_LINE);
        }
    }

    /// Lets the others run until this core's next event; returns how much of the time until then is measured. Should
    /// measuring end before, it goes to `on`.
    fn give_way(&self, core: &Core, state: State, on: Spending) -> Ps {
        let before = core.clock.get();
        core.state.set(state);
        core.on.set(on);
        // SAFETY: X-01: the coroutine set it when it began, and runs: it is this one that calls.
        unsafe { (*core.yielder.get()).suspend(()) }
        // Whoever began to measure may have been ahead of this core.
        core.clock.get().saturating_sub(before.max(self.measured_from.get()))
    }

    /// Lets the others run until this core's next event; the time until then goes to `on`.
    pub(crate) fn suspend(&self, core: &Core, state: State, on: Spending) {
        let waited = self.give_way(core, state, on);
        core.charge(on, waited);
    }

    /// Lets run whoever comes before this core.
    #[inline]
    pub(crate) fn in_order(&self, core: &Core) {
        let now = core.clock.get();
        // Now and then also the one that runs alone stops, so that somebody looks whether it gets anywhere.
        if self.first.get() < key(now, core.number) || self.accesses.get() % (1 << 16) == 0 {
            self.push(now, core.number, NO_LINE);
            self.suspend(core, State::Ready, Spending::Hits);
        } else {
            self.now.set(now);
        }
    }

    /// One access; returns when it takes effect.
    #[inline]
    pub(crate) fn access(&self, core: &Core, field: &Field, want: Want) {
        if !self.begin(core, field, want != Want::Read) {
            return;
        }
        if core.stores(field.line) {
            if want == Want::Read {
                // From the core's own store buffer.
                return;
            }
            self.wait_for_stores(core, usize::MAX, field.line);
        }
        if self.request(core, field, want, false) == Outcome::Hit {
            return;
        }
        let stalled = self.give_way(core, State::Line, Spending::Transfers);
        let queued = core.queued.get().min(stalled);
        core.charge(Spending::Queueing, queued);
        core.charge(Spending::Transfers, stalled - queued);
        self.tally.borrow_mut().miss(field, core, want != Want::Read, stalled);
    }

    /// A store, which the core does not wait for while its store buffer has room.
    #[inline]
    pub(crate) fn store(&self, core: &Core, field: &Field) {
        let room = self.machine.store_buffer as usize;
        if room == 0 {
            return self.access(core, field, Want::Write);
        }
        if !self.begin(core, field, true) || core.stores(field.line) {
            return;
        }
        if self.request(core, field, Want::Write, true) == Outcome::Hit {
            return;
        }
        let now = core.clock.get();
        core.stores.borrow_mut().push(field.line);
        core.storing.set(core.storing.get() + 1);
        self.wait_for_stores(core, room, NO_LINE);
        self.charged.add(Cost::store_buffer, core.clock.get() - now);
        self.tally.borrow_mut().miss(field, core, true, core.clock.get() - now);
    }

    /// Asks for a line at the core's time; `detached`: the core goes on meanwhile.
    #[inline]
    fn request(&self, core: &Core, field: &Field, want: Want, detached: bool) -> Outcome {
        let mut memory = self.memory.borrow_mut();
        let outcome = memory.access(&self.machine, field.line, core.number, want, detached, core.clock.get());
        self.take_effects(&mut memory);
        outcome
    }

    /// What every access begins with; false if it costs nothing more.
    #[inline]
    fn begin(&self, core: &Core, field: &Field, write: bool) -> bool {
        self.accesses.set(self.accesses.get() + 1);
        core.spend(Spending::Hits, self.cost(Cost::step));
        core.remember(field.kind, write);
        self.in_order(core);
        self.tally.borrow().access(field, write);
        !field.free
    }

    /// Waits until at most so many stores are on their way, and none to a line.
    #[inline]
    fn wait_for_stores(&self, core: &Core, most: usize, line: LineId) {
        let wait = core.storing.get() > most || core.stores(line);
        if wait {
            self.suspend(core, State::Drain { most, line }, Spending::Transfers);
        }
    }

    /// Waits until every store of the core is done: a barrier, a release.
    #[inline]
    pub(crate) fn drain(&self, core: &Core) {
        self.wait_for_stores(core, 0, NO_LINE);
    }

    /// The core has just made an atomic access to a field, and has others ready.
    #[inline]
    pub(crate) fn go_on(&self, core: &Core, field: &Field) {
        self.memory.borrow_mut().go_on(&self.machine, field.line, core.number, core.clock.get());
    }

    /// Waits for the next write to the line of a field that was just read.
    pub(crate) fn wait_for_write(&self, core: &Core, field: &Field, why: &'static str) {
        self.memory.borrow_mut().watch(field.line, core.number);
        core.watches.set(field.line);
        self.block(core, why, Spending::Queueing);
        core.watches.set(NO_LINE);
    }

    /// Waits until somebody wakes it.
    pub(crate) fn block(&self, core: &Core, why: &'static str, on: Spending) {
        self.suspend(core, State::Blocked(why), on);
    }

    /// Sleeps until a time.
    pub(crate) fn sleep_until(&self, core: &Core, at: Ps, on: Spending) {
        if at > core.clock.get() {
            core.asleep.set(true);
            self.tell_spinners(core);
            self.push(at, core.number, NO_LINE);
            self.suspend(core, State::Ready, on);
            core.asleep.set(false);
        }
    }

    /// Who spins for a mutex of a core that goes to sleep looks again.
    fn tell_spinners(&self, core: &Core) {
        for mutex in core.mutexes.borrow().iter() {
            let spinners = self.locks.borrow()[*mutex as usize].queue.clone();
            spinners.into_iter().for_each(|spinner| self.wake(spinner, core.clock.get()));
        }
    }

    /// The guest goes forward: not a livelock.
    pub(crate) fn note_progress(&self) {
        self.progress.set(self.accesses.get());
    }
}
