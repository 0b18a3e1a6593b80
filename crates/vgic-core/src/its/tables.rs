//! Devices, ITEs and collections: linked lists, walked one by one under `its_lock`.

use super::Its;
use crate::cache::Cache;
use crate::designs::{Design, Forgets};
use crate::irq::Irq;
use crate::list::{Link, Linked, List};
use crate::obj::Obj;
use crate::order::Order;
use crate::platform::{AtomicInt, Layout, NoMemory, PlainCell, Platform, PointerCell};
use crate::vm::Vm;

/// Tag of an ITS's list of devices.
pub struct DeviceList;
/// Tag of a device's list of ITEs (`itt_head`).
pub struct IttList;
/// Tag of an ITS's list of collections.
pub struct CollectionList;

/// "Not mapped" in [`Collection::target_addr`] (`COLLECTION_NOT_MAPPED`).
pub const NOT_MAPPED: u32 = u32::MAX;

/// `struct its_device`.
pub struct Device<P: Platform> {
    dev_list: Link<P, Self, DeviceList>,
    pub(crate) itt: List<P, Ite<P>, IttList>,
    pub(crate) num_eventid_bits: P::Cell<u32>,
    pub(crate) itt_addr: P::Cell<u64>,
    pub(crate) device_id: P::Cell<u32>,
}

/// `struct its_ite`: one mapped event.
pub struct Ite<P: Platform> {
    ite_list: Link<P, Self, IttList>,
    /// The LPI; the ITE holds one reference.
    pub(crate) irq: P::PtrCell<Irq<P>>,
    /// Its collection, or null after MAPC with V = 0.
    pub(crate) collection: P::PtrCell<Collection<P>>,
    pub(crate) event_id: P::Cell<u32>,
}

/// `struct its_collection`.
pub struct Collection<P: Platform> {
    coll_list: Link<P, Self, CollectionList>,
    pub(crate) collection_id: P::Cell<u32>,
    /// The vCPU, or [`NOT_MAPPED`].
    pub(crate) target_addr: P::Cell<u32>,
}

impl<P: Platform> Linked<P, DeviceList> for Device<P> {
    fn link(&self) -> &Link<P, Self, DeviceList> {
        &self.dev_list
    }
}
impl<P: Platform> Linked<P, IttList> for Ite<P> {
    fn link(&self) -> &Link<P, Self, IttList> {
        &self.ite_list
    }
}
impl<P: Platform> Linked<P, CollectionList> for Collection<P> {
    fn link(&self) -> &Link<P, Self, CollectionList> {
        &self.coll_list
    }
}

impl<P: Platform> Collection<P> {
    /// The vCPU that the collection is mapped to.
    pub(crate) fn target(&self, ctx: &P::Ctx) -> Option<u32> {
        Some(self.target_addr.get(ctx)).filter(|target| *target != NOT_MAPPED)
    }
}

impl<P: Platform> Ite<P> {
    /// The vCPU of the ITE's collection, if it has one that is mapped.
    pub(crate) fn target(&self, ctx: &P::Ctx) -> Option<u32> {
        self.collection.get(ctx)?.target(ctx)
    }
}

/// All of these hold `its_lock`.
impl<P: Platform> Its<P> {
    pub(crate) fn find_device(&self, ctx: &P::Ctx, device_id: u32) -> Option<Obj<Device<P>>> {
        self.device_list.iter(ctx).find(|device| device.device_id.get(ctx) == device_id)
    }

    pub(crate) fn find_ite(&self, ctx: &P::Ctx, device_id: u32, event_id: u32) -> Option<Obj<Ite<P>>> {
        let device = self.find_device(ctx, device_id)?;
        let mut ites = device.itt.iter(ctx);
        ites.find(|ite| ite.event_id.get(ctx) == event_id)
    }

    pub(crate) fn find_collection(&self, ctx: &P::Ctx, collection_id: u32) -> Option<Obj<Collection<P>>> {
        self.collection_list.iter(ctx).find(|collection| collection.collection_id.get(ctx) == collection_id)
    }

    pub(crate) fn alloc_device(
        &self,
        ctx: &P::Ctx,
        device_id: u32,
        itt_addr: u64,
        num_eventid_bits: u32,
    ) -> Result<Obj<Device<P>>, NoMemory> {
        let device = P::alloc(ctx, "its_device", |l| Device {
            dev_list: Link::new(l, "dev_list.next", "dev_list.prev"),
            itt: List::new(l, "itt_head.next", "itt_head.prev"),
            num_eventid_bits: l.cell("num_eventid_bits", num_eventid_bits),
            itt_addr: l.cell("itt_addr", itt_addr),
            device_id: l.cell("device_id", device_id),
        })?;
        self.device_list.add_tail(ctx, device);
        Ok(device)
    }

    pub(crate) fn alloc_collection(&self, ctx: &P::Ctx, collection_id: u32) -> Result<Obj<Collection<P>>, NoMemory> {
        let collection = P::alloc(ctx, "its_collection", |l| Collection {
            coll_list: Link::new(l, "coll_list.next", "coll_list.prev"),
            collection_id: l.cell("collection_id", collection_id),
            target_addr: l.cell("target_addr", NOT_MAPPED),
        })?;
        self.collection_list.add_tail(ctx, collection);
        Ok(collection)
    }

    /// Frees a collection that no ITE points to.
    pub(crate) fn free_unused_collection(&self, ctx: &P::Ctx, collection: Obj<Collection<P>>) {
        self.collection_list.del(ctx, collection);
        // SAFETY: S-13: unlinked under its_lock, under which alone collections are reached, and no ITE points to it.
        unsafe { P::free(ctx, collection) };
    }
}

impl<P: Platform, D: Design> Vm<P, D> {
    /// `vgic_its_check_event_id`: whether the device's ITT has an entry for the event, so that it can be saved.
    pub(crate) fn event_id_valid(&self, ctx: &P::Ctx, device: Obj<Device<P>>, event_id: u32) -> bool {
        u64::from(event_id) < 1 << device.num_eventid_bits.get(ctx)
            && self.tables.event_id_valid(device.itt_addr.get(ctx), event_id)
    }

    pub(crate) fn alloc_ite(
        &self,
        ctx: &P::Ctx,
        device: Obj<Device<P>>,
        collection: Option<Obj<Collection<P>>>,
        event_id: u32,
    ) -> Result<Obj<Ite<P>>, NoMemory> {
        // Relaxed: a limit on memory, not an order.
        if self.mappings.fetch_add(ctx, 1, Order::Relaxed) >= self.max_mappings {
            // Relaxed: as in alloc_ite's limit, a count that orders nothing.
            self.mappings.fetch_sub(ctx, 1, Order::Relaxed);
            return Err(NoMemory);
        }
        let ite = P::alloc(ctx, "its_ite", |l| Ite {
            ite_list: Link::new(l, "ite_list.next", "ite_list.prev"),
            irq: l.ptr_cell("irq"),
            collection: l.ptr_cell("collection"),
            event_id: l.cell("event_id", event_id),
        });
        let Ok(ite): Result<Obj<Ite<P>>, _> = ite else {
            // Relaxed: as in alloc_ite's limit, a count that orders nothing.
            self.mappings.fetch_sub(ctx, 1, Order::Relaxed);
            return Err(NoMemory);
        };
        ite.collection.set(ctx, collection);
        device.itt.add_tail(ctx, ite);
        Ok(ite)
    }

    /// `its_free_ite`: the ITE's reference goes last.
    pub(crate) fn free_ite(&self, ctx: &P::Ctx, device: Obj<Device<P>>, ite: Obj<Ite<P>>) {
        device.itt.del(ctx, ite);
        if let Some(irq) = ite.irq.get(ctx) {
            self.put_irq(ctx, irq);
        }
        // Relaxed: as in alloc_ite's limit, a count that orders nothing.
        self.mappings.fetch_sub(ctx, 1, Order::Relaxed);
        // SAFETY: S-13: unlinked under its_lock, under which alone ITEs are reached.
        unsafe { P::free(ctx, ite) };
    }

    /// `vgic_its_free_device`. The cache is emptied once, after the mappings are gone.
    pub(crate) fn free_device(&self, ctx: &P::Ctx, its: &Its<P>, device: Obj<Device<P>>) {
        while let Some(ite) = device.itt.first(ctx) {
            self.free_ite(ctx, device, ite);
        }
        match self.spec().per_its().forgets {
            Forgets::Everything => self.dist.cache.invalidate(self, ctx, its),
            Forgets::WhatIsStale => self.dist.cache.forget(self, ctx, its, device.device_id.get(ctx), None),
        }
        its.device_list.del(ctx, device);
        // SAFETY: S-13: unlinked under its_lock, under which alone devices are reached, and without ITEs.
        unsafe { P::free(ctx, device) };
    }

    /// `vgic_its_free_collection`: MAPC with V = 0. ITEs of the collection stay, dead until they are mapped again.
    pub(crate) fn free_collection(&self, ctx: &P::Ctx, its: &Its<P>, collection_id: u32) {
        let Some(collection) = its.find_collection(ctx, collection_id) else { return };
        for device in its.device_list.iter(ctx) {
            for ite in device.itt.iter(ctx) {
                if ite.collection.get(ctx) == Some(collection) {
                    ite.collection.set(ctx, None);
                }
            }
        }
        its.free_unused_collection(ctx, collection);
    }
}
