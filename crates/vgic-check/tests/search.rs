//! Every search finds what is there; what it finds can be played again, is short, and is told.

mod common;

use common::searched as search_for;
use std::time::Duration;
use vgic_check::{End, Failed, Options, Report, Rule, Search, check};
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
