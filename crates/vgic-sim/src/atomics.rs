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
}

/// What came before a release must be done first.
#[inline]
fn drain_if_it_releases(ctx: &SimCtx, order: Option<Order>) {
    if let Some(Order::Release(_) | Order::AcqRel(_) | Order::SeqCst(_)) = order {
        ctx.drain();
    }
}

vgic_core::watched_fields!(context SimCtx; field Field; words std::sync::atomic;);
