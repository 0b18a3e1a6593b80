//! A small guest in every design.

#![allow(dead_code, reason = "each test uses a part")]

use vgic_core::designs::Composed;
use vgic_core::designs::series::NAMES;
use vgic_core::irq::FIRST_LPI;
use vgic_core::vcpu::run::Running;
use vgic_count::life::Guest;
use vgic_count::{Count, CountCtx, Tables};

pub type Run<'a> = Running<'a, Count, Composed>;

/// Does `test` in each design: see [`with_priorities`].
pub fn every_design(priorities: &[u8], test: impl Fn(&str, &Guest<'_>)) {
    for name in NAMES {
        with_priorities(Composed::named(name), priorities, |guest| test(name, guest));
    }
}

/// Event `n` has the `n`th priority, and goes to vCPU 0; collection 1 is vCPU 1. Each vCPU has four list registers.
pub fn with_priorities(design: Composed, priorities: &[u8], test: impl Fn(&Guest<'_>)) {
    let ctx = CountCtx::new();
    let guest = Guest::new(design, &ctx, 2, Tables::new()).expect("memory");
    guest.mapc(0, 0, 0, true);
    guest.mapc(0, 1, 1, true);
    guest.mapd(0, true);
    for (event, priority) in (0..).zip(priorities) {
        guest.tables.configure(FIRST_LPI + event, priority | 1);
        guest.mapti(0, event, FIRST_LPI + event, 0);
    }
    guest.lpis(0, true);
    guest.lpis(1, true);
    guest.vm.set_its_enabled(&ctx, &guest.its[0], true);
    test(&guest);
    guest.assert_balanced(guest.vm.pending_count(&ctx));
    guest.destroy();
}

/// Which events these LPIs are of.
pub fn events(intids: impl IntoIterator<Item = u32>) -> Vec<u32> {
    intids.into_iter().map(|intid| intid - FIRST_LPI).collect()
}

/// Takes and ends whatever the list registers have.
pub fn take_all(running: &mut Run<'_>) -> Vec<u32> {
    let take = || running.acknowledge().inspect(|intid| running.eoi(*intid));
    events(std::iter::from_fn(take))
}
