//! [`World`]: what an execution knows beside what loom knows: who the threads are, what was allocated, what was done.
//!
//! None of it orders anything: the threads of an execution take turns on one thread of the machine, and nothing here is
//! a place where they switch.

use super::arena::{self, Memory};
use super::object::Object;
use super::rcu::Rcu;
use core::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use vgic_core::Event;

/// The thread that sets up and cleans up.
pub(crate) const MAIN: usize = 0;

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) thread: usize,
    pub(crate) did: Did,
}

/// What a thread did.
#[derive(Clone, Debug)]
pub(crate) enum Did {
    /// An access to a field, and what was read or written.
    Access { object: (&'static str, u32), field: &'static str, verb: &'static str, value: Option<u64> },
    /// Something with a whole object.
    Object(&'static str, (&'static str, u32)),
    /// Anything else.
    Plain(&'static str),
    /// What the thread set out to do.
    Note(String),
}

/// A thread of an execution.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) name: String,
    /// How deep it is in read sections, of RCU and of SRCU.
    pub(crate) depth: [u32; 2],
}

/// One execution.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) threads: Vec<Thread>,
    pub(crate) rcu: Rcu,
    at: HashMap<usize, usize>,
    /// What was allocated: freed or not, the memory stays, so a handle that is used too late is reported.
    objects: Vec<(Arc<Object>, Memory)>,
    serials: BTreeMap<&'static str, u32>,
    events: [u64; Event::COUNT],
    steps: Vec<Step>,
    allocations: u64,
    failing: Option<u64>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
    /// Something was broken: what still runs are destructors, which find nothing to do.
    static STOPPED: Cell<bool> = const { Cell::new(true) };
}

/// Whether the execution is over, or there is none.
pub(crate) fn stopped() -> bool {
    STOPPED.get()
}

/// The execution is over.
pub(crate) fn stop() {
    STOPPED.set(true);
}

/// Another execution begins.
pub(crate) fn begin() {
    drop(WORLD.take());
    arena::clear();
    STOPPED.set(false);
    add_thread("main");
    let rcu = Rcu::new();
    with(|world| world.rcu = rcu);
}

/// The execution has come to its end.
pub(crate) fn end() {
    stop();
    drop(WORLD.take());
}

/// Looks at the execution. `f` calls nothing of loom's.
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(f)
}

pub(crate) fn add_thread(name: &str) -> usize {
    with(|world| {
        world.threads.push(Thread { name: name.to_owned(), depth: [0; 2] });
        world.threads.len() - 1
    })
}

/// Whether there is, or was, a second thread.
pub(crate) fn are_many() -> bool {
    with(|world| world.threads.len() > 1)
}

/// Writes down what a thread does.
pub(crate) fn log(thread: usize, did: Did) {
    with(|world| world.steps.push(Step { thread, did }));
}

/// A rule was broken: the execution is over.
pub(crate) fn violation(what: &str) -> ! {
    panic!("{what}");
}

impl World {
    pub(crate) fn next_serial(&mut self, class: &'static str) -> u32 {
        let next = self.serials.entry(class).or_default();
        *next += 1;
        *next - 1
    }

    pub(crate) fn keep(&mut self, address: usize, object: Arc<Object>, memory: Memory) {
        self.at.insert(address, self.objects.len());
        self.objects.push((object, memory));
    }

    pub(crate) fn find(&self, address: usize) -> Option<Arc<Object>> {
        self.at.get(&address).map(|at| Arc::clone(&self.objects[*at].0))
    }

    /// What was not freed, by name.
    pub(crate) fn live(&self) -> Vec<String> {
        let live = self.objects.iter().filter(|(object, _)| !object.is_dead());
        live.map(|(object, _)| object.label()).collect()
    }

    pub(crate) fn count(&mut self, event: Event) {
        self.events[event as usize] += 1;
    }

    pub(crate) fn events(&self, event: Event) -> u64 {
        self.events[event as usize]
    }

    /// Makes one allocation fail: the first from now on if `after` is 0.
    pub(crate) fn fail_allocation(&mut self, after: u64) {
        self.failing = Some(self.allocations + after);
    }

    pub(crate) fn allocation_fails(&mut self) -> bool {
        self.allocations += 1;
        self.failing == Some(self.allocations - 1)
    }

    /// What was done, and the names of those who did it.
    pub(crate) fn take_steps(&mut self) -> (Vec<String>, Vec<Step>) {
        (self.threads.iter().map(|thread| thread.name.clone()).collect(), core::mem::take(&mut self.steps))
    }
}
