//! A vCPU's queue and its list registers, in every design.

use vgic_core::designs::series::NAMES;
use vgic_core::designs::{Composed, DistributorOn, EmptyList, FoldActive, Halt, InRegister, LoadPending, Moved};
use vgic_core::irq::FIRST_LPI;
use vgic_core::vcpu::run::Running;
use vgic_core::{Command, Event};
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{Count, CountCtx, Tables};

/// A vCPU of [`Guest`] has so many.
const LIST_REGISTERS: u32 = 4;

fn every_design(lpis: u32, test: impl Fn(&str, &Guest<'_>)) {
    for name in NAMES {
        with_priorities(Composed::named(name), &vec![0xa0; lpis as usize], |guest| test(name, guest));
    }
}

/// Event `n` has the `n`th priority, and goes to vCPU 0; collection 1 is vCPU 1.
fn with_priorities(design: Composed, priorities: &[u8], test: impl Fn(&Guest<'_>)) {
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

fn events(intids: impl IntoIterator<Item = u32>) -> Vec<u32> {
    intids.into_iter().map(|intid| intid - FIRST_LPI).collect()
}

/// Takes and ends whatever the list registers have.
fn take_all(running: &mut Running<'_, Count, Composed>) -> Vec<u32> {
    let take = || running.acknowledge().inspect(|intid| running.eoi(*intid));
    events(std::iter::from_fn(take))
}

/// Which of the first events are active, as far as their LPIs know.
fn active(guest: &Guest<'_>, count: u32) -> Vec<u32> {
    let is_active = |event: &u32| guest.vm.lpi(guest.ctx, FIRST_LPI + event).expect("mapped").view.active;
    (0..count).filter(is_active).collect()
}

/// More are pending than there are list registers: when all but one were ended, the guest is left for the rest
/// (`ICH_HCR_EL2.UIE`). Without it the rest would wait until somebody kicks.
#[test]
fn an_overflowing_queue_arms_the_underflow_interrupt() {
    every_design(LIST_REGISTERS + 2, |name, guest| {
        guest.send_all(0, 0..LIST_REGISTERS + 2);
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        for left in (0..LIST_REGISTERS).rev() {
            assert!(!running.must_exit(), "{name}: {} registers are left", left + 1);
            let intid = running.acknowledge().unwrap_or_else(|| panic!("{name}: a register is empty"));
            running.eoi(intid);
            if left <= 1 {
                break;
            }
        }
        assert!(running.runs_dry() && running.must_exit(), "{name}: one register is left, and more is pending");
        running.exit();
        running.enter_always();
        // What is left fits: one of the first four, and the two behind.
        for _ in 0..3 {
            assert!(!running.must_exit(), "{name}: nothing waits outside the registers");
            let intid = running.acknowledge().unwrap_or_else(|| panic!("{name}: the rest was not brought"));
            running.eoi(intid);
        }
        assert!(!running.must_exit() && running.acknowledge().is_none(), "{name}");
        drop(running);
        assert_eq!(guest.ctx.events(Event::Delivered), u64::from(LIST_REGISTERS + 2), "{name}");
    });
}

#[test]
fn a_queue_that_fits_does_not() {
    every_design(LIST_REGISTERS, |name, guest| {
        guest.send_all(0, 0..LIST_REGISTERS);
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        for _ in 0..LIST_REGISTERS {
            let intid = running.acknowledge().expect("it is pending");
            running.eoi(intid);
            assert!(!running.must_exit(), "{name}");
        }
    });
}

/// DISCARD empties the cache before it drops what the cache leads to, or a hit in between finds it: the ITE's reference on
/// the LPI goes last, and with it the ITE.
#[test]
fn discard_empties_the_cache_before_it_drops_the_ite() {
    every_design(2, |name, guest| {
        guest.send(0, 0).expect("it is mapped");
        guest.run(0);
        assert_eq!(guest.vm.cached_translations(guest.ctx), 1, "{name}");
        let command = Command::Discard { device_id: DEVICE, event_id: 0 };
        let steps = guest.ctx.record(|| assert_eq!(guest.command(0, command), Ok(())));
        assert_eq!(guest.vm.cached_translations(guest.ctx), 0, "{name}");

        let is_cache = |step: &vgic_count::Step| {
            step.class == "vgic_translation_cache_entry" || step.field.starts_with("translation_cache")
        };
        let emptied = steps.iter().rposition(is_cache);
        let unlinked = steps.iter().position(|step| {
            step.class == "its_device" && step.place().starts_with("its_device.itt") && step.kind.is_write()
        });
        let freed = steps.iter().position(|step| step.to_string().contains("free its_ite"));
        let dropped = steps.iter().rposition(|step| step.place() == "vgic_irq.refcount");
        let order = [emptied, unlinked, dropped, freed];
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{name}: {order:?}");
    });
}

/// Of more than there are list registers those of the highest priorities go first, and of equals those that came first.
#[test]
fn the_highest_priorities_get_the_list_registers() {
    for name in NAMES {
        with_priorities(Composed::named(name), &[0xc0, 0x80, 0x40, 0x80, 0xc0, 0x40, 0x80], |guest| {
            guest.send_all(0, 0..7);
            let mut running = guest.vm.run_vcpu(guest.ctx, 0);
            running.enter_always();
            assert_eq!(take_all(&mut running), [2, 5, 1, 3], "{name}");
            running.exit();
            running.enter_always();
            assert_eq!(take_all(&mut running), [6, 0, 4], "{name}");
        });
    }
}

/// What was acknowledged and not ended has a list register before all others, where it is still known after an exit.
#[test]
fn what_is_active_keeps_its_list_register() {
    for name in NAMES {
        with_priorities(Composed::named(name), &[0xf0, 0x80, 0x80, 0x80, 0x80, 0x40], |guest| {
            let kept = guest.vm.spec().ap_list().fold_active == FoldActive::Kept;
            guest.send_all(0, 0..1);
            let mut running = guest.vm.run_vcpu(guest.ctx, 0);
            running.enter_always();
            assert_eq!(running.acknowledge(), Some(FIRST_LPI), "{name}");
            running.exit();
            // One with a register, one without, then again all that are left.
            guest.send_all(0, 1..6);
            running.enter_always();
            running.exit();
            assert_eq!(active(guest, 6), if kept { vec![0] } else { vec![] }, "{name}");
            running.enter_always();
            running.eoi(FIRST_LPI);
            let taken = take_all(&mut running);
            assert_eq!(taken, if kept { vec![5, 1, 2] } else { vec![5, 1, 2, 3] }, "{name}");
            running.exit();
            assert_eq!(active(guest, 6), [], "{name}: it was ended where it was");
        });
    }
}

/// The other order, of a design that no kernel has had: an active one that is not pending goes behind the pending ones.
#[test]
fn the_summary_puts_what_is_pending_before_what_is_active() {
    for base in ["v7.1.8", "hardened"] {
        let design = Composed::new(&format!("{base}+fold-active=kept")).expect("a design");
        with_priorities(design, &[0x40, 0x80, 0x80, 0x80, 0x80], |guest| {
            guest.send_all(0, 0..1);
            let mut running = guest.vm.run_vcpu(guest.ctx, 0);
            running.enter_always();
            assert_eq!(running.acknowledge(), Some(FIRST_LPI), "{base}");
            running.exit();
            guest.send_all(0, 1..5);
            running.enter_always();
            running.eoi(FIRST_LPI);
            assert_eq!(take_all(&mut running), [1, 2, 3, 4], "{base}");
            running.exit();
            assert_eq!(active(guest, 5), [0], "{base}: it had no register in which it could be ended");
        });
    }
}

/// An LPI whose pending state was cleared stays in the queue until the next exit. It goes behind all that can be delivered, also
/// where it is pending again by then.
#[test]
fn what_was_cleared_goes_behind_its_equals() {
    every_design(6, |name, guest| {
        guest.send_all(0, 0..6);
        assert_eq!(guest.command(0, Command::Clear { device_id: DEVICE, event_id: 0 }), Ok(()), "{name}");
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        guest.send_all(0, 0..1);
        running.exit();
        running.enter_always();
        let mut taken = take_all(&mut running);
        running.exit();
        running.enter_always();
        taken.extend(take_all(&mut running));
        assert_eq!(taken, [1, 2, 3, 4, 5, 0], "{name}");
    });
}

/// Up to 6.18 nobody folds the list registers of a vCPU whose queue is empty: LPIs were switched off while one was in a
/// register. So its next entry shows it again. What becomes of it then is counted once, whatever it is.
#[test]
fn a_list_register_that_nobody_folds_is_shown_again() {
    type Then = fn(&Guest<'_>, &mut Running<'_, Count, Composed>);
    let thens: [(&str, Then); 4] = [
        ("taken", |guest, running| {
            assert_eq!(take_all(running), [0]);
            let counts = [Event::Delivered, Event::PendingLoaded].map(|event| guest.ctx.events(event));
            assert_eq!(counts, [1, 1]);
            running.exit();
            running.enter_always();
            assert_eq!(take_all(running), []);
        }),
        ("left alone", |guest, running| {
            running.exit();
            assert_eq!((guest.ctx.events(Event::Dropped), guest.vm.pending_count(guest.ctx)), (1, 0));
            running.enter_always();
            assert!(running.acknowledge().is_some());
        }),
        ("folded", |guest, running| {
            guest.lpis(0, true);
            guest.send_all(0, 1..2);
            running.exit();
            assert_eq!(guest.ctx.events(Event::PendingLoaded), 1);
            // It is pending again, and in no queue.
            assert_eq!(guest.vm.pending_count(guest.ctx), 2);
            running.enter_always();
            assert_eq!(take_all(running), [1]);
            guest.send_all(0, 0..1);
            running.exit();
            running.enter_always();
            assert_eq!(take_all(running), [0]);
        }),
        ("unmapped", |guest, running| {
            guest.lpis(0, true);
            guest.send_all(0, 1..2);
            assert_eq!(guest.command(0, Command::Discard { device_id: DEVICE, event_id: 0 }), Ok(()));
            running.exit();
            assert_eq!((guest.ctx.events(Event::Dropped), guest.ctx.events(Event::PendingLoaded)), (1, 0));
            running.enter_always();
            assert_eq!(take_all(running), [1]);
        }),
    ];
    for (what, then) in thens {
        every_design(2, |name, guest| {
            let spec = guest.vm.spec();
            if spec.halt == Halt::Everybody {
                // It would wait for the vCPU, and there is no other thread.
                return;
            }
            guest.send_all(0, 0..1);
            let mut running = guest.vm.run_vcpu(guest.ctx, 0);
            running.enter_always();
            guest.lpis(0, false);
            assert_eq!(guest.vm.pending_in_registers(guest.ctx, running.vcpu()), 1, "{name}");
            running.exit();
            if spec.ap_list().empty != EmptyList::Skipped {
                assert_eq!(guest.vm.pending_count(guest.ctx), 1, "{name}: it was folded");
                return;
            }
            let counts = (guest.ctx.events(Event::Dropped), guest.vm.pending_count(guest.ctx));
            assert_eq!(counts, (1, 0), "{name}: nobody knows of it");
            running.enter_always();
            assert_eq!(running.highest_pending(vgic_core::vcpu::run::Tie::Register), Some((FIRST_LPI, 0xa0)), "{name}");
            println!("{name}: {what}");
            then(guest, &mut running);
            running.exit();
            guest.assert_balanced(guest.vm.pending_count(guest.ctx));
        });
    }
}

/// An LPI that leaves the queue while it is pending in a list register, and is unmapped, is dropped at the exit; one that
/// stays in the queue has a reference, and is delivered.
#[test]
fn what_is_unmapped_in_a_list_register_is_dropped_or_delivered() {
    for off in [false, true] {
        every_design(2, |name, guest| {
            let spec = guest.vm.spec();
            if off && spec.halt == Halt::Everybody {
                // It would wait for the vCPU, and there is no other thread.
                return;
            }
            guest.send_all(0, 0..2);
            let mut running = guest.vm.run_vcpu(guest.ctx, 0);
            running.enter_always();
            assert_eq!(running.acknowledge(), Some(FIRST_LPI), "{name}");
            running.eoi(FIRST_LPI);
            if off {
                guest.lpis(0, false);
            }
            guest.mapd(0, false);
            running.exit();
            let gone = off && spec.ap_list().in_register == InRegister::Leaves;
            let counts = (guest.ctx.events(Event::Dropped), guest.vm.pending_count(guest.ctx));
            assert_eq!(counts, if gone { (1, 0) } else { (0, 1) }, "{name}: LPIs off: {off}");
        });
    }
}

/// Interrupts that the guest has ended while no list register had them (EOIcount), of designs in which LPIs have an active
/// state outside of registers: as many as there were, in the order of the queue, and only those.
#[test]
fn what_was_ended_in_no_list_register_is_ended_at_the_exit() {
    for base in ["v7.1.8", "v7.3", "hardened"] {
        let design = Composed::new(&format!("{base}+fold-active=kept")).expect("a design");
        with_priorities(design, &[0xa0; 6], |guest| {
            let mut running = guest.vm.run_vcpu(guest.ctx, 0);
            for event in 0..6 {
                guest.send_all(0, event..event + 1);
                running.enter_always();
                assert_eq!(running.acknowledge(), Some(FIRST_LPI + event), "{base}");
                // The running priority is dropped, and the LPI stays active.
                running.eoi(1024);
                running.exit();
            }
            // The last two were pending when there was no room, so they are in front: 2 and 3 have no register.
            let mut ends = |count: u32| {
                running.enter_always();
                (0..count).for_each(|_| running.eoi_of_none());
                running.exit();
                active(guest, 6)
            };
            assert_eq!(ends(0), [0, 1, 2, 3, 4, 5], "{base}");
            assert_eq!(ends(1), [0, 1, 3, 4, 5], "{base}");
            assert_eq!(ends(0), [0, 1, 3, 4, 5], "{base}: the count is used up");
            assert_eq!(ends(3), [0, 1, 4, 5], "{base}: there are no more");
            guest.send_all(0, 2..4);
            assert_eq!(ends(0), [0, 1, 4, 5], "{base}: what was left of the count is forgotten");
        });
    }
}

/// The last one that had a list register may be gone when the guest is left next.
#[test]
fn the_last_one_that_had_a_list_register_is_forgotten() {
    every_design(1, |name, guest| {
        guest.send_all(0, 0..1);
        assert_eq!(events(guest.run(0)), [0], "{name}");
        assert_eq!(guest.command(0, Command::Discard { device_id: DEVICE, event_id: 0 }), Ok(()), "{name}");
        assert_eq!(guest.run(0), [], "{name}");
    });
}

#[test]
fn a_queued_lpi_may_be_put_first() {
    every_design(6, |name, guest| {
        guest.send_all(0, 0..6);
        for event in [5, 3, 99] {
            guest.vm.vcpus[0].put_first(guest.ctx, FIRST_LPI + event);
        }
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        assert_eq!(take_all(&mut running), [3, 5, 0, 1], "{name}");
    });
}

/// Whether a vCPU should run: what is pending could be delivered.
#[test]
fn a_vcpu_runs_for_what_it_could_take() {
    every_design(1, |name, guest| {
        let (ctx, vm) = (guest.ctx, &guest.vm);
        let runs = || vm.vcpu_pending_irq(ctx, &vm.vcpus[0]);
        assert!(!runs(), "{name}: nothing is pending");
        guest.send_all(0, 0..1);
        assert!(runs(), "{name}");
        vm.set_distributor_enabled(ctx, false);
        assert!(!runs(), "{name}: the distributor is off");
        vm.set_distributor_enabled(ctx, true);
        assert!(runs(), "{name}");
        guest.tables.configure(FIRST_LPI, 0xa0);
        let inv = Command::Inv { device_id: DEVICE, event_id: 0 };
        assert_eq!(guest.command(0, inv), Ok(()), "{name}");
        assert!(!runs(), "{name}: it is masked");
        assert_eq!((guest.run(0), runs()), (vec![], false), "{name}");
        // It is still pending, and is queued when it is unmasked.
        guest.tables.configure(FIRST_LPI, 0xa1);
        assert_eq!(guest.command(0, inv), Ok(()), "{name}");
        assert!(runs(), "{name}");
        assert_eq!(events(guest.run(0)), [0], "{name}");
        assert!(!runs(), "{name}: it was taken");
    });
}

/// What is sent while the distributor is off is pending and in no queue. Whether it is queued when that is turned on is the
/// design's; every vCPU is kicked, once.
#[test]
fn the_distributor_is_turned_on() {
    every_design(1, |name, guest| {
        let (ctx, vm) = (guest.ctx, &guest.vm);
        vm.set_distributor_enabled(ctx, false);
        guest.send_all(0, 0..1);
        assert_eq!((guest.run(0), vm.pending_count(ctx)), (vec![], 1), "{name}");
        let mut running = vm.run_vcpu(ctx, 0);
        running.enter_always();
        vm.set_distributor_enabled(ctx, false);
        assert!(!running.must_exit(), "{name}: it was off");
        vm.set_distributor_enabled(ctx, true);
        assert!(running.must_exit(), "{name}");
        running.exit();
        let queued = vm.spec().distributor_on == DistributorOn::Queue;
        assert_eq!(running.has_queued(), queued, "{name}");
        running.enter_always();
        vm.set_distributor_enabled(ctx, true);
        assert!(!running.must_exit(), "{name}: it is on");
        assert_eq!(take_all(&mut running), if queued { vec![0] } else { vec![] }, "{name}");
        drop(running);
        // The next send of it finds it pending.
        guest.send_all(0, 0..1);
        assert_eq!((events(guest.run(0)), ctx.events(Event::Coalesced)), (vec![0], u64::from(!queued)), "{name}");
    });
}

/// From 6.10 on a vCPU whose LPIs are turned on looks at those of all others, and queues what is in no queue.
#[test]
fn lpis_that_are_turned_on_queue_those_of_other_vcpus() {
    every_design(1, |name, guest| {
        guest.vm.set_distributor_enabled(guest.ctx, false);
        guest.send_all(0, 0..1);
        guest.vm.set_distributor_enabled(guest.ctx, true);
        if guest.vm.spec().distributor_on == DistributorOn::Queue {
            return;
        }
        guest.lpis(1, false);
        guest.tables.set_pending(1, FIRST_LPI / 8, 0xff);
        guest.lpis(1, true);
        let all = guest.vm.spec().load_pending == LoadPending::OfTarget;
        assert_eq!(events(guest.run(0)), if all { vec![0] } else { vec![] }, "{name}");
    });
}

/// A queued LPI that is to go elsewhere: where a design sees to it at once, the vCPU that has it is kicked, and nobody else.
#[test]
fn who_has_a_queued_lpi_that_moves_is_kicked() {
    every_design(2, |name, guest| {
        let at_once = guest.vm.spec().ap_list().moved == Moved::Kicked;
        let movi = |event_id, collection_id| {
            assert_eq!(
                guest.command(0, Command::Movi { device_id: DEVICE, event_id, collection_id }),
                Ok(()),
                "{name}"
            );
        };
        guest.send_all(0, 0..1);
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        // One that is in no queue, and one that stays where it is.
        movi(1, 1);
        movi(0, 0);
        assert!(!running.must_exit(), "{name}");
        movi(0, 1);
        assert_eq!(running.must_exit(), at_once, "{name}");
        running.exit();
        drop(running);
        assert_eq!((guest.run(0), events(guest.run(1))), (vec![], vec![0]), "{name}");
    });
}

/// INVALL reads the configuration of the LPIs of one vCPU.
#[test]
fn the_configuration_is_read_again_for_one_vcpu() {
    every_design(2, |name, guest| {
        assert_eq!(
            guest.command(0, Command::Movi { device_id: DEVICE, event_id: 1, collection_id: 1 }),
            Ok(()),
            "{name}"
        );
        for event in [0, 1] {
            guest.tables.configure(FIRST_LPI + event, 0x41);
        }
        let priorities =
            || [0, 1].map(|event| guest.vm.lpi(guest.ctx, FIRST_LPI + event).expect("mapped").view.priority);
        guest.vm.reload_lpi_configs(guest.ctx, 1);
        // The defect of v2: its walk of all LPIs finds none.
        let walks = guest.vm.spec().walk != vgic_core::designs::Walk::CopyXArrayEmpty;
        assert_eq!(priorities(), [0xa0, if walks { 0x40 } else { 0xa0 }], "{name}");
        assert_eq!(guest.vm.reload_lpi_config(guest.ctx, FIRST_LPI), Ok(()), "{name}");
        assert_eq!(priorities()[0], 0x40, "{name}");
        assert_eq!(guest.vm.reload_lpi_config(guest.ctx, FIRST_LPI + 9), Ok(()), "{name}: nobody has it");
    });
}

/// An entry with nothing queued reads no list register, whatever was in them before.
#[test]
fn an_empty_queue_reads_no_list_register() {
    every_design(1, |name, guest| {
        guest.send_all(0, 0..1);
        assert_eq!(events(guest.run(0)), [0], "{name}");
        let steps = guest.ctx.record(|| {
            let mut running = guest.vm.run_vcpu(guest.ctx, 0);
            running.enter_always();
            running.exit();
        });
        let reads = steps.iter().filter(|step| step.field == "vgic_lr" && step.kind.is_read()).count();
        assert_eq!(reads, 0, "{name}");
    });
}
