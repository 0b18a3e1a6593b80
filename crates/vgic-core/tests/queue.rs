//! A vCPU's queue and its list registers, in every design.

mod common;

use common::{events, every_design, take_all, with_priorities};
use vgic_core::designs::{Clear, Composed, FoldActive, Moved, Replay};
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Design, Event, Platform};
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{Count, CountCtx, Kind, Step, Tables};

/// A vCPU of [`Guest`] has so many.
const LIST_REGISTERS: u32 = 4;

/// All of the same priority.
fn of_equals(lpis: u32, test: impl Fn(&str, &Guest<'_>)) {
    every_design(&vec![0xa0; lpis as usize], test);
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
    of_equals(LIST_REGISTERS + 2, |name, guest| {
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
    of_equals(LIST_REGISTERS, |name, guest| {
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
    of_equals(2, |name, guest| {
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
    every_design(&[0xc0, 0x80, 0x40, 0x80, 0xc0, 0x40, 0x80], |name, guest| {
        guest.send_all(0, 0..7);
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        assert_eq!(take_all(&mut running), [2, 5, 1, 3], "{name}");
        running.exit();
        running.enter_always();
        // With hints, those behind the last one that had a register.
        let rest = if guest.vm.spec().has_hints() { [6, 4, 0] } else { [6, 0, 4] };
        assert_eq!(take_all(&mut running), rest, "{name}");
    });
}

/// What was acknowledged and not ended has a list register before all others, where it is still known after an exit.
#[test]
fn what_is_active_keeps_its_list_register() {
    every_design(&[0xf0, 0x80, 0x80, 0x80, 0x80, 0x40], |name, guest| {
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
        let expected = match (guest.vm.spec().has_hints(), kept) {
            (true, _) => vec![5, 4, 1, 2],
            (_, true) => vec![5, 1, 2],
            (_, false) => vec![5, 1, 2, 3],
        };
        assert_eq!(taken, expected, "{name}");
        running.exit();
        assert_eq!(active(guest, 6), [], "{name}: it was ended where it was");
    });
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
    of_equals(6, |name, guest| {
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
        let turn = if guest.vm.spec().has_hints() { [5, 0, 1, 2, 3, 4] } else { [1, 2, 3, 4, 5, 0] };
        assert_eq!(taken, turn, "{name}");
    });
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
                check_locks(design, &guest.ctx.record(|| running.exit()));
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
    of_equals(1, |name, guest| {
        guest.send_all(0, 0..1);
        assert_eq!(events(guest.run(0)), [0], "{name}");
        assert_eq!(guest.command(0, Command::Discard { device_id: DEVICE, event_id: 0 }), Ok(()), "{name}");
        Count::rcu_barrier(guest.ctx);
        assert_eq!(guest.run(0), [], "{name}");
    });
}

#[test]
fn a_queued_lpi_may_be_put_first() {
    of_equals(6, |name, guest| {
        guest.send_all(0, 0..6);
        for event in [5, 3, 99] {
            let steps = guest.ctx.record(|| guest.vm.vcpus[0].put_first(guest.ctx, FIRST_LPI + event));
            check_locks(guest.vm.design(), &steps);
        }
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        let order = if guest.vm.spec().has_hints() { [3, 4, 5, 0] } else { [3, 5, 0, 1] };
        assert_eq!(take_all(&mut running), order, "{name}");
    });
}

/// Whether a vCPU should run: what is pending could be delivered.
#[test]
fn a_vcpu_runs_for_what_it_could_take() {
    of_equals(1, |name, guest| {
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

/// A queued LPI that is to go elsewhere: where a design sees to it at once, the vCPU that has it is kicked, and nobody else.
#[test]
fn who_has_a_queued_lpi_that_moves_is_kicked() {
    of_equals(2, |name, guest| {
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
    of_equals(2, |name, guest| {
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
    of_equals(1, |name, guest| {
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

/// Who looks for an LPI that is queued elsewhere than it should go, and that is sent again: the one that it should go to, or,
/// where a design sees to that, the one that has it.
#[test]
fn who_is_asked_to_look_for_an_lpi_that_moves() {
    of_equals(1, |name, guest| {
        guest.send_all(0, 0..1);
        let movi = Command::Movi { device_id: DEVICE, event_id: 0, collection_id: 1 };
        assert_eq!(guest.command(0, movi), Ok(()), "{name}");
        let steps = guest.ctx.record(|| guest.send_all(0, 0..1));
        let asked: Vec<_> = steps.iter().filter(|step| step.field == "requests").map(|step| step.object).collect();
        // With hints, the one that it should go to was asked when it moved, and whoever has found it pending asks nobody.
        let expected = match (guest.vm.spec().has_hints(), guest.vm.spec().ap_list().moved) {
            (true, _) => vec![],
            (_, Moved::Kicked) => vec![0],
            (_, Moved::AtNextExit) => vec![1],
        };
        assert_eq!(asked, expected, "{name}");
    });
}

/// An LPI goes from one vCPU to another under the locks of both, in the order of their numbers.
#[test]
fn two_queues_are_locked_in_the_order_of_their_vcpus() {
    for [from, to] in [[0, 1], [1, 0]] {
        of_equals(1, |name, guest| {
            let movi = |collection_id| {
                let command = Command::Movi { device_id: DEVICE, event_id: 0, collection_id };
                assert_eq!(guest.command(0, command), Ok(()), "{name}");
            };
            movi(from);
            guest.send_all(0, 0..1);
            movi(to);
            if guest.vm.spec().has_hints() {
                let steps =
                    guest.ctx.record(|| assert_eq!([guest.run(from), guest.run(to)].map(events), [vec![], vec![0]]));
                let locks = steps.iter().filter(|step| step.kind.takes_lock() && step.field != "mutex");
                assert_eq!(locks.count(), 0, "{name}: no lock but the right to run a vCPU");
                return;
            }
            let steps = guest.ctx.record(|| assert_eq!(guest.run(from), [], "{name}"));
            let locks = steps.iter().filter(|step| step.field == "ap_list_lock" && step.kind.takes_lock());
            let both: Vec<_> = locks.map(|step| (step.depth, step.object)).collect();
            // Behind vcpu->mutex, which the caller of the prune holds.
            let outer = both.iter().map(|(depth, _)| *depth).min().expect("it was pruned");
            let pairs: Vec<_> =
                both.windows(2).filter(|pair| pair[1].0 > outer).map(|pair| [pair[0].1, pair[1].1]).collect();
            assert_eq!(pairs, [[0, 1]], "{name}");
            assert_eq!(events(guest.run(to)), [0], "{name}");
        });
    }
}

/// What is written of an LPI and of a queue is written under its lock. (But for what is pending: CLEAR has no lock in most
/// designs, and who drops the last reference needs none.) Who walks over a queue holds its lock, but for a replay that begins
/// behind an LPI. Who kicks a vCPU holds no lock of these.
fn check_locks(design: Composed, steps: &[Step]) {
    let (name, spec) = (design.name(), design.spec());
    let walks_unlocked = matches!(spec.ap_list().replay, Replay::BehindLast | Replay::BehindLastHeld);
    let mut held: Vec<(&str, u32)> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let lock = (step.field, step.object);
        let writes = step.kind.is_write() || step.kind == Kind::Rmw;
        let of_irq = match step.field {
            "vcpu" | "target_vcpu" | "priority" | "active" | "enabled" => true,
            "bits" => {
                let is_last = !steps[at..].iter().any(|later| (later.field, later.object) == ("irq_lock", step.object));
                spec.clear == Clear::UnderIrqLock && !is_last
            }
            _ => false,
        };
        if step.kind.takes_lock() {
            held.push(lock);
        } else if step.kind.releases_lock() {
            let at = held.iter().rposition(|one| *one == lock).expect("it is held");
            held.remove(at);
        } else if step.field == "mode" && step.kind == Kind::Rmw {
            let spins = held.iter().any(|(field, _)| ["irq_lock", "ap_list_lock"].contains(field));
            assert!(!spins, "{name}: who kicks holds {held:?}");
        } else if step.class == "vgic_irq" && of_irq && writes {
            assert!(held.contains(&("irq_lock", step.object)), "{name}: {step}");
        } else if step.class == "kvm_vcpu" && step.field.starts_with("ap_list_head") && writes {
            assert!(held.contains(&("ap_list_lock", step.object)), "{name}: {step}");
        } else if step.class == "vgic_irq" && step.field.starts_with("ap_list.") && (writes || !walks_unlocked) {
            assert!(held.iter().any(|(field, _)| *field == "ap_list_lock"), "{name}: {step}");
        }
    }
}

#[test]
fn lpis_and_queues_change_under_their_locks() {
    for name in vgic_core::designs::series::NAMES {
        let ctx = CountCtx::new();
        let guest = Guest::new(Composed::named(name), &ctx, 2, Tables::new()).expect("memory");
        let steps = ctx.record(|| {
            guest.boot();
            guest.work();
            guest.switch();
            guest.remap();
        });
        check_locks(guest.vm.design(), &steps);
        guest.destroy();
    }
}

/// A look at all LPIs holds each queue as a sender does: with interrupts masked.
#[test]
fn a_look_at_all_lpis_masks_interrupts() {
    of_equals(1, |name, guest| {
        guest.send_all(0, 0..1);
        let steps = guest.ctx.record(|| assert_eq!(guest.vm.lpis(guest.ctx).len(), 1, "{name}"));
        let locks: Vec<_> =
            steps.iter().filter(|step| step.field == "ap_list_lock" && step.kind.takes_lock()).collect();
        let queues = if guest.vm.spec().has_hints() { 0 } else { 2 };
        assert!(locks.len() == queues && locks.iter().all(|step| step.irqs_off), "{name}");
    });
}
