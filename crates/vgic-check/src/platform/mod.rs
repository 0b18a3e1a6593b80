//! [`Shuttle`]: the [`Platform`] whose threads take turns, and where each access to shared memory is a place at which
//! another may go on.
//!
//! - Executions: [`world`], [`ctx`] · what they touch: [`field`], [`objects`], [`layout`]
//! - Primitives: [`atomics`], [`locks`], [`rcu`] · what is written down: [`log`]

pub(crate) mod atomics;
pub(crate) mod ctx;
pub(crate) mod field;
pub(crate) mod layout;
pub(crate) mod locks;
pub(crate) mod log;
pub(crate) mod objects;
pub(crate) mod rcu;
pub mod stage;
pub(crate) mod world;

use crate::violation::Rule;
use ctx::Ctx;
use field::Object;
use layout::ShuttleLayout;
use log::Did;
use rcu::Flavour;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use vgic_core::platform::Plain;
use vgic_core::{Callback, Event, NoMemory, Obj, Pair, Platform, Work};
use world::{Wait, World};

/// The platform of the model checker.
#[derive(Clone, Copy, Debug)]
pub struct Shuttle;

/// A thread that was started.
#[derive(Clone, Copy, Debug)]
pub struct Thread(pub(crate) usize);

/// Runs the body of a thread to its end, or for ever if the execution is over before.
pub(crate) fn body(ctx: &Ctx, f: Box<dyn FnOnce(&Ctx)>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| f(ctx))) {
        let Some(what) = crate::quiet::finding(&*payload) else {
            // shuttle takes the stack away.
            resume_unwind(payload);
        };
        ctx.fail(Rule::Panic, what);
    }
}

/// Starts a thread. Not generic, since shuttle's part of it is much code.
pub(crate) fn spawn(ctx: &Ctx, name: &str, interrupt: bool, f: Box<dyn FnOnce(&Ctx) + Send>) -> usize {
    let world = &ctx.world;
    if world.stopped() {
        ctx.over();
        return 0;
    }
    let id = world.add_thread(name, interrupt);
    world.activity(1);
    drop(shuttle::thread::spawn(move || {
        let ctx = Ctx { world: World::current(), id };
        body(&ctx, f);
        ctx.world.end_of(id);
        ctx.world.activity(-1);
    }));
    id
}

impl Platform for Shuttle {
    type Ctx = Ctx;
    type Layout = ShuttleLayout;
    type AtomicU32 = atomics::AtomicU32;
    type AtomicU64 = atomics::AtomicU64;
    type AtomicPtr<T: 'static> = atomics::AtomicPtr<T>;
    type Cell<T: Plain> = atomics::Cell<T>;
    type PtrCell<T: 'static> = atomics::PtrCell<T>;
    type SpinLock = locks::SpinLock;
    type Mutex = locks::Mutex;
    type RwLock = locks::RwLock;
    type Parker = locks::Parker;
    /// Four, so that few objects make a tree of several levels, and an INTID needs no more than seven.
    type Slots<T: Send + Sync> = [T; 4];
    type Thread = Thread;
    // So that their summaries need a second word. There are few to make anew for each interleaving.
    const HINT_WORDS: usize = 65;

    fn alloc<T: Send + Sync + 'static>(
        ctx: &Ctx,
        class: &'static str,
        init: impl FnOnce(&ShuttleLayout) -> T,
    ) -> Result<Obj<T>, NoMemory> {
        objects::alloc(ctx, class, init)
    }

    fn embed<T>(class: &'static str, init: impl FnOnce(&ShuttleLayout) -> T) -> T {
        init(&ShuttleLayout::new(Object::new(&World::current(), class, true)))
    }

    unsafe fn free<T: Send + Sync + 'static>(ctx: &Ctx, obj: Obj<T>) {
        objects::free(ctx, obj);
    }

    unsafe fn call_rcu(ctx: &Ctx, func: unsafe fn(&Ctx, *mut ()), data: *mut ()) {
        // SAFETY: S-02: the caller's promise is the one that is asked for.
        let callback = unsafe { Callback::new(func, data) };
        rcu::call(ctx, callback);
    }

    fn rcu_read_lock(ctx: &Ctx) {
        rcu::enter(ctx, Flavour::Rcu);
    }
    fn rcu_read_unlock(ctx: &Ctx) {
        rcu::exit(ctx, Flavour::Rcu);
    }
    fn synchronize_rcu(ctx: &Ctx) {
        rcu::synchronize(ctx, Flavour::Rcu);
    }
    fn rcu_barrier(ctx: &Ctx) {
        rcu::barrier(ctx);
    }
    fn rcu_throttle(ctx: &Ctx) {
        ctx.may_sleep("rcu_throttle");
    }
    fn srcu_read_lock(ctx: &Ctx) {
        rcu::enter(ctx, Flavour::Srcu);
    }
    fn srcu_read_unlock(ctx: &Ctx) {
        rcu::exit(ctx, Flavour::Srcu);
    }
    fn synchronize_srcu(ctx: &Ctx) {
        rcu::synchronize(ctx, Flavour::Srcu);
    }

    // Fences order nothing here: every access is in order already.
    fn fence_after_rmw(_ctx: &Ctx, _pair: Pair) {}
    fn fence(_ctx: &Ctx, _pair: Pair) {}
    fn fence_acquire(_ctx: &Ctx, _pair: Pair) {}

    fn spawn(ctx: &Ctx, name: &str, f: impl FnOnce(&Ctx) + Send + 'static) -> Thread {
        Thread(spawn(ctx, name, false, Box::new(f)))
    }

    /// A thread that panics ends the execution, so who is joined has not.
    fn join(ctx: &Ctx, thread: Thread) -> bool {
        ctx.may_sleep("join");
        if !ctx.world.stopped() && !ctx.world.is_done(thread.0) {
            ctx.world.wait(ctx.id, Wait::Join(thread.0));
        }
        if ctx.world.stopped() {
            ctx.over();
        }
        true
    }

    fn relax(ctx: &Ctx, _spins: u32) {
        if ctx.world.tick() {
            ctx.world.decide(ctx.id, true);
        }
        if ctx.world.stopped() {
            ctx.over();
        }
    }

    fn work(ctx: &Ctx, work: Work) {
        match work {
            Work::GuestAccess => ctx.may_sleep("an access to guest memory"),
            Work::EnterGuest => ctx.log(|| Did::Event("enters the guest")),
            Work::ExitGuest => ctx.log(|| Did::Event("leaves the guest")),
            _ => {}
        }
    }

    fn count(ctx: &Ctx, event: Event) {
        ctx.world.count_event(event);
        let what = match event {
            Event::Delivered => "the guest takes an LPI",
            Event::CacheHit => "the cache hits",
            Event::CacheMiss => "the cache misses",
            Event::CacheEviction => "the cache evicts",
            Event::EntryCancelled => "a request came in: does not enter",
            Event::Kick => "kicks the vCPU out of the guest",
            Event::Migration => "has migrated the LPI",
            _ => return,
        };
        ctx.log(|| Did::Event(what));
    }

    fn warn(ctx: &Ctx, what: &'static str) {
        if !ctx.world.stopped() {
            let name = ctx.world.name(ctx.id);
            let objects = ctx.world.last_touched(ctx.id);
            ctx.world.fail(Rule::Warning, format!("{what} ({name})"), objects);
            ctx.over();
        }
    }
}
