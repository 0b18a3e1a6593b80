//! Switches: EnableLPIs of a vCPU, the distributor, and a VM that is halted meanwhile, in every design.

mod common;

use common::{Run, events, every_design, take_all, with_priorities};
use vgic_core::designs::series::NAMES;
use vgic_core::designs::{
    Composed, DistributorOn, EmptyList, ExitMode, Halt, InRegister, LoadPending, LpisOff, Replay, Spec,
};
use vgic_core::irq::FIRST_LPI;
use vgic_core::vcpu::run::Tie;
use vgic_core::{Command, Event, Platform};
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{Count, CountCtx, Tables};

/// All of the same priority.
fn of_equals(lpis: u32, test: impl Fn(&str, &Guest<'_>)) {
    every_design(&vec![0xa0; lpis as usize], test);
}

/// Whether who switches LPIs off waits until no vCPU is in the guest. Here it would do so for ever: there is no other thread.
fn waits_for_the_guest(spec: &Spec) -> bool {
    spec.halt == Halt::Everybody
}

/// Up to 6.18 nobody folds the list registers of a vCPU whose queue is empty: LPIs were switched off while one was in a
/// register. So its next entry shows it again. What becomes of it then is counted once, whatever it is.
#[test]
fn a_list_register_that_nobody_folds_is_shown_again() {
    type Then = fn(&Guest<'_>, &mut Run<'_>);
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
        of_equals(2, |name, guest| {
            let spec = guest.vm.spec();
            if waits_for_the_guest(spec) {
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
            assert_eq!(running.highest_pending(Tie::Register), Some((FIRST_LPI, 0xa0)), "{name}");
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
        of_equals(2, |name, guest| {
            let spec = guest.vm.spec();
            if off && waits_for_the_guest(spec) {
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
            // Hints are no reference: there it goes with its mapping.
            let gone = spec.has_hints() || off && spec.ap_list().in_register == InRegister::Leaves;
            let counts = (guest.ctx.events(Event::Dropped), guest.vm.pending_count(guest.ctx));
            assert_eq!(counts, if gone { (1, 0) } else { (0, 1) }, "{name}: LPIs off: {off}");
        });
    }
}

/// What is sent while the distributor is off is pending and in no queue. Whether it is queued when that is turned on is the
/// design's; every vCPU is kicked, once.
#[test]
fn the_distributor_is_turned_on() {
    of_equals(1, |name, guest| {
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
    of_equals(1, |name, guest| {
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

/// `GICR_CTLR` is zero at reset.
#[test]
fn a_new_vcpu_has_its_lpis_off() {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = Guest::new(Composed::named(name), &ctx, 2, Tables::new()).expect("memory");
        assert!(guest.vm.vcpus.iter().all(|vcpu| vcpu.gicr_ctlr(&ctx) == 0), "{name}");
        guest.lpis(1, true);
        assert_eq!([0, 1].map(|vcpu| guest.vm.vcpus[vcpu].lpis_enabled(&ctx)), [false, true], "{name}");
        guest.destroy();
    }
}

/// What LPIs that are switched off leave pending, of what was queued and of what was masked; that of others stays.
#[test]
fn lpis_that_are_switched_off_lose_what_is_pending() {
    of_equals(4, |name, guest| {
        let (ctx, vm) = (guest.ctx, &guest.vm);
        let command = |command| assert_eq!(guest.command(0, command), Ok(()), "{name}");
        command(Command::Movi { device_id: DEVICE, event_id: 2, collection_id: 1 });
        guest.tables.configure(FIRST_LPI + 1, 0xa0);
        command(Command::Inv { device_id: DEVICE, event_id: 1 });
        guest.send_all(0, 0..4);
        // The last reference of one is the queue's.
        command(Command::Discard { device_id: DEVICE, event_id: 3 });
        guest.lpis(0, false);
        let pending = events(vm.lpis(ctx).iter().filter(|lpi| lpi.view.pending).map(|lpi| lpi.intid));
        let expected: &[u32] = match vm.spec().lpis_off {
            LpisOff::Unqueue => &[0, 1, 2],
            LpisOff::UnqueueAndClear => &[1, 2],
            LpisOff::ClearAndPrune => &[2],
        };
        assert_eq!(pending, expected, "{name}");
        Count::rcu_barrier(ctx);
        let lpis = ctx.live_objects().iter().filter(|label| label.starts_with("vgic_irq")).count();
        assert_eq!(lpis, 3, "{name}: {:?}", ctx.live_objects());
        // A hint may be left, and leads to nothing.
        assert!(vm.spec().has_hints() || !vm.run_vcpu(ctx, 0).has_queued(), "{name}");
        assert_eq!((guest.run(0), events(guest.run(1))), (vec![], vec![2]), "{name}");
    });
}

/// An LPI that has left the queue while it was in a list register is queued again at the exit, where a design prunes a queue
/// whose LPIs are switched off.
#[test]
fn what_was_pruned_while_it_was_in_a_list_register_is_queued_again() {
    for (design, again) in [("v7.3", false), ("v7.3+lpis-off=clear-and-prune", true)] {
        with_priorities(Composed::new(design).expect("a design"), &[0xa0], |guest| {
            guest.send_all(0, 0..1);
            let mut running = guest.vm.run_vcpu(guest.ctx, 0);
            running.enter_always();
            guest.lpis(0, false);
            assert!(!running.has_queued(), "{design}");
            running.exit();
            assert_eq!((running.has_queued(), guest.vm.pending_count(guest.ctx)), (again, 1), "{design}");
        });
    }
}

/// A guest has ended an interrupt that is in no list register, and the last LPI that had one is taken off the queue: where the
/// walk begins there, it says so, once.
#[test]
fn a_replay_behind_what_is_in_no_queue_is_told() {
    of_equals(4, |name, guest| {
        let spec = guest.vm.spec();
        if waits_for_the_guest(spec) {
            return;
        }
        guest.send_all(0, 0..4);
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        running.eoi_of_none();
        guest.lpis(0, false);
        let steps = guest.ctx.record(|| running.exit());
        let behind = matches!(spec.ap_list().replay, Replay::BehindLast | Replay::BehindLastHeld);
        let warning = "the replay of EOIcount follows the link of an LPI that is not on the ap_list";
        assert_eq!(guest.ctx.warnings(), if behind { vec![warning] } else { vec![] }, "{name}");
        let forgotten = steps.iter().filter(|step| step.field == "vgic_eoi_count" && step.kind.is_write()).count();
        assert_eq!(forgotten, usize::from(spec.ap_list().replay != Replay::None), "{name}");
        running.enter_always();
        running.exit();
        assert_eq!(guest.ctx.warnings().len(), usize::from(behind), "{name}");
    });
}

/// Whoever halts the VM asks each vCPU to sleep, kicks it, and looks whether it is outside; then it lets each go, and wakes
/// it. A vCPU that finds the request afterwards goes on.
#[test]
fn a_halt_asks_each_vcpu_and_lets_it_go() {
    with_priorities(Composed::named("halt"), &[0xa0], |guest| {
        let steps = guest.ctx.record(|| guest.lpis(0, false));
        let fields = ["pause", "requests", "mode", "wait"];
        let halt: Vec<_> = steps.iter().filter(|step| fields.contains(&step.field)).collect();
        let told: Vec<_> = halt.iter().map(|step| format!("{} {}", step.kind.verb(), step.label())).collect();
        let expected = [
            "rmw kvm_vcpu#0.pause",
            "rmw kvm_vcpu#1.pause",
            "rmw kvm_vcpu#0.requests",
            "rmw kvm_vcpu#0.mode",
            "rmw kvm_vcpu#1.requests",
            "rmw kvm_vcpu#1.mode",
            "read kvm_vcpu#0.mode",
            "read kvm_vcpu#1.mode",
            "rmw kvm_vcpu#0.pause",
            "unpark kvm_vcpu#0.wait",
            "rmw kvm_vcpu#1.pause",
            "unpark kvm_vcpu#1.wait",
        ];
        assert_eq!(told, expected);
        guest.lpis(0, true);
        guest.send_all(0, 0..1);
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        let steps = guest.ctx.record(|| assert!(running.enter()));
        let looks = |field| steps.iter().filter(|step| step.field == field).count();
        assert_eq!((looks("pause"), looks("wait")), (1, 0), "it looks whether the VM is still halted");
        assert_eq!(take_all(&mut running), [0]);
        // A request of another kind is no reason to look.
        guest.send_all(0, 0..1);
        running.exit();
        let steps = guest.ctx.record(|| assert!(running.enter()));
        assert_eq!(steps.iter().filter(|step| step.field == "pause").count(), 0);
        assert_eq!(take_all(&mut running), [0]);
    });
}

/// When a vCPU says that it is outside the guest: before its list registers are folded, or, where somebody may wait for what
/// was in them, behind that.
#[test]
fn a_vcpu_is_outside_before_the_fold_or_behind_it() {
    of_equals(1, |name, guest| {
        guest.send_all(0, 0..1);
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        let steps = guest.ctx.record(|| running.exit());
        let last = |field| steps.iter().rposition(|step| step.field == field).expect("it was touched");
        let behind = guest.vm.spec().exit_mode == ExitMode::AfterSync;
        assert_eq!(last("mode") > last("vgic_lr"), behind, "{name}");
    });
}
