//! Locks and parkers: real algorithms, whose waiting makes the traffic that they make on a machine.
//!
//! - *qspinlock*: a word that is taken if it is free; otherwise a queue, in which each waits for a word of its own, and only
//!   the first one looks at the lock's word. One hand-over: the word to the first one, and the queue's head to the next.
//! - *ticket*: a number each, and all wait for one word. Each hand-over is a write that takes the line from all of them, and
//!   then all fetch it again.
//! - *mutex*: who finds it taken spins in a queue while the holder runs (optimistic spinning), and sleeps while the holder
//!   does. It is let go before a sleeper is woken, so somebody else may be faster; a sleeper who was woken in vain is handed
//!   the mutex the next time.
//! - *rwlock*: readers count themselves in the word; a writer that waits keeps new readers out.

use crate::ctx::SimCtx;
use crate::field::Field;
use crate::machine::{Cost, Ps, SpinLocks};
use crate::report::Spending;
use crate::virtual_core::Core;
use crate::world::World;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use vgic_core::platform::{Parker as PlatformParker, RawLock, RawRwLock};

/// Nobody, where a core is named.
pub(crate) const NOBODY: u32 = u32::MAX;

/// Whether somebody has a lock, and who waits, in order.
#[derive(Debug)]
pub(crate) struct LockState {
    /// Who has a mutex.
    pub(crate) holder: u32,
    pub(crate) locked: bool,
    /// Numbers of a ticket lock: next, served.
    tickets: (u64, u64),
    pub(crate) queue: VecDeque<u32>,
    /// Who sleeps for a mutex, and the one of them who is to be handed it.
    pub(crate) sleepers: VecDeque<u32>,
    pub(crate) hand_off: Option<u32>,
    readers: u32,
}

/// A lock.
#[derive(Debug)]
pub(crate) struct Lock {
    pub(crate) field: Field,
    /// Number of its name.
    pub(crate) name: u32,
    /// Number of its state.
    pub(crate) state: u32,
}

impl Lock {
    pub(crate) fn new(world: &World, field: Field, name: &'static str) -> Self {
        let mut locks = world.locks.borrow_mut();
        let (tickets, queue, sleepers) = ((0, 0), VecDeque::new(), VecDeque::new());
        locks.push(LockState { holder: NOBODY, locked: false, tickets, queue, sleepers, hand_off: None, readers: 0 });
        Lock { field, name: world.tally.borrow_mut().lock(name), state: locks.len() as u32 - 1 }
    }

    pub(crate) fn with<R>(&self, ctx: &SimCtx, f: impl FnOnce(&mut LockState) -> R) -> R {
        f(&mut ctx.world.locks.borrow_mut()[self.state as usize])
    }

    pub(crate) fn text(&self, ctx: &SimCtx) -> &'static str {
        ctx.world.tally.borrow().lock_name(self.name)
    }

    /// Waits, looking at the lock's word after each write to its line, until `free` says so.
    fn spin(&self, ctx: &SimCtx, free: impl Fn(&mut LockState) -> bool) {
        ctx.look_until(&self.field, self.text(ctx), || self.with(ctx, &free));
    }

    /// Takes it alone, as `how` says.
    fn acquire(&self, ctx: &SimCtx, how: SpinLocks) {
        let Some(core) = ctx.if_core() else {
            return self.with(ctx, |state| {
                assert!(!state.locked, "a lock is taken twice by the set-up");
                state.locked = true;
            });
        };
        let begin = core.now();
        core.waiting_for(self.name, || match how {
            SpinLocks::Ticket => self.take_ticket(ctx),
            SpinLocks::Qspinlock => self.queue_for(ctx, core),
        });
        ctx.charge(Cost::spin_locks, core.now() - begin);
        self.got(ctx, core, begin);
    }

    pub(crate) fn got(&self, ctx: &SimCtx, core: &Core, begin: Ps) {
        core.held.borrow_mut().push(self.name);
        ctx.world.tally.borrow_mut().took_lock(self.name, core.now() - begin);
        if ctx.traces() {
            ctx.trace("wait", self.text(ctx), begin, None);
            core.held_since.borrow_mut().push(core.now());
        }
    }

    fn take_ticket(&self, ctx: &SimCtx) {
        ctx.modify(&self.field);
        let ticket = self.with(ctx, |state| {
            state.tickets.0 += 1;
            state.tickets.0 - 1
        });
        self.spin(ctx, |state| state.tickets.1 == ticket);
    }

    fn queue_for(&self, ctx: &SimCtx, core: &Core) {
        ctx.modify(&self.field);
        let taken = self.with(ctx, |state| {
            let taken = !state.locked && state.queue.is_empty();
            if taken {
                state.locked = true;
            } else {
                state.queue.push_back(core.number);
            }
            taken
        });
        if taken {
            return;
        }
        if self.with(ctx, |state| state.queue.front() != Some(&core.number)) {
            // It tells the one before it where it waits, and waits for a word of its own.
            let distance = self.with(ctx, |state| state.queue[state.queue.len() - 2]);
            core.spend(Spending::Transfers, self.hand_over(ctx, distance, core.number));
            ctx.world.block(core, self.text(ctx), Spending::Queueing);
        }
        self.spin(ctx, |state| !state.locked);
        ctx.modify(&self.field);
        let next = self.with(ctx, |state| {
            state.locked = true;
            state.queue.pop_front();
            state.queue.front().copied()
        });
        if let Some(next) = next {
            // Its word comes over from this core.
            let at = core.now() + self.hand_over(ctx, core.number, next);
            ctx.world.wake(next, at);
            core.spend(Spending::Hits, ctx.cost(Cost::hit_store));
        }
    }

    pub(crate) fn hand_over(&self, ctx: &SimCtx, from: u32, to: u32) -> Ps {
        if self.field.free {
            return 0;
        }
        let time = ctx.world.machine.transfer(from, to);
        ctx.charge(Cost::distance, time);
        time
    }

    fn release(&self, ctx: &SimCtx) {
        ctx.drain();
        match ctx.if_core() {
            None => self.with(ctx, |state| state.locked = false),
            Some(core) => self.let_go(ctx, core),
        }
    }

    fn let_go(&self, ctx: &SimCtx, core: &Core) {
        // The word is written where others may look at it, so before the line leaves.
        ctx.world.in_order(core);
        self.with(ctx, |state| {
            state.locked = false;
            state.tickets.1 += 1;
        });
        ctx.write(&self.field);
        self.no_longer_held(ctx, core);
    }

    pub(crate) fn no_longer_held(&self, ctx: &SimCtx, core: &Core) {
        let mut held = core.held.borrow_mut();
        if let Some(at) = held.iter().rposition(|lock| *lock == self.name) {
            held.remove(at);
            let mut since = core.held_since.borrow_mut();
            if at < since.len() {
                let since = since.remove(at);
                ctx.trace("lock", self.text(ctx), since, None);
            }
        }
    }
}

/// A spin lock.
#[derive(Debug)]
pub struct SpinLock(Lock);

impl SpinLock {
    pub(crate) fn new(world: &World, field: Field, name: &'static str) -> Self {
        SpinLock(Lock::new(world, field, name))
    }
}

impl RawLock<SimCtx> for SpinLock {
    fn lock(&self, ctx: &SimCtx, _irqs_off: bool) {
        self.0.acquire(ctx, ctx.world.machine.spin_locks);
    }
    fn lock_nested(&self, ctx: &SimCtx) {
        self.lock(ctx, false);
    }
    fn unlock(&self, ctx: &SimCtx) {
        self.0.release(ctx);
    }
}

/// A reader-writer spin lock.
#[derive(Debug)]
pub struct RwLock(Lock);

impl RwLock {
    pub(crate) fn new(world: &World, field: Field, name: &'static str) -> Self {
        RwLock(Lock::new(world, field, name))
    }
}

impl RawRwLock<SimCtx> for RwLock {
    fn read_lock(&self, ctx: &SimCtx, _irqs_off: bool) {
        let lock = &self.0;
        let Some(core) = ctx.if_core() else { return lock.with(ctx, |state| state.readers += 1) };
        let begin = core.now();
        core.waiting_for(lock.name, || {
            loop {
                ctx.modify(&lock.field);
                let taken = lock.with(ctx, |state| {
                    state.readers += u32::from(!state.locked);
                    !state.locked
                });
                if taken {
                    break;
                }
                lock.spin(ctx, |state| !state.locked);
            }
        });
        ctx.world.tally.borrow_mut().took_lock(lock.name, core.now() - begin);
    }
    fn read_unlock(&self, ctx: &SimCtx) {
        ctx.drain();
        // The count goes down when the line is there; who looks later sees it.
        ctx.modify(&self.0.field);
        self.0.with(ctx, |state| state.readers -= 1);
    }
    fn write_lock(&self, ctx: &SimCtx, _irqs_off: bool) {
        let lock = &self.0;
        lock.acquire(ctx, SpinLocks::Qspinlock);
        if let Some(core) = ctx.if_core() {
            core.waiting_for(lock.name, || lock.spin(ctx, |state| state.readers == 0));
        }
    }
    fn write_unlock(&self, ctx: &SimCtx) {
        self.0.release(ctx);
    }
}

/// Where a core sleeps.
#[derive(Debug)]
pub struct Parker {
    field: Field,
    token: AtomicBool,
    sleeper: AtomicU32,
}

// Relaxed everywhere: all cores run on one thread of the host; the types are atomics since the traits ask for `Sync`.
impl Parker {
    pub(crate) fn new(field: Field) -> Self {
        Parker { field, token: AtomicBool::new(false), sleeper: AtomicU32::new(NOBODY) }
    }
}

impl PlatformParker<SimCtx> for Parker {
    fn park(&self, ctx: &SimCtx) {
        ctx.modify(&self.field);
        let Some(core) = ctx.if_core() else { return };
        if !self.token.swap(false, Relaxed) {
            self.sleeper.store(core.number, Relaxed);
            core.asleep.set(true);
            ctx.world.block(core, "asleep", Spending::Idle);
            core.asleep.set(false);
            self.token.store(false, Relaxed);
        }
    }
    fn unpark(&self, ctx: &SimCtx) {
        ctx.modify(&self.field);
        self.token.store(true, Relaxed);
        let sleeper = self.sleeper.swap(NOBODY, Relaxed);
        if sleeper != NOBODY {
            ctx.world.wake(sleeper, ctx.now() + ctx.cost(Cost::wake_latency));
        }
    }
}
