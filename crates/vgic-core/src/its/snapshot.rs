//! A look at an ITS's tables from outside.

use super::Its;
use crate::guard::Mutex;
use crate::platform::{PlainCell, Platform, PointerCell};
use alloc::vec::Vec;

/// A mapped device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceState {
    /// Its DeviceID.
    pub device_id: u32,
    /// Number of EventID bits.
    pub event_bits: u32,
    /// Guest physical address of its ITT, which the engine only keeps.
    pub itt_addr: u64,
    /// Its mapped events, in the order in which they were mapped.
    pub events: Vec<EventState>,
}

/// A mapped event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventState {
    /// Its EventID.
    pub event_id: u32,
    /// The LPI.
    pub intid: u32,
    /// Its collection; none after MAPC with V = 0.
    pub collection_id: Option<u32>,
}

/// A known collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionState {
    /// Its number.
    pub collection_id: u32,
    /// The vCPU that it is mapped to, if it is.
    pub vcpu: Option<u32>,
}

impl<P: Platform> Its<P> {
    /// The EventID bits of a mapped device, and where its ITT is.
    pub fn device(&self, ctx: &P::Ctx, device_id: u32) -> Option<(u32, u64)> {
        let _its_lock = Mutex::<P>::lock(&self.its_lock, ctx);
        let device = self.find_device(ctx, device_id)?;
        Some((device.num_eventid_bits.get(ctx), device.itt_addr.get(ctx)))
    }

    /// Devices with their events, and collections, each in the order in which they were mapped.
    pub fn snapshot(&self, ctx: &P::Ctx) -> (Vec<DeviceState>, Vec<CollectionState>) {
        let _its_lock = Mutex::<P>::lock(&self.its_lock, ctx);
        let devices = self.device_list.iter(ctx).map(|device| DeviceState {
            device_id: device.device_id.get(ctx),
            event_bits: device.num_eventid_bits.get(ctx),
            itt_addr: device.itt_addr.get(ctx),
            events: device
                .itt
                .iter(ctx)
                .filter_map(|ite| {
                    Some(EventState {
                        event_id: ite.event_id.get(ctx),
                        intid: ite.irq.get(ctx)?.intid.get(ctx),
                        collection_id: ite.collection.get(ctx).map(|c| c.collection_id.get(ctx)),
                    })
                })
                .collect(),
        });
        let devices = devices.collect();
        let collections = self
            .collection_list
            .iter(ctx)
            .map(|c| CollectionState { collection_id: c.collection_id.get(ctx), vcpu: c.target(ctx) });
        (devices, collections.collect())
    }
}
