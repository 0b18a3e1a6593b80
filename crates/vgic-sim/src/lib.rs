//! vgic in virtual time: [`Sim`], the [`Platform`] that runs the engine on a machine that is not at hand.
//!
//! Each virtual core is a coroutine with a clock. Every access to shared memory is charged by a model of cache coherence
//! (`memory.rs`): what a core has costs next to nothing, what another one has written has to come over, and who wants what
//! others want waits for its turn. Work around the engine costs what the [`Machine`] says. The same seed gives the same
//! run, bit for bit, on any host: no host address, hash order or clock comes in.
//!
//! | file | what it has |
//! |---|---|
//! | `machine`, `parameters` | what everything costs, and the list of it |
//! | `memory`, `cores` | lines: who has them, who waits |
//! | `world`, `virtual_core`, `queue`, `ipi`, `random` | cores, clocks, events |
//! | `stuck` | a run that does not end |
//! | `place`, `layout`, `field` | where objects lie, so that false sharing is real |
//! | `atomics`, `locks`, `mutex`, `rcu` | the primitives |
//! | `report`, `trace` | where the time went |

mod atomics;
mod cores;
mod ctx;
mod field;
mod ipi;
mod layout;
mod locks;
pub mod machine;
mod memory;
mod mutex;
pub mod parameters;
mod place;
mod queue;
mod random;
mod rcu;
pub mod report;
mod stuck;
mod trace;
mod virtual_core;
mod world;

pub use atomics::{AtomicPtr, AtomicU32, AtomicU64, Cell, PtrCell};
pub use ctx::SimCtx;
pub use layout::SimLayout;
pub use locks::{Parker, RwLock, SpinLock};
pub use machine::{Cost, Machine, Ps};
pub use mutex::Mutex;
pub use stuck::Stuck;
pub use trace::TraceEvent;
pub use world::World;

use core::ptr::NonNull;
use vgic_core::platform::Plain;
use vgic_core::{Callback, Event, NoMemory, Obj, Pair, Platform, Work};

/// The platform in virtual time.
#[derive(Clone, Copy, Debug)]
pub struct Sim;

/// A core that was started; it runs with the world.
#[derive(Clone, Copy, Debug)]
pub struct Started(pub u32);

impl Platform for Sim {
    type Ctx = SimCtx;
    type Layout = SimLayout;
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
    type Thread = Started;

    fn alloc<T: Send + Sync + 'static>(
        ctx: &SimCtx,
        class: &'static str,
        init: impl FnOnce(&SimLayout) -> T,
    ) -> Result<Obj<T>, NoMemory> {
        ctx.work(ctx.cost(Cost::kmalloc));
        let base = ctx.world.places.borrow_mut().allocate(ctx.place(), class);
        let layout = SimLayout::new(ctx.world.clone(), class, base);
        let memory = Box::new(Allocation { value: init(&layout), base, class });
        ctx.world.places.borrow_mut().learn(class, layout.shape());
        // SAFETY: X-03: `Box` gave the memory, which stays until `free` takes it back; the value is its first field.
        Ok(unsafe { Obj::from_raw(NonNull::from(Box::leak(memory)).cast()) })
    }

    fn embed<T>(class: &'static str, init: impl FnOnce(&SimLayout) -> T) -> T {
        let world = World::current();
        let base = if class == ABSENT { place::NOWHERE } else { world.places.borrow_mut().alone() };
        init(&SimLayout::new(world, class, base))
    }

    unsafe fn free<T: Send + Sync + 'static>(ctx: &SimCtx, obj: Obj<T>) {
        ctx.work(ctx.cost(Cost::kfree));
        // SAFETY: X-03: `alloc` made it of a `Box` of this type, and the caller promises that nobody uses it any more.
        let memory = unsafe { Box::from_raw(obj.as_ptr().cast::<Allocation<T>>()) };
        ctx.world.places.borrow_mut().free(ctx.place(), memory.class, memory.base);
    }

    unsafe fn call_rcu(ctx: &SimCtx, func: unsafe fn(&SimCtx, *mut ()), data: *mut ()) {
        // SAFETY: S-02: the caller's promise is the one that is asked for.
        let callback = unsafe { Callback::new(func, data) };
        rcu::call(ctx, callback);
    }

    fn rcu_read_lock(ctx: &SimCtx) {
        rcu::read_lock(ctx);
    }
    fn rcu_read_unlock(ctx: &SimCtx) {
        rcu::read_unlock(ctx);
    }
    fn synchronize_rcu(ctx: &SimCtx) {
        rcu::synchronize(ctx);
    }
    fn rcu_barrier(ctx: &SimCtx) {
        rcu::barrier(ctx);
    }
    fn rcu_throttle(ctx: &SimCtx) {
        rcu::throttle(ctx);
    }

    fn srcu_read_lock(ctx: &SimCtx) {
        rcu::srcu(ctx, 0);
    }
    fn srcu_read_unlock(ctx: &SimCtx) {
        rcu::srcu(ctx, 1);
    }
    fn synchronize_srcu(ctx: &SimCtx) {
        rcu::synchronize(ctx);
    }

    fn fence_after_rmw(ctx: &SimCtx, pair: Pair) {
        Self::fence(ctx, pair);
    }
    fn fence(ctx: &SimCtx, _pair: Pair) {
        ctx.drain();
        ctx.spend(report::Spending::Hits, ctx.cost(Cost::fence));
    }
    fn fence_acquire(_ctx: &SimCtx, _pair: Pair) {}

    /// The core begins with [`World::run`]; call it before.
    fn spawn(ctx: &SimCtx, name: &str, f: impl FnOnce(&SimCtx) + Send + 'static) -> Started {
        Started(ctx.world.spawn(name, f))
    }
    fn join(_ctx: &SimCtx, _thread: Started) -> bool {
        unreachable!("cores run until all have ended")
    }
    fn relax(ctx: &SimCtx, _spins: u32) {
        ctx.spend(report::Spending::Hits, ctx.cost(Cost::relax));
        ctx.in_order();
    }

    fn work(ctx: &SimCtx, work: Work) {
        let cost = |cost| ctx.cost(cost);
        match work {
            Work::BusLookup(ranges) => {
                let time = ctx.costs().bus_step * Ps::from(ranges.max(1).ilog2() + 1);
                ctx.charge(Cost::bus_step, time);
                ctx.work(time);
            }
            Work::SendIpi(vcpu) => {
                ctx.spend(report::Spending::Ipi, cost(Cost::ipi_send));
                ctx.world.send_ipi(vcpu, ctx.now());
            }
            Work::WakeUp => ctx.work(cost(Cost::wake)),
            Work::EnterGuest => ctx.work(cost(Cost::world_switch_in)),
            Work::ExitGuest => ctx.work(cost(Cost::world_switch_out)),
            Work::WriteListRegister => ctx.spend(report::Spending::Work, cost(Cost::list_register_write)),
            Work::ReadListRegister => ctx.spend(report::Spending::Work, cost(Cost::list_register_read)),
            Work::GuestAccess => ctx.work(cost(Cost::guest_access)),
        }
    }
    fn count(ctx: &SimCtx, event: Event) {
        ctx.count(event);
    }
    fn warn(ctx: &SimCtx, what: &'static str) {
        ctx.world.warnings.borrow_mut().push(what);
    }
}

/// What [`vgic_core::platform::present_if`] calls an object that a design does not have.
pub(crate) const ABSENT: &str = "absent";

/// An object, with what its end needs. The value comes first, so its address is the object's.
#[repr(C)]
struct Allocation<T> {
    value: T,
    base: u64,
    class: &'static str,
}
