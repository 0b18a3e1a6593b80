//! Scenarios of `vgic-check` under weak memory.

use std::time::Duration;
use vgic_core::designs::Composed;
use vgic_loom::Options;
use vgic_loom::scenarios::check;

/// Those that differ in what weak memory could break.
const DESIGNS: &[&str] = &["v6.8-rc1", "patch-15", "v6.10", "v7.1.8", "hardened", "next-01"];

/// Loom has no more to try with one preemption, and nothing was broken.
fn passes(scenario: &str, designs: &[&str]) {
    for design in designs {
        let options = Options { preemptions: Some(1), ..Options::default() };
        let report = check(scenario, Composed::named(design), &options).expect("it exists");
        if let Some(story) = report.violation {
            panic!("{scenario} in {design}:\n{}", story.text(200));
        }
        assert!(report.complete, "{scenario} in {design}: {} executions, {:?}", report.executions, report.gave_up);
        println!("{scenario} in {design}: {} executions in {:?}", report.executions, report.time);
    }
}

#[test]
fn kicks_are_not_lost() {
    for scenario in ["kick_vs_block", "kick_vs_entry"] {
        passes(scenario, DESIGNS);
        passes(scenario, &["next-05"]);
    }
}

/// With hints, where no lock orders anything.
#[test]
fn hints_are_not_lost() {
    for scenario in ["clear_vs_fold", "send_after_movi", "fold_unmapped", "lpi_in_two_registers"] {
        passes(scenario, &["next-01", "next-05"]);
    }
}

#[test]
#[ignore = "half a minute: cargo test -p vgic-loom --test scenarios -- --ignored"]
fn an_index_beside_readers_and_weak_memory() {
    passes("xarray", &["v7.1.8"]);
}

#[test]
fn references_and_the_cache() {
    for scenario in ["get_vs_final_put", "two_senders_one_insertion", "send_vs_discard"] {
        passes(scenario, DESIGNS);
    }
}

/// What `vgic-check` finds with one preemption, loom finds with two: it counts them differently.
#[test]
fn known_defects_are_found() {
    for (scenario, design) in [("send_vs_discard", "v6.7"), ("prune_vs_lpi_disable", "v6.10")] {
        let report = check(scenario, Composed::named(design), &Options { preemptions: Some(2), ..Options::default() });
        assert!(report.expect("both exist").violation.is_some(), "{scenario} passes in {design}");
    }
}

#[test]
fn what_does_not_exist_is_said() {
    assert!(check("nothing", Composed::named("v7.1.8"), &Options::default()).is_none());
}

/// Every scenario in every design, for a while; what each came to.
#[test]
#[ignore = "minutes: cargo test -p vgic-loom --test scenarios -- --ignored --nocapture"]
fn every_scenario_for_a_while() {
    for scenario in vgic_check::SCENARIOS {
        for design in DESIGNS {
            let options = Options { preemptions: Some(1), time: Duration::from_secs(10), ..Options::default() };
            let report = check(scenario.name, Composed::named(design), &options).expect("it exists");
            let outcome = match (&report.violation, &report.gave_up) {
                (Some(story), _) => story.what.clone(),
                (None, Some(why)) => format!("loom gave up: {why}"),
                (None, None) if report.complete => "passed, complete".to_owned(),
                (None, None) => "passed, not complete".to_owned(),
            };
            println!("{} in {design}: {} executions in {:?}: {outcome}", scenario.name, report.executions, report.time);
        }
    }
}
