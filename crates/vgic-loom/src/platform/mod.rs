//! [`Loom`]: the [`Platform`] on loom's atomics, for models small enough to be tried in full.
//!
//! - Executions: [`world`] · what they touch: [`object`], [`layout`], [`arena`]
//! - Primitives: [`atomics`], [`cells`], [`locks`], [`rcu`]

pub(crate) mod arena;
pub(crate) mod atomics;
pub mod cells;
pub(crate) mod layout;
pub(crate) mod locks;
pub(crate) mod object;
pub(crate) mod rcu;
pub(crate) mod world;

use crate::weaken::{Side, granted};
use layout::LoomLayout;
use loom::sync::atomic::{Ordering, fence};
use object::Object;
use rcu::Flavour;
use vgic_core::platform::Plain;
use vgic_core::{Callback, Event, NoMemory, Obj, Pair, Platform, Work};
use world::Did;

/// Threads of one execution, the first one and the one of RCU included.
pub(crate) const MAX_THREADS: usize = loom::MAX_THREADS;

/// The platform on loom.
#[derive(Clone, Copy, Debug)]
pub struct Loom;

/// A thread.
#[derive(Debug)]
pub struct Ctx {
    pub(crate) id: usize,
}

impl Ctx {
    pub(crate) fn name(&self) -> String {
        world::with(|world| world.threads[self.id].name.clone())
    }

    /// Says in the story what this thread sets out to do.
    pub fn note(&self, what: impl Into<String>) {
        if !world::stopped() {
            world::log(self.id, Did::Note(what.into()));
        }
    }

    /// Checks a promise of a model: where it does not hold, that is the violation.
    pub fn expect(&self, holds: bool, what: &str) {
        if !holds && !world::stopped() {
            world::violation(what);
        }
    }
}

/// A thread that was started.
#[derive(Debug)]
pub struct Thread(loom::thread::JoinHandle<()>);

impl Platform for Loom {
    type Ctx = Ctx;
    type Layout = LoomLayout;
    type AtomicU32 = atomics::AtomicU32;
    type AtomicU64 = atomics::AtomicU64;
    type AtomicPtr<T: 'static> = atomics::AtomicPtr<T>;
    type Cell<T: Plain> = cells::Cell<T>;
    type PtrCell<T: 'static> = cells::PtrCell<T>;
    type SpinLock = locks::Lock;
    type Mutex = locks::Lock;
    type RwLock = locks::RwLock;
    type Parker = locks::Parker;
    /// Four, so that few objects make a tree of two levels, and an INTID needs no more than seven.
    type Slots<T: Send + Sync> = [T; 4];
    type Thread = Thread;
    /// So many that the hint of the LPIs beyond them is below the second bit of the word on top.
    const HINT_WORDS: usize = 64;

    fn alloc<T: Send + Sync + 'static>(
        ctx: &Ctx,
        class: &'static str,
        init: impl FnOnce(&LoomLayout) -> T,
    ) -> Result<Obj<T>, NoMemory> {
        object::alloc(ctx, class, init)
    }

    fn embed<T>(class: &'static str, init: impl FnOnce(&LoomLayout) -> T) -> T {
        init(&LoomLayout::new(&Object::new(class)))
    }

    unsafe fn free<T: Send + Sync + 'static>(ctx: &Ctx, obj: Obj<T>) {
        object::free(ctx, obj.as_ptr().addr());
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
    fn rcu_throttle(_ctx: &Ctx) {}
    fn srcu_read_lock(ctx: &Ctx) {
        rcu::enter(ctx, Flavour::Srcu);
    }
    fn srcu_read_unlock(ctx: &Ctx) {
        rcu::exit(ctx, Flavour::Srcu);
    }
    fn synchronize_srcu(ctx: &Ctx) {
        rcu::synchronize(ctx, Flavour::Srcu);
    }

    #[track_caller]
    fn fence_after_rmw(_ctx: &Ctx, pair: Pair) {
        full_fence(pair.code());
    }
    #[track_caller]
    fn fence(_ctx: &Ctx, pair: Pair) {
        full_fence(pair.code());
    }
    #[track_caller]
    fn fence_acquire(_ctx: &Ctx, pair: Pair) {
        if granted(pair.code(), Side::Acquire) && !world::stopped() {
            fence(Ordering::Acquire);
        }
    }

    fn spawn(_ctx: &Ctx, name: &str, f: impl FnOnce(&Ctx) + Send + 'static) -> Thread {
        let id = world::add_thread(name);
        Thread(loom::thread::spawn(move || f(&Ctx { id })))
    }

    /// A thread that panics ends the execution, so who is joined has not.
    fn join(_ctx: &Ctx, thread: Thread) -> bool {
        thread.0.join().is_ok()
    }

    fn relax(_ctx: &Ctx, _spins: u32) {
        if !world::stopped() {
            loom::thread::yield_now();
        }
    }

    fn work(_ctx: &Ctx, _work: Work) {}

    fn count(_ctx: &Ctx, event: Event) {
        if !world::stopped() {
            world::with(|world| world.count(event));
        }
    }

    fn warn(ctx: &Ctx, what: &'static str) {
        if !world::stopped() {
            world::violation(&format!("{what} ({})", ctx.name()));
        }
    }
}

/// A full barrier, unless the run takes it away.
#[track_caller]
pub(crate) fn full_fence(pair: &'static str) {
    if granted(pair, Side::Full) && !world::stopped() {
        fence(Ordering::SeqCst);
    }
}
