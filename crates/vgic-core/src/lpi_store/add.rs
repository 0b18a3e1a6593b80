//! `vgic_add_lpi`: the LPI for a new mapping (`its_lock` held).

use crate::designs::{AddLock, Design, Displaced, Remap, StoreError, StoreMemory};
use crate::guard::{Rcu, Spin};
use crate::irq::{Irq, NO_VCPU};
use crate::obj::Obj;
use crate::platform::{NoMemory, Platform};
use crate::queue::Queue;
use crate::tables::Fault;
use crate::vm::Vm;

/// Why there is no LPI for a new mapping. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// No memory (`-ENOMEM`).
    NoMemory,
    /// Its configuration or its pending bit could not be read or written (`-EFAULT`).
    Fault,
}

impl From<NoMemory> for AddError {
    fn from(NoMemory: NoMemory) -> Self {
        AddError::NoMemory
    }
}
impl From<Fault> for AddError {
    fn from(Fault: Fault) -> Self {
        AddError::Fault
    }
}

impl<P: Platform, D: Design> Vm<P, D> {
    /// The LPI for a mapping of `intid` to `vcpu`, new or shared with other mappings, with a reference for the ITE.
    pub(crate) fn add_lpi(&self, ctx: &P::Ctx, intid: u32, vcpu: u32) -> Result<Obj<Irq<P>>, AddError> {
        if let Some(irq) = self.get_irq(ctx, intid) {
            // It may be left from a mapping that is gone: still queued, or in the hands of a sender.
            if self.spec().remap == Remap::Retarget && vcpu != NO_VCPU {
                D::Queue::retarget(self, ctx, irq, None, vcpu);
            }
            return Ok(irq);
        }
        let new = Irq::alloc(self.spec(), ctx, intid, vcpu)?;
        let irq = self.store_lpi(ctx, intid, new)?;
        // Also for an LPI that a racing map stored first. Whoever fails drops the reference.
        let configured = self.update_lpi_config(ctx, irq, None).and_then(|()| self.load_pending_status(ctx, irq));
        match configured {
            Ok(()) => Ok(irq),
            Err(fault) => {
                self.put_irq(ctx, irq);
                Err(fault.into())
            }
        }
    }

    fn store_lpi(&self, ctx: &P::Ctx, intid: u32, new: Obj<Irq<P>>) -> Result<Obj<Irq<P>>, NoMemory> {
        let store = &self.dist.store;
        if self.spec().index.has_xarray() && store.lpi_xa.reserve(ctx, intid, self.spec().xarray_irqs_off()).is_err() {
            self.free_unused(ctx, new);
            return Err(NoMemory);
        }
        if self.spec().add_lock == AddLock::XArray {
            return self.store_under_xa_lock(ctx, intid, new);
        }

        let lock = Spin::<P>::lock_irqsave(&store.lpi_list_lock, ctx);
        if let Some(first) = self.find_racing(ctx, intid) {
            drop(lock);
            self.free_unused(ctx, new);
            return Ok(first);
        }
        // The slot is reserved, so the store need not allocate.
        let may_alloc = self.spec().store_memory == StoreMemory::MayAllocate;
        if self.spec().index.has_xarray() {
            let stored = store.lpi_xa.lock_irqsave(ctx).store(intid, new, may_alloc);
            match stored {
                Ok(displaced) => self.displaced(ctx, displaced),
                Err(NoMemory) => {
                    if self.spec().store_error == StoreError::LockHeld {
                        // The defect of patch 01 (and of v2): the error returns with lpi_list_lock held.
                        P::warn(ctx, "vgic_add_lpi returns with lpi_list_lock held");
                        core::mem::forget(lock);
                    } else {
                        drop(lock);
                        store.lpi_xa.release(ctx, intid, true);
                    }
                    self.free_unused(ctx, new);
                    return Err(NoMemory);
                }
            }
        }
        if self.spec().index.has_list() {
            store.lpi_list.add_tail(ctx, new);
        }
        self.count_added(ctx);
        Ok(new)
    }

    /// Another map may have been faster (`lpi_list_lock` held): its LPI, with a reference.
    fn find_racing(&self, ctx: &P::Ctx, intid: u32) -> Option<Obj<Irq<P>>> {
        let first = if self.spec().index.has_list() {
            self.find_on_list(ctx, intid)
        } else {
            // Patch 05.
            let rcu = Rcu::<P>::read_lock(ctx);
            self.dist.store.lpi_xa.load(ctx, &rcu, intid)
        }?;
        // Patch 09: an LPI that is dying does not count; the store overwrites it.
        self.reference_found(ctx, first, self.spec().add_race).then_some(first)
    }

    /// From 6.10 the xarray's own lock is the one that decides.
    fn store_under_xa_lock(&self, ctx: &P::Ctx, intid: u32, new: Obj<Irq<P>>) -> Result<Obj<Irq<P>>, NoMemory> {
        let xa = &self.dist.store.lpi_xa;
        let lock = self.lock_lpi_xa(ctx);
        let old = lock.load(intid);
        if let Some(first) = old.filter(|first| self.reference_found(ctx, *first, self.spec().add_race)) {
            drop(lock);
            self.free_unused(ctx, new);
            return Ok(first);
        }
        let may_alloc = self.spec().store_memory == StoreMemory::MayAllocate;
        let stored = lock.store(intid, new, may_alloc);
        if let Ok(displaced) = stored {
            self.displaced(ctx, displaced);
        }
        if stored.is_err() && self.spec().store_error == StoreError::ReleaseUnderLock {
            // The defect of 6.17: xa_release() takes the lock that is held here.
            xa.release(ctx, intid, false);
        }
        drop(lock);
        match stored {
            Ok(_) => {
                self.count_added(ctx);
                Ok(new)
            }
            Err(NoMemory) => {
                xa.release(ctx, intid, self.spec().xarray_irqs_off());
                self.free_unused(ctx, new);
                Err(NoMemory)
            }
        }
    }

    /// A store has displaced a dying LPI (the lock that decides is held).
    fn displaced(&self, ctx: &P::Ctx, displaced: Option<Obj<Irq<P>>>) {
        if let (Displaced::Freed, Some(dying)) = (self.spec().displaced, displaced) {
            self.acquire_dead(ctx, dying);
            self.free_irq(ctx, dying);
        }
    }

    /// Frees an LPI that nobody else has seen.
    fn free_unused(&self, ctx: &P::Ctx, new: Obj<Irq<P>>) {
        // SAFETY: S-06: allocated by this call and never stored anywhere.
        unsafe { P::free(ctx, new) }
    }
}
