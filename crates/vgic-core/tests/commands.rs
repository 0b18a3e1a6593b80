//! What the ITS answers: each error by its name, at the edge of what is allowed, in every design.

use vgic_core::designs::series::NAMES;
use vgic_core::designs::{Composed, MapcOff, Remap};
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, CommandError, Event, ItsError, Msi, SendError};
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{CountCtx, Tables};

/// Most EventIDs of a device.
const EVENTS: u32 = 1 << 16;

/// Event 0 in collection 0 of vCPU 0; event 1 in collection 1, which was unmapped; collection 2 is of vCPU 1.
fn every_design(test: impl Fn(&str, &Guest<'_>)) {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = Guest::new(Composed::named(name), &ctx, 2, Tables::new()).expect("memory");
        guest.mapd(0, true);
        for collection in [0, 1] {
            guest.mapc(0, collection, 0, true);
            guest.mapti(0, collection, FIRST_LPI + collection, collection);
        }
        guest.mapc(0, 2, 1, true);
        guest.mapc(0, 1, 0, false);
        guest.lpis(0, true);
        guest.lpis(1, true);
        guest.vm.set_its_enabled(&ctx, &guest.its[0], true);
        test(name, &guest);
        guest.destroy();
        assert_eq!(ctx.live_objects(), Vec::<String>::new(), "{name}");
    }
}

fn state(guest: &Guest<'_>) -> impl PartialEq + std::fmt::Debug {
    (guest.its[0].snapshot(guest.ctx), guest.vm.lpis(guest.ctx), guest.vm.cached_translations(guest.ctx))
}

#[test]
fn what_is_refused_says_why_and_changes_nothing() {
    let (device_id, event_id, collection_id) = (DEVICE, 0, 0);
    let mapd = |device_id, event_bits| Command::Mapd { device_id, event_bits, itt_addr: 0, valid: true };
    let mapti = |device_id, event_id, intid| Command::Mapti { device_id, event_id, intid, collection_id };
    let movi = |event_id, collection_id| Command::Movi { device_id, event_id, collection_id };
    let movall = |from_vcpu, to_vcpu| Command::Movall { from_vcpu, to_vcpu };
    let refused = [
        (mapd(1 << 16, 1), ItsError::MapdDeviceOor),
        (Command::Mapd { device_id: 1 << 16, event_bits: 1, itt_addr: 0, valid: false }, ItsError::MapdDeviceOor),
        (mapd(2, 17), ItsError::MapdIttsizeOor),
        (mapd(device_id, 17), ItsError::MapdIttsizeOor),
        (Command::Mapc { collection_id, vcpu: 2, valid: true }, ItsError::MapcProcnumOor),
        (Command::Mapc { collection_id: 1 << 16, vcpu: 0, valid: true }, ItsError::MapcCollectionOor),
        (mapti(2, 9, FIRST_LPI), ItsError::MaptiUnmappedDevice),
        (mapti(device_id, EVENTS, FIRST_LPI), ItsError::MaptiIdOor),
        (mapti(device_id, 9, FIRST_LPI - 1), ItsError::MaptiPhysicalidOor),
        (mapti(device_id, 9, 1 << 16), ItsError::MaptiPhysicalidOor),
        (Command::Mapi { device_id, event_id: 9, collection_id }, ItsError::MaptiPhysicalidOor),
        (
            Command::Mapti { device_id, event_id: 9, intid: FIRST_LPI, collection_id: 1 << 16 },
            ItsError::MapcCollectionOor,
        ),
        (movi(9, 0), ItsError::MoviUnmappedInterrupt),
        (movi(1, 0), ItsError::MoviUnmappedCollection),
        (movi(0, 1), ItsError::MoviUnmappedCollection),
        (movi(0, 9), ItsError::MoviUnmappedCollection),
        (movall(0, 2), ItsError::MovallProcnumOor),
        (movall(2, 0), ItsError::MovallProcnumOor),
        (movall(2, 2), ItsError::MovallProcnumOor),
        (Command::Discard { device_id: 2, event_id }, ItsError::DiscardUnmappedInterrupt),
        (Command::Discard { device_id, event_id: 9 }, ItsError::DiscardUnmappedInterrupt),
        (Command::Discard { device_id, event_id: 1 }, ItsError::DiscardUnmappedInterrupt),
        (Command::Clear { device_id, event_id: 9 }, ItsError::ClearUnmappedInterrupt),
        (Command::Int { device_id, event_id: 9 }, ItsError::IntUnmappedInterrupt),
        (Command::Int { device_id, event_id: 1 }, ItsError::IntUnmappedInterrupt),
        (Command::Inv { device_id, event_id: 9 }, ItsError::InvUnmappedInterrupt),
        (Command::Invall { collection_id: 1 }, ItsError::InvallUnmappedCollection),
        (Command::Invall { collection_id: 9 }, ItsError::InvallUnmappedCollection),
    ];
    every_design(|name, guest| {
        assert_eq!(guest.send(0, 0), Ok(true), "{name}");
        let before = state(guest);
        for (command, error) in refused {
            assert_eq!(guest.command(0, command), Err(CommandError::Its(error)), "{name}: {command:?}");
            assert_eq!(state(guest), before, "{name}: {command:?}");
        }
        let off = Command::Mapc { collection_id: 9, vcpu: 2, valid: false };
        let checks = guest.vm.spec().mapc_off == MapcOff::ChecksVcpu;
        let answer = if checks { Err(ItsError::MapcProcnumOor.into()) } else { Ok(()) };
        assert_eq!(guest.command(0, off), answer, "{name}");
    });
}

/// The last that is allowed.
#[test]
fn what_is_in_range_is_done() {
    let (device_id, collection_id) = (DEVICE, 0);
    let last = (1 << 16) - 1;
    let allowed = [
        Command::Mapd { device_id: last, event_bits: 16, itt_addr: 0, valid: true },
        Command::Mapc { collection_id: last, vcpu: 1, valid: true },
        Command::Mapti { device_id: last, event_id: EVENTS - 1, intid: last, collection_id: last },
        Command::Mapti { device_id: last, event_id: 0, intid: FIRST_LPI, collection_id: 0 },
        Command::Mapi { device_id, event_id: FIRST_LPI + 7, collection_id },
        // A size is looked at only where there is one.
        Command::Mapd { device_id: last, event_bits: 32, itt_addr: 0, valid: false },
        Command::Movall { from_vcpu: 1, to_vcpu: 1 },
        Command::Movall { from_vcpu: 1, to_vcpu: 0 },
        Command::Mapc { collection_id: 77, vcpu: 1, valid: false },
    ];
    every_design(|name, guest| {
        for command in allowed {
            assert_eq!(guest.command(0, command), Ok(()), "{name}: {command:?}");
        }
        assert_eq!(guest.send(0, FIRST_LPI + 7), Ok(true), "{name}");
        assert_eq!(guest.run(0), [FIRST_LPI + 7], "{name}");
        // A device of one EventID bit has two events.
        let small = Command::Mapd { device_id: 5, event_bits: 1, itt_addr: 0, valid: true };
        assert_eq!(guest.command(0, small), Ok(()), "{name}");
        let mapti = |event_id| Command::Mapti { device_id: 5, event_id, intid: FIRST_LPI, collection_id };
        let answers = [0, 1, 2].map(|event| guest.command(0, mapti(event)));
        assert_eq!(answers, [Ok(()), Ok(()), Err(ItsError::MaptiIdOor.into())], "{name}");
    });
}

/// MAPTI that fails takes the collection away that it has made, and leaves one that was there.
#[test]
fn a_mapping_that_fails_leaves_no_collection_behind() {
    every_design(|name, guest| {
        let known = || guest.its[0].snapshot(guest.ctx).1;
        for (event_id, collection_id) in [(9, 50), (11, 2)] {
            let before = state(guest);
            let intid = FIRST_LPI + event_id;
            let command = Command::Mapti { device_id: DEVICE, event_id, intid, collection_id };
            let mut failures = 0;
            loop {
                guest.ctx.fail_allocation(failures);
                match guest.command(0, command) {
                    Err(CommandError::NoMemory) => failures += 1,
                    answer => break assert_eq!(answer, Ok(()), "{name}"),
                }
                assert_eq!(state(guest), before, "{name}: allocation {failures}");
            }
            assert!(failures >= 2, "{name}: ITE and LPI at least, not {failures}");
            assert!(guest.vm.lpi(guest.ctx, intid).is_some(), "{name}: what failed is not taken for a mapping");
            // All that follows may succeed.
            guest.ctx.fail_allocation(u64::from(u32::MAX));
        }
        let before = known();
        guest.tables.fail_access(0);
        let command = Command::Mapti { device_id: DEVICE, event_id: 10, intid: FIRST_LPI + 10, collection_id: 60 };
        assert_eq!(guest.command(0, command), Err(CommandError::Fault), "{name}");
        assert_eq!(known(), before, "{name}");
    });
}

/// A guest has as many mappings as it may have, and what failed or went gives its place back.
#[test]
fn mappings_are_limited() {
    for name in NAMES {
        let ctx = CountCtx::new();
        let mut guest = Guest::new(Composed::named(name), &ctx, 1, Tables::new()).expect("memory");
        guest.vm.max_mappings = 3;
        guest.mapd(0, true);
        guest.mapc(0, 0, 0, true);
        let mapti = |event_id| {
            let command = Command::Mapti { device_id: DEVICE, event_id, intid: FIRST_LPI + event_id, collection_id: 0 };
            guest.command(0, command)
        };
        for round in 0..3 {
            // Neither without memory for the ITE or the LPI, nor without the LPI's tables.
            for after in 0..2 {
                ctx.fail_allocation(after);
                assert_eq!(mapti(0), Err(CommandError::NoMemory), "{name}: {round}");
            }
            ctx.fail_allocation(u64::from(u32::MAX));
            guest.tables.fail_access(0);
            assert_eq!(mapti(0), Err(CommandError::Fault), "{name}: {round}");
            assert_eq!([0, 1, 2].map(mapti), [Ok(()); 3], "{name}: {round}");
            assert_eq!(mapti(0), Ok(()), "{name}: it is mapped");
            for event in [3, 4] {
                assert_eq!(mapti(event), Err(CommandError::NoMemory), "{name}: {round}");
            }
            assert_eq!(guest.command(0, Command::Discard { device_id: DEVICE, event_id: 1 }), Ok(()), "{name}");
            assert_eq!([mapti(3), mapti(4)], [Ok(()), Err(CommandError::NoMemory)], "{name}: {round}");
            guest.mapd(0, true);
        }
        guest.destroy();
    }
}

/// An LPI whose event is gone may still be queued when it is mapped again. Whether it goes to its new vCPU is the design's.
#[test]
fn an_lpi_that_is_mapped_again_while_it_is_queued() {
    every_design(|name, guest| {
        let retargets = guest.vm.spec().remap == Remap::Retarget;
        for (collection, target) in [(2, u32::from(retargets)), (77, 0)] {
            guest.mapti(0, 5, FIRST_LPI + 5, 0);
            assert_eq!(guest.send(0, 5), Ok(true), "{name}");
            assert_eq!(guest.command(0, Command::Discard { device_id: DEVICE, event_id: 5 }), Ok(()), "{name}");
            let known = guest.vm.lpi(guest.ctx, FIRST_LPI + 5);
            if !guest.vm.spec().queue_holds_lpis() {
                // It went with its last mapping, and what was pending with it.
                assert_eq!(known, None, "{name}");
                guest.mapti(0, 6, FIRST_LPI + 5, collection);
                assert_eq!([guest.run(0), guest.run(1)], [vec![], vec![]], "{name}");
                guest.mapd(0, true);
                continue;
            }
            // It is seen as long as it is queued.
            assert!(known.is_some() && guest.vm.lpis(guest.ctx).contains(&known.expect("it is queued")), "{name}");
            guest.mapti(0, 6, FIRST_LPI + 5, collection);
            let taken = [guest.run(0), guest.run(1)].map(|taken| taken.len());
            let expected = if target == 1 { [0, 1] } else { [1, 0] };
            assert_eq!(taken, expected, "{name}: to collection {collection}");
            assert_eq!(
                guest.vm.lpi(guest.ctx, FIRST_LPI + 5).and_then(|lpi| lpi.view.target_vcpu),
                Some(target),
                "{name}"
            );
            guest.mapd(0, true);
        }
    });
}

/// MSIs and INT, where something is off or missing: what each answers, and that what is lost is counted.
#[test]
fn what_cannot_be_delivered_is_refused_and_counted() {
    every_design(|name, guest| {
        let (ctx, vm) = (guest.ctx, &guest.vm);
        assert!(!guest.its[1].is_enabled(ctx), "{name}: nobody has turned it on");
        let doorbell = guest.its[0].doorbell();
        let msi = Msi { doorbell, device_id: DEVICE, event_id: 0, device_id_valid: true };
        let int = |event_id| guest.command(0, Command::Int { device_id: DEVICE, event_id });
        let dropped = |f: &dyn Fn()| {
            let before = (ctx.events(Event::Sent), ctx.events(Event::Dropped));
            f();
            (ctx.events(Event::Sent) - before.0, ctx.events(Event::Dropped) - before.1)
        };
        let send = |msi: Msi, answer: Result<bool, SendError>| {
            assert_eq!(dropped(&|| assert_eq!(vm.inject_msi(ctx, &msi), answer, "{name}: {msi:?}")), (1, 1), "{name}");
        };
        send(Msi { event_id: 9, ..msi }, Ok(false));
        send(Msi { event_id: 1, ..msi }, Ok(false));
        send(Msi { device_id: 2, ..msi }, Ok(false));
        send(Msi { device_id_valid: false, ..msi }, Err(SendError::Invalid));
        for address in [doorbell + 4, doorbell - 4, guest.its[0].base, 0, u64::MAX] {
            send(Msi { doorbell: address, ..msi }, Err(SendError::Invalid));
        }
        guest.lpis(0, false);
        send(msi, Err(SendError::Busy));
        assert_eq!(dropped(&|| assert_eq!(int(0), Err(CommandError::Busy), "{name}")), (1, 1), "{name}");
        guest.lpis(0, true);
        vm.set_its_enabled(ctx, &guest.its[0], false);
        send(msi, Err(SendError::Busy));
        assert_eq!(dropped(&|| assert_eq!(int(0), Err(CommandError::Busy), "{name}")), (1, 1), "{name}");
        vm.set_its_enabled(ctx, &guest.its[0], true);
        assert_eq!(dropped(&|| assert_eq!(int(0), Ok(()), "{name}")), (1, 0), "{name}");
        assert_eq!(guest.run(0), [FIRST_LPI], "{name}");
    });
}

#[test]
fn a_vm_without_an_its_has_no_doorbell() {
    for name in NAMES {
        let ctx = CountCtx::new();
        let tables = Box::new(Tables::new());
        let vm = vgic_core::Vm::<vgic_count::Count, _>::new(Composed::named(name), &ctx, 1, 1, tables).expect("memory");
        let msi = Msi { doorbell: 0x0809_0040, device_id: DEVICE, event_id: 0, device_id_valid: true };
        assert_eq!(vm.inject_msi(&ctx, &msi), Err(SendError::NoIts), "{name}");
        assert_eq!(ctx.events(Event::Dropped), 1, "{name}");
        vm.destroy(&ctx);
    }
}
