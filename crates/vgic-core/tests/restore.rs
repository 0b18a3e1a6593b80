//! Tables from a snapshot, and back to none, in every design.

use vgic_core::designs::Composed;
use vgic_core::designs::series::NAMES;
use vgic_core::irq::FIRST_LPI;
use vgic_core::its::restore::RestoreError;
use vgic_core::its::snapshot::{CollectionState, DeviceState, EventState};
use vgic_core::{Command, CommandError, ItsError};
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{CountCtx, Tables};

fn every_design(test: impl Fn(&str, &CountCtx, &Guest<'_>)) {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = Guest::new(Composed::named(name), &ctx, 2, Tables::new()).expect("memory");
        guest.lpis(0, true);
        guest.lpis(1, true);
        guest.vm.set_its_enabled(&ctx, &guest.its[0], true);
        test(name, &ctx, &guest);
        guest.destroy();
        assert_eq!(ctx.live_objects(), Vec::<String>::new(), "{name}");
    }
}

/// Two devices, with an event in each of three collections and one in none; collection 7 is mapped to no vCPU.
fn tables() -> (Vec<DeviceState>, Vec<CollectionState>) {
    let event = |event_id, collection_id| EventState { event_id, intid: FIRST_LPI + event_id, collection_id };
    let device =
        |device_id, events| DeviceState { device_id, event_bits: 4, itt_addr: 0x1000 * u64::from(device_id), events };
    let devices = vec![
        device(DEVICE, vec![event(2, Some(1)), event(15, Some(0)), event(3, None)]),
        device(9, vec![event(4, Some(7)), event(5, Some(0))]),
    ];
    let collections = [(1, Some(1)), (7, None), (0, Some(0))];
    (devices, collections.map(|(collection_id, vcpu)| CollectionState { collection_id, vcpu }).into())
}

#[test]
fn what_is_restored_is_what_the_snapshot_was() {
    every_design(|name, ctx, guest| {
        let (devices, collections) = tables();
        // Pending in the table of its vCPU; and in that of another one, which means nothing.
        guest.tables.set_pending(1, (FIRST_LPI + 2) / 8, 0xff);
        guest.tables.set_pending(1, (FIRST_LPI + 15) / 8, 0xff);
        assert_eq!(guest.vm.restore(ctx, &guest.its[0], &devices, &collections), Ok(()), "{name}");
        assert_eq!(guest.its[0].snapshot(ctx), (devices, collections), "{name}");
        assert_eq!(guest.its[0].device(ctx, 9), Some((4, 0x9000)), "{name}");
        assert_eq!(guest.its[0].device(ctx, 8), None, "{name}");
        assert_eq!(guest.tables.pending(1, (FIRST_LPI + 2) / 8), 0b1111_1011, "{name}: it was taken");
        assert_eq!((guest.run(1), guest.run(0)), (vec![FIRST_LPI + 2], vec![]), "{name}");
        for (event, taken) in [(2, Ok(true)), (15, Ok(true)), (3, Ok(false)), (4, Ok(false))] {
            assert_eq!(guest.send(0, event), taken, "{name}: event {event}");
        }
        assert_eq!((guest.run(0), guest.run(1)), (vec![FIRST_LPI + 15], vec![FIRST_LPI + 2]), "{name}");
    });
}

/// A collection may be known already, and the ITS keeps what it has.
#[test]
fn a_restore_adds() {
    every_design(|name, ctx, guest| {
        guest.mapc(0, 0, 0, true);
        guest.mapd(0, true);
        guest.mapti(0, 1, FIRST_LPI + 1, 0);
        let (before, known) = guest.its[0].snapshot(ctx);
        let events = vec![EventState { event_id: 0, intid: FIRST_LPI, collection_id: Some(0) }];
        let new = DeviceState { device_id: 2, event_bits: 1, itt_addr: 0, events };
        assert_eq!(guest.vm.restore(ctx, &guest.its[0], std::slice::from_ref(&new), &[]), Ok(()), "{name}");
        assert_eq!(guest.its[0].snapshot(ctx), ([before, vec![new]].concat(), known), "{name}");
    });
}

#[test]
fn an_unknown_collection_is_found_before_anything_is_touched() {
    every_design(|name, ctx, guest| {
        guest.mapc(0, 3, 0, true);
        guest.mapd(0, true);
        guest.mapti(0, 1, FIRST_LPI + 1, 3);
        let before = (guest.its[0].snapshot(ctx), ctx.live_objects());
        let (mut devices, collections) = tables();
        devices.remove(0);
        devices[0].events[1].collection_id = Some(8);
        let result = guest.vm.restore(ctx, &guest.its[0], &devices, &collections);
        assert_eq!(result, Err(RestoreError::UnknownCollection(8)), "{name}");
        assert_eq!((guest.its[0].snapshot(ctx), ctx.live_objects()), before, "{name}");
        assert_eq!(guest.send(0, 1), Ok(true), "{name}");
    });
}

#[test]
fn a_restore_that_fails_leaves_an_empty_its() {
    every_design(|name, ctx, guest| {
        guest.mapc(0, 3, 0, true);
        guest.mapd(0, true);
        guest.mapti(0, 1, FIRST_LPI + 1, 3);
        assert_eq!(guest.send(0, 1), Ok(true), "{name}");
        let (mut devices, collections) = tables();
        devices[0].device_id = 2;
        // One more than the ITT has room for.
        devices[1].events[1].event_id = 16;
        let result = guest.vm.restore(ctx, &guest.its[0], &devices, &collections);
        let error = CommandError::Its(ItsError::MaptiIdOor);
        assert_eq!(result, Err(RestoreError::Event { device_id: 9, event_id: 16, error }), "{name}");
        assert_eq!(guest.its[0].snapshot(ctx), (vec![], vec![]), "{name}");
        assert_eq!(guest.vm.cached_translations(ctx), 0, "{name}");
        assert_eq!(guest.send(0, 1), Ok(false), "{name}");
    });
}

/// Whichever allocation or access to guest memory fails, the ITS is empty and can be restored.
#[test]
fn a_restore_without_memory_can_be_tried_again() {
    for name in NAMES {
        let mut failures = 0;
        for after in 0.. {
            let ctx = CountCtx::new();
            let guest = Guest::new(Composed::named(name), &ctx, 2, Tables::new()).expect("memory");
            let (devices, collections) = tables();
            ctx.fail_allocation(after);
            let result = guest.vm.restore(&ctx, &guest.its[0], &devices, &collections);
            if let Err(error) = result {
                failures += 1;
                let for_an_event = matches!(error, RestoreError::Event { error: CommandError::NoMemory, .. });
                assert!(for_an_event || error == RestoreError::NoMemory, "{name}: {error:?}");
                assert_eq!(guest.its[0].snapshot(&ctx), (vec![], vec![]), "{name}");
                assert_eq!(guest.vm.restore(&ctx, &guest.its[0], &devices, &collections), Ok(()), "{name}");
            }
            assert_eq!(guest.its[0].snapshot(&ctx), (devices, collections), "{name}");
            guest.destroy();
            assert_eq!(ctx.live_objects(), Vec::<String>::new(), "{name}: allocation {after}");
            if result.is_ok() {
                break;
            }
        }
        // Collections, devices, ITEs, LPIs at least.
        assert!(failures >= 3 + 2 + 5 + 5, "{name}: {failures}");
    }
}

#[test]
fn tables_are_freed_together_or_apart() {
    let cases = [(true, true), (true, false), (false, true), (false, false)];
    for (free_devices, free_collections) in cases {
        every_design(|name, ctx, guest| {
            let (mut devices, mut collections) = tables();
            assert_eq!(guest.vm.restore(ctx, &guest.its[0], &devices, &collections), Ok(()), "{name}");
            assert_eq!(guest.send(0, 2), Ok(true), "{name}");
            guest.vm.free_tables(ctx, &guest.its[0], free_devices, free_collections);
            if free_collections {
                collections.clear();
                devices.iter_mut().flat_map(|device| &mut device.events).for_each(|event| event.collection_id = None);
            }
            if free_devices {
                devices.clear();
            }
            assert_eq!(guest.its[0].snapshot(ctx), (devices, collections), "{name}");
            assert_eq!(guest.vm.cached_translations(ctx), 0, "{name}");
            assert_eq!(guest.send(0, 2), Ok(!free_devices && !free_collections), "{name}");
            // What is dead cannot be discarded either.
            if free_collections && !free_devices {
                let discard = Command::Discard { device_id: DEVICE, event_id: 2 };
                assert_eq!(guest.command(0, discard), Err(ItsError::DiscardUnmappedInterrupt.into()), "{name}");
            }
        });
    }
}
