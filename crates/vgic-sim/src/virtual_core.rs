//! [`Core`]: a virtual core: its clock, what it waits for, what it holds, where its time went.

use crate::atomics::AtomicU64;
use crate::machine::Ps;
use crate::memory::LineId;
use crate::queue::NO_LINE;
use crate::random::draw;
use crate::report::{Spending, Spent, ThreadKind};
use core::cell::{Cell, OnceCell, RefCell};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, Yielder};
use vgic_core::Event;

/// How many accesses of each core are remembered, for the report on a run that is stuck.
pub(crate) const REMEMBERED: usize = 8;
const NO_LOCK: u32 = u32::MAX;

pub(crate) type Thread = Coroutine<(), (), (), DefaultStack>;

/// What a core waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its event.
    Ready,
    /// A line; the grant is its event.
    Line,
    /// That so many of its stores at most are on their way, and none to this line.
    Drain { most: usize, line: LineId },
    /// Somebody to wake it.
    Blocked(&'static str),
    /// Nothing any more.
    Done,
}

/// A core.
pub(crate) struct Core {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) kind: ThreadKind,
    pub(crate) clock: Cell<Ps>,
    pub(crate) state: Cell<State>,
    /// How long it waits for its turn at a line.
    pub(crate) queued: Cell<Ps>,
    /// What the time goes to while it is suspended.
    pub(crate) on: Cell<Spending>,
    pub(crate) yielder: Cell<*const Yielder<(), ()>>,
    pub(crate) thread: RefCell<Option<Thread>>,
    /// Lines to which stores are on their way, and how many.
    pub(crate) stores: RefCell<Vec<LineId>>,
    pub(crate) storing: Cell<usize>,
    /// The line whose next write it waits for.
    pub(crate) watches: Cell<LineId>,
    /// The line of its last load.
    pub(crate) loaded: Cell<LineId>,
    /// It waits for this lock: that is where its time goes.
    waits_for: Cell<u32>,
    pub(crate) held: RefCell<Vec<u32>>,
    /// States of the mutexes that it holds.
    pub(crate) mutexes: RefCell<Vec<u32>>,
    /// Since when, while a picture is made.
    pub(crate) held_since: RefCell<Vec<Ps>>,
    pub(crate) asleep: Cell<bool>,
    /// Depth of RCU read sections.
    pub(crate) section: Cell<u32>,
    pub(crate) section_begun: Cell<Ps>,
    pub(crate) srcu: OnceCell<[AtomicU64; 2]>,
    /// When an IPI arrives.
    pub(crate) ipi: Cell<Option<Ps>>,
    events: [Cell<u64>; Event::COUNT],
    random: Cell<u64>,
    pub(crate) spent: Spent,
    /// Numbers of fields, and whether they were written in the lowest bit.
    pub(crate) last: [Cell<u32>; REMEMBERED],
    pub(crate) last_at: Cell<usize>,
}

impl Core {
    /// A core that has nothing to do; its clock stands at a time.
    pub(crate) fn new(number: u32, name: &str, clock: Ps, random: u64) -> Self {
        Core {
            number,
            name: name.to_owned(),
            kind: ThreadKind::of(name),
            clock: Cell::new(clock),
            state: Cell::new(State::Ready),
            queued: Cell::new(0),
            on: Cell::new(Spending::Idle),
            yielder: Cell::new(core::ptr::null()),
            thread: RefCell::new(None),
            stores: RefCell::default(),
            storing: Cell::new(0),
            watches: Cell::new(NO_LINE),
            loaded: Cell::new(NO_LINE),
            waits_for: Cell::new(NO_LOCK),
            held: RefCell::default(),
            mutexes: RefCell::default(),
            held_since: RefCell::default(),
            asleep: Cell::new(false),
            section: Cell::new(0),
            section_begun: Cell::new(0),
            srcu: OnceCell::new(),
            ipi: Cell::new(None),
            events: Default::default(),
            random: Cell::new(random),
            spent: Spent::default(),
            last: Default::default(),
            last_at: Cell::new(0),
        }
    }

    /// An access, for the report on a run that is stuck.
    #[inline]
    pub(crate) fn remember(&self, field: u32, write: bool) {
        let at = self.last_at.get();
        self.last[at % REMEMBERED].set(field << 1 | u32::from(write));
        self.last_at.set(at + 1);
    }

    /// Whether a store to a line is on its way.
    #[inline]
    pub(crate) fn stores(&self, line: LineId) -> bool {
        self.storing.get() > 0 && self.stores.borrow().contains(&line)
    }

    #[inline]
    pub(crate) fn now(&self) -> Ps {
        self.clock.get()
    }

    /// Time goes by.
    #[inline]
    pub(crate) fn spend(&self, on: Spending, time: Ps) {
        self.clock.set(self.clock.get() + time);
        self.charge(on, time);
    }

    #[inline]
    pub(crate) fn charge(&self, on: Spending, time: Ps) {
        match self.waits_for.get() {
            NO_LOCK => self.spent.add(on, time),
            lock => self.spent.add_lock(lock, time),
        }
    }

    /// Whether its time goes to a lock that it wants.
    pub(crate) fn wants_lock(&self) -> bool {
        self.waits_for.get() != NO_LOCK
    }

    /// Does `f`, whose time goes to a lock.
    pub(crate) fn waiting_for<R>(&self, lock: u32, f: impl FnOnce() -> R) -> R {
        let before = self.waits_for.replace(lock);
        let result = f();
        self.waits_for.set(before);
        result
    }

    pub(crate) fn count(&self, event: Event) {
        let counter = &self.events[event as usize];
        counter.set(counter.get() + 1);
    }

    pub(crate) fn events(&self) -> [u64; Event::COUNT] {
        core::array::from_fn(|event| self.events[event].get())
    }

    /// A random number below `limit`, which is not zero.
    pub(crate) fn random(&self, limit: u64) -> u64 {
        draw(&self.random, limit)
    }
}
