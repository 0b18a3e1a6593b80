//! A vCPU's hints where there are many words of them, in the designs that have them.

mod common;

use common::{events, take_all};
use vgic_core::designs::Composed;
use vgic_core::designs::series::DESIGNS;
use vgic_core::irq::FIRST_LPI;
use vgic_core::its::snapshot::{CollectionState, DeviceState, EventState};
use vgic_core::{Command, Event, Platform};
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{Count, CountCtx, Tables};

/// LPIs at both ends of a word, of what sums words up, and of all that have a hint of their own.
const AT_ENDS: [u32; 8] = [0, 63, 64, 4095, 4096, 8191, 57_343, 57_344];
/// And some of those beyond, which share a hint.
const BEYOND: [u32; 3] = [57_345, 100_000, 1 << 20];

/// Event `n` is the `n`th of `lpis`, on vCPU 0, with the `n`th priority; collection 1 is vCPU 1. INTIDs of more than 16 bits
/// come by a restore only.
fn with(lpis: &[u32], priority: impl Fn(u32) -> u8, test: impl Fn(&str, &Guest<'_>)) {
    for (name, _) in DESIGNS.iter().filter(|(_, spec)| spec.has_hints()) {
        let ctx = CountCtx::new();
        let guest = Guest::new(Composed::named(name), &ctx, 2, Tables::new()).expect("memory");
        let event = |(event_id, lpi): (u32, &u32)| {
            guest.tables.configure(FIRST_LPI + lpi, priority(event_id) | 1);
            EventState { event_id, intid: FIRST_LPI + lpi, collection_id: Some(0) }
        };
        let events = (0..).zip(lpis).map(event).collect();
        let device = DeviceState { device_id: DEVICE, event_bits: 5, itt_addr: 0, events };
        let collections = [0, 1].map(|vcpu| CollectionState { collection_id: vcpu, vcpu: Some(vcpu) });
        assert_eq!(guest.vm.restore(&ctx, &guest.its[0], &[device], &collections), Ok(()), "{name}");
        guest.lpis(0, true);
        guest.lpis(1, true);
        guest.vm.set_its_enabled(&ctx, &guest.its[0], true);
        test(name, &guest);
        guest.assert_balanced(guest.vm.pending_count(&ctx));
        guest.destroy();
    }
}

fn entry(guest: &Guest<'_>) -> Vec<u32> {
    let mut running = guest.vm.run_vcpu(guest.ctx, 0);
    running.enter_always();
    take_all(&mut running)
}

#[test]
fn each_of_many_words_is_looked_at_and_left() {
    let lpis = [&AT_ENDS[..], &BEYOND].concat();
    with(
        &lpis,
        |_| 0xa0,
        |name, guest| {
            let queue = || guest.vm.run_vcpu(guest.ctx, 0).has_queued();
            assert!(!queue(), "{name}");
            for (event, lpi) in (0..).zip(&lpis) {
                assert_eq!(guest.send(0, event), Ok(true), "{name}");
                assert!(guest.vm.vcpu_pending_irq(guest.ctx, &guest.vm.vcpus[0]) && queue(), "{name}: {lpi}");
                assert_eq!(entry(guest), [*lpi], "{name}");
                assert!(!guest.vm.vcpu_pending_irq(guest.ctx, &guest.vm.vcpus[0]) && !queue(), "{name}: {lpi}");
            }
        },
    );
}

/// Four list registers: each entry begins behind the last one that was taken, and goes around.
#[test]
fn all_have_their_turn() {
    let lpis = [&AT_ENDS[..], &BEYOND].concat();
    with(
        &lpis,
        |_| 0xa0,
        |name, guest| {
            let all = |what: &str| {
                (0..lpis.len() as u32).for_each(|n| assert_eq!(guest.send(0, n), Ok(true), "{name}: {what}"))
            };
            all("first");
            assert_eq!(entry(guest), lpis[..4], "{name}");
            all("again");
            assert_eq!(entry(guest), lpis[4..8], "{name}");
            assert_eq!(entry(guest), lpis[..4], "{name}: around");
            assert_eq!(entry(guest), BEYOND, "{name}: the rest");
            assert_eq!(entry(guest), Vec::<u32>::new(), "{name}");
        },
    );
}

/// Those beyond share a hint: it stays while it leads to one that had no room.
#[test]
fn those_beyond_have_no_fewer_turns() {
    let beyond: Vec<u32> = (0..6).map(|n| 60_000 + 1000 * n).collect();
    for priorities in [[0xa0; 6], [0xa0, 0xa0, 0xa0, 0xa0, 0x40, 0x80]] {
        with(
            &beyond,
            |event| priorities[event as usize],
            |name, guest| {
                (0..6).for_each(|event| assert_eq!(guest.send(0, event), Ok(true), "{name}"));
                let mut taken = entry(guest);
                let first = if priorities[4] == 0x40 { [4, 5, 0, 1] } else { [0, 1, 2, 3] };
                assert_eq!(taken, first.map(|n: usize| beyond[n]), "{name}");
                taken.extend(entry(guest));
                taken.sort_unstable();
                assert_eq!(taken, beyond, "{name}");
                assert_eq!(entry(guest), Vec::<u32>::new(), "{name}");
                assert!(!guest.vm.run_vcpu(guest.ctx, 0).has_queued(), "{name}: the hint has led to nothing");
            },
        );
    }
}

/// What a list register has may die, and its vCPU frees it without a lock: nobody else looks there while vCPUs run.
#[test]
fn a_look_from_outside_leaves_list_registers_alone() {
    with(
        &AT_ENDS[..2],
        |_| 0xa0,
        |name, guest| {
            assert_eq!((guest.send(0, 0), guest.send(0, 1)), (Ok(true), Ok(true)), "{name}");
            let mut running = guest.vm.run_vcpu(guest.ctx, 0);
            running.enter_always();
            assert_eq!(guest.command(0, Command::Discard { device_id: DEVICE, event_id: 0 }), Ok(()), "{name}");
            let mut seen = Vec::new();
            let steps = guest.ctx.record(|| {
                seen = events(guest.vm.lpis(guest.ctx).iter().map(|lpi| lpi.intid));
                guest.vm.pending_count(guest.ctx);
            });
            assert_eq!(seen, [AT_ENDS[1]], "{name}");
            assert!(!steps.is_empty() && steps.iter().all(|step| step.field != "taken"), "{name}");
        },
    );
}

/// Also at the lowest priority that there is others come first.
#[test]
fn the_lowest_priority_is_one_too() {
    let lpis = [0, 1, 2, 3, 4];
    with(
        &lpis,
        |event| if event == 4 { 0xf8 } else { 0xfc },
        |name, guest| {
            (0..5).for_each(|event| assert_eq!(guest.send(0, event), Ok(true), "{name}"));
            assert_eq!(entry(guest), [4, 0, 1, 2], "{name}");
            assert_eq!(entry(guest), [3], "{name}");
        },
    );
}

/// A hint may be left behind by a move, a mask or an unmapping: it is cleared when it leads to nothing, and keeps nothing out.
#[test]
fn hints_that_lead_to_nothing_are_cleared() {
    for priority in [0xa0, 0x40] {
        with(
            &AT_ENDS,
            |event| if event == 7 { priority } else { 0xa0 },
            |name, guest| {
                (0..8).for_each(|event| assert_eq!(guest.send(0, event), Ok(true), "{name}"));
                let command = |command| assert_eq!(guest.command(0, command), Ok(()), "{name}");
                command(Command::Movi { device_id: DEVICE, event_id: 0, collection_id: 1 });
                command(Command::Discard { device_id: DEVICE, event_id: 1 });
                command(Command::Clear { device_id: DEVICE, event_id: 2 });
                guest.tables.configure(FIRST_LPI + AT_ENDS[3], 0xa0);
                command(Command::Inv { device_id: DEVICE, event_id: 3 });
                let mut taken = entry(guest);
                taken.sort_unstable();
                assert_eq!(taken, AT_ENDS[4..], "{name}: in one entry");
                assert_eq!(entry(guest), Vec::<u32>::new(), "{name}");
                assert!(!guest.vm.run_vcpu(guest.ctx, 0).has_queued(), "{name}");
                assert_eq!(events(guest.run(1)), [AT_ENDS[0]], "{name}");
                guest.tables.configure(FIRST_LPI + AT_ENDS[3], 0xa1);
                command(Command::Inv { device_id: DEVICE, event_id: 3 });
                assert_eq!(entry(guest), [AT_ENDS[3]], "{name}");
            },
        );
    }
}

/// What a vCPU has once found wrong it does not look at again, but for one: the first, which a send would only set anew.
#[test]
fn summaries_that_lead_to_nothing_are_cleared_but_for_the_first() {
    let far_apart: Vec<u32> = (0..8).map(|n| 4096 * n).collect();
    with(
        &far_apart,
        |_| 0xa0,
        |name, guest| {
            let in_vain = || {
                // One level after the other is cleared.
                (0..2).for_each(|_| assert_eq!(entry(guest), Vec::<u32>::new(), "{name}"));
                guest.ctx.record(|| assert_eq!(entry(guest), Vec::<u32>::new(), "{name}")).len()
            };
            assert_eq!(guest.send(0, 0), Ok(true), "{name}");
            assert_eq!(entry(guest), far_apart[..1], "{name}");
            let behind_one = in_vain();
            (0..8).for_each(|event| assert_eq!(guest.send(0, event), Ok(true), "{name}"));
            let taken = [entry(guest), entry(guest)].concat();
            assert_eq!(taken.len(), 8, "{name}");
            // One more where it begins behind the first word, and goes around.
            let behind_all = in_vain();
            assert!(behind_all <= behind_one + 1, "{name}: {behind_all} accesses, {behind_one} behind one LPI");
        },
    );
}

/// The distributor is off: nothing is taken, and no hint is lost.
#[test]
fn hints_stay_while_the_distributor_is_off() {
    with(
        &AT_ENDS[..4],
        |_| 0xa0,
        |name, guest| {
            (0..2).for_each(|event| assert_eq!(guest.send(0, event), Ok(true), "{name}"));
            guest.vm.set_distributor_enabled(guest.ctx, false);
            (2..4).for_each(|event| assert_eq!(guest.send(0, event), Ok(true), "{name}"));
            assert_eq!(entry(guest), Vec::<u32>::new(), "{name}");
            guest.vm.set_distributor_enabled(guest.ctx, true);
            assert_eq!(entry(guest), AT_ENDS[..4], "{name}");
        },
    );
}

/// An LPI that dies in a list register is freed when its vCPU folds, and what is mapped under its INTID is another one.
#[test]
fn an_lpi_that_dies_in_a_list_register_is_freed_at_the_fold() {
    with(
        &AT_ENDS[..2],
        |_| 0xa0,
        |name, guest| {
            let irqs = || guest.ctx.live_objects().iter().filter(|label| label.starts_with("vgic_irq")).count();
            assert_eq!((guest.send(0, 0), guest.send(0, 1)), (Ok(true), Ok(true)), "{name}");
            let mut running = guest.vm.run_vcpu(guest.ctx, 0);
            running.enter_always();
            assert_eq!(running.acknowledge(), Some(FIRST_LPI), "{name}");
            for event_id in [0, 1] {
                assert_eq!(guest.command(0, Command::Discard { device_id: DEVICE, event_id }), Ok(()), "{name}");
                guest.mapti(0, event_id, FIRST_LPI + AT_ENDS[event_id as usize], 0);
            }
            assert_eq!(irqs(), 4, "{name}: the list registers have two");
            running.exit();
            drop(running);
            Count::rcu_barrier(guest.ctx);
            assert_eq!(irqs(), 2, "{name}");
            assert_eq!(entry(guest), Vec::<u32>::new(), "{name}: the new ones are not pending");
        },
    );
}

/// A hint that leads to nothing does not hide the next word's; an LPI that was moved while a list register had it pending
/// goes to its new vCPU when the register is folded, and is counted as moved.
#[test]
fn a_move_leaves_nothing_behind() {
    with(
        &AT_ENDS[..3],
        |_| 0xa0,
        |name, guest| {
            let movi = |event_id| {
                let command = Command::Movi { device_id: DEVICE, event_id, collection_id: 1 };
                assert_eq!(guest.command(0, command), Ok(()), "{name}");
            };
            let migrations = || guest.ctx.events(Event::Migration);
            assert_eq!((guest.send(0, 0), guest.send(0, 2)), (Ok(true), Ok(true)), "{name}");
            movi(0);
            let pending = [0, 1].map(|vcpu: usize| guest.vm.vcpu_pending_irq(guest.ctx, &guest.vm.vcpus[vcpu]));
            assert_eq!((pending, migrations()), ([true, true], 1), "{name}");
            movi(0);
            movi(1);
            assert_eq!(migrations(), 1, "{name}: it is there already, and the other one is not pending");
            let mut running = guest.vm.run_vcpu(guest.ctx, 0);
            running.enter_always();
            movi(2);
            assert!(running.must_exit(), "{name}: its vCPU is told");
            assert_eq!(migrations(), 1, "{name}: it is still in the register");
            running.exit();
            drop(running);
            assert_eq!(migrations(), 2, "{name}");
            assert_eq!((entry(guest), events(guest.run(1))), (vec![], vec![AT_ENDS[0], AT_ENDS[2]]), "{name}");
        },
    );
}
