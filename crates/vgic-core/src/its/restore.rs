//! Tables as a whole: from a snapshot (`vgic_its_restore_tables_v0`), and back to empty ones
//! (`vgic_its_free_device_list`, `vgic_its_free_collection_list`).
//!
//! A restore is one step, under the locks of a command. It ends with everything mapped or, if an ITE cannot be
//! restored, with an empty ITS: the kernel frees what was there before as well.

use super::Its;
use super::error::{CommandError, ItsError};
use super::snapshot::{CollectionState, DeviceState, EventState};
use super::tables::{Collection, Device, NOT_MAPPED};
use crate::cache::Cache;
use crate::designs::Design;
use crate::irq::NO_VCPU;
use crate::obj::Obj;
use crate::platform::{NoMemory, PlainCell, Platform, PointerCell};
use crate::vm::Vm;
use alloc::vec::Vec;

/// Why tables were not restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// An event is in a collection that is neither known nor among the restored ones. Nothing was changed.
    UnknownCollection(u32),
    /// An event could not be mapped. The ITS is empty now.
    Event {
        /// Its DeviceID.
        device_id: u32,
        /// Its EventID.
        event_id: u32,
        /// Why not: no memory, a fault, or an ITT without an entry for it.
        error: CommandError,
    },
    /// No memory for a device or a collection. The ITS is empty now.
    NoMemory,
}

impl From<NoMemory> for RestoreError {
    fn from(NoMemory: NoMemory) -> Self {
        RestoreError::NoMemory
    }
}

/// The collections of an ITS by number, for a look-up for each event.
struct Known<P: Platform>(Vec<(u32, Obj<Collection<P>>)>);

impl<P: Platform> Known<P> {
    fn find(&self, collection_id: u32) -> Option<Obj<Collection<P>>> {
        let at = self.0.binary_search_by_key(&collection_id, |(id, _)| *id).ok()?;
        Some(self.0[at].1)
    }
}

impl<P: Platform, D: Design> Vm<P, D> {
    /// Adds the tables of a snapshot to an ITS.
    ///
    /// The caller has checked that every id is in range, that no device, event or collection is there twice or already,
    /// and that the vCPUs exist. The pending state comes from the pending tables, as for MAPTI.
    pub fn restore(
        &self,
        ctx: &P::Ctx,
        its: &Its<P>,
        devices: &[DeviceState],
        collections: &[CollectionState],
    ) -> Result<(), RestoreError> {
        self.as_command(ctx, its, || {
            check_collections(ctx, its, devices, collections)?;
            let result = self.restore_all(ctx, its, devices, collections);
            if result.is_err() {
                self.free_tables_locked(ctx, its, true, true);
            }
            result
        })
    }

    /// Frees all devices with their events, all collections, or both. Events of a collection that is freed stay, dead
    /// until they are mapped again, as after MAPC with V = 0.
    pub fn free_tables(&self, ctx: &P::Ctx, its: &Its<P>, devices: bool, collections: bool) {
        self.as_command(ctx, its, || self.free_tables_locked(ctx, its, devices, collections));
    }

    fn restore_all(
        &self,
        ctx: &P::Ctx,
        its: &Its<P>,
        devices: &[DeviceState],
        collections: &[CollectionState],
    ) -> Result<(), RestoreError> {
        for state in collections {
            let target = state.vcpu.unwrap_or(NOT_MAPPED);
            its.alloc_collection(ctx, state.collection_id)?.target_addr.set(ctx, target);
        }
        let mut known: Vec<_> = its.collection_list.iter(ctx).map(|c| (c.collection_id.get(ctx), c)).collect();
        known.sort_by_key(|(id, _)| *id);
        let known = Known(known);
        for state in devices {
            let device = its.alloc_device(ctx, state.device_id, state.itt_addr, state.event_bits)?;
            for event in &state.events {
                let (device_id, event_id) = (state.device_id, event.event_id);
                self.restore_event(ctx, device, event, &known).map_err(|error| RestoreError::Event {
                    device_id,
                    event_id,
                    error,
                })?;
            }
        }
        Ok(())
    }

    /// `vgic_its_restore_ite`. What it leaves behind when it fails, the caller frees.
    fn restore_event(
        &self,
        ctx: &P::Ctx,
        device: Obj<Device<P>>,
        event: &EventState,
        known: &Known<P>,
    ) -> Result<(), CommandError> {
        if !self.event_id_valid(ctx, device, event.event_id) {
            return Err(ItsError::MaptiIdOor.into());
        }
        let collection = event.collection_id.and_then(|id| known.find(id));
        let ite = self.alloc_ite(ctx, device, collection, event.event_id)?;
        let vcpu = collection.and_then(|collection| collection.target(ctx));
        ite.irq.set(ctx, Some(self.add_lpi(ctx, event.intid, vcpu.unwrap_or(NO_VCPU))?));
        Ok(())
    }

    /// The cache is emptied last: an entry that a send added under `its_lock` before is gone then.
    pub(crate) fn free_tables_locked(&self, ctx: &P::Ctx, its: &Its<P>, devices: bool, collections: bool) {
        if devices {
            while let Some(device) = its.device_list.first(ctx) {
                self.free_device(ctx, its, device);
            }
        }
        if collections {
            for device in its.device_list.iter(ctx) {
                device.itt.iter(ctx).for_each(|ite| ite.collection.set(ctx, None));
            }
            while let Some(collection) = its.collection_list.first(ctx) {
                its.free_unused_collection(ctx, collection);
            }
        }
        self.dist.cache.invalidate(self, ctx, its);
    }
}

/// Looks, before anything is touched, whether every event has its collection.
fn check_collections<P: Platform>(
    ctx: &P::Ctx,
    its: &Its<P>,
    devices: &[DeviceState],
    collections: &[CollectionState],
) -> Result<(), RestoreError> {
    let mut known: Vec<_> = its.collection_list.iter(ctx).map(|c| c.collection_id.get(ctx)).collect();
    known.extend(collections.iter().map(|state| state.collection_id));
    known.sort_unstable();
    let wanted = devices.iter().flat_map(|device| &device.events).filter_map(|event| event.collection_id);
    match wanted.into_iter().find(|id| known.binary_search(id).is_err()) {
        Some(id) => Err(RestoreError::UnknownCollection(id)),
        None => Ok(()),
    }
}
