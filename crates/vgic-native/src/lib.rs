//! vgic on real threads: [`Native`], the [`Platform`] whose primitives are the machine's own.
//!
//! Atomics are single instructions, locks spin and then sleep, RCU readers store one word of their own, objects are
//! boxes, threads are the operating system's. What a debug build adds: the lock order is checked, and freed memory is
//! poisoned.

mod atomics;
mod barrier;
mod ctx;
mod deferred;
pub mod fork;
pub mod latch;
mod layout;
mod lock_order;
mod locks;
mod objects;
mod parker;
pub mod protocol;
mod quarantine;
mod rcu;
mod runtime;
mod stall;
pub mod sync;
mod threads;

pub use atomics::{ATOMICS_IN_PLACE, AtomicPtr, AtomicU32, AtomicU64, Cell, PtrCell};
pub use barrier::Strategy;
pub use ctx::{Counters, NativeCtx};
pub use layout::NativeLayout;
pub use locks::{Lock, RwLock};
pub use objects::live_objects;
pub use parker::Parker;
pub use quarantine::{POISON, check_quarantine, set_quarantine};
pub use rcu::{Domain, GracePeriods, Reader};
pub use runtime::{RcuStats, Runtime};
pub use stall::{Stall, StallWatch};
pub use threads::{Thread, warnings, warnings_by_text};

use core::sync::atomic::{Ordering, fence};
use vgic_core::platform::Plain;
use vgic_core::{Callback, Event, NoMemory, Obj, Pair, Platform, Work};

/// The platform of real threads.
#[derive(Clone, Copy, Debug)]
pub struct Native;

impl Platform for Native {
    type Ctx = NativeCtx;
    type Layout = NativeLayout;
    type AtomicU32 = AtomicU32;
    type AtomicU64 = AtomicU64;
    type AtomicPtr<T: 'static> = AtomicPtr<T>;
    type Cell<T: Plain> = Cell<T>;
    type PtrCell<T: 'static> = PtrCell<T>;
    type SpinLock = Lock;
    type Mutex = Lock;
    type RwLock = RwLock;
    type Parker = Parker;
    type Slots<T: Send + Sync> = [T; 64];
    type Thread = Thread;

    #[inline]
    fn alloc<T: Send + Sync + 'static>(
        ctx: &NativeCtx,
        class: &'static str,
        init: impl FnOnce(&NativeLayout) -> T,
    ) -> Result<Obj<T>, NoMemory> {
        objects::alloc(ctx, class, init)
    }

    #[inline]
    fn embed<T>(_: &'static str, init: impl FnOnce(&NativeLayout) -> T) -> T {
        init(&NativeLayout)
    }

    #[inline]
    unsafe fn free<T: Send + Sync + 'static>(_: &NativeCtx, obj: Obj<T>) {
        // SAFETY: N-04: the caller's promise is the one that is asked for.
        unsafe { objects::free(obj) }
    }

    #[inline]
    unsafe fn call_rcu(ctx: &NativeCtx, func: unsafe fn(&NativeCtx, *mut ()), data: *mut ()) {
        // SAFETY: S-02: the caller's promise is the one that is asked for.
        let callback = unsafe { Callback::new(func, data) };
        ctx.note_queued();
        ctx.runtime().deferred.push(ctx.runtime(), callback);
    }

    #[inline(always)]
    fn rcu_read_lock(ctx: &NativeCtx) {
        ctx.rcu.lock();
    }

    #[inline(always)]
    fn rcu_read_unlock(ctx: &NativeCtx) {
        ctx.rcu.unlock();
    }

    #[track_caller]
    fn synchronize_rcu(ctx: &NativeCtx) {
        ctx.synchronize(&ctx.rcu);
    }

    #[track_caller]
    fn rcu_barrier(ctx: &NativeCtx) {
        ctx.barrier();
    }

    #[inline(always)]
    fn rcu_throttle(ctx: &NativeCtx) {
        ctx.throttle();
    }

    #[inline(always)]
    fn srcu_read_lock(ctx: &NativeCtx) {
        ctx.srcu.lock();
    }

    #[inline(always)]
    fn srcu_read_unlock(ctx: &NativeCtx) {
        ctx.srcu.unlock();
    }

    #[track_caller]
    fn synchronize_srcu(ctx: &NativeCtx) {
        ctx.synchronize(&ctx.srcu);
    }

    #[inline(always)]
    fn fence_after_rmw(_: &NativeCtx, _: Pair) {
        atomics::fence_after_rmw();
    }

    #[inline(always)]
    fn fence(_: &NativeCtx, _: Pair) {
        fence(Ordering::SeqCst);
    }

    #[inline(always)]
    fn fence_acquire(_: &NativeCtx, _: Pair) {
        fence(Ordering::Acquire);
    }

    fn spawn(ctx: &NativeCtx, name: &str, f: impl FnOnce(&NativeCtx) + Send + 'static) -> Thread {
        threads::spawn(ctx, name, Box::new(f))
    }

    fn join(_: &NativeCtx, thread: Thread) -> bool {
        threads::join(thread)
    }

    #[inline]
    fn relax(_: &NativeCtx, spins: u32) {
        threads::relax(spins);
    }

    #[inline(always)]
    fn work(_: &NativeCtx, _: Work) {}

    #[inline(always)]
    fn count(ctx: &NativeCtx, event: Event) {
        ctx.count(event);
    }

    fn warn(_: &NativeCtx, what: &'static str) {
        threads::warn(what);
    }
}
