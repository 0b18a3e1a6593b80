//! Injection of an MSI: from the device's write to the LPI on a vCPU's `ap_list`.
//!
//! A *hit* in the translation cache costs what the design's cache and references cost, plus the LPI's own lock. On
//! a hit nothing else is checked: not the ITS's enable bit, not the collection, not EnableLPIs; see
//! [`cache`](crate::cache). A *miss* takes `its_lock` and walks the tables.

use crate::cache::{Cache, Key};
use crate::designs::{Design, Found};
use crate::guard::{Mutex, Rcu};
use crate::its::{Its, resolve::Unresolved};
use crate::obj::Obj;
use crate::platform::{Event, Platform};
use crate::queue::Queue;
use crate::vm::Vm;

/// An MSI as userspace signals it (`struct kvm_msi`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msi {
    /// Guest physical address that the device writes to.
    pub doorbell: u64,
    /// Who sends.
    pub device_id: u32,
    /// What it sends.
    pub event_id: u32,
    /// `KVM_MSI_VALID_DEVID`; asked for on a miss only.
    pub device_id_valid: bool,
}

impl Msi {
    /// The key of the translation.
    #[inline(always)]
    pub fn key(&self) -> Key {
        Key { doorbell: self.doorbell, device_id: self.device_id, event_id: self.event_id }
    }
}

/// Why an MSI was refused (a negative errno of `KVM_SIGNAL_MSI`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The VM has no ITS (`-ENODEV`).
    NoIts,
    /// No ITS at that doorbell, or no DeviceID (`-EINVAL`).
    Invalid,
    /// The ITS or the LPIs of the target are disabled (`-EBUSY`).
    Busy,
}

impl<P: Platform, D: Design> Vm<P, D> {
    /// Injects an MSI (`vgic_its_inject_msi`): true if it was taken, false if it had no mapping.
    #[inline(always)]
    pub fn inject_msi(&self, ctx: &P::Ctx, msi: &Msi) -> Result<bool, SendError> {
        if self.inject_cached(ctx, msi) { Ok(true) } else { self.inject_uncached(ctx, msi) }
    }

    /// The first half of [`Vm::inject_msi`], which never sleeps: true on a hit. On a miss, [`Vm::inject_uncached`] has
    /// to follow, for a caller that must let go of something before it may sleep.
    #[inline(always)]
    pub fn inject_cached(&self, ctx: &P::Ctx, msi: &Msi) -> bool {
        P::count(ctx, Event::Sent);
        self.inject_cached_translation(ctx, msi)
    }

    /// The second half: the table walk under `its_lock`, and a wait where too much waits to be freed.
    #[inline(always)]
    pub fn inject_uncached(&self, ctx: &P::Ctx, msi: &Msi) -> Result<bool, SendError> {
        let result = self.inject_miss(ctx, msi);
        P::rcu_throttle(ctx);
        result
    }

    /// The hit path (`vgic_its_inject_cached_translation`); false on a miss. Callable from hard interrupt context.
    #[inline(always)]
    pub fn inject_cached_translation(&self, ctx: &P::Ctx, msi: &Msi) -> bool {
        let how = self.spec().cache_hit;
        let section = (how == Found::InSection).then(|| Rcu::<P>::read_lock(ctx));
        let Some(irq) = self.dist.cache.check(self, ctx, section.as_ref(), &msi.key()) else {
            return false;
        };
        P::count(ctx, Event::CacheHit);
        let sent = D::Queue::send(self, ctx, irq);
        if matches!(how, Found::Get | Found::TryGet) {
            self.put_irq(ctx, irq);
        }
        sent
    }

    #[cold]
    #[inline(never)]
    fn inject_miss(&self, ctx: &P::Ctx, msi: &Msi) -> Result<bool, SendError> {
        P::count(ctx, Event::CacheMiss);
        let result = self.msi_to_its(ctx, msi).and_then(|its| {
            let _its_lock = Mutex::<P>::lock(&its.its_lock, ctx);
            match self.trigger_msi(ctx, &its, msi.device_id, msi.event_id) {
                Ok(()) => Ok(true),
                Err(Unresolved::Unmapped) => Ok(false),
                Err(Unresolved::Busy) => Err(SendError::Busy),
            }
        });
        if result != Ok(true) {
            P::count(ctx, Event::Dropped);
        }
        result
    }

    /// `vgic_msi_to_its`.
    fn msi_to_its(&self, ctx: &P::Ctx, msi: &Msi) -> Result<Obj<Its<P>>, SendError> {
        if !self.has_its(ctx) {
            return Err(SendError::NoIts);
        }
        if !msi.device_id_valid {
            return Err(SendError::Invalid);
        }
        self.bus.its_at(ctx, msi.doorbell).ok_or(SendError::Invalid)
    }

    /// The table walk (`its_lock` held), `vgic_its_trigger_msi`. No reference is taken: the ITE's is safe under the lock.
    pub(crate) fn trigger_msi(
        &self,
        ctx: &P::Ctx,
        its: &Its<P>,
        device_id: u32,
        event_id: u32,
    ) -> Result<(), Unresolved> {
        let irq = self.resolve_lpi(ctx, its, device_id, event_id)?;
        let key = Key { doorbell: its.doorbell(), device_id, event_id };
        self.dist.cache.insert(self, ctx, its, key, irq);
        // The ITE holds it, so it is alive.
        D::Queue::send(self, ctx, irq);
        Ok(())
    }
}
