//! [`World`]: one execution. Its threads, who of them runs, and what became of it.
//!
//! shuttle gives each thread a stack and switches between them on one thread of the machine; everything else is here:
//! who waits for what, who may run, and at which accesses the strategy is asked. So a deadlock is known with its
//! reasons, and a point where nobody else could matter costs nothing.

use super::field::{Access, Field, MAX_THREADS, Object};
use super::locks::Held;
use super::log::{Did, Line};
use super::objects::Objects;
use super::rcu::Rcu;
use crate::explore::knowledge::Knowledge;
use crate::explore::strategy::{Decision, Strategy};
use crate::violation::{Rule, Violation, signature};
use core::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use vgic_core::Event;

/// A value in an object, which must be `Sync`. One thread of the machine uses it.
#[derive(Debug, Default)]
pub(crate) struct WorldCell<T>(Mutex<T>);

impl<T> WorldCell<T> {
    pub(crate) fn new(value: T) -> Self {
        WorldCell(Mutex::new(value))
    }
    pub(crate) fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    pub(crate) fn update(&self, f: impl FnOnce(&mut T)) {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
    pub(crate) fn set(&self, value: T) {
        self.update(|old| *old = value);
    }
}

/// What a thread waits for.
#[derive(Clone, Debug)]
pub(crate) enum Wait {
    /// A lock to be free for this kind of holder.
    Lock(Arc<super::locks::LockInner>, super::locks::Mode),
    /// A thread to end.
    Join(usize),
    /// Somebody to wake it.
    Park(Arc<super::locks::ParkerInner>),
    /// Read sections to end: thread and section.
    Readers(Vec<(usize, u32)>, super::rcu::Flavour),
    /// That many callbacks to have run.
    Barrier(u64),
    /// A callback, or the end.
    Callbacks,
}

/// A thread.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) name: String,
    /// What it has set out to do.
    pub(crate) operation: String,
    pub(crate) wait: Option<Wait>,
    pub(crate) done: bool,
    /// In interrupt context: it must not sleep.
    pub(crate) interrupt: bool,
    pub(crate) held: Vec<Held>,
    /// Depth of nested read sections, and which outermost section it is: RCU, SRCU.
    pub(crate) sections: [(u32, u32); 2],
    /// Grows whenever it lets go of something.
    pub(crate) stretch: u32,
}

/// Of each class of locks, who took it in an interrupt, and who with interrupts enabled.
type Usage = HashMap<(&'static str, &'static str), [Option<usize>; 2]>;

/// The first thread, which sets up and cleans up.
pub(crate) const MAIN: usize = 0;

/// One execution.
pub(crate) struct World {
    threads: RefCell<Vec<Thread>>,
    running: Cell<usize>,
    step: Cell<u32>,
    /// Threads that are at work beside the first one.
    active: Cell<u32>,
    stopped: Cell<bool>,
    violation: RefCell<Option<Violation>>,
    log: RefCell<Option<Vec<Line>>>,
    serials: RefCell<BTreeMap<&'static str, u32>>,
    pub(crate) objects: RefCell<Objects>,
    pub(crate) rcu: RefCell<Rcu>,
    pub(crate) usage: RefCell<Usage>,
    events: RefCell<[u64; Event::COUNT]>,
    allocations: Cell<u64>,
    failing: Cell<Option<u64>>,
    choices: RefCell<Vec<(u32, u8)>>,
    preemptions: Cell<u32>,
    strategy: Rc<RefCell<dyn Strategy>>,
    everywhere: bool,
    knowledge: Rc<RefCell<Knowledge>>,
    step_limit: u32,
    seed: u64,
    program: Program,
    /// Whether the scenario has drawn operations, and how many.
    drawn: Cell<bool>,
    operations: Cell<u32>,
}

/// Which operations a scenario executes that draws them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// Number of the drawing; with the seed, it decides.
    pub(crate) number: u64,
    /// Operations that are left out, one bit each.
    pub(crate) without: u64,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

impl World {
    pub(crate) fn new(
        strategy: Rc<RefCell<dyn Strategy>>,
        knowledge: Rc<RefCell<Knowledge>>,
        step_limit: u32,
        seed: u64,
        program: Program,
        logged: bool,
    ) -> Rc<Self> {
        let everywhere = strategy.borrow().everywhere();
        let world = Rc::new(World {
            threads: RefCell::new(Vec::new()),
            running: Cell::new(MAIN),
            step: Cell::new(0),
            active: Cell::new(0),
            stopped: Cell::new(false),
            violation: RefCell::new(None),
            log: RefCell::new(logged.then(Vec::new)),
            serials: RefCell::new(BTreeMap::new()),
            objects: RefCell::new(Objects::default()),
            rcu: RefCell::new(Rcu::default()),
            usage: RefCell::new(HashMap::new()),
            events: RefCell::new([0; Event::COUNT]),
            allocations: Cell::new(0),
            failing: Cell::new(None),
            choices: RefCell::new(Vec::new()),
            preemptions: Cell::new(0),
            everywhere,
            strategy,
            knowledge,
            step_limit,
            seed,
            program,
            drawn: Cell::new(false),
            operations: Cell::new(0),
        });
        world.add_thread("main", false);
        CURRENT.with(|current| current.replace(Some(Rc::clone(&world))));
        world
    }

    /// The execution that runs on this thread of the machine.
    pub(crate) fn current() -> Rc<World> {
        Self::try_current().expect("an execution runs")
    }

    pub(crate) fn try_current() -> Option<Rc<World>> {
        CURRENT.with(|current| current.try_borrow().ok().and_then(|world| world.clone()))
    }

    /// The execution is over.
    pub(crate) fn leave() {
        CURRENT.with(|current| current.replace(None));
    }

    pub(crate) fn running(&self) -> usize {
        self.running.get()
    }

    pub(crate) fn step(&self) -> u32 {
        self.step.get()
    }

    /// Whether the execution is over: something was found, or a panic is on its way to where it is.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped.get() || std::thread::panicking()
    }

    pub(crate) fn knowledge(&self) -> RefMut<'_, Knowledge> {
        self.knowledge.borrow_mut()
    }

    pub(crate) fn next_serial(&self, class: &'static str) -> u32 {
        let mut serials = self.serials.borrow_mut();
        let next = serials.entry(class).or_default();
        *next += 1;
        *next - 1
    }

    pub(crate) fn add_thread(&self, name: &str, interrupt: bool) -> usize {
        let mut threads = self.threads.borrow_mut();
        assert!(threads.len() < MAX_THREADS, "at most {MAX_THREADS} threads");
        let sections = [(0, 0); 2];
        threads.push(Thread {
            name: name.to_owned(),
            operation: String::new(),
            wait: None,
            done: false,
            interrupt,
            held: Vec::new(),
            sections,
            stretch: 1,
        });
        threads.len() - 1
    }

    pub(crate) fn thread<R>(&self, id: usize, f: impl FnOnce(&mut Thread) -> R) -> R {
        f(&mut self.threads.borrow_mut()[id])
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.threads.borrow().iter().map(|thread| thread.name.clone()).collect()
    }

    pub(crate) fn name(&self, id: usize) -> String {
        self.threads.borrow()[id].name.clone()
    }

    /// A thread begins (1) or ends (-1) to be at work.
    pub(crate) fn activity(&self, change: i32) {
        self.active.set(self.active.get().saturating_add_signed(change));
    }

    pub(crate) fn concurrent(&self) -> bool {
        self.active.get() > 0
    }

    pub(crate) fn is_done(&self, id: usize) -> bool {
        self.threads.borrow()[id].done
    }

    // What happens at an access.

    /// One more step; whether the execution goes on.
    pub(crate) fn tick(&self) -> bool {
        if self.stopped() {
            return false;
        }
        let step = self.step.get() + 1;
        self.step.set(step);
        if step >= self.step_limit {
            self.fail(Rule::Progress, format!("no end after {step} steps"), Vec::new());
        }
        !self.stopped()
    }

    /// Before an access to a field: maybe others run first. False if the execution is over.
    #[inline(never)]
    pub(crate) fn touch(&self, me: usize, field: &Field, access: Access) -> bool {
        if !self.tick() {
            return false;
        }
        let object = &field.object;
        if self.concurrent() {
            let racy = {
                let threads = self.threads.borrow();
                let thread = &threads[me];
                let mut knowledge = self.knowledge.borrow_mut();
                let racy = knowledge.touch(field, me, access, &thread.held);
                // A thread that has let go of something may find that the object is gone. What RCU keeps is safe inside
                // a section.
                let first = object.mortal && thread.sections[0].0 == 0 && object.first_touch(me, thread.stretch);
                racy || first
            };
            if racy || self.everywhere {
                self.decide(me, false);
            }
            if access.writes() && racy {
                self.thread(me, |thread| thread.stretch += 1);
            }
        }
        if object.is_dead() && !self.stopped.get() {
            self.use_after_free(me, access.verb(), field);
        }
        !self.stopped.get()
    }

    pub(crate) fn use_after_free(&self, me: usize, how: &str, field: &Field) {
        let object = &field.object;
        let freed = object.freed.with(|freed| *freed);
        let who = freed.map_or_else(String::new, |(who, _)| format!(", which {} has freed", self.name(who)));
        let what = format!("use after free: {} {how} {}{who}", self.name(me), field.label());
        self.fail(Rule::UseAfterFree, what, vec![Arc::clone(object)]);
    }

    /// Asks the strategy who goes on. `yields`: the running thread would rather not.
    pub(crate) fn decide(&self, me: usize, yields: bool) {
        let mut options = self.ready();
        if yields && options.len() > 1 {
            options.retain(|id| *id != me);
        }
        if options.len() == 1 && options[0] == me || options.is_empty() {
            return;
        }
        let current = (!yields || options == [me]).then_some(me);
        self.choose(me, current, &options);
    }

    /// Waits until what is waited for is there. Returns at once if the execution is over.
    pub(crate) fn wait(&self, me: usize, wait: Wait) {
        if !self.tick() {
            return;
        }
        self.log_as(me, || Did::Wait(wait.clone()));
        self.thread(me, |thread| thread.wait = Some(wait));
        let options = self.ready();
        self.choose(me, None, &options);
        self.thread(me, |thread| thread.wait = None);
    }

    /// Who goes on when the running thread has ended.
    pub(crate) fn after_end(&self, me: usize) -> Option<usize> {
        self.step.set(self.step.get() + 1);
        let options = self.ready();
        self.pick(me, None, &options);
        (!self.stopped.get()).then(|| self.running.get())
    }

    fn choose(&self, me: usize, current: Option<usize>, options: &[usize]) {
        self.pick(me, current, options);
        if self.running.get() != me || self.stopped.get() {
            shuttle::thread::yield_now();
            if self.stopped.get() && !std::thread::panicking() {
                self.halt();
            }
        }
    }

    /// Lets the strategy pick one, and notes it if it is not the usual one.
    fn pick(&self, me: usize, current: Option<usize>, options: &[usize]) {
        // The first thread waits for the others: it matters only when they are done.
        let others: Vec<_> = options.iter().copied().filter(|id| *id != MAIN || current == Some(MAIN)).collect();
        let options = if others.is_empty() { options } else { &others };
        if options.is_empty() {
            return self.deadlock();
        }
        let default = current.unwrap_or_else(|| *options.iter().find(|id| **id > me).unwrap_or(&options[0]));
        let step = self.step.get();
        let chosen = match options.len() {
            1 => options[0],
            _ => self.strategy.borrow_mut().choose(&Decision { step, current, default, options }),
        };
        if chosen != default {
            self.choices.borrow_mut().push((step, chosen as u8));
        }
        if current.is_some_and(|current| current != chosen) {
            self.preemptions.set(self.preemptions.get() + 1);
        }
        if chosen != me {
            self.log_as(me, || Did::Switch { to: chosen, preempted: current.is_some() });
        }
        self.running.set(chosen);
    }

    fn ready(&self) -> Vec<usize> {
        let threads = self.threads.borrow();
        let ready = |(id, thread): (usize, &Thread)| {
            let goes_on = !thread.done && thread.wait.as_ref().is_none_or(|wait| self.is_over(&threads, wait));
            goes_on.then_some(id)
        };
        threads.iter().enumerate().filter_map(ready).collect()
    }

    fn is_over(&self, threads: &[Thread], wait: &Wait) -> bool {
        match wait {
            Wait::Lock(lock, mode) => lock.is_free(*mode),
            Wait::Join(id) => threads[*id].done,
            Wait::Park(parker) => parker.is_woken(),
            Wait::Readers(readers, flavour) => readers.iter().all(|(id, section)| {
                let (depth, at) = threads[*id].sections[*flavour as usize];
                depth == 0 || at != *section
            }),
            Wait::Barrier(count) => self.rcu.borrow().done >= *count,
            Wait::Callbacks => self.rcu.borrow().has_work(),
        }
    }

    fn deadlock(&self) {
        let (mut what, mut objects) = (Vec::new(), Vec::new());
        for (id, thread) in self.threads.borrow().iter().enumerate() {
            let Some(wait) = &thread.wait else { continue };
            let reason = match wait {
                Wait::Join(_) | Wait::Callbacks if id == MAIN || thread.name == "rcu" => continue,
                Wait::Lock(lock, _) => {
                    objects.push(Arc::clone(&lock.field.object));
                    let holder = lock.holder().map(|holder| self.threads.borrow()[holder].name.clone());
                    let holder = holder.unwrap_or_else(|| "readers".to_owned());
                    let holder = if holder == thread.name { "it".to_owned() } else { holder };
                    format!("{}, which {holder} holds", lock.field.label())
                }
                other => other.describe(),
            };
            what.push(format!("{} waits for {reason}", thread.name));
        }
        self.fail(Rule::Deadlock, format!("deadlock: {}", what.join("; ")), objects);
    }

    // The end of an execution.

    /// A rule was broken: the execution is over. Returns only where it must.
    pub(crate) fn fail(&self, rule: Rule, what: String, objects: Vec<Arc<Object>>) {
        if self.stopped.replace(true) {
            return;
        }
        let thread = self.running.get();
        if let Some(log) = self.log.borrow_mut().as_mut() {
            log.push(Line { step: self.step.get(), thread, did: Did::Broke(what.clone()) });
        }
        let operation = self.thread(thread, |thread| thread.operation.clone());
        let signature = signature(rule, &what, &operation, &objects, &self.names());
        *self.violation.borrow_mut() = Some(Violation { rule, what, thread, operation, objects, signature });
    }

    /// Stays here for ever: shuttle takes the stack away.
    pub(crate) fn halt(&self) {
        while !std::thread::panicking() {
            shuttle::thread::yield_now();
        }
    }

    pub(crate) fn take_violation(&self) -> Option<Violation> {
        self.violation.borrow_mut().take()
    }

    pub(crate) fn end_of(&self, me: usize) {
        self.thread(me, |thread| thread.done = true);
    }

    // What is written down.

    pub(crate) fn log_as(&self, me: usize, did: impl FnOnce() -> Did) {
        if let Some(log) = self.log.borrow_mut().as_mut() {
            log.push(Line { step: self.step.get(), thread: me, did: did() });
        }
    }

    /// What a thread has touched last, as far as it was written down.
    pub(crate) fn last_touched(&self, me: usize) -> Vec<Arc<Object>> {
        let log = self.log.borrow();
        let mine = log.iter().flatten().rev().filter(|line| line.thread == me);
        mine.filter_map(|line| line.did.field()).map(|field| Arc::clone(&field.object)).take(1).collect()
    }

    pub(crate) fn take_log(&self) -> Vec<Line> {
        self.log.borrow_mut().take().unwrap_or_default()
    }

    pub(crate) fn choices(&self) -> Vec<(u32, u8)> {
        self.choices.borrow().clone()
    }

    pub(crate) fn preemptions(&self) -> u32 {
        self.preemptions.get()
    }

    pub(crate) fn count_event(&self, event: Event) {
        self.events.borrow_mut()[event as usize] += 1;
    }

    pub(crate) fn events(&self, event: Event) -> u64 {
        self.events.borrow()[event as usize]
    }

    /// What a scenario draws its operations from: the seed, and the number of the program.
    pub(crate) fn draw(&self) -> u64 {
        self.drawn.set(true);
        match self.program.number {
            0 => self.seed,
            number => (self.seed ^ number).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32,
        }
    }

    pub(crate) fn includes(&self, operation: u32) -> bool {
        self.operations.set(self.operations.get().max((operation + 1).min(u64::BITS)));
        operation >= u64::BITS || self.program.without & 1 << operation == 0
    }

    pub(crate) fn operations(&self) -> u32 {
        self.operations.get()
    }

    /// The program, if the scenario has drawn one.
    pub(crate) fn program(&self) -> Option<Program> {
        self.drawn.get().then_some(self.program)
    }

    pub(crate) fn allocation_fails(&self) -> bool {
        let this = self.allocations.replace(self.allocations.get() + 1);
        self.failing.get() == Some(this)
    }

    /// Makes one allocation fail: the first from now on if `after` is 0.
    pub(crate) fn fail_allocation(&self, after: u64) {
        self.failing.set(Some(self.allocations.get() + after));
    }

    /// An object is freed beside others: from the next execution on, they are watched.
    pub(crate) fn freed_beside_others(&self, object: &Object) {
        if self.concurrent() && !object.mortal {
            self.knowledge.borrow_mut().set_mortal(object.known);
        }
    }
}

impl Wait {
    pub(crate) fn describe(&self) -> String {
        match self {
            Wait::Lock(lock, _) => lock.field.label(),
            Wait::Join(_) => "a thread to end".to_owned(),
            Wait::Park(parker) => format!("somebody to wake it ({})", parker.field.label()),
            Wait::Readers(..) => "read sections to end".to_owned(),
            Wait::Barrier(_) => "callbacks".to_owned(),
            Wait::Callbacks => "a callback".to_owned(),
        }
    }
}
