//! `vgic_put_irq`: drop a reference; the last one takes the LPI out of the index and frees it.
//!
//! What changed over the years is what the last put may collide with. Under one lock, nothing. With a plain decrement
//! (patch 10) an LPI is dying for a moment, indexed with a count of zero, and a map of the same INTID may overwrite
//! it; then the erase by INTID takes out the newcomer (CVE-2026-74568). And the lock of the erase nests inside
//! whatever the caller holds, so where it may be taken decides the lock order.

use crate::designs::{DeadLook, Design, Free, LpiCount, Put, XArrayIrqs};
use crate::guard::Spin;
use crate::irq::{FIRST_LPI, Irq};
use crate::obj::Obj;
use crate::order::Order;
use crate::platform::{AtomicInt, PlainCell, Platform};
use crate::queue::Queue;
use crate::vm::Vm;
use crate::xarray::Locked;

impl<P: Platform, D: Design> Vm<P, D> {
    /// Drops a reference on an LPI.
    #[inline(always)]
    pub fn put_irq(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        match self.spec().put {
            Put::Locked => {
                let _lock = Spin::<P>::lock_irqsave(&self.dist.store.lpi_list_lock, ctx);
                self.put_irq_locked(ctx, irq);
            }
            Put::Erase => {
                if irq.refcount.put_and_test(ctx) {
                    self.release_erase(ctx, irq);
                }
            }
            Put::Deferred => {
                if irq.refcount.put_and_test(ctx) {
                    let lock = self.lock_lpi_xa(ctx);
                    self.release_locked(ctx, &lock, irq);
                }
            }
            Put::DecAndLock => {
                if !irq.refcount.put_unless_last(ctx) {
                    self.put_last(ctx, irq);
                }
            }
        }
    }

    /// Drops a reference with `lpi_list_lock` held (`__vgic_put_lpi_locked`; gone with patch 10, where it is a plain
    /// put that may be called under any lock).
    pub(crate) fn put_irq_locked(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        if self.spec().put != Put::Locked {
            return self.put_irq(ctx, irq);
        }
        if !irq.refcount.put_and_test(ctx) {
            return;
        }
        let store = &self.dist.store;
        if self.spec().index.has_xarray() {
            store.lpi_xa.erase(ctx, irq.intid.get(ctx), true);
        }
        if self.spec().index.has_list() {
            store.lpi_list.del(ctx, irq);
        }
        self.count_removed(ctx);
        self.free_irq(ctx, irq);
    }

    /// Drops a reference under a raw spin lock (prune, disable of LPIs), where the xarray's lock must not be taken
    /// in the newer lock order; true if [`Vm::release_deleted_lpis`] has to follow (`vgic_put_irq_norelease`).
    #[must_use]
    pub(crate) fn put_irq_norelease(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> bool {
        match self.spec().put {
            Put::Locked | Put::Erase => {
                self.put_irq(ctx, irq);
                false
            }
            Put::Deferred => {
                let last = irq.refcount.put_and_test(ctx);
                if last {
                    // Counted here, as a map may overwrite it before it is swept up; then it leaks (CVE-2026-74568).
                    <D::Queue<P>>::retire(self.spec(), ctx, irq);
                    irq.pending_release.set(ctx, true);
                }
                last
            }
            Put::DecAndLock => irq.refcount.put_and_test(ctx),
        }
    }

    /// Releases what [`Vm::put_irq_norelease`] left behind (`vgic_release_deleted_lpis`).
    pub(crate) fn release_deleted_lpis(&self, ctx: &P::Ctx) {
        let lock = self.lock_lpi_xa(ctx);
        let mut from = FIRST_LPI;
        while let Some((intid, irq)) = lock.find(from, self.tables.last_intid()) {
            let dead = match self.spec().put {
                Put::DecAndLock => irq.refcount.read(ctx) == 0,
                _ => irq.pending_release.get(ctx),
            };
            if dead {
                self.acquire_dead(ctx, irq);
                self.release_locked(ctx, &lock, irq);
            }
            let Some(next) = intid.checked_add(1) else { break };
            from = next;
        }
    }

    /// After a look that found a count of zero: another thread may have dropped the last reference, and what was done
    /// under it comes before the free.
    pub(crate) fn acquire_dead(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        if self.spec().dead_look == DeadLook::Acquire {
            irq.refcount.acquire(ctx);
        }
    }

    /// At zero: `xa_erase` by INTID, then free. In patch 10 interrupts stay as the caller has them.
    #[cold]
    fn release_erase(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        let irqs_off = self.spec().xarray_irqs == XArrayIrqs::Off;
        self.dist.store.lpi_xa.erase(ctx, irq.intid.get(ctx), irqs_off);
        self.count_removed(ctx);
        self.free_irq(ctx, irq);
    }

    /// `refcount_dec_and_lock`: only with the lock held may the count go from one to zero.
    #[cold]
    fn put_last(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        let lock = self.lock_lpi_xa(ctx);
        if irq.refcount.put_and_test(ctx) {
            self.release_locked(ctx, &lock, irq);
        }
    }

    /// Takes the xarray's lock, with interrupts as the design has them.
    pub(crate) fn lock_lpi_xa<'a>(&'a self, ctx: &'a P::Ctx) -> Locked<'a, P, Irq<P>> {
        let xa = &self.dist.store.lpi_xa;
        if self.spec().xarray_irqs_off() { xa.lock_irqsave(ctx) } else { xa.lock(ctx) }
    }

    /// Takes a dead LPI out of the index and frees it (`vgic_release_lpi_locked`).
    pub(crate) fn release_locked(&self, ctx: &P::Ctx, lock: &Locked<'_, P, Irq<P>>, irq: Obj<Irq<P>>) {
        lock.erase(irq.intid.get(ctx));
        self.free_irq(ctx, irq);
    }

    pub(crate) fn count_added(&self, ctx: &P::Ctx) {
        let store = &self.dist.store;
        match self.spec().count {
            LpiCount::Plain => store.lpi_list_count.set(ctx, store.lpi_list_count.get(ctx) + 1),
            LpiCount::Atomic => {
                // Relaxed: a statistic and a size hint.
                store.lpi_count.fetch_add(ctx, 1, Order::Relaxed);
            }
            LpiCount::None => {}
        }
    }

    fn count_removed(&self, ctx: &P::Ctx) {
        let store = &self.dist.store;
        match self.spec().count {
            LpiCount::Plain => store.lpi_list_count.set(ctx, store.lpi_list_count.get(ctx) - 1),
            LpiCount::Atomic => {
                // Relaxed: as above.
                store.lpi_count.fetch_sub(ctx, 1, Order::Relaxed);
            }
            LpiCount::None => {}
        }
    }

    /// Frees an LPI whose last reference is gone and which is in no index; or leaves that to the vCPU whose list register
    /// has it, where that is no reference.
    pub(crate) fn free_irq(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        if <D::Queue<P>>::retire(self.spec(), ctx, irq) {
            self.free_retired(ctx, irq);
        }
    }

    /// Frees an LPI that was retired.
    pub(crate) fn free_retired(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        match self.spec().free {
            // SAFETY: S-04: the count is zero and the LPI left the index under the lock under which every other
            // reference is taken, so no handle is left.
            Free::Now => unsafe { P::free(ctx, irq) },
            // SAFETY: S-05: the count is zero and stays so (found LPIs are referenced only if it is not), and the
            // LPI left the index; only RCU readers that run now may still look at it.
            Free::Rcu => unsafe { P::free_rcu(ctx, irq) },
        }
    }
}
