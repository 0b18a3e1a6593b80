//! RCU: readers that write one word of their own, and writers that wait for them.
//!
//! **Problem.** A writer unlinks an object that readers may be looking at, and wants to know when none of them can.
//!
//! **Invariant.** When [`Domain::synchronize`] returns, each read section that could have seen what was there before the
//! call has ended, and all that it did happens before the return.
//!
//! **Protocol.** A domain has a grace period number, which starts at 1 and grows. Each registered thread has a record
//! with one word: 0 when quiescent, else the number that the outermost `lock` of its section read. A writer
//!
//! 1. (has unlinked the object, before the call);
//! 2. runs the heavy half of the [barrier](crate::barrier), whose light half each reader runs after it stored its word;
//! 3. raises the number to `new`;
//! 4. waits until each reader's word is 0 or at least `new`.
//!
//! **Why it holds.** Take a section whose reads come after its light barrier, and its stored word `w`.
//! - *The writer sees w, and w < new.* It waits until the word changes; sections end with a Release store of 0, and the
//!   store of the next section's word is a Release as well, so whichever of them the writer reads (Acquire), the section
//!   happens before the return.
//! - *The writer sees w, and w >= new.* The reader read a number that was stored after the heavy barrier, and its
//!   reads come after its light barrier. With fences: the writer's fence is before the store of the number, the
//!   load of the number before the reader's fence, so the one synchronises with the other. With membarrier: on the
//!   reader's CPU the kernel ran a full barrier at some point of its program during step 2. The load of the number
//!   is after that point, since the number did not exist before; so are the reads of the section. Either way the
//!   section sees the unlinking, cannot reach the object, and need not be waited for.
//! - *The writer sees an older value than w.* With fences: if the reader's fence came first in the single order of such
//!   fences, the writer would have seen w; so the writer's came first, and the section sees the unlinking. With
//!   membarrier: had the reader stored w before its point, the writer would have seen w; so it stored w after it, and the
//!   section's reads, later still, see the unlinking.
//! - *The writer sees a newer value.* The section has ended; as in the first case.
//!
//! One raise is enough, where a design with a phase bit needs two: a reader that was delayed between reading the
//! number and storing it stores a number that is too old, and is waited for although it need not be; it can never be
//! taken for a newer one. The number has 64 bits and does not wrap.
//!
//! A thread that registers during a grace period takes the registry's lock after the writer held it, so its sections
//! see the unlinking. For the same reason a writer that finds nobody registered but itself is done at once.
//!
//! The orders themselves are in [`protocol`](crate::protocol).
//!
//! **Lock order.** The registry's lock is a leaf, held over steps 2 and 3 and one look at each word, never over a wait.
//!
//! **Cost.** A section: a load of the number and two stores to a cache line that only its thread writes; about a
//! nanosecond with membarrier. A grace period: one system call, then as long as the longest section. A stalled
//! reader delays writers, so it is reported by name and age, again and again ([`StallWatch::set_hook`]); the writer
//! never gives up.

use crate::barrier::Strategy;
use crate::fork;
use crate::protocol::{Number, Section};
use crate::stall::{StallWatch, Waiting};
use crate::sync::Mutex;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a reader shows to writers; on cache lines of its own, since it changes with each section.
#[repr(align(128))]
pub(crate) struct Record {
    section: Section<AtomicU64>,
    pub(crate) name: Box<str>,
    /// When this reader was last reported as stalled.
    pub(crate) reported: AtomicU64,
}

/// Readers, and writers that wait for them; RCU is one and SRCU another.
#[repr(align(128))]
pub struct Domain {
    /// The grace period number. Raised under `records`; read by each section, so on a line that little else writes.
    number: Number<AtomicU64>,
    strategy: Strategy,
    name: &'static str,
    records: Mutex<Vec<Arc<Record>>>,
    /// The process that it is for: in a child, its readers are threads that are not there.
    process: u32,
    watch: StallWatch,
    totals: Totals,
}

/// What a domain has done. All relaxed: counts that order nothing.
#[derive(Default)]
#[repr(align(128))]
struct Totals {
    grace_periods: AtomicU64,
    waited_ns: AtomicU64,
    max_wait_ns: AtomicU64,
}

/// Grace periods of a domain so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GracePeriods {
    /// How many were waited for.
    pub count: u64,
    /// How long, in all.
    pub waited_ns: u64,
    /// How long the longest was.
    pub max_wait_ns: u64,
    /// How often a reader was reported as stalled.
    pub stalls: u64,
}

impl Domain {
    /// A domain without readers. The name appears in reports.
    ///
    /// # Panics
    /// If this machine lacks the strategy ([`Strategy::available`]).
    pub fn new(name: &'static str, strategy: Strategy) -> Arc<Domain> {
        assert!(strategy.available(), "this machine has no {strategy:?}");
        fork::watch();
        Arc::new(Domain {
            number: Number::new(),
            strategy,
            name,
            records: Mutex::new(Vec::new()),
            process: fork::process(),
            watch: StallWatch::new(),
            totals: Totals::default(),
        })
    }

    /// How readers and writers are ordered.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The name that appears in reports.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Who is told about stalled readers, and from which age on.
    pub fn stall_watch(&self) -> &StallWatch {
        &self.watch
    }

    /// Makes the calling thread a reader, under a name that appears in reports, until the reader is dropped.
    pub fn register(self: &Arc<Self>, name: &str) -> Reader {
        self.assert_of_this_process();
        // Relaxed: the registry's lock publishes it.
        let record = Arc::new(Record { section: Section::new(), name: name.into(), reported: AtomicU64::new(0) });
        self.records.lock().push(Arc::clone(&record));
        Reader { record, domain: Arc::clone(self), inner: Cell::new(0), strategy: self.strategy }
    }

    /// What the domain has done so far.
    pub fn grace_periods(&self) -> GracePeriods {
        let totals = &self.totals;
        GracePeriods {
            count: totals.grace_periods.load(Ordering::Relaxed),
            waited_ns: totals.waited_ns.load(Ordering::Relaxed),
            max_wait_ns: totals.max_wait_ns.load(Ordering::Relaxed),
            stalls: self.watch.count(),
        }
    }

    /// Waits until each section that runs now has ended; returns how long that took. For threads that are not readers;
    /// those have [`Reader::synchronize`].
    pub fn synchronize(&self) -> Duration {
        self.wait_for_readers(None)
    }

    /// Panics in a child of `fork`, where a wait might have no end.
    pub(crate) fn assert_of_this_process(&self) {
        assert!(
            fork::born_here(self.process),
            "{}: made before a fork, and used in the child: make new ones",
            self.name
        );
    }

    fn wait_for_readers(&self, caller: Option<&Arc<Record>>) -> Duration {
        self.assert_of_this_process();
        let begin = Instant::now();
        let is_caller = |record: &Arc<Record>| caller.is_some_and(|caller| Arc::ptr_eq(caller, record));
        let mut late = Vec::new();
        {
            let records = self.records.lock();
            if !records.iter().all(is_caller) {
                let new = self.number.raise(|| self.strategy.heavy());
                let is_late = |record: &&Arc<Record>| !is_caller(record) && record.section.is_before(new);
                late.extend(records.iter().filter(is_late).map(|record| (Arc::clone(record), new)));
            }
        }
        for (record, new) in late {
            let mut waiting = Waiting::since(begin);
            while record.section.is_before(new) {
                waiting.pause(|age| self.watch.check(self.name, &record, age));
            }
        }
        let waited = begin.elapsed();
        self.totals.add(waited);
        waited
    }
}

impl Totals {
    fn add(&self, waited: Duration) {
        let ns = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.grace_periods.fetch_add(1, Ordering::Relaxed);
        self.waited_ns.fetch_add(ns, Ordering::Relaxed);
        self.max_wait_ns.fetch_max(ns, Ordering::Relaxed);
    }
}

/// A thread's membership in a domain. Its sections nest.
pub struct Reader {
    record: Arc<Record>,
    domain: Arc<Domain>,
    /// Sections entered inside the outermost one. That one is told by the word, so that the usual section, which has
    /// no other inside, writes nothing else.
    inner: Cell<usize>,
    strategy: Strategy,
}

impl Reader {
    /// Enters a read section.
    #[inline(always)]
    pub fn lock(&self) {
        if self.is_reading() {
            self.inner.set(self.inner.get() + 1);
            return;
        }
        self.record.section.enter(&self.domain.number, || self.strategy.light());
    }

    /// Leaves a read section.
    ///
    /// # Panics
    /// If there is none.
    #[inline(always)]
    pub fn unlock(&self) {
        let inner = self.inner.get();
        if inner != 0 {
            self.inner.set(inner - 1);
            return;
        }
        if !self.is_reading() {
            self.unbalanced();
        }
        self.record.section.leave();
    }

    /// Whether the thread is in a read section.
    #[inline(always)]
    pub fn is_reading(&self) -> bool {
        self.record.section.is_running()
    }

    /// Waits until each section that runs now has ended; returns how long that took.
    ///
    /// # Panics
    /// If the thread is in a section itself: it would wait for ever.
    #[track_caller]
    pub fn synchronize(&self) -> Duration {
        self.assert_quiescent("waits for a grace period");
        self.domain.wait_for_readers(Some(&self.record))
    }

    /// Panics in a read section: what the thread is about to do waits for readers.
    #[track_caller]
    pub(crate) fn assert_quiescent(&self, what: &str) {
        assert!(
            !self.is_reading(),
            "{}: thread `{}` {what} inside a read section of its own: it would wait for ever",
            self.domain.name,
            self.record.name
        );
    }

    #[cold]
    #[inline(never)]
    fn unbalanced(&self) -> ! {
        panic!("{}: thread `{}` leaves a read section that it is not in", self.domain.name, self.record.name);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // For a section that was never left (its guard was forgotten).
        self.record.section.leave();
        // In a child of `fork` nobody waits for the inherited readers, and the lock may be held for ever.
        if fork::born_here(self.domain.process) {
            self.domain.records.lock().retain(|record| !Arc::ptr_eq(record, &self.record));
        }
    }
}
