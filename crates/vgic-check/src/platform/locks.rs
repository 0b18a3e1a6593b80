//! Locks and parkers, and the rules for who may take what where: ranks, sleeping, interrupts.

use super::ctx::Ctx;
use super::field::{Access, Field};
use super::log::Did;
use super::world::Wait;
use crate::violation::Rule;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use vgic_core::platform::{Parker as PlatformParker, RawLock, RawRwLock};

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Alone,
    Shared,
}

/// A lock.
#[derive(Debug)]
pub(crate) struct LockInner {
    pub(crate) field: Field,
    rank: u8,
    /// Whether who waits for it sleeps.
    pub(crate) sleeps: bool,
    /// Who holds it alone, plus one; how many share it.
    owner: AtomicUsize,
    readers: AtomicUsize,
}

/// A lock that a thread holds.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) lock: Arc<LockInner>,
    pub(crate) mode: Mode,
    irqs_off: bool,
}

impl LockInner {
    fn new(field: Field, rank: u8, sleeps: bool) -> Arc<Self> {
        Arc::new(LockInner { field, rank, sleeps, owner: AtomicUsize::new(0), readers: AtomicUsize::new(0) })
    }

    pub(crate) fn is_free(&self, mode: Mode) -> bool {
        self.owner.load(Relaxed) == 0 && (mode == Mode::Shared || self.readers.load(Relaxed) == 0)
    }

    pub(crate) fn holder(&self) -> Option<usize> {
        self.owner.load(Relaxed).checked_sub(1)
    }

    fn class(&self) -> (&'static str, &'static str) {
        (self.field.object.class, self.field.name)
    }

    #[inline(never)]
    fn acquire(self: &Arc<Self>, ctx: &Ctx, mode: Mode, irqs_off: bool, nested: bool) {
        let world = &ctx.world;
        if world.stopped() {
            return ctx.over();
        }
        if self.sleeps {
            ctx.may_sleep(&format!("taking {}", self.field.label()));
        }
        self.check(ctx, irqs_off, nested);
        if !ctx.touch(&self.field, Access::Take) {
            return;
        }
        if !self.is_free(mode) {
            world.wait(ctx.id, Wait::Lock(Arc::clone(self), mode));
            if world.stopped() {
                return ctx.over();
            }
            if self.field.object.is_dead() {
                world.use_after_free(ctx.id, "takes", &self.field);
                return ctx.over();
            }
        }
        match mode {
            Mode::Alone => self.owner.store(ctx.id + 1, Relaxed),
            Mode::Shared => self.readers.store(self.readers.load(Relaxed) + 1, Relaxed),
        }
        ctx.log(|| Did::Lock(self.field.clone()));
        world.thread(ctx.id, |thread| thread.held.push(Held { lock: Arc::clone(self), mode, irqs_off }));
    }

    fn check(self: &Arc<Self>, ctx: &Ctx, irqs_off: bool, nested: bool) {
        let world = &ctx.world;
        let broken = world.thread(ctx.id, |thread| {
            let held = thread.held.iter().max_by_key(|held| held.lock.rank);
            if let Some(same) = thread.held.iter().find(|held| Arc::ptr_eq(&held.lock, self)) {
                return Err((
                    Rule::Deadlock,
                    format!("self-deadlock: takes {}, which it holds", same.lock.field.label()),
                ));
            }
            let out_of_order =
                |top: &&Arc<LockInner>| top.rank >= self.rank && !(nested && top.class() == self.class());
            if let Some(top) = held.map(|held| &held.lock).filter(out_of_order) {
                let text = format!("lock order: takes {} under {}", self.field.label(), top.field.label());
                return Err((Rule::LockOrder, text));
            }
            let masked = irqs_off || thread.held.iter().any(|held| held.irqs_off);
            Ok((thread.interrupt, !masked))
        });
        match broken {
            Err((rule, what)) => {
                let name = world.name(ctx.id);
                world.fail(rule, format!("{what} ({name})"), vec![Arc::clone(&self.field.object)]);
                ctx.over();
            }
            Ok((interrupt, enabled)) if !self.sleeps => self.check_interrupts(ctx, interrupt, enabled),
            Ok(_) => {}
        }
    }

    /// A lock that interrupts take must never be held with interrupts enabled: the interrupt would wait for itself.
    fn check_interrupts(&self, ctx: &Ctx, interrupt: bool, enabled: bool) {
        let world = &ctx.world;
        let both = {
            let mut usage = world.usage.borrow_mut();
            let used = usage.entry(self.class()).or_default();
            if interrupt {
                used[0].get_or_insert(ctx.id);
            } else if enabled {
                used[1].get_or_insert(ctx.id);
            }
            (used[0], used[1])
        };
        if let (Some(inside), Some(outside)) = both {
            let what = format!(
                "inconsistent lock state: {} takes {} in an interrupt, {} with interrupts enabled",
                world.name(inside),
                self.field.label(),
                world.name(outside),
            );
            world.fail(Rule::Context, what, vec![Arc::clone(&self.field.object)]);
            ctx.over();
        }
    }

    #[inline(never)]
    fn release(self: &Arc<Self>, ctx: &Ctx, mode: Mode) {
        let world = &ctx.world;
        if world.stopped() {
            return;
        }
        let found = world.thread(ctx.id, |thread| {
            let is = |held: &Held| held.mode == mode && Arc::ptr_eq(&held.lock, self);
            let at = thread.held.iter().rposition(is)?;
            thread.stretch += 1;
            Some(thread.held.remove(at))
        });
        if found.is_none() {
            return ctx.fail(Rule::Context, format!("unlock of {}, which is not held", self.field.label()));
        }
        if !world.tick() {
            return ctx.over();
        }
        if self.field.object.is_dead() {
            world.use_after_free(ctx.id, "unlocks", &self.field);
            return ctx.over();
        }
        match mode {
            Mode::Alone => self.owner.store(0, Relaxed),
            Mode::Shared => self.readers.store(self.readers.load(Relaxed) - 1, Relaxed),
        }
        ctx.log(|| Did::Unlock(self.field.clone()));
    }
}

macro_rules! lock {
    ($(#[$doc:meta])* $name:ident, $sleeps:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(Arc<LockInner>);

        impl $name {
            pub(crate) fn new(field: Field, rank: u8) -> Self {
                $name(LockInner::new(field, rank, $sleeps))
            }
        }

        impl RawLock<Ctx> for $name {
            fn lock(&self, ctx: &Ctx, irqs_off: bool) {
                self.0.acquire(ctx, Mode::Alone, irqs_off, false);
            }
            fn lock_nested(&self, ctx: &Ctx) {
                self.0.acquire(ctx, Mode::Alone, false, true);
            }
            fn unlock(&self, ctx: &Ctx) {
                self.0.release(ctx, Mode::Alone);
            }
        }
    };
}

lock!(
    /// A spin lock.
    SpinLock, false
);
lock!(
    /// A mutex.
    Mutex, true
);

/// A reader-writer lock.
#[derive(Debug)]
pub struct RwLock(Arc<LockInner>);

impl RwLock {
    pub(crate) fn new(field: Field, rank: u8) -> Self {
        RwLock(LockInner::new(field, rank, false))
    }
}

impl RawRwLock<Ctx> for RwLock {
    fn read_lock(&self, ctx: &Ctx, irqs_off: bool) {
        self.0.acquire(ctx, Mode::Shared, irqs_off, false);
    }
    fn read_unlock(&self, ctx: &Ctx) {
        self.0.release(ctx, Mode::Shared);
    }
    fn write_lock(&self, ctx: &Ctx, irqs_off: bool) {
        self.0.acquire(ctx, Mode::Alone, irqs_off, false);
    }
    fn write_unlock(&self, ctx: &Ctx) {
        self.0.release(ctx, Mode::Alone);
    }
}

/// A place to sleep.
#[derive(Debug)]
pub(crate) struct ParkerInner {
    pub(crate) field: Field,
    woken: AtomicBool,
}

impl ParkerInner {
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Relaxed)
    }
}

/// Where a thread sleeps.
#[derive(Debug)]
pub struct Parker(Arc<ParkerInner>);

impl Parker {
    pub(crate) fn new(field: Field) -> Self {
        Parker(Arc::new(ParkerInner { field, woken: AtomicBool::new(false) }))
    }
}

impl PlatformParker<Ctx> for Parker {
    fn park(&self, ctx: &Ctx) {
        ctx.may_sleep("park");
        if !ctx.touch(&self.0.field, Access::Take) {
            return;
        }
        ctx.log(|| Did::Park(self.0.field.clone()));
        if !self.0.is_woken() {
            ctx.world.wait(ctx.id, Wait::Park(Arc::clone(&self.0)));
        }
        if ctx.world.stopped() {
            return ctx.over();
        }
        self.0.woken.store(false, Relaxed);
    }
    fn unpark(&self, ctx: &Ctx) {
        if ctx.touch(&self.0.field, Access::Take) {
            ctx.log(|| Did::Unpark(self.0.field.clone()));
            self.0.woken.store(true, Relaxed);
        }
    }
}
