//! The fields that hold a value. One core runs at a time, so a value is a value; its access takes time.

use crate::ctx::SimCtx;
use crate::field::Field;
use crate::machine::{Atomics, Cost};
use vgic_core::Order;
use vgic_core::platform::watched::{Access, Watch};

impl Watch<SimCtx> for Field {
    #[inline]
    fn before(&self, ctx: &SimCtx, access: Access, order: Option<Order>) -> bool {
        let atomics = ctx.world.machine.atomics;
        match access {
            Access::Load | Access::Get => ctx.read(self),
            Access::Store | Access::Set => {
                drain_if_it_releases(ctx, order);
                ctx.write(self);
            }
            Access::Add if atomics == Atomics::FarStore => {
                ctx.charge(Cost::atomics, ctx.costs().far_atomic);
                ctx.modify_far(self);
            }
            Access::Exchange | Access::Change | Access::Add => {
                drain_if_it_releases(ctx, order);
                if access == Access::Add {
                    ctx.charge(Cost::atomics, ctx.costs().hit_rmw);
                }
                if atomics == Atomics::LlSc {
                    // The kernel fetches the line for writing before it loads. Should the line be gone at the store, it
                    // comes again.
                    ctx.modify(self);
                }
                ctx.modify(self);
            }
        }
        true
    }

    /// Several additions are under way at once. What needs the outcome of the one before it is not ready so soon: the branch
    /// behind a compare-and-swap that succeeded was foreseen by nobody.
    #[inline]
    fn after(&self, ctx: &SimCtx, access: Access, _old: u64, _new: u64) {
        if access == Access::Add {
            ctx.go_on(self);
        }
    }

    /// Another turn of the loop, as was foreseen.
    #[inline]
    fn found_another(&self, ctx: &SimCtx, _found: u64) {
        ctx.go_on(self);
    }
}

/// What came before a release must be done first.
#[inline]
fn drain_if_it_releases(ctx: &SimCtx, order: Option<Order>) {
    if let Some(Order::Release(_) | Order::AcqRel(_) | Order::SeqCst(_)) = order {
        ctx.drain();
    }
}

vgic_core::watched_fields!(context SimCtx; field Field; words std::sync::atomic;);

impl AtomicU64 {
    /// A loop of loads until the value is good, without the turns in which nobody has written to the line.
    pub fn look_until(&self, ctx: &SimCtx, good: impl Fn(u64) -> bool) {
        ctx.look_until(&self.field, "a word", || good(self.value.load(std::sync::atomic::Ordering::Relaxed)));
    }
}
