//! The fields that hold a value: each access is written down before it happens.

use crate::ctx::CountCtx;
use crate::field::Field;
use crate::step::Kind;
use vgic_core::Order;
use vgic_core::platform::watched::{Access, Watch};

impl Watch<CountCtx> for Field {
    fn before(&self, ctx: &CountCtx, access: Access, order: Option<Order>) -> bool {
        let kind = match access {
            Access::Load => Kind::Read,
            Access::Store => Kind::Write,
            Access::Exchange | Access::Change | Access::Add => Kind::Rmw,
            Access::Get => Kind::CellRead,
            Access::Set => Kind::CellWrite,
        };
        self.touch(ctx, kind, order);
        true
    }
}

vgic_core::watched_fields!(context CountCtx; field Field; words std::sync::atomic;);
