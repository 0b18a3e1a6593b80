//! One ITS (`struct vgic_its`): its tables as lists, under `its_lock`.
//!
//! - [`tables`]: devices, ITEs, collections · [`resolve`]: (DeviceID, EventID) to LPI
//! - [`commands`]: what the guest's commands do · [`error`]: what they answer
//! - [`snapshot`]: a look from outside · [`restore`]: tables from a snapshot, and the way back to empty ones

pub mod commands;
pub mod error;
pub mod resolve;
pub mod restore;
pub mod snapshot;
pub mod tables;

use crate::cache::Cache;
use crate::cache::per_its::{DeviceCache, translation_cache};
use crate::designs::{Design, Spec, SwitchOff, Translations, rank};
use crate::guard::Mutex;
use crate::irq::Irq;
use crate::list::List;
use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, Layout, NoMemory, Platform, present_if};
use crate::vm::Vm;
use crate::xarray::XArray;
use tables::{Collection, CollectionList, Device, DeviceList};

/// Offset of `GITS_TRANSLATER` in an ITS.
pub const TRANSLATER: u64 = 0x1_0040;

/// An ITS.
pub struct Its<P: Platform> {
    /// Guest physical base address.
    pub base: u64,
    /// Which ITS of the VM it is.
    pub index: usize,
    /// `GITS_CTLR.Enabled`.
    pub(crate) enabled: P::AtomicU32,
    /// Serialises commands and changes of `GITS_CTLR`.
    pub(crate) cmd_lock: P::Mutex,
    /// Protects the lists.
    pub(crate) its_lock: P::Mutex,
    pub(crate) device_list: List<P, Device<P>, DeviceList>,
    pub(crate) collection_list: List<P, Collection<P>, CollectionList>,
    /// The cache of the designs from 6.10; unused by the others.
    pub(crate) translation_cache: XArray<P, Irq<P>>,
    /// The same as a tree for each device, by DeviceID (`translations=tree-per-device`).
    pub(crate) device_caches: XArray<P, DeviceCache<P>>,
}

impl<P: Platform> Its<P> {
    pub(crate) fn alloc(spec: &Spec, ctx: &P::Ctx, base: u64, index: usize) -> Result<Obj<Self>, NoMemory> {
        let per_device = spec.per_its().translations == Translations::TreePerDevice;
        P::alloc(ctx, "vgic_its", |l| Its {
            base,
            index,
            enabled: l.u32("enabled", 0),
            cmd_lock: l.mutex("cmd_lock", rank::CMD_LOCK),
            its_lock: l.mutex("its_lock", rank::ITS_LOCK),
            device_list: List::new(l, "device_list.next", "device_list.prev"),
            collection_list: List::new(l, "collection_list.next", "collection_list.prev"),
            translation_cache: present_if::<P, _>(spec.has_cache_per_its() && !per_device, l, translation_cache),
            device_caches: present_if::<P, _>(per_device, l, |l| {
                XArray::new(l, "device_caches.xa_lock", "device_caches.xa_head", rank::TRANSLATION_CACHE)
            }),
        })
    }

    /// Guest physical address of `GITS_TRANSLATER`.
    #[inline(always)]
    pub fn doorbell(&self) -> u64 {
        self.base + TRANSLATER
    }

    /// `GITS_CTLR.Enabled`.
    #[inline(always)]
    pub fn is_enabled(&self, ctx: &P::Ctx) -> bool {
        // Acquire: pairs with the release in set_its_enabled (O-05).
        self.enabled.load(ctx, Order::Acquire(Pair::EnableInvalidate)) != 0
    }
}

impl<P: Platform, D: Design> Vm<P, D> {
    /// Runs `f` as a command runs: under `cmd_lock` and `its_lock`; then waits where too many callbacks do.
    pub(crate) fn as_command<R>(&self, ctx: &P::Ctx, its: &Its<P>, f: impl FnOnce() -> R) -> R {
        let result = {
            let _cmd_lock = Mutex::<P>::lock(&its.cmd_lock, ctx);
            let _its_lock = Mutex::<P>::lock(&its.its_lock, ctx);
            f()
        };
        P::rcu_throttle(ctx);
        result
    }

    /// Writes `GITS_CTLR.Enabled`; disabling empties the cache.
    pub fn set_its_enabled(&self, ctx: &P::Ctx, its: &Its<P>, enabled: bool) {
        {
            let _cmd_lock = Mutex::<P>::lock(&its.cmd_lock, ctx);
            // Release: before the invalidation; pairs with the acquire in is_enabled (O-05).
            its.enabled.store(ctx, u32::from(enabled), Order::Release(Pair::EnableInvalidate));
            if !enabled {
                match self.spec().switch_off {
                    // See "The open window" in docs/explain/designs.md.
                    SwitchOff::Unlocked => self.dist.cache.invalidate(self, ctx, its),
                    SwitchOff::UnderItsLock => self.invalidate_its(ctx, its),
                }
            }
        }
        P::rcu_throttle(ctx);
    }

    /// Empties the caches after the LPIs of a vCPU were switched off.
    pub(crate) fn invalidate_switched_off(&self, ctx: &P::Ctx) {
        match self.spec().switch_off {
            SwitchOff::Unlocked => self.dist.cache.invalidate_all(self, ctx),
            SwitchOff::UnderItsLock => self.bus.for_each_its(ctx, |its| self.invalidate_its(ctx, &its)),
        }
    }

    /// Empties the cache after a switch was turned off. Under `its_lock`: a table walk that saw the switch on has
    /// inserted before, and a later one sees it off.
    fn invalidate_its(&self, ctx: &P::Ctx, its: &Its<P>) {
        let _its_lock = Mutex::<P>::lock(&its.its_lock, ctx);
        self.dist.cache.invalidate(self, ctx, its);
    }
}
