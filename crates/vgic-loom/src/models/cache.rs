//! O-06: who hits a cache entry without a lock finds an LPI that it may use.

use super::{Guest, guest_of};
use crate::platform::Ctx;
use std::sync::Arc;
use vgic_core::Msi;

pub(super) fn hit(ctx: &Ctx, guest: &Guest) -> bool {
    let msi = Msi { doorbell: guest.its[0].doorbell(), device_id: 0, event_id: 0, device_id_valid: true };
    guest.vm.inject_cached_translation(ctx, &msi)
}

/// Nothing is cached before.
fn mapped(ctx: &Ctx) -> Arc<Guest> {
    let guest = guest_of(ctx, "patch-15", 1);
    guest.map(ctx, 0, 0, 0);
    guest
}

pub(super) fn a_hit_beside_an_insertion(ctx: &Ctx) {
    let guest = mapped(ctx);
    guest.spawn(ctx, "inserts", |guest, ctx| {
        let _ = guest.send(ctx, 0);
    });
    hit(ctx, &guest);
    guest.join(ctx);
}

/// The entry stays, without its LPI; the next send puts another entry in front of it.
pub(super) fn a_hit_beside_a_new_mapping(ctx: &Ctx) {
    let guest = mapped(ctx);
    let _ = guest.send(ctx, 0);
    guest.spawn(ctx, "guest", |guest, ctx| {
        let _ = guest.discard(ctx, 0);
        let _ = guest.mapti(ctx, 0, 1, 0);
        let _ = guest.send(ctx, 0);
    });
    hit(ctx, &guest);
    guest.join(ctx);
}
