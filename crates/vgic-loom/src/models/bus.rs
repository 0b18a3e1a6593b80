//! O-07: who finds an ITS on the bus sees what it is made of.

use super::Tables;
use crate::platform::{Ctx, Loom};
use std::sync::Arc;
use vgic_core::designs::Composed;
use vgic_core::its::TRANSLATER;
use vgic_core::{Msi, Platform, Vm};

const BASE: u64 = 0x1000_0000;

fn add_beside_a_send(ctx: &Ctx, design: &str) {
    let vm = Arc::new(Vm::<Loom, _>::new(Composed::named(design), ctx, 1, 1, Box::new(Tables)).expect("memory"));
    let adds = Arc::clone(&vm);
    let adds = Loom::spawn(ctx, "adds", move |ctx| {
        adds.add_its(ctx, BASE).expect("memory");
    });
    // A lookup without a look at the count of ITSes before, as the hit path makes it.
    let _ = vm.inject_msi(ctx, &Msi { doorbell: BASE + TRANSLATER, device_id: 0, event_id: 0, device_id_valid: true });
    Loom::join(ctx, adds);
}

pub(super) fn an_its_that_comes(ctx: &Ctx) {
    add_beside_a_send(ctx, "v7.1.8");
}

pub(super) fn a_first_its_that_comes(ctx: &Ctx) {
    add_beside_a_send(ctx, "next-03");
}
