//! Translation caches: (doorbell, DeviceID, EventID) to LPI, so that most MSIs need no table walk and no mutex.
//!
//! A cached entry bypasses the checks that a table walk makes (ITS enabled, collection mapped, LPIs enabled), so every
//! change that could make one of them fail empties the cache. Retargeting does not: the target is in the LPI.
//!
//! One file a kind: [`eager_lru`] (to patch 10), [`lazy`] (patches 11 to 15, `v2`, `call-rcu`), [`read_write`]
//! (`rwlock`), [`per_its`] (from 6.10); [`any`] is the one that a spec names.

pub mod any;
pub mod eager_lru;
pub mod lazy;
pub mod per_its;
pub mod read_write;

use crate::designs::{Design, Spec};
use crate::guard::Rcu;
use crate::irq::Irq;
use crate::its::Its;
use crate::obj::Obj;
use crate::platform::{Plain, Platform};
use crate::vm::Vm;

/// Entries for each vCPU in the caches of limited size (Ali Saidi's choice of 2019).
pub const ENTRIES_PER_VCPU: u32 = 16;

/// What a cache entry is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Guest physical address of the ITS's translation register.
    pub doorbell: u64,
    /// Who sends.
    pub device_id: u32,
    /// What it sends.
    pub event_id: u32,
}

/// A translation cache.
pub trait Cache<P: Platform>: Send + Sync + Sized + 'static {
    /// An empty cache as part of `struct vgic_dist`.
    fn new(l: &P::Layout, spec: &Spec) -> Self;

    /// Called once, when the first ITS is added to the initialised VM (`vgic_lpi_translation_cache_init`).
    fn init<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        let _ = (vm, ctx);
    }

    /// The LPI that an MSI translates to, with the reference that the design takes on a hit; or without one, if it is used in
    /// the section of the caller.
    fn check<D: Design>(
        &self,
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        section: Option<&Rcu<'_, P>>,
        key: &Key,
    ) -> Option<Obj<Irq<P>>>;

    /// Adds a translation that was just resolved (`its_lock` held).
    fn insert<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>, key: Key, irq: Obj<Irq<P>>);

    /// Empties the cache as far as `its` is concerned; a VM-wide cache wholly.
    fn invalidate<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>);

    /// Throws out what a command of `its` has made stale: one event of a device, or all of them (`its_lock` held).
    fn forget<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>, device_id: u32, event_id: Option<u32>) {
        let _ = (device_id, event_id);
        self.invalidate(vm, ctx, its);
    }

    /// Empties the cache for all ITSes (a redistributor disables LPIs).
    fn invalidate_all<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx);

    /// Frees the entries; the cache was emptied and nobody else uses the VM any more.
    fn destroy<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx);

    /// Calls `f` with each cached translation. `f` takes no lock.
    fn for_each<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, f: impl FnMut(Key, Obj<Irq<P>>));

    /// How many translations are cached now.
    fn len<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) -> usize {
        let mut count = 0;
        self.for_each(vm, ctx, |_, _| count += 1);
        count
    }
}

/// The three fields that make a cache entry's key.
pub(crate) struct KeyFields<P: Platform> {
    doorbell: P::Cell<u64>,
    device_id: P::Cell<u32>,
    event_id: P::Cell<u32>,
}

impl<P: Platform> KeyFields<P> {
    pub(crate) fn new(l: &P::Layout, key: Key) -> Self {
        fn cell<P: Platform, T: Plain>(l: &P::Layout, name: &'static str, value: T) -> P::Cell<T> {
            use crate::platform::Layout;
            l.cell(name, value)
        }
        KeyFields {
            doorbell: cell::<P, u64>(l, "db", key.doorbell),
            device_id: cell::<P, u32>(l, "devid", key.device_id),
            event_id: cell::<P, u32>(l, "eventid", key.event_id),
        }
    }

    #[inline(always)]
    pub(crate) fn is(&self, ctx: &P::Ctx, key: &Key) -> bool {
        use crate::platform::PlainCell;
        self.doorbell.get(ctx) == key.doorbell
            && self.device_id.get(ctx) == key.device_id
            && self.event_id.get(ctx) == key.event_id
    }

    pub(crate) fn get(&self, ctx: &P::Ctx) -> Key {
        use crate::platform::PlainCell;
        Key { doorbell: self.doorbell.get(ctx), device_id: self.device_id.get(ctx), event_id: self.event_id.get(ctx) }
    }

    pub(crate) fn set(&self, ctx: &P::Ctx, key: Key) {
        use crate::platform::PlainCell;
        self.doorbell.set(ctx, key.doorbell);
        self.device_id.set(ctx, key.device_id);
        self.event_id.set(ctx, key.event_id);
    }
}
