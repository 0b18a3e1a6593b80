//! vgic on paper: [`Count`], the [`Platform`] that runs the engine on one thread and writes down what it touches.
//!
//! **What for.** Which locks a design takes for one interrupt, and how many shared words it writes, should not be
//! said by hand beside the engine: it would be wrong after the next change. Here the engine itself says it.
//! [`hit_path`] is one injection step by step, [`counts`] sums one up, [`lock_order`] is how locks nest.
//!
//! **What is checked on the way.** As nothing runs beside the one thread, each of these is a mistake of the engine
//! and ends in a panic that names what was touched: a lock taken twice, or not held at its unlock; a lock taken
//! against the order of the ranks; a field of a freed object; an object freed twice, or with its lock held; waiting in
//! atomic context (a mutex, a grace period or guest memory under a spin lock or in an RCU section). What was never
//! freed is in [`CountCtx::live_objects`].
//!
//! **What is not.** Two threads. Whether an interleaving is wrong is a question for a model checker.

mod atomics;
mod check;
mod counts;
mod ctx;
mod field;
mod layout;
pub mod life;
mod locks;
mod objects;
mod paths;
mod rcu;
mod recorder;
mod step;
mod tables;

pub use atomics::{AtomicPtr, AtomicU32, AtomicU64, Cell, PtrCell};
pub use counts::Counts;
pub use ctx::{CountCtx, Grace};
pub use layout::CountLayout;
pub use life::lock_order;
pub use locks::{Mutex, Parker, RwLock, SpinLock};
pub use paths::{counts, hit_path};
pub use recorder::Uses;
pub use step::{Kind, Step};
pub use tables::Tables;

use vgic_core::platform::Plain;
use vgic_core::{Callback, Event, NoMemory, Obj, Order, Pair, Platform, Work};

/// The platform that writes down what the engine touches.
#[derive(Clone, Copy, Debug)]
pub struct Count;

/// A thread that has run already: [`Platform::spawn`] runs it to its end at once.
#[derive(Clone, Copy, Debug)]
pub struct Ran;

impl Platform for Count {
    type Ctx = CountCtx;
    type Layout = CountLayout;
    type AtomicU32 = AtomicU32;
    type AtomicU64 = AtomicU64;
    type AtomicPtr<T: 'static> = AtomicPtr<T>;
    type Cell<T: Plain> = Cell<T>;
    type PtrCell<T: 'static> = PtrCell<T>;
    type SpinLock = SpinLock;
    type Mutex = Mutex;
    type RwLock = RwLock;
    type Parker = Parker;
    type Slots<T: Send + Sync> = [T; 64];
    type Thread = Ran;

    fn alloc<T: Send + Sync + 'static>(
        ctx: &CountCtx,
        class: &'static str,
        init: impl FnOnce(&CountLayout) -> T,
    ) -> Result<Obj<T>, NoMemory> {
        objects::alloc(ctx, class, init)
    }

    fn embed<T>(class: &'static str, init: impl FnOnce(&CountLayout) -> T) -> T {
        init(&CountLayout::new(class))
    }

    unsafe fn free<T: Send + Sync + 'static>(ctx: &CountCtx, obj: Obj<T>) {
        objects::free(ctx, obj);
    }

    unsafe fn call_rcu(ctx: &CountCtx, func: unsafe fn(&CountCtx, *mut ()), data: *mut ()) {
        // SAFETY: S-02: the caller's promise is the one that is asked for.
        let callback = unsafe { Callback::new(func, data) };
        rcu::call(ctx, callback);
    }

    fn rcu_read_lock(ctx: &CountCtx) {
        rcu::read_lock(ctx);
    }

    fn rcu_read_unlock(ctx: &CountCtx) {
        rcu::read_unlock(ctx);
    }

    fn synchronize_rcu(ctx: &CountCtx) {
        rcu::synchronize(ctx);
    }

    fn rcu_barrier(ctx: &CountCtx) {
        rcu::barrier(ctx);
    }

    fn rcu_throttle(ctx: &CountCtx) {
        ctx.may_sleep("rcu_throttle");
    }

    fn srcu_read_lock(ctx: &CountCtx) {
        rcu::srcu_read_lock(ctx);
    }

    fn srcu_read_unlock(ctx: &CountCtx) {
        rcu::srcu_read_unlock(ctx);
    }

    fn synchronize_srcu(ctx: &CountCtx) {
        rcu::synchronize_srcu(ctx);
    }

    fn fence_after_rmw(ctx: &CountCtx, pair: Pair) {
        ctx.note_ordered(Kind::Fence, Order::SeqCst(pair));
    }

    fn fence(ctx: &CountCtx, pair: Pair) {
        ctx.note_ordered(Kind::Fence, Order::SeqCst(pair));
    }

    fn fence_acquire(ctx: &CountCtx, pair: Pair) {
        ctx.note_ordered(Kind::Fence, Order::Acquire(pair));
    }

    /// Runs `f` to its end at once. A thread that waits for another one panics there.
    fn spawn(ctx: &CountCtx, _name: &str, f: impl FnOnce(&CountCtx) + Send + 'static) -> Ran {
        ctx.may_sleep("spawn");
        f(ctx);
        Ran
    }

    fn join(ctx: &CountCtx, Ran: Ran) -> bool {
        ctx.may_sleep("join");
        true
    }

    fn relax(ctx: &CountCtx, spins: u32) {
        if spins > 1 << 20 {
            ctx.fail(format!("waited {spins} times for another thread: there is none"));
        }
    }

    fn work(ctx: &CountCtx, work: Work) {
        if work == Work::GuestAccess {
            ctx.may_sleep("an access to guest memory");
        }
        ctx.note(Kind::Work(work));
    }

    fn count(ctx: &CountCtx, event: Event) {
        ctx.count_event(event);
    }

    fn warn(ctx: &CountCtx, what: &'static str) {
        ctx.note_warning(what);
    }
}
