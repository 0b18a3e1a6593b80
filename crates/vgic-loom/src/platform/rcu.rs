//! Read sections and grace periods, which order no more than RCU promises.
//!
//! The promise: of a section and a grace period, either the section began after the grace period did, and sees what came
//! before it; or it ends before the grace period does, and all of it comes before what follows. Each thread has a word
//! for each flavour. Its sections begin with an acquire of the word and end with a release. A grace period begins by
//! looking at each thread, at its word: it releases what came before, takes over what has ended, and has to wait for the
//! section that runs, if one does. Which one that is, is written down beside loom.
//!
//! Callbacks are left to a thread of their own, which takes what is there and waits for a grace period, so that nobody
//! else learns anything from it.
//!
//! Grace periods of one flavour are ordered among themselves, as they are in the kernel and in `vgic-native`.

use super::world::{self, Did, World};
use super::{Ctx, MAX_THREADS};
use loom::sync::atomic::AtomicU32;
use loom::sync::atomic::Ordering::{self, AcqRel, Acquire, Release};
use loom::thread::{self, JoinHandle};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use vgic_core::{Callback, Event};

/// RCU or SRCU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    Rcu,
    Srcu,
}

impl Flavour {
    fn name(self, rcu: &'static str, srcu: &'static str) -> &'static str {
        if self == Flavour::Rcu { rcu } else { srcu }
    }
}

/// A grace period that has begun.
struct Grace {
    flavour: Flavour,
    /// The threads whose sections it waits for.
    readers: Vec<usize>,
    waiter: thread::Thread,
}

/// The words, and what is waited for.
#[derive(Default)]
pub(crate) struct Rcu {
    words: Vec<[Arc<AtomicU32>; 2]>,
    graces: BTreeMap<u64, Grace>,
    begun: u64,
    queue: VecDeque<Callback<Ctx>>,
    queued: u64,
    run: u64,
    worker: Option<JoinHandle<()>>,
    barriers: Vec<thread::Thread>,
    closing: bool,
}

impl Rcu {
    /// Made before any thread runs, so that each of them may touch all words.
    pub(crate) fn new() -> Self {
        let word = || Arc::new(AtomicU32::new(0));
        Rcu { words: (0..MAX_THREADS).map(|_| [word(), word()]).collect(), ..Rcu::default() }
    }
}

/// Reads a word and leaves it as it is, so that each such access sees the one before.
fn touch(thread: usize, flavour: Flavour, order: Ordering) {
    let word = world::with(|world| Arc::clone(&world.rcu.words[thread][flavour as usize]));
    word.fetch_add(0, order);
}

fn depth(world: &mut World, thread: usize, flavour: Flavour) -> u32 {
    world.threads.get(thread).map_or(0, |thread| thread.depth[flavour as usize])
}

#[inline(never)]
pub(crate) fn enter(ctx: &Ctx, flavour: Flavour) {
    if world::stopped() {
        return;
    }
    if world::with(|world| depth(world, ctx.id, flavour)) == 0 {
        touch(ctx.id, flavour, Acquire);
        world::log(ctx.id, Did::Plain(flavour.name("rcu_read_lock", "srcu_read_lock")));
    }
    world::with(|world| world.threads[ctx.id].depth[flavour as usize] += 1);
}

#[inline(never)]
pub(crate) fn exit(ctx: &Ctx, flavour: Flavour) {
    if world::stopped() {
        return;
    }
    let before = world::with(|world| depth(world, ctx.id, flavour));
    match before {
        0 => world::violation("the end of a read section outside of one"),
        1 => touch(ctx.id, flavour, Release),
        _ => {}
    }
    world::with(|world| world.threads[ctx.id].depth[flavour as usize] -= 1);
    if before > 1 {
        return;
    }
    world::log(ctx.id, Did::Plain(flavour.name("rcu_read_unlock", "srcu_read_unlock")));
    let waiters: Vec<_> = world::with(|world| {
        let graces = world.rcu.graces.values_mut().filter(|grace| grace.flavour == flavour);
        let waits = |grace: &mut Grace| {
            let at = grace.readers.iter().position(|reader| *reader == ctx.id)?;
            grace.readers.remove(at);
            Some(grace.waiter.clone())
        };
        graces.filter_map(waits).collect()
    });
    // What this thread did comes before what the waiter does next.
    waiters.iter().for_each(thread::Thread::unpark);
}

/// One grace period, from the beginning to the end.
fn grace_period(ctx: &Ctx, flavour: Flavour) {
    let waiter = thread::current();
    let number = world::with(|world| {
        let rcu = &mut world.rcu;
        rcu.begun += 1;
        rcu.graces.insert(rcu.begun, Grace { flavour, readers: Vec::new(), waiter });
        rcu.begun
    });
    for thread in (0..MAX_THREADS).filter(|thread| *thread != ctx.id) {
        touch(thread, flavour, AcqRel);
        world::with(|world| {
            if depth(world, thread, flavour) > 0 {
                world.rcu.graces.get_mut(&number).expect("it has begun").readers.push(thread);
            }
        });
    }
    while world::with(|world| !world.rcu.graces[&number].readers.is_empty()) {
        thread::park();
    }
    world::with(|world| world.rcu.graces.remove(&number));
}

/// Waits for a grace period.
#[inline(never)]
pub(crate) fn synchronize(ctx: &Ctx, flavour: Flavour) {
    if world::stopped() {
        return;
    }
    world::log(ctx.id, Did::Plain(flavour.name("synchronize_rcu", "synchronize_srcu")));
    if world::with(|world| depth(world, ctx.id, flavour)) > 0 {
        world::violation("a thread waits for a grace period in a read section of its own");
    }
    if flavour == Flavour::Rcu {
        world::with(|world| world.count(Event::GracePeriod));
    }
    grace_period(ctx, flavour);
    world::log(ctx.id, Did::Plain("the grace period is over"));
}

#[inline(never)]
pub(crate) fn call(ctx: &Ctx, callback: Callback<Ctx>) {
    if world::stopped() {
        return;
    }
    world::log(ctx.id, Did::Plain("call_rcu"));
    let worker = worker();
    world::with(|world| {
        world.rcu.queue.push_back(callback);
        world.rcu.queued += 1;
    });
    worker.unpark();
}

/// The thread that runs callbacks, started when there is the first one.
fn worker() -> thread::Thread {
    if let Some(worker) = world::with(|world| world.rcu.worker.as_ref().map(|worker| worker.thread().clone())) {
        return worker;
    }
    let id = world::add_thread("rcu");
    let handle = thread::spawn(move || work(&Ctx { id }));
    let worker = handle.thread().clone();
    world::with(|world| world.rcu.worker = Some(handle));
    worker
}

fn work(ctx: &Ctx) {
    loop {
        let batch = world::with(|world| core::mem::take(&mut world.rcu.queue));
        if !batch.is_empty() {
            grace_period(ctx, Flavour::Rcu);
            let count = batch.len() as u64;
            for callback in batch {
                // SAFETY: M-05: its grace period is over, and it was taken out of the queue.
                unsafe { callback.run(ctx) }
            }
            let waiters = world::with(|world| {
                world.rcu.run += count;
                core::mem::take(&mut world.rcu.barriers)
            });
            waiters.iter().for_each(thread::Thread::unpark);
        } else if world::with(|world| world.rcu.closing) {
            return;
        } else {
            thread::park();
        }
    }
}

/// Waits until every callback queued before has run.
#[inline(never)]
pub(crate) fn barrier(ctx: &Ctx) {
    if world::stopped() {
        return;
    }
    world::log(ctx.id, Did::Plain("rcu_barrier"));
    let goal = world::with(|world| world.rcu.queued);
    while world::with(|world| world.rcu.run < goal) {
        let me = thread::current();
        world::with(|world| world.rcu.barriers.push(me));
        thread::park();
    }
}

/// Nothing calls any more: the thread of RCU ends.
pub(crate) fn close(ctx: &Ctx) {
    barrier(ctx);
    let worker = world::with(|world| {
        world.rcu.closing = true;
        world.rcu.worker.take()
    });
    if let Some(worker) = worker {
        worker.thread().unpark();
        worker.join().expect("a panic ends the execution");
    }
    world::with(|world| world.rcu.closing = false);
}
