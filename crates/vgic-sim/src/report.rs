//! Where the time went: [`Tally`] by field and by lock, [`Spent`] by core.

use crate::field::Field;
use crate::machine::{Cost, Ps};
use crate::virtual_core::Core;
use core::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// What a core does with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Spending {
    /// Work around the engine.
    Work,
    /// Its own instructions, and accesses that hit its cache.
    Hits,
    /// A line is under way to it.
    Transfers,
    /// It waits for its turn at a line.
    Queueing,
    /// It waits for a grace period.
    Grace,
    /// It sends or takes an IPI.
    Ipi,
    /// The guest runs.
    Guest,
    /// Nothing.
    Idle,
}

impl Spending {
    const COUNT: usize = Spending::Idle as usize + 1;

    /// All, with their names.
    pub const ALL: [(Spending, &'static str); Self::COUNT] = [
        (Spending::Work, "work"),
        (Spending::Hits, "hits"),
        (Spending::Transfers, "transfers"),
        (Spending::Queueing, "queueing"),
        (Spending::Grace, "grace periods"),
        (Spending::Ipi, "ipi"),
        (Spending::Guest, "guest"),
        (Spending::Idle, "idle"),
    ];
}

/// Where the time of all threads of a kind went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Threads {
    /// The kind.
    pub name: &'static str,
    /// How many.
    pub count: u32,
    /// By name of the category; `lock NAME` is time from the first look at a lock until it is held.
    pub spent: BTreeMap<String, Ps>,
}

/// Kinds of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum ThreadKind {
    /// It sends.
    Sender,
    /// It runs a vCPU.
    Vcpu,
    /// Something else.
    Other,
}

impl ThreadKind {
    const COUNT: usize = ThreadKind::Other as usize + 1;

    /// All, with their names.
    pub const ALL: [(ThreadKind, &'static str); Self::COUNT] =
        [(ThreadKind::Sender, "sender"), (ThreadKind::Vcpu, "vcpu"), (ThreadKind::Other, "other")];

    pub(crate) fn of(name: &str) -> Self {
        let is = |kind: &&(ThreadKind, &str)| name.starts_with(kind.1);
        ThreadKind::ALL.iter().find(is).map_or(ThreadKind::Other, |(kind, _)| *kind)
    }
}

/// Where a core's time went.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    by: [Cell<Ps>; Spending::COUNT],
    /// By number of lock, from the first look until it is held.
    locks: RefCell<Vec<Ps>>,
}

impl Spent {
    pub(crate) fn add(&self, on: Spending, time: Ps) {
        let cell = &self.by[on as usize];
        cell.set(cell.get() + time);
    }

    pub(crate) fn add_lock(&self, lock: u32, time: Ps) {
        let mut locks = self.locks.borrow_mut();
        if locks.len() <= lock as usize {
            locks.resize(lock as usize + 1, 0);
        }
        locks[lock as usize] += time;
    }

    /// By category, in the order of [`Spending::ALL`], then by number of lock.
    pub(crate) fn all(&self) -> ([Ps; Spending::COUNT], Vec<Ps>) {
        (core::array::from_fn(|at| self.by[at].get()), self.locks.borrow().clone())
    }

    pub(crate) fn forget(&self) {
        self.by.iter().for_each(|cell| cell.set(0));
        self.locks.borrow_mut().clear();
    }
}

/// How much time was charged to each value of the machine: what a change of it changes. Several may be charged for the same
/// time, such as a ratio and the distance that it is one of.
#[derive(Debug)]
pub(crate) struct Charges([Cell<Ps>; Cost::NAMES.len()]);

impl Default for Charges {
    fn default() -> Self {
        Charges(core::array::from_fn(|_| Cell::new(0)))
    }
}

impl Charges {
    #[inline]
    pub(crate) fn add(&self, cost: Cost, time: Ps) {
        let cell = &self.0[cost as usize];
        cell.set(cell.get() + time);
    }

    pub(crate) fn forget(&self) {
        self.0.iter().for_each(|cell| cell.set(0));
    }

    pub(crate) fn get(&self, at: usize) -> Ps {
        self.0[at].get()
    }
}

/// What became of one field of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldTally {
    /// The class.
    pub class: &'static str,
    /// The field.
    pub name: &'static str,
    /// The line within the object.
    pub line: u64,
    /// Reads that had to wait for the line, by kind of thread.
    pub reads: [u64; ThreadKind::COUNT],
    /// Writes that had to.
    pub writes: [u64; ThreadKind::COUNT],
    /// How long they waited, by kind of thread.
    pub stalls: [Ps; ThreadKind::COUNT],
    /// That without what threads waited while they wanted a lock, whose time goes to the lock.
    pub outside: [Ps; ThreadKind::COUNT],
}

impl FieldTally {
    /// How long all waited.
    pub fn stalled(&self) -> Ps {
        self.stalls.iter().sum()
    }

    /// Accesses that had to wait for the line.
    pub fn misses(&self) -> u64 {
        self.reads.iter().chain(&self.writes).sum()
    }
}

/// How long was waited for a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockTally {
    /// Its name.
    pub name: &'static str,
    /// Times it was taken.
    pub taken: u64,
    /// From the first look to the lock, the line's way included.
    pub waited: Ps,
}

/// All fields and locks.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    numbers: BTreeMap<(&'static str, &'static str, u64), u32>,
    fields: Vec<FieldTally>,
    /// Reads and writes of each field.
    accesses: Vec<[Cell<u64>; 2]>,
    locks: Vec<LockTally>,
    /// What costs nothing.
    free: BTreeSet<String>,
}

impl Tally {
    pub(crate) fn new(free: BTreeSet<String>) -> Self {
        Tally { free, ..Tally::default() }
    }

    /// The number of a field, and whether it costs nothing.
    pub(crate) fn field(&mut self, class: &'static str, name: &'static str, line: u64) -> (u32, bool) {
        let next = self.fields.len() as u32;
        let number = *self.numbers.entry((class, name, line)).or_insert(next);
        if number == next {
            self.fields.push(FieldTally { class, name, line, ..FieldTally::default() });
            self.accesses.push(Default::default());
        }
        let free = !self.free.is_empty()
            && [name.to_owned(), format!("{class}.{name}"), format!("{class}[{line}]")]
                .iter()
                .any(|name| self.free.contains(name));
        (number, free)
    }

    /// The number of a lock's name.
    pub(crate) fn lock(&mut self, name: &'static str) -> u32 {
        let at = self.locks.iter().position(|lock| lock.name == name);
        at.unwrap_or_else(|| {
            self.locks.push(LockTally { name, ..LockTally::default() });
            self.locks.len() - 1
        }) as u32
    }

    pub(crate) fn lock_name(&self, number: u32) -> &'static str {
        self.locks[number as usize].name
    }

    pub(crate) fn field_name(&self, number: u32) -> (&'static str, &'static str) {
        let field = &self.fields[number as usize];
        (field.class, field.name)
    }

    #[inline]
    pub(crate) fn access(&self, field: &Field, write: bool) {
        let count = &self.accesses[field.kind as usize][usize::from(write)];
        count.set(count.get() + 1);
    }

    /// Reads and writes of a field, misses among them.
    pub fn accesses(&self, field: usize) -> [u64; 2] {
        self.accesses.get(field).map_or([0; 2], |counts| [counts[0].get(), counts[1].get()])
    }

    pub(crate) fn miss(&mut self, field: &Field, core: &Core, write: bool, stalled: Ps) {
        let by = core.kind as usize;
        let tally = &mut self.fields[field.kind as usize];
        let misses = if write { &mut tally.writes } else { &mut tally.reads };
        misses[by] += 1;
        tally.stalls[by] += stalled;
        if !core.wants_lock() {
            tally.outside[by] += stalled;
        }
    }

    pub(crate) fn took_lock(&mut self, number: u32, waited: Ps) {
        let tally = &mut self.locks[number as usize];
        tally.taken += 1;
        tally.waited += waited;
    }

    /// Everything so far was the warm-up's.
    pub(crate) fn forget(&mut self) {
        for field in &mut self.fields {
            *field = FieldTally { class: field.class, name: field.name, line: field.line, ..FieldTally::default() };
        }
        self.accesses.iter().flatten().for_each(|count| count.set(0));
        for lock in &mut self.locks {
            *lock = LockTally { name: lock.name, ..LockTally::default() };
        }
    }

    /// Fields in the order in which they came up.
    pub fn fields(&self) -> &[FieldTally] {
        &self.fields
    }

    /// Locks likewise.
    pub fn locks(&self) -> &[LockTally] {
        &self.locks
    }

    /// What [`free`](crate::World::new) knows: fields, lines, and locks by their bare names.
    pub fn names(&self) -> BTreeSet<String> {
        let there = self.fields.iter().filter(|f| f.class != crate::ABSENT);
        let fields = there.flat_map(|f| [format!("{}.{}", f.class, f.name), format!("{}[{}]", f.class, f.line)]);
        fields.chain(self.locks.iter().map(|lock| lock.name.to_owned())).collect()
    }
}
