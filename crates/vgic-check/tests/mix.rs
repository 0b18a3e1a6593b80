//! The mix finds each of the defects with a CVE without being told where to look: in a design that has nothing but that
//! defect, so that it is known what was found.

mod common;

use common::searched;
use vgic_check::{Options, Report, Rule, Search, Story};

/// CVE-2026-46316.
const DRAINS: &str = "v7.3+drain=put-met";
/// CVE-2026-72288 and CVE-2026-72289, whose fixes are one step here.
const PRUNES: &str = "v7.3+prune-gap=bare+lpis-off=unqueue";
/// CVE-2026-74568.
const DEFERS: &str = "v7.3+put=deferred+xarray-irqs=on+store-memory=reserved+displaced=left";

fn options(search: Search, executions: u64) -> Options {
    Options { search, executions, findings: usize::MAX, ..Options::default() }
}

/// What v7.3 itself shows: the open window, an LPI that a fold makes pending after LPIs went off, and one that is in two
/// list registers, after LPIs went off or beside a CLEAR.
fn is_known(story: &Story) -> bool {
    let window = ["the ITS is off", "are off", "was off", "were off"].iter().any(|off| story.what.contains(off));
    match story.rule {
        Rule::Cache | Rule::Unwanted => window,
        Rule::Accounts => story.what.ends_with("is pending and deliverable, but was not delivered"),
        Rule::Warning => story.what.starts_with("an LPI goes into a list register while it is in one"),
        _ => false,
    }
}

/// Searches in so many executions from each of ten seeds, until a story is as wanted.
fn finds(design: &str, search: &Search, executions: u64, wanted: fn(&Story) -> bool) {
    for seed in 1..=10 {
        let options = Options { seed, ..options(search.clone(), executions) };
        let report = searched("mix", design, &options);
        if let Some(story) = report.stories.iter().find(|story| wanted(story)) {
            println!("{}: seed {seed}, execution {}", design, story.met.execution);
            return;
        }
    }
    panic!("{} is not found in ten times {executions} executions", design);
}

#[test]
fn two_drains_put_one_reference_twice() {
    finds(DRAINS, &Search::Random, 100, |story| !is_known(story));
}

#[test]
fn an_erase_by_number() {
    finds(DEFERS, &Search::Random, 5_000, |story| matches!(story.rule, Rule::Membership | Rule::Leak));
}

#[test]
fn the_hit_without_a_reference() {
    let report = searched("mix", "v6.7", &options(Search::Random, 10_000));
    let hit = |story: &&Story| story.rule == Rule::UseAfterFree && story.operation.starts_with("sends event");
    assert!(report.stories.iter().any(|story| hit(&story)));
}

/// Minutes.
#[test]
#[ignore = "up to ten minutes: cargo test --release -p vgic-check -- --ignored"]
fn prune_without_a_reference_and_a_second_look() {
    let pct = Search::Pct { depth: 3 };
    finds(PRUNES, &pct, 500_000, |story| matches!(story.rule, Rule::References | Rule::Membership));
    finds(PRUNES, &pct, 500_000, |story| story.rule == Rule::UseAfterFree && story.operation.starts_with("runs vCPU"));
}

#[test]
fn what_stands_shows_only_what_is_known() {
    let report = searched("mix", "v7.3", &options(Search::Random, 20_000));
    if let Some(story) = report.stories.iter().find(|story| !is_known(story)) {
        panic!("{}", story.text(false));
    }
}

/// The findings differ, and each can be played again, with its program.
#[test]
fn findings_differ_and_can_be_played_again() {
    let search = |options: &Options| -> Report { searched("mix", "v6.10", options) };
    let report = search(&Options { findings: 3, ..options(Search::Pct { depth: 3 }, 50_000) });
    assert_eq!(report.stories.len(), 3);
    for story in &report.stories {
        let same = report.stories.iter().filter(|other| other.signature == story.signature);
        assert_eq!(same.count(), 1, "{}", story.signature);
        let again = search(&options(Search::Replay(story.schedule.clone()), 1));
        let again = again.story().expect("it is there again");
        assert_eq!(again.text(true), story.text(true));
    }
}
