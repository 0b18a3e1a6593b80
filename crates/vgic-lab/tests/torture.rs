//! Torture of every sound design for a moment, with the debug assertions on; and that torture notices what it is for.

use std::env;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vgic_core::Event;
use vgic_core::designs::series::DESIGNS;
use vgic_host::Refused;
use vgic_lab::stress::Failure;
use vgic_lab::torture::{Break, Period, Torture, Verdict};

/// Live objects are counted in the process, so the tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn short() -> Torture {
    Torture {
        time: Duration::from_millis(150),
        period: Duration::from_millis(50),
        watchdog: HANGS,
        ..Torture::default()
    }
}

/// So long no run of these tests takes; that it did is a failure.
const HANGS: Duration = Duration::from_secs(600);

fn run(torture: &Torture, design: &str) -> (Verdict, Vec<Period>) {
    let mut periods = Vec::new();
    let verdict = torture.run(design, &mut |period| {
        periods.extend(period.cloned());
        true
    });
    (verdict.unwrap_or_else(|failure| panic!("{design}: {failure:?}")), periods)
}

#[test]
fn every_sound_design_bears_a_moment_of_torture() {
    let _turn = alone();
    for (name, _) in DESIGNS.iter().filter(|(_, spec)| !spec.is_unsound()) {
        let (verdict, periods) = run(&short(), name);
        assert_eq!(verdict.broken, Vec::<String>::new(), "{name}");
        assert_eq!(periods.len(), 3, "{name}");
        assert!(periods.iter().all(|period| period.commands > 0 && period.lpis > 0), "{name}");
    }
}

#[test]
fn one_list_register_and_one_its_will_do() {
    let _turn = alone();
    let torture = Torture { vcpus: 2, its: 1, senders: 1, devices: 1, events: 20, list_registers: 1, ..short() };
    for design in ["v6.8-rc1", "patch-15", "v6.10", "v7.1.8", "v7.3", "hardened"] {
        let (verdict, _) = run(&torture, design);
        assert_eq!(verdict.broken, Vec::<String>::new(), "{design}");
    }
}

#[test]
fn a_lost_lpi_is_noticed() {
    let _turn = alone();
    // A send that was never made is noted; it is found unless a real one follows, so give it several periods.
    let torture = Torture { break_rule: Some(Break::Lose), time: HANGS, ..short() };
    let (verdict, _) = run(&torture, "v7.3");
    assert!(verdict.broken.first().is_some_and(|what| what.contains("is lost: send")), "{verdict:?}");
}

#[test]
fn a_reference_that_is_never_put_is_noticed() {
    let _turn = alone();
    let (verdict, _) = run(&Torture { break_rule: Some(Break::Leak), time: HANGS, ..short() }, "v7.3");
    assert!(verdict.broken.iter().any(|what| what.contains(" references: ")), "{verdict:?}");
}

#[test]
fn a_thread_that_is_stuck_is_named() {
    let _turn = alone();
    let torture = Torture { break_rule: Some(Break::Stick), watchdog: Duration::from_secs(5), time: HANGS, ..short() };
    let (verdict, _) = run(&torture, "v7.3");
    assert!(verdict.broken[0].starts_with("deadlock: no progress for 5 s: "), "{verdict:?}");
    assert!(verdict.broken[0].contains("commander0 (did last: does as it was told: nothing)"), "{verdict:?}");
}

#[test]
fn bad_plans_are_refused() {
    let refused = |torture: Torture, design: &str| torture.run(design, &mut |_| true).err();
    assert!(matches!(refused(short(), "v6.7"), Some(Failure::Refused(Refused::Unsound(..)))));
    assert!(matches!(refused(short(), "v9"), Some(Failure::Refused(Refused::UnknownDesign(_)))));
    let lonely = Torture { vcpus: 1, ..short() };
    assert!(matches!(refused(lonely, "v7.3"), Some(Failure::Refused(Refused::OutOfRange("vcpus", 1, 2, 64)))));
    let many = Torture { devices: 256, events: 1024, ..short() };
    assert!(matches!(refused(many, "v7.3"), Some(Failure::Refused(Refused::OutOfRange(..)))));
}

/// For `ci/sanitizers`: the designs and seconds of the environment, without the quarantine that would hide a use after
/// free from a sanitizer.
#[test]
#[ignore = "for ci/sanitizers, which says which designs and how long"]
fn torture_as_the_environment_says() {
    let _turn = alone();
    let seconds = env::var("VGIC_TORTURE_SECONDS").map_or(10, |text| text.parse().expect("seconds"));
    let designs = env::var("VGIC_TORTURE_DESIGNS").unwrap_or_else(|_| "v7.3".to_owned());
    for design in designs.split(',') {
        let watchdog = Duration::from_secs(120);
        let torture = Torture { time: Duration::from_secs(seconds), poison: false, watchdog, ..Torture::default() };
        let (verdict, periods) = run(&torture, design);
        let sum = |event: Event| periods.iter().map(|period| period.counts[event as usize]).sum::<u64>();
        println!("{design}: {} sent, {} delivered, {verdict:?}", sum(Event::Sent), sum(Event::Delivered));
        assert_eq!(verdict.broken, Vec::<String>::new(), "{design}");
    }
}
