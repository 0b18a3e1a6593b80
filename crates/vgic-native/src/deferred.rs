//! Deferred callbacks (`call_rcu`): a queue, and a thread that takes it in batches.
//!
//! **Problem.** Who unlinks an object under a spin lock must not wait for readers; it leaves the object to somebody
//! else. What is left must not pile up without bound, whatever a reader does.
//!
//! **Protocol.** A push appends to a queue under a short lock. The thread `vgic-rcu`, started by the first push, lets
//! a batch gather for a moment, takes all of it, waits for one grace period and runs the callbacks in order. It
//! ends when there was nothing to do for a while, and the next push starts another. A child of `fork` has a queue of its
//! own; the one that it inherited panics there ([`fork`]).
//!
//! **Bound.** A push never waits. Each operation that may have pushed ends with [`Deferred::throttle`], which waits
//! while [`Deferred::cap`] callbacks or more are queued; so the backlog is at most the cap, and what the operations that
//! run at that moment push. With nothing pushed since the last call it costs one load of the thread's own.
//!
//! **Cost.** A push: an uncontended lock and sixteen bytes written; the thread is woken once per batch.

use crate::ctx::NativeCtx;
#[cfg(doc)]
use crate::fork;
use crate::runtime::Runtime;
use crate::sync::{Condvar, Guard, Mutex};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use vgic_core::Callback;

/// What the thread `vgic-rcu` is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Worker {
    /// There is none.
    None,
    /// Waits for a push.
    Idle,
    /// Lets a batch gather, or runs one: it will look at the queue by itself.
    Busy,
}

struct Queue {
    pending: Vec<Callback<NativeCtx>>,
    /// When the oldest of `pending` was pushed.
    pending_since: Option<Instant>,
    /// When the oldest of the batch that runs was pushed.
    batch_since: Option<Instant>,
    queued: u64,
    run: u64,
    worker: Worker,
    /// Somebody waits: do not let the batch gather.
    hurry: bool,
}

/// The queue of a runtime.
pub(crate) struct Deferred {
    queue: Mutex<Queue>,
    /// Wakes the worker.
    wake: Condvar,
    /// Callbacks have run.
    done: Condvar,
    /// Callbacks queued and not yet run; a copy for who has not the lock.
    backlog: AtomicUsize,
    cap: AtomicUsize,
}

/// The state of the queue at one moment.
pub(crate) struct DeferredStats {
    pub(crate) queued: u64,
    pub(crate) run: u64,
    pub(crate) oldest_age: Duration,
}

/// Backlog from which on operations wait, unless set otherwise.
const DEFAULT_CAP: usize = 65_536;
/// How long a batch gathers, unless it has grown to [`FULL_BATCH`] before.
const GATHER: Duration = Duration::from_millis(1);
const FULL_BATCH: usize = 4_096;
/// Callbacks between two updates of the backlog.
const CHUNK: usize = 1_024;
/// How long the worker stays with nothing to do.
const IDLE: Duration = Duration::from_secs(1);
/// Who waits for callbacks looks again after this time, in case the worker could not be started.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Deferred {
    pub(crate) fn new() -> Self {
        Deferred {
            queue: Mutex::new(Queue {
                pending: Vec::new(),
                pending_since: None,
                batch_since: None,
                queued: 0,
                run: 0,
                worker: Worker::None,
                hurry: false,
            }),
            wake: Condvar::new(),
            done: Condvar::new(),
            backlog: AtomicUsize::new(0),
            cap: AtomicUsize::new(DEFAULT_CAP),
        }
    }

    /// Backlog from which on operations wait.
    pub(crate) fn set_cap(&self, cap: usize) {
        // Relaxed: a setting that orders nothing.
        self.cap.store(cap.max(1), Ordering::Relaxed);
    }

    /// Queues a callback.
    pub(crate) fn push(&self, runtime: &Arc<Runtime>, callback: Callback<NativeCtx>) {
        runtime.rcu.assert_of_this_process();
        let mut queue = self.queue.lock();
        if queue.pending.is_empty() {
            queue.pending_since = Some(Instant::now());
        }
        queue.pending.push(callback);
        queue.queued += 1;
        self.publish_backlog(&queue);
        if queue.worker != Worker::Busy || queue.pending.len() == FULL_BATCH {
            self.rouse(&mut queue, runtime);
        }
    }

    /// Waits while the backlog is at its cap. The caller has pushed since it last did so.
    #[cold]
    pub(crate) fn throttle(&self, runtime: &Arc<Runtime>) {
        if !self.is_full() {
            return;
        }
        runtime.rcu.assert_of_this_process();
        let mut queue = self.queue.lock();
        while self.is_full() {
            queue = self.await_progress(queue, runtime);
        }
    }

    /// Waits until all that was queued before has run.
    pub(crate) fn barrier(&self, runtime: &Arc<Runtime>) {
        runtime.rcu.assert_of_this_process();
        let mut queue = self.queue.lock();
        let goal = queue.queued;
        while queue.run < goal {
            queue = self.await_progress(queue, runtime);
        }
    }

    pub(crate) fn stats(&self) -> DeferredStats {
        let queue = self.queue.lock();
        let oldest = queue.batch_since.or(queue.pending_since);
        DeferredStats {
            queued: queue.queued,
            run: queue.run,
            oldest_age: oldest.map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }

    #[inline]
    fn is_full(&self) -> bool {
        // Relaxed: a hint; who acts on it takes the lock.
        self.backlog.load(Ordering::Relaxed) >= self.cap.load(Ordering::Relaxed)
    }

    fn publish_backlog(&self, queue: &Queue) {
        // Relaxed: written under the lock only.
        self.backlog.store((queue.queued - queue.run) as usize, Ordering::Relaxed);
    }

    fn await_progress<'a>(&self, mut queue: Guard<'a, Queue>, runtime: &Arc<Runtime>) -> Guard<'a, Queue> {
        queue.hurry = true;
        self.rouse(&mut queue, runtime);
        self.done.wait_for(queue, LOOK_AGAIN).0
    }

    /// Makes the worker look at the queue; starts it if there is none.
    fn rouse(&self, queue: &mut Queue, runtime: &Arc<Runtime>) {
        match queue.worker {
            Worker::None => {
                let runtime = Arc::clone(runtime);
                // Where no thread can be started now, the next push or wait tries again.
                if thread::Builder::new().name("vgic-rcu".into()).spawn(move || work(&runtime)).is_ok() {
                    queue.worker = Worker::Busy;
                }
            }
            Worker::Idle | Worker::Busy => {
                queue.worker = Worker::Busy;
                self.wake.notify_one();
            }
        }
    }

    /// The next batch, in exchange for an empty vector; `None` if the worker should end.
    fn next_batch(&self, batch: &mut Vec<Callback<NativeCtx>>) -> Option<()> {
        let mut queue = self.queue.lock();
        while queue.pending.is_empty() {
            queue.worker = Worker::Idle;
            let timed_out;
            (queue, timed_out) = self.wake.wait_for(queue, IDLE);
            if timed_out && queue.pending.is_empty() {
                queue.worker = Worker::None;
                return None;
            }
        }
        queue.worker = Worker::Busy;
        if !queue.hurry && queue.pending.len() < FULL_BATCH {
            queue = self.wake.wait_for(queue, GATHER).0;
        }
        queue.hurry = false;
        queue.batch_since = queue.pending_since.take();
        core::mem::swap(&mut queue.pending, batch);
        Some(())
    }

    /// Notes that callbacks have run.
    fn finished(&self, count: usize, batch_done: bool) {
        let mut queue = self.queue.lock();
        queue.run += count as u64;
        if batch_done {
            queue.batch_since = None;
        }
        self.publish_backlog(&queue);
        self.done.notify_all();
    }
}

/// The thread `vgic-rcu`.
fn work(runtime: &Arc<Runtime>) {
    let ctx = NativeCtx::worker(runtime);
    let deferred = &runtime.deferred;
    let mut batch = Vec::new();
    while deferred.next_batch(&mut batch).is_some() {
        ctx.rcu.synchronize();
        let mut left = batch.len();
        while left > 0 {
            let count = left.min(CHUNK);
            for callback in batch.drain(..count) {
                run(&ctx, callback);
            }
            left -= count;
            deferred.finished(count, left == 0);
        }
    }
}

/// Runs one callback; one that panics must not take the others with it.
fn run(ctx: &NativeCtx, callback: Callback<NativeCtx>) {
    // SAFETY: N-06: a grace period has passed since the callback was queued, and it runs once, since it was drained
    // from its batch.
    let call = || unsafe { callback.run(ctx) };
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        crate::threads::warn("an RCU callback panicked");
    }
}
