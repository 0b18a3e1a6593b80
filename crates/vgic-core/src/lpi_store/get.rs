//! `vgic_get_lpi`: an LPI by INTID, with a reference.

use crate::designs::{Design, Found, Get};
use crate::guard::{Rcu, Spin};
use crate::irq::Irq;
use crate::obj::Obj;
use crate::platform::{PlainCell, Platform};
use crate::vm::Vm;

impl<P: Platform, D: Design> Vm<P, D> {
    /// The LPI with this INTID, with a reference that the caller puts (`vgic_get_irq`); `None` if it is not mapped.
    pub fn get_irq(&self, ctx: &P::Ctx, intid: u32) -> Option<Obj<Irq<P>>> {
        let store = &self.dist.store;
        match self.spec().get {
            Get::ListWalk => {
                let _lock = Spin::<P>::lock_irqsave(&store.lpi_list_lock, ctx);
                let irq = self.find_on_list(ctx, intid)?;
                irq.refcount.get(ctx);
                Some(irq)
            }
            // Patch 02. The lock still excludes every put.
            Get::XArrayLocked => {
                let _lock = Spin::<P>::lock_irqsave(&store.lpi_list_lock, ctx);
                let rcu = Rcu::<P>::read_lock(ctx);
                let irq = store.lpi_xa.load(ctx, &rcu, intid)?;
                irq.refcount.get(ctx);
                Some(irq)
            }
            // Patch 08. The LPI found may be dying; its memory stays until the section ends (patch 07).
            Get::XArrayRcu => {
                let rcu = Rcu::<P>::read_lock(ctx);
                let irq = store.lpi_xa.load(ctx, &rcu, intid)?;
                irq.refcount.get_unless_zero(ctx).then_some(irq)
            }
        }
    }

    /// Walks the list (`lpi_list_lock` held).
    pub(crate) fn find_on_list(&self, ctx: &P::Ctx, intid: u32) -> Option<Obj<Irq<P>>> {
        self.dist.store.lpi_list.iter(ctx).find(|irq| irq.intid.get(ctx) == intid)
    }

    /// Takes a reference on an LPI that was found where the design says `how` it is safe; false if it is dying.
    #[inline(always)]
    pub(crate) fn reference_found(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>, how: Found) -> bool {
        match how {
            Found::Unreferenced | Found::InSection => true,
            Found::Get => {
                irq.refcount.get(ctx);
                true
            }
            Found::TryGet => irq.refcount.get_unless_zero(ctx),
        }
    }
}
