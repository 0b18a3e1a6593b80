//! The sleeping mutex. See `locks.rs` for what waiting means.

use crate::ctx::SimCtx;
use crate::field::Field;
use crate::locks::{Lock, NOBODY};
use crate::machine::Cost;
use crate::report::Spending;
use crate::virtual_core::Core;
use crate::world::World;
use vgic_core::platform::RawLock;

/// A sleeping mutex.
#[derive(Debug)]
pub struct Mutex(Lock);

impl Mutex {
    pub(crate) fn new(world: &World, field: Field, name: &'static str) -> Self {
        Mutex(Lock::new(world, field, name))
    }

    /// One compare-and-swap of the owner word.
    fn try_take(&self, ctx: &SimCtx, core: &Core) -> bool {
        ctx.modify(&self.0.field);
        self.0.with(ctx, |state| {
            let mine = state.locked && state.holder == core.number;
            let free = !state.locked;
            if free {
                state.locked = true;
                state.holder = core.number;
            }
            free || mine
        })
    }

    /// Whether the holder sleeps, or is about to run with the mutex in its hand.
    fn holder_sleeps(&self, ctx: &SimCtx) -> bool {
        ctx.in_order();
        let holder = self.0.with(ctx, |state| state.holder);
        holder != NOBODY && ctx.world.core(holder).asleep.get()
    }

    /// Spins in the queue; false if the holder went to sleep.
    fn spin(&self, ctx: &SimCtx, core: &Core) -> bool {
        let lock = &self.0;
        lock.with(ctx, |state| state.queue.push_back(core.number));
        let taken = loop {
            if self.holder_sleeps(ctx) {
                break false;
            }
            if lock.with(ctx, |state| state.queue.front() != Some(&core.number)) {
                ctx.world.block(core, lock.text(ctx), Spending::Queueing);
                continue;
            }
            ctx.read(&lock.field);
            if lock.with(ctx, |state| !state.locked) {
                if self.try_take(ctx, core) {
                    break true;
                }
            } else if !self.holder_sleeps(ctx) {
                if lock.field.free {
                    core.spend(Spending::Queueing, ctx.cost(Cost::relax));
                } else {
                    ctx.world.wait_for_write(core, &lock.field, lock.text(ctx));
                }
            }
        };
        // The next one is the first now.
        let next = lock.with(ctx, |state| {
            state.queue.retain(|waiter| *waiter != core.number);
            state.queue.front().copied()
        });
        if let Some(next) = next {
            ctx.world.wake(next, core.now() + lock.hand_over(ctx, core.number, next));
        }
        taken
    }

    /// Sleeps until it has the mutex.
    fn sleep(&self, ctx: &SimCtx, core: &Core) {
        let lock = &self.0;
        lock.with(ctx, |state| state.sleepers.push_back(core.number));
        // It may have been let go meanwhile.
        while !self.try_take(ctx, core) {
            core.asleep.set(true);
            ctx.world.block(core, lock.text(ctx), Spending::Idle);
            core.asleep.set(false);
            if self.try_take(ctx, core) {
                break;
            }
            // Only the first is woken. In vain: the next one who lets go hands it over.
            lock.with(ctx, |state| state.hand_off = Some(core.number));
        }
        lock.with(ctx, |state| {
            state.sleepers.retain(|sleeper| *sleeper != core.number);
            state.hand_off = None;
        });
    }
}

impl RawLock<SimCtx> for Mutex {
    fn lock(&self, ctx: &SimCtx, _irqs_off: bool) {
        let lock = &self.0;
        let Some(core) = ctx.if_core() else {
            return lock.with(ctx, |state| {
                assert!(!state.locked, "a mutex is taken twice by the set-up");
                state.locked = true;
            });
        };
        let begin = core.now();
        core.waiting_for(lock.name, || {
            if !self.try_take(ctx, core) && !self.spin(ctx, core) {
                self.sleep(ctx, core);
            }
        });
        core.mutexes.borrow_mut().push(lock.state);
        lock.got(ctx, core, begin);
    }

    fn lock_nested(&self, ctx: &SimCtx) {
        self.lock(ctx, false);
    }

    fn unlock(&self, ctx: &SimCtx) {
        let lock = &self.0;
        ctx.drain();
        let Some(core) = ctx.if_core() else { return lock.with(ctx, |state| state.locked = false) };
        // The word is written where others may look at it, so before the line leaves.
        ctx.in_order();
        let sleeper = lock.with(ctx, |state| {
            let sleeper = state.sleepers.front().copied();
            match state.hand_off {
                Some(next) => state.holder = next,
                None => (state.locked, state.holder) = (false, NOBODY),
            }
            state.hand_off.or(sleeper)
        });
        ctx.write(&lock.field);
        core.mutexes.borrow_mut().retain(|mutex| *mutex != lock.state);
        lock.no_longer_held(ctx, core);
        if let Some(sleeper) = sleeper {
            core.spend(Spending::Work, ctx.cost(Cost::wake));
            ctx.world.wake(sleeper, core.now() + ctx.cost(Cost::wake_latency));
        }
    }
}
