//! Each defect of the catalogue is found in a design that has it, and not in one that has its fix.

use std::time::Duration;
use vgic_check::{Options, Report, Rule, Search, check};

fn searched(scenario: &str, design: &str, preemptions: u32, seconds: u64) -> Report {
    let search = Search::Bounded { preemptions };
    let options = Options { search, time: Duration::from_secs(seconds), ..Options::default() };
    check(scenario, design, &options, &|| false).expect("both exist")
}

/// Found with one preemption, and told.
fn found(scenario: &str, designs: &[&str], rules: &[Rule]) {
    for design in designs {
        let report = searched(scenario, design, 1, 20);
        let story = report.story().unwrap_or_else(|| panic!("{scenario} passes in {design}"));
        assert!(rules.contains(&story.rule), "{scenario} in {design}: {}", story.text(false));
        assert!(story.preemptions <= 1, "{scenario} in {design}: {}", story.text(false));
    }
}

/// Nothing with one preemption, and everything tried.
fn passes(scenario: &str, designs: &[&str]) {
    for design in designs {
        let report = searched(scenario, design, 1, 30);
        if let Some(story) = report.story() {
            panic!("{}", story.text(false));
        }
        assert!(report.complete, "{scenario} in {design}: only {} executions", report.executions);
    }
}

#[test]
fn the_hit_without_a_reference() {
    found("send_vs_discard", &["v6.7"], &[Rule::UseAfterFree]);
    passes("send_vs_discard", &["v6.8-rc1", "patch-10", "v2", "v6.10", "v7.1.8"]);
}

#[test]
fn two_drains_at_once() {
    found("concurrent_invalidation", &["v6.10", "v6.17"], &[Rule::UseAfterFree, Rule::Warning]);
    passes("concurrent_invalidation", &["v6.8-rc1", "v7.1.8"]);
}

#[test]
fn prune_without_a_reference() {
    found("prune_vs_lpi_disable", &["v6.8-rc1", "v6.10", "v6.17"], &[Rule::UseAfterFree]);
    passes("prune_vs_lpi_disable", &["v7.1.8"]);
}

#[test]
fn prune_without_a_second_look() {
    let rules = [Rule::UseAfterFree, Rule::Warning, Rule::Accounts, Rule::Leak];
    found("migrate_vs_lpi_disable", &["v6.10", "v6.17"], &rules);
    passes("migrate_vs_lpi_disable", &["v7.1.8"]);
}

#[test]
fn an_erase_by_number() {
    found("add_vs_release", &["patch-10", "v6.9", "v6.10"], &[Rule::Promise]);
    found("add_vs_release", &["v6.17"], &[Rule::Leak]);
    passes("add_vs_release", &["v6.8-rc1", "v7.1.8"]);
    found("two_its_one_lpi", &["v6.10"], &[Rule::Promise]);
    passes("two_its_one_lpi", &["v7.1.8"]);
}

#[test]
fn an_erase_with_interrupts_on() {
    found("send_in_interrupt", &["patch-10", "v6.17"], &[Rule::Context]);
    passes("send_in_interrupt", &["v6.9", "v6.10", "v7.1.8"]);
}

#[test]
fn a_walk_that_uses_null() {
    found("walk_vs_discard", &["v6.8-rc1", "patch-10"], &[Rule::Warning]);
    passes("walk_vs_discard", &["v6.9", "v6.10", "v7.1.8"]);
}

#[test]
fn a_save_without_references() {
    found("save_pending_vs_discard", &["v6.8-rc1", "v6.10"], &[Rule::UseAfterFree]);
    passes("save_pending_vs_discard", &["v7.1.8"]);
}

#[test]
fn the_open_window() {
    for scenario in ["its_disable_vs_resolver", "lpis_disable_vs_resolver"] {
        found(scenario, &["v6.8-rc1", "v6.10", "v7.1.8"], &[Rule::Promise]);
    }
    passes("after_open_window", &["v6.8-rc1", "v7.1.8"]);
}

#[test]
fn what_holds_in_every_design() {
    for scenario in ["two_senders_one_insertion", "get_vs_final_put", "kick_vs_block", "kick_vs_entry"] {
        passes(scenario, &["v6.8-rc1", "v2", "v6.10", "v7.1.8"]);
    }
}

#[test]
fn an_index_beside_readers() {
    passes("xarray", &["v7.1.8"]);
}

/// Two preemptions in the design that stands: minutes.
#[test]
#[ignore = "exhaustive to two preemptions, up to two minutes a scenario: cargo test -p vgic-check -- --ignored"]
fn the_last_design_with_two_preemptions() {
    let window = ["its_disable_vs_resolver", "lpis_disable_vs_resolver"];
    for scenario in vgic_check::SCENARIOS.iter().filter(|scenario| !window.contains(&scenario.name)) {
        let report = searched(scenario.name, "v7.1.8", 2, 120);
        if let Some(story) = report.story() {
            panic!("{}", story.text(false));
        }
    }
}

/// Everything against anything, at random, in designs that should stand it.
#[test]
fn a_mixture() {
    for (design, seed) in ["v6.8-rc1", "v7.1.8"].into_iter().flat_map(|design| (1..=6).map(move |seed| (design, seed)))
    {
        let time = Duration::from_millis(400);
        let options = Options { search: Search::Random, seed, time, ..Options::default() };
        let report = check("mix", design, &options, &|| false).expect("both exist");
        if let Some(story) = report.story() {
            panic!("{}", story.text(false));
        }
    }
}
