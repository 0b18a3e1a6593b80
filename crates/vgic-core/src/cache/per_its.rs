//! The per-ITS cache of 6.10: an xarray in each ITS, keyed by DeviceID and EventID, read under RCU.
//!
//! No limit and no eviction: at most as many entries as events that fired. A hit finds the ITS by its doorbell on the
//! MMIO bus (SRCU), loads the entry and takes a reference if the count is not zero. Any invalidation makes every
//! event of that ITS miss once.
//!
//! With `translations=tree-per-device` each device has an xarray of its own, in one that is keyed by DeviceID. It is made
//! at the device's first miss and stays as long as the ITS, so that nobody has to find out whether a sender is in it.

use super::{Cache, Key};
use crate::designs::{CacheStoreError, Design, Doorbell, Drain, Forgets, Spec, Translations, rank};
use crate::guard::Rcu;
use crate::irq::Irq;
use crate::its::Its;
use crate::obj::Obj;
use crate::platform::{NoMemory, Platform};
use crate::vm::Vm;
use crate::xarray::XArray;
use core::marker::PhantomData;

/// The VM-wide part of the cache, which is none: the entries are in [`Its::translation_cache`].
pub struct PerItsCache<P: Platform>(PhantomData<fn() -> P>);

/// The translations of one device, by EventID.
pub(crate) struct DeviceCache<P: Platform> {
    tree: XArray<P, Irq<P>>,
}

/// A tree of translations, as fields of the object that `l` lays out.
pub(crate) fn translation_cache<P: Platform>(l: &P::Layout) -> XArray<P, Irq<P>> {
    XArray::new(l, "translation_cache.xa_lock", "translation_cache.xa_head", rank::TRANSLATION_CACHE)
}

/// What becomes of a store that fails where its error is taken for an entry.
const OOPS: &str = "Oops: vgic_put_irq of the error that the cache's store returned, with its_lock held";

/// `vgic_its_cache_key`.
#[inline(always)]
fn index(key: &Key) -> u32 {
    key.device_id << 16 | key.event_id
}

/// The largest EventID that is cached.
const MAX_EVENT: u32 = 0xffff;

/// Takes the entries of `from..=to` out of a tree, and puts their references.
fn drain<P: Platform, D: Design>(vm: &Vm<P, D>, ctx: &P::Ctx, tree: &XArray<P, Irq<P>>, from: u32, to: u32) {
    tree.for_each(ctx, from, to, |at, met| {
        let erased = tree.erase(ctx, at, false);
        match vm.spec().per_its().drain {
            // CVE-2026-46316: two drains at once meet one entry and both put its one reference.
            Drain::PutMet => vm.put_irq(ctx, met),
            Drain::PutErased => {
                if let Some(erased) = erased {
                    vm.put_irq(ctx, erased);
                }
            }
        }
    });
}

/// The cache of a device, made if there is none (`its_lock` held).
fn device_cache<P: Platform>(ctx: &P::Ctx, its: &Its<P>, device_id: u32) -> Result<Obj<DeviceCache<P>>, NoMemory> {
    if let Some((_, found)) = its.device_caches.next(ctx, device_id, device_id) {
        return Ok(found);
    }
    let new = P::alloc(ctx, "its_device_cache", |l| DeviceCache { tree: translation_cache::<P>(l) })?;
    if let Err(error) = its.device_caches.store(ctx, device_id, new, false) {
        // SAFETY: S-06: allocated by this call and not published.
        unsafe { P::free(ctx, new) };
        return Err(error);
    }
    Ok(new)
}

impl<P: Platform> Cache<P> for PerItsCache<P> {
    fn new(_l: &P::Layout, _spec: &Spec) -> Self {
        PerItsCache(PhantomData)
    }

    #[inline(always)]
    fn check<D: Design>(
        &self,
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        section: Option<&Rcu<'_, P>>,
        key: &Key,
    ) -> Option<Obj<Irq<P>>> {
        // What has more bits has no place in the number; of trees for each device none has it.
        let one_tree = vm.spec().per_its().translations == Translations::OneTree;
        if one_tree && (key.device_id > 0xffff || key.event_id > MAX_EVENT) {
            return None;
        }
        let its = match vm.spec().per_its().doorbell {
            Doorbell::Bus => vm.bus.its_at(ctx, key.doorbell)?,
            Doorbell::FirstIts => vm.bus.first_or_at(ctx, key.doorbell)?,
        };
        let own;
        let rcu = match section {
            Some(section) => section,
            None => {
                own = Rcu::<P>::read_lock(ctx);
                &own
            }
        };
        let irq = match vm.spec().per_its().translations {
            Translations::OneTree => its.translation_cache.load(ctx, rcu, index(key))?,
            Translations::TreePerDevice => {
                its.device_caches.load(ctx, rcu, key.device_id)?.tree.load(ctx, rcu, key.event_id)?
            }
        };
        vm.reference_found(ctx, irq, vm.spec().cache_hit).then_some(irq)
    }

    fn insert<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>, key: Key, irq: Obj<Irq<P>>) {
        // The ITE's reference keeps the LPI alive (its_lock).
        irq.refcount.get(ctx);
        let stored = match vm.spec().per_its().translations {
            Translations::OneTree => its.translation_cache.store(ctx, index(&key), irq, false),
            Translations::TreePerDevice => device_cache(ctx, its, key.device_id)
                .and_then(|device| device.tree.store(ctx, key.event_id, irq, false)),
        };
        match stored {
            // The same key raced: the displaced entry's reference goes.
            Ok(Some(old)) => vm.put_irq(ctx, old),
            Ok(None) => {}
            // Best effort from 6.13; before, the error was taken for the displaced entry.
            Err(_) if vm.spec().per_its().store_error == CacheStoreError::Puts => vm.put_irq(ctx, irq),
            Err(_) => P::warn(ctx, OOPS),
        }
    }

    fn invalidate<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>) {
        match vm.spec().per_its().translations {
            Translations::OneTree => drain(vm, ctx, &its.translation_cache, 0, u32::MAX),
            Translations::TreePerDevice => {
                its.device_caches.for_each(ctx, 0, u32::MAX, |_, device| drain(vm, ctx, &device.tree, 0, MAX_EVENT));
            }
        }
    }

    fn forget<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>, device_id: u32, event_id: Option<u32>) {
        let spec = vm.spec().per_its();
        if spec.forgets == Forgets::Everything {
            return self.invalidate(vm, ctx, its);
        }
        let (from, to) = event_id.map_or((0, MAX_EVENT), |event_id| (event_id, event_id));
        match spec.translations {
            Translations::OneTree => {
                let index = |event_id| index(&Key { doorbell: its.doorbell(), device_id, event_id });
                drain(vm, ctx, &its.translation_cache, index(from), index(to));
            }
            Translations::TreePerDevice => {
                its.device_caches
                    .for_each(ctx, device_id, device_id, |_, device| drain(vm, ctx, &device.tree, from, to));
            }
        }
    }

    fn invalidate_all<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        vm.bus.for_each_its(ctx, |its| self.invalidate(vm, ctx, &its));
    }

    fn destroy<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        vm.bus.for_each_its(ctx, |its| match vm.spec().per_its().translations {
            Translations::OneTree => its.translation_cache.destroy(ctx),
            Translations::TreePerDevice => {
                its.device_caches.for_each(ctx, 0, u32::MAX, |device_id, device| {
                    its.device_caches.erase(ctx, device_id, false);
                    // SAFETY: S-15: it has left the tree by which alone it is found, and the caller is the last user.
                    unsafe { P::free(ctx, device) };
                });
            }
        });
    }

    fn for_each<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, mut f: impl FnMut(Key, Obj<Irq<P>>)) {
        vm.bus.for_each_its(ctx, |its| {
            let key = |device_id, event_id| Key { doorbell: its.doorbell(), device_id, event_id };
            match vm.spec().per_its().translations {
                Translations::OneTree => {
                    its.translation_cache.for_each(ctx, 0, u32::MAX, |at, irq| f(key(at >> 16, at & MAX_EVENT), irq));
                }
                Translations::TreePerDevice => its.device_caches.for_each(ctx, 0, u32::MAX, |device_id, device| {
                    device.tree.for_each(ctx, 0, MAX_EVENT, |event_id, irq| f(key(device_id, event_id), irq));
                }),
            }
        });
    }
}
