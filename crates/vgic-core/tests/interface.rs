//! The CPU interface of a vCPU, in every design: which interrupt the guest is given, what ending one does, and what makes it
//! leave.

mod common;

use common::{Run, events, every_design, take_all};
use vgic_core::designs::{FoldActive, Moved};
use vgic_core::irq::FIRST_LPI;
use vgic_core::vcpu::run::Tie;
use vgic_core::{Command, Event, Work};
use vgic_count::Kind;
use vgic_count::life::{DEVICE, Guest};

fn lpi(event: u32) -> Option<u32> {
    Some(FIRST_LPI + event)
}

fn highest(running: &Run<'_>, tie: Tie) -> Option<u32> {
    running.highest_pending(tie).map(|(intid, _)| intid)
}

/// Out of the guest, an event is sent, and in again.
fn send_and_enter(guest: &Guest<'_>, running: &mut Run<'_>, event: u32) {
    running.exit();
    assert_eq!(guest.send(0, event), Ok(true));
    running.enter_always();
}

/// What the guest is not given as it would not preempt is still there: it is asked for twice.
#[track_caller]
fn nothing(running: &mut Run<'_>) {
    assert_eq!((highest(running, Tie::Register), running.acknowledge()), (None, None));
}

#[test]
fn the_highest_priority_comes_first() {
    let priorities = [0xa0, 0x40, 0xf8, 0x00];
    every_design(&priorities, |name, guest| {
        guest.send_all(0, 0..4);
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        // Twice: what was active has left nothing behind.
        for _ in 0..2 {
            for event in [3, 1, 0, 2] {
                let expected = (FIRST_LPI + event, priorities[event as usize]);
                assert_eq!(running.highest_pending(Tie::Register), Some(expected), "{name}");
                assert_eq!(running.acknowledge(), lpi(event), "{name}");
                running.eoi(FIRST_LPI + event);
            }
            nothing(&mut running);
            running.exit();
            guest.send_all(0, 0..4);
            running.enter_always();
        }
    });
}

/// Only bits 7:2 of the configuration byte are the priority.
#[test]
fn a_priority_has_six_bits() {
    every_design(&[0xff, 0x03, 0xa2], |name, guest| {
        let priorities =
            [0, 1, 2].map(|event| guest.vm.lpi(guest.ctx, FIRST_LPI + event).expect("mapped").view.priority);
        assert_eq!(priorities, [0xfc, 0x00, 0xa0], "{name}");
    });
}

#[test]
fn a_tie_is_decided_as_the_caller_says() {
    every_design(&[0xa0, 0xa0, 0xa0, 0x40], |name, guest| {
        for event in [2, 0, 1, 3] {
            assert_eq!(guest.send(0, event), Ok(true), "{name}");
        }
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        let [given, unknown] = [1, 99].map(|event| Tie::Given(FIRST_LPI + event));
        for tie in [Tie::Register, Tie::Intid, given] {
            assert_eq!(highest(&running, tie), lpi(3), "{name}: {tie:?} is asked for equals only");
        }
        assert_eq!(running.acknowledge(), lpi(3), "{name}");
        running.eoi(FIRST_LPI + 3);
        // A list is in the order in which they came, hints are in that of the INTIDs.
        let first = if guest.vm.spec().queue_holds_lpis() { 2 } else { 0 };
        for (tie, event) in [(Tie::Register, first), (Tie::Intid, 0), (given, 1), (unknown, first)] {
            assert_eq!(highest(&running, tie), lpi(event), "{name}: {tie:?}");
        }
        for (tie, event) in [(given, 1), (Tie::Intid, 0), (Tie::Register, 2)] {
            assert_eq!(running.acknowledge_with(tie), lpi(event), "{name}: {tie:?}");
            running.eoi(FIRST_LPI + event);
        }
    });
}

/// Eight priorities are one preemption level. Only a higher level preempts what is active, also in a later entry.
#[test]
fn only_a_higher_level_preempts() {
    every_design(&[0x80, 0x84, 0x88, 0x78], |name, guest| {
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        send_and_enter(guest, &mut running, 0);
        assert_eq!(running.acknowledge(), lpi(0), "{name}");
        for same_or_lower in [1, 2] {
            send_and_enter(guest, &mut running, same_or_lower);
            nothing(&mut running);
        }
        send_and_enter(guest, &mut running, 3);
        assert_eq!(running.acknowledge(), lpi(3), "{name}");
        nothing(&mut running);
        running.eoi(FIRST_LPI + 3);
        nothing(&mut running);
        running.eoi(FIRST_LPI);
        for next in [1, 2] {
            assert_eq!(running.acknowledge(), lpi(next), "{name}");
            nothing(&mut running);
            running.eoi(FIRST_LPI + next);
        }
        // One level lower than what alone is active.
        send_and_enter(guest, &mut running, 3);
        assert_eq!(running.acknowledge(), lpi(3), "{name}");
        send_and_enter(guest, &mut running, 0);
        nothing(&mut running);
        running.eoi(FIRST_LPI + 3);
        assert_eq!(running.acknowledge(), lpi(0), "{name}");
        running.eoi(FIRST_LPI);
        // One level higher.
        send_and_enter(guest, &mut running, 2);
        assert_eq!(running.acknowledge(), lpi(2), "{name}");
        send_and_enter(guest, &mut running, 0);
        assert_eq!(running.acknowledge(), lpi(0), "{name}");
        running.eoi(FIRST_LPI);
        running.eoi(FIRST_LPI + 2);
    });
}

/// INTIDs 1020 to 1023 are special. Those around them are no LPIs, and drop the priority of whatever is active.
#[test]
fn ending_a_special_intid_ends_nothing() {
    every_design(&[0x80, 0x80, 0x80], |name, guest| {
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        send_and_enter(guest, &mut running, 0);
        assert_eq!(running.acknowledge(), lpi(0), "{name}");
        for (next, other) in [(1, 1019), (2, 1024)] {
            send_and_enter(guest, &mut running, next);
            (1020..1024).for_each(|special| running.eoi(special));
            nothing(&mut running);
            running.eoi(other);
            assert_eq!(running.acknowledge(), lpi(next), "{name}: after {other}");
        }
        running.eoi(1023);
        running.eoi(FIRST_LPI + 2);
    });
}

/// Which LPIs are active once the guest is left: those that it has not ended, where the design keeps that.
#[test]
fn ending_an_lpi_ends_that_one() {
    every_design(&[0x80, 0x40, 0xc0], |name, guest| {
        let kept = guest.vm.spec().ap_list().fold_active == FoldActive::Kept;
        let active = || [0, 1, 2].map(|event| guest.vm.lpi(guest.ctx, FIRST_LPI + event).expect("mapped").view.active);
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        send_and_enter(guest, &mut running, 2);
        send_and_enter(guest, &mut running, 0);
        assert_eq!(running.acknowledge(), lpi(0), "{name}");
        send_and_enter(guest, &mut running, 1);
        assert_eq!(running.acknowledge(), lpi(1), "{name}");
        running.exit();
        assert_eq!(active(), [kept, kept, false], "{name}");
        running.enter_always();
        running.eoi(FIRST_LPI + 1);
        running.exit();
        assert_eq!(active(), [kept, false, false], "{name}");
        running.enter_always();
        // The running priority is dropped, and the LPI stays active.
        running.eoi(1024);
        assert_eq!(running.acknowledge(), lpi(2), "{name}");
        running.eoi(FIRST_LPI + 2);
        // Sent again while it is active, it is not given to the guest before it was ended.
        send_and_enter(guest, &mut running, 0);
        if kept {
            nothing(&mut running);
            running.exit();
            assert!(!guest.vm.vcpu_pending_irq(guest.ctx, running.vcpu()), "{name}: pending and active");
            running.enter_always();
            running.eoi(FIRST_LPI);
        }
        assert_eq!(running.acknowledge(), lpi(0), "{name}");
        running.eoi(FIRST_LPI);
        running.exit();
        assert_eq!(active(), [false; 3], "{name}");
    });
}

/// One IPI for however many interrupts, and none to a vCPU that is outside.
#[test]
fn a_guest_is_kicked_out_once() {
    every_design(&[0xa0; 3], |name, guest| {
        let counts = || {
            [Event::GuestEntry, Event::Kick, Event::Wake, Event::EntryCancelled, Event::GuestExit]
                .map(|event| guest.ctx.events(event))
        };
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        assert!(!running.has_queued(), "{name}");
        assert_eq!(guest.send(0, 0), Ok(true), "{name}");
        assert!(running.has_queued(), "{name}");
        assert!(running.enter(), "{name}");
        assert!(!running.must_exit(), "{name}");
        guest.send_all(0, 1..3);
        assert!(running.must_exit() && !running.runs_dry(), "{name}");
        assert_eq!(counts(), [1, 1, 0, 0, 0], "{name}");
        running.exit();
        running.exit();
        assert_eq!(counts(), [1, 1, 0, 0, 1], "{name}");
        assert!(running.enter() && !running.must_exit(), "{name}: it is not kicked any more");
        running.vcpu().interrupt(guest.ctx);
        assert!(running.must_exit(), "{name}");
        assert_eq!(counts(), [2, 2, 0, 0, 1], "{name}");
        // Whoever lets the vCPU go leaves the guest.
        drop(running);
        assert_eq!(counts(), [2, 2, 0, 0, 2], "{name}");
        assert_eq!(guest.run(0).len(), 3, "{name}");
    });
}

/// An LPI that was moved after the last exit: where a design sees to it at once, the entry is cancelled, and the LPI goes on.
#[test]
fn an_entry_is_cancelled_for_what_was_moved() {
    every_design(&[0xa0, 0xa0], |name, guest| {
        // Where nothing is queued, nothing has to move on.
        let hints = guest.vm.spec().has_hints();
        let at_once = guest.vm.spec().ap_list().moved == Moved::Kicked && !hints;
        guest.send_all(0, 0..2);
        let command = Command::Movi { device_id: DEVICE, event_id: 0, collection_id: 1 };
        assert_eq!(guest.command(0, command), Ok(()), "{name}");
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        let counts =
            || [Event::EntryCancelled, Event::GuestEntry, Event::Migration].map(|event| guest.ctx.events(event));
        if at_once {
            assert!(!running.enter(), "{name}");
            assert_eq!(counts(), [1, 0, 1], "{name}");
        }
        assert!(running.enter(), "{name}");
        assert_eq!(counts(), [u64::from(at_once), 1, u64::from(at_once || hints)], "{name}");
        assert_eq!(take_all(&mut running), [1], "{name}");
        drop(running);
        assert_eq!(counts(), [u64::from(at_once), 1, 1], "{name}");
        assert_eq!(events(guest.run(1)), [0], "{name}");
    });
}

/// Who blocks is woken by what comes for it; who does not block is not.
#[test]
fn a_vcpu_sleeps_until_something_comes() {
    every_design(&[0xa0; 2], |name, guest| {
        let (vm, vcpu, ctx) = (&guest.vm, &guest.vm.vcpus[0], guest.ctx);
        // How often it has asked whether to stop, slept, and been woken.
        let blocks = |stop: &dyn Fn(u32) -> bool| {
            let asked = std::cell::Cell::new(0);
            let wakes = ctx.events(Event::Wake);
            let steps = ctx.record(|| {
                vm.block(ctx, vcpu, || {
                    asked.set(asked.get() + 1);
                    stop(asked.get())
                });
            });
            let count = |kind| steps.iter().filter(|step| step.kind == kind).count();
            let woken = count(Kind::Work(Work::WakeUp));
            assert_eq!(ctx.events(Event::Wake) - wakes, woken as u64, "{name}");
            [asked.get() as usize, count(Kind::Park), woken]
        };
        assert_eq!(blocks(&|_| true), [1, 0, 0], "{name}: it is to stop");
        // As another thread would, after it has said that it blocks: something comes, and is gone when it looks.
        let clear = Command::Clear { device_id: DEVICE, event_id: 0 };
        let comes_and_goes = |asked| {
            assert_eq!((guest.send(0, 0), guest.command(0, clear)), (Ok(true), Ok(())), "{name}");
            asked == 3
        };
        assert_eq!(blocks(&comes_and_goes), [3, 2, 3], "{name}: it was woken, and slept again");
        guest.run(0);
        let sends = |_| {
            assert_eq!(guest.send(0, 0), Ok(true), "{name}");
            false
        };
        assert_eq!(blocks(&sends), [1, 0, 1], "{name}: something is pending");
        assert_eq!(blocks(&|_| false), [1, 0, 0], "{name}: still");
        let wakes = ctx.events(Event::Wake);
        assert_eq!(guest.send(0, 1), Ok(true), "{name}");
        assert_eq!((guest.run(0).len(), ctx.events(Event::Wake)), (2, wakes), "{name}: nobody sleeps");
        let interrupted = |asked| {
            vcpu.interrupt(ctx);
            asked == 3
        };
        assert_eq!(blocks(&interrupted), [3, 2, 3], "{name}: woken by a signal");
    });
}
