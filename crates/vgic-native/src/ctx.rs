//! [`NativeCtx`]: what a thread has of its own.
//!
//! Its membership in the RCU and SRCU domains, its event counters, the locks that it holds (debug builds). Each
//! call of the platform passes it, so nothing needs thread-local storage.

use crate::lock_order::HeldLocks;
use crate::objects::ClassCache;
use crate::rcu::Reader;
use crate::runtime::Runtime;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use vgic_core::Event;

/// A thread. Make one per thread; it is not `Sync`.
///
/// ```compile_fail
/// fn share<T: Sync>(_: T) {}
/// share(vgic_native::NativeCtx::new("main"));
/// ```
pub struct NativeCtx {
    pub(crate) rcu: Reader,
    pub(crate) srcu: Reader,
    counters: Arc<Counters>,
    /// Callbacks were queued since the last throttle.
    queued: Cell<bool>,
    is_worker: bool,
    grace_ns: Cell<u64>,
    /// For tests: with n > 0, the n-th allocation from now fails.
    pub fail_allocs: Cell<u32>,
    pub(crate) classes: ClassCache,
    pub(crate) held_locks: HeldLocks,
    name: Box<str>,
    runtime: Arc<Runtime>,
}

impl NativeCtx {
    /// A context in the runtime of the process. The name appears in reports of stalled readers.
    pub fn new(name: &str) -> Self {
        Self::with_runtime(Runtime::global(), name)
    }

    /// A context in the given runtime.
    pub fn with_runtime(runtime: &Arc<Runtime>, name: &str) -> Self {
        NativeCtx {
            rcu: runtime.rcu.register(name),
            srcu: runtime.srcu.register(name),
            counters: Arc::default(),
            queued: Cell::new(false),
            is_worker: false,
            grace_ns: Cell::new(0),
            fail_allocs: Cell::new(0),
            classes: ClassCache::default(),
            held_locks: HeldLocks::new(),
            name: name.into(),
            runtime: Arc::clone(runtime),
        }
    }

    /// The context of the thread that runs callbacks.
    pub(crate) fn worker(runtime: &Arc<Runtime>) -> Self {
        let mut ctx = Self::with_runtime(runtime, "vgic-rcu");
        ctx.is_worker = true;
        ctx
    }

    /// The name of the thread.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The domains that the thread belongs to.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// How many events of each kind this thread has counted.
    pub fn counters(&self) -> [u64; Event::COUNT] {
        self.counters.read()
    }

    /// The counters, for another thread to read while this one counts.
    pub fn shared_counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// How long this thread has waited for grace periods.
    pub fn grace_ns(&self) -> u64 {
        self.grace_ns.get()
    }

    #[inline(always)]
    pub(crate) fn count(&self, event: Event) {
        self.counters.add(event);
    }

    /// Waits for a grace period of one of the thread's domains.
    #[track_caller]
    pub(crate) fn synchronize(&self, reader: &Reader) {
        let waited = reader.synchronize();
        self.count(Event::GracePeriod);
        let waited = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.grace_ns.set(self.grace_ns.get().saturating_add(waited));
    }

    /// Notes that a callback was queued.
    #[inline(always)]
    pub(crate) fn note_queued(&self) {
        self.queued.set(true);
    }

    /// Waits while too many callbacks are queued, if this thread has queued any and may wait.
    #[inline(always)]
    pub(crate) fn throttle(&self) {
        if self.queued.get() && !self.rcu.is_reading() && !self.is_worker {
            self.queued.set(false);
            self.runtime.deferred.throttle(&self.runtime);
        }
    }

    /// Waits until the callbacks queued so far have run.
    #[track_caller]
    pub(crate) fn barrier(&self) {
        self.rcu.assert_quiescent("waits for callbacks");
        assert!(!self.is_worker, "rcu: a callback waits for callbacks: it would wait for ever");
        self.runtime.deferred.barrier(&self.runtime);
    }
}

impl Drop for NativeCtx {
    fn drop(&mut self) {
        if let Some(lock) = self.held_locks.any() {
            eprintln!("vgic: thread `{}` ends while holding `{lock}`", self.name);
        }
    }
}

/// Event counters that one thread writes and any thread reads.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters([AtomicU64; Event::COUNT]);

impl Counters {
    /// The counts at some moment, each by itself.
    pub fn read(&self) -> [u64; Event::COUNT] {
        // Relaxed: counts that order nothing.
        core::array::from_fn(|event| self.0[event].load(Ordering::Relaxed))
    }

    /// Called by the owner only, so that a load and a store will do.
    #[inline(always)]
    fn add(&self, event: Event) {
        let counter = &self.0[event as usize];
        // Relaxed (R-07): one writer; a reader sees some count of the past.
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}
