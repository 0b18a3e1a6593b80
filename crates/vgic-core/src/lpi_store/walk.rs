//! Visiting all mapped LPIs: for INVALL, MOVALL, and when LPIs are enabled.
//!
//! Up to 6.9 the INTIDs are copied under the lock and looked up one by one without it (`vgic_copy_lpi_list`); an
//! INTID may be gone by then. From 6.10 each step of the walk looks up by itself.

use crate::designs::{Design, LpiCount, Unmapped, Walk};
use crate::guard::{Rcu, Spin};
use crate::irq::{FIRST_LPI, INTID_LIMIT, Irq};
use crate::obj::Obj;
use crate::order::Order;
use crate::platform::{Atomic, PlainCell, Platform};
use crate::queue::Queue;
use crate::vm::Vm;
use alloc::vec::Vec;

impl<P: Platform, D: Design> Vm<P, D> {
    /// Calls `visit` with each LPI that targets `vcpu` (each at all from 6.10; the visitor may check), holding a
    /// reference and no lock.
    pub(crate) fn for_each_lpi(&self, ctx: &P::Ctx, vcpu: u32, mut visit: impl FnMut(Obj<Irq<P>>)) {
        if self.spec().walk == Walk::ForEach {
            self.dist.store.lpi_xa.for_each(ctx, FIRST_LPI, self.tables.last_intid(), |intid, _| {
                if let Some(irq) = self.get_irq(ctx, intid) {
                    visit(irq);
                    self.put_irq(ctx, irq);
                }
            });
            return;
        }
        for intid in self.copy_lpi_list(ctx, vcpu) {
            match self.get_irq(ctx, intid) {
                Some(irq) => {
                    visit(irq);
                    self.put_irq(ctx, irq);
                }
                None if self.spec().unmapped == Unmapped::Skipped => {}
                // Before 6.8 was final the kernel used the NULL pointer here.
                None => P::warn(ctx, "NULL dereference: an LPI was unmapped between the copy and its use"),
            }
        }
    }

    fn copy_lpi_list(&self, ctx: &P::Ctx, vcpu: u32) -> Vec<u32> {
        let store = &self.dist.store;
        let count = match self.spec().count {
            LpiCount::Plain => store.lpi_list_count.get(ctx),
            // Relaxed: a size hint; LPIs that are added meanwhile may be missed.
            LpiCount::Atomic | LpiCount::None => store.lpi_count.load(ctx, Order::Relaxed),
        } as usize;
        let mut intids = Vec::with_capacity(count.min((INTID_LIMIT - FIRST_LPI) as usize));
        let _lock = Spin::<P>::lock_irqsave(&store.lpi_list_lock, ctx);
        let mut take = |irq: Obj<Irq<P>>| {
            // The target is read without irq_lock: a stale one is as if the walk had come earlier.
            if intids.len() < count && <D::Queue<P>>::target(self.spec(), ctx, &irq) == Some(vcpu) {
                intids.push(irq.intid.get(ctx));
            }
        };
        match self.spec().walk {
            Walk::CopyList => store.lpi_list.iter(ctx).for_each(&mut take),
            // v2: from 8192 to 16, the number of INTID bits, which is no walk at all.
            Walk::CopyXArrayEmpty => {}
            Walk::CopyXArrayWide | Walk::CopyXArray | Walk::ForEach => {
                let (mut from, to) =
                    if self.spec().walk == Walk::CopyXArrayWide { (0, u32::MAX) } else { (FIRST_LPI, INTID_LIMIT - 1) };
                // From patch-10 on the lock does not keep an LPI alive: RCU does, until its target is read.
                let rcu = Rcu::<P>::read_lock(ctx);
                while let Some((intid, irq)) = store.lpi_xa.find(ctx, &rcu, from, to) {
                    take(irq);
                    let Some(next) = intid.checked_add(1) else { break };
                    from = next;
                }
            }
        }
        intids
    }
}
