//! Random guests: whatever one does, references, pending states and queues stay in order.

use vgic_core::designs::Composed;
use vgic_core::designs::series::NAMES;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Design};
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{CountCtx, Grace, Tables};

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32 % limit
    }
}

/// One step; true if it may leave LPIs pending that are on no vCPU's list.
fn step(guest: &Guest<'_>, random: &mut Random) -> bool {
    let (ctx, vm, device_id) = (guest.ctx, &guest.vm, DEVICE);
    let (its, vcpu) = (random.below(2) as usize, random.below(2));
    let (event_id, collection_id) = (random.below(6), random.below(3));
    let intid = FIRST_LPI + random.below(6);
    let command = |command| guest.command(its, command).is_ok();
    match random.below(24) {
        0..6 => drop(guest.send(its, event_id)),
        6..9 => drop(guest.run(vcpu)),
        9..12 => drop(command(Command::Mapti { device_id, event_id, intid, collection_id })),
        12 => drop(command(Command::Discard { device_id, event_id })),
        13 => drop(command(Command::Movi { device_id, event_id, collection_id })),
        14 => drop(command(Command::Movall { from_vcpu: vcpu, to_vcpu: 1 - vcpu })),
        15 => guest.mapc(its, collection_id, vcpu, random.below(3) > 0),
        16 => guest.mapd(its, random.below(3) > 0),
        17 => drop(command(Command::Clear { device_id, event_id })),
        18 => drop(command(Command::Int { device_id, event_id })),
        19 => {
            guest.tables.configure(intid, 0xa0 | random.below(2) as u8);
            command(Command::Inv { device_id, event_id });
            command(Command::Invall { collection_id });
        }
        20 => vm.set_its_enabled(ctx, &guest.its[its], random.below(3) > 0),
        // What is sent meanwhile is not queued, and enabling does not look for it: neither does the kernel.
        21 => {
            vm.set_distributor_enabled(ctx, random.below(3) > 0);
            return true;
        }
        22 => drop(vm.save_pending_tables(ctx)),
        _ => {
            guest.lpis(vcpu, random.below(3) > 0);
            return true;
        }
    }
    false
}

/// Each reference is held by an ITE, a cache entry or an `ap_list`; each event is somewhere.
fn check(guest: &Guest<'_>, may_be_stuck: bool) {
    let (ctx, vm) = (guest.ctx, &guest.vm);
    let lpis = vm.lpis(ctx);
    let mut holders = vm.cached_translations(ctx);
    for its in &guest.its {
        let (devices, _) = its.snapshot(ctx);
        holders += devices.iter().map(|device| device.events.len()).sum::<usize>();
    }
    if vm.spec().queue_holds_lpis() {
        holders += lpis.iter().filter(|lpi| lpi.view.queued_on.is_some()).count();
    }
    let references: u32 = lpis.iter().map(|lpi| lpi.references).sum();
    assert_eq!(references as usize, holders, "{}: {lpis:?}", vm.design().name());
    guest.assert_balanced(vm.pending_count(ctx));
    assert_eq!(ctx.held(), Vec::<String>::new(), "{}", vm.design().name());
    for lpi in &lpis {
        let deliverable = lpi.view.pending && lpi.view.enabled && lpi.view.target_vcpu.is_some();
        let queued = lpi.view.queued_on.is_some() || !vm.distributor_enabled(ctx) || may_be_stuck;
        assert!(!deliverable || queued, "{}: {lpi:?}", vm.design().name());
    }
}

#[test]
fn random_guests() {
    for name in NAMES {
        for seed in 1..=60 {
            let ctx = CountCtx::with_grace(if seed % 2 == 0 { Grace::Early } else { Grace::Late });
            {
                let guest = Guest::new(Composed::named(name), &ctx, 2, Tables::new()).expect("memory");
                guest.boot();
                let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
                let mut may_be_stuck = false;
                for _ in 0..150 {
                    may_be_stuck |= step(&guest, &mut random);
                    check(&guest, may_be_stuck);
                }
                guest.destroy();
            }
            assert_eq!(ctx.live_objects(), Vec::<String>::new(), "{name}, seed {seed}");
            assert_eq!(ctx.warnings(), Vec::<&str>::new(), "{name}, seed {seed}");
        }
    }
}
