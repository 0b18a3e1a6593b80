//! Every search finds what is there; what it finds can be played again, is short, and is told.

mod common;

use common::searched as search_for;
use std::time::Duration;
use vgic_check::{End, Failed, Misfit, Options, Report, Rule, Search, check};
use vgic_core::designs::Composed;

fn v7_1_8() -> Composed {
    Composed::named("v7.1.8")
}

fn searched(design: &str, search: Search) -> Report {
    let options = Options { search, executions: 100_000, ..Options::default() };
    search_for("send_vs_discard", design, &options)
}

#[test]
fn every_search_finds_it_and_makes_it_short() {
    for search in [Search::Bounded { preemptions: 2 }, Search::Random, Search::Pct { depth: 3 }] {
        let report = searched("v6.7", search.clone());
        let story = report.story().unwrap_or_else(|| panic!("{search:?} finds nothing"));
        assert_eq!((story.rule, story.preemptions), (Rule::UseAfterFree, 1), "{search:?}");
        assert_eq!(report.end, End::Found, "{search:?}");
    }
}

#[test]
fn a_schedule_is_played_again() {
    let first = searched("v6.7", Search::Bounded { preemptions: 1 });
    let first = first.story().expect("it is there");
    let again = searched("v6.7", Search::Replay(first.schedule.clone()));
    let again = again.story().expect("it is there again");
    assert_eq!(first.text(true), again.text(true));
    // In a design with the fix, the same schedule does no harm.
    assert!(searched("v6.8-rc1", Search::Replay(first.schedule.clone())).story().is_none());
}

/// What a replay of a schedule comes to: whether something is violated, or why the schedule is refused.
fn replayed(scenario: &str, design: &str, schedule: &str) -> Result<bool, Failed> {
    let options = Options { search: Search::Replay(schedule.to_owned()), ..Options::default() };
    check(scenario, Composed::named(design), &options, &|| false).map(|report| !report.stories.is_empty())
}

#[test]
fn a_schedule_that_does_not_fit_is_refused() {
    let played = |schedule: &str| replayed("send_vs_discard", "v6.7", schedule);
    let misfit = |misfit| Err(Failed::Misfit(misfit));
    let schedule = searched("v6.7", Search::Bounded { preemptions: 1 }).stories.remove(0).schedule;
    assert_eq!(played(&schedule), Ok(true));
    // The usual choices, and nothing is violated.
    assert_eq!(played("-"), Ok(false));
    // Steps that never come, or at which nobody has a choice, and threads that cannot go on there.
    assert_eq!(played("1:1"), misfit(Misfit::Step(1)));
    assert_eq!(played("1:1,2:1"), misfit(Misfit::Step(1)), "the first one is named");
    assert_eq!(played("4000000:1"), misfit(Misfit::Step(4_000_000)));
    let (step, _) = schedule.split_once(':').expect("one choice");
    assert_eq!(played(&format!("{step}:9")), misfit(Misfit::Thread(step.parse().expect("a number"), 9)));
    // What would follow a violation is not looked at: the execution ends there.
    assert_eq!(played(&format!("{schedule},4000000:1")), Ok(true));
    // Operations that are drawn, of a scenario that draws none, or not so many.
    assert_eq!(played("7/-"), misfit(Misfit::Program));
    assert_eq!(replayed("mix", "v7.1.8", "7/-"), Ok(false));
    assert_eq!(replayed("mix", "v7.1.8", "7.1/-"), Ok(false));
    assert_eq!(replayed("mix", "v7.1.8", "7.8000000000000000/-"), misfit(Misfit::Program));
}

/// Whatever a search prints is a schedule of its own scenario and design.
#[test]
fn a_schedule_that_was_printed_fits() {
    for (scenario, design, search) in [
        ("mix", "v6.17", Search::Random),
        ("mix", "v6.10", Search::Pct { depth: 3 }),
        ("send_vs_mapd_off", "v6.7", Search::Random),
        ("prune_vs_lpi_disable", "v6.17", Search::Bounded { preemptions: 2 }),
    ] {
        let options = Options { search, executions: 20_000, ..Options::default() };
        let report = check(scenario, Composed::named(design), &options, &|| false).expect("both exist");
        let story = report.story().unwrap_or_else(|| panic!("nothing is found in {design} by {:?}", options.search));
        assert_eq!(replayed(scenario, design, &story.schedule), Ok(true), "{}", story.schedule);
    }
}

#[test]
fn a_search_is_repeatable() {
    let schedule = |search: Search| searched("v6.7", search).story().expect("it is there").schedule.clone();
    for search in [Search::Bounded { preemptions: 1 }, Search::Random] {
        assert_eq!(schedule(search.clone()), schedule(search));
    }
}

#[test]
fn the_story_names_who_did_what() {
    let report = searched("v6.7", Search::Bounded { preemptions: 1 });
    let text = report.story().expect("it is there").text(false);
    let parts = ["use after free", "sends event 0", "DISCARD event 0", "kfree(irq#0)", "guest goes on", "(LPI 8192)"];
    for part in parts.into_iter().chain(["put_irq(irq#0): refcount 1 -> 0"]) {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.len() <= 120), "{text}");
}

/// Whatever the mix comes to fits the page.
#[test]
fn stories_fit_the_page() {
    let options = Options { search: Search::Random, executions: 3_000, findings: usize::MAX, ..Options::default() };
    let report = search_for("mix", "v6.17", &options);
    assert!(report.stories.len() >= 3, "only {} stories", report.stories.len());
    for story in report.stories {
        let text = story.text(true);
        let long = text.lines().find(|line| line.len() > 120);
        assert_eq!(long, None, "{text}");
    }
}

#[test]
fn limits_are_kept_and_told() {
    let options = Options { executions: 5, ..Options::default() };
    let report = check("send_vs_discard", v7_1_8(), &options, &|| false).expect("both exist");
    assert_eq!((report.executions, report.end), (5, End::Executions));
    let report = check("send_vs_discard", v7_1_8(), &Options::default(), &|| true).expect("both exist");
    assert_eq!((report.executions, report.end), (0, End::Stopped));
    let options = Options { time: Some(Duration::ZERO), ..Options::default() };
    let report = check("send_vs_discard", v7_1_8(), &options, &|| false).expect("both exist");
    assert_eq!((report.end, report.exhausted), (End::Time, None));
}

#[test]
fn what_does_not_exist_is_said() {
    let options = Options::default();
    assert_eq!(check("nothing", v7_1_8(), &options, &|| false).err(), Some(Failed::Unknown));
    let options = Options { search: Search::Replay("nonsense".to_owned()), ..Options::default() };
    assert_eq!(check("mix", v7_1_8(), &options, &|| false).err(), Some(Failed::Schedule));
}
