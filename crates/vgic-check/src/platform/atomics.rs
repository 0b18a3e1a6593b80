//! The fields that hold a value.
//!
//! Interleavings only: each access sees the latest write (sequential consistency), whatever order it asked for.
//! Once an execution has ended early, every value reads as zero, so that the destructors that run then find empty lists
//! and end soon.
//!
//! The engine is compiled for every design: what each access does here stays out of line, or it would take minutes.

use super::ctx::Ctx;
use super::field::{self, Field};
use super::log::Did;
use vgic_core::Order;
use vgic_core::platform::watched::{Access, Watch};

impl Watch<Ctx> for Field {
    #[inline]
    fn before(&self, ctx: &Ctx, access: Access, _order: Option<Order>) -> bool {
        let access = match access {
            Access::Load => field::Access::Read,
            Access::Store | Access::Exchange | Access::Change | Access::Add => field::Access::Write,
            Access::Get => field::Access::PlainRead,
            Access::Set => field::Access::PlainWrite,
        };
        ctx.touch(self, access)
    }

    #[inline]
    fn after(&self, ctx: &Ctx, access: Access, old: u64, new: u64) {
        ctx.log(|| match access {
            Access::Load | Access::Get => Did::Read(self.clone(), old),
            Access::Store | Access::Set => Did::Write(self.clone(), old, new),
            Access::Exchange => Did::Exchange(self.clone(), old, new),
            Access::Change | Access::Add => Did::Add(self.clone(), old, new),
        });
    }
}

vgic_core::watched_fields!(context Ctx; field Field; words std::sync::atomic; #[inline(never)]);
