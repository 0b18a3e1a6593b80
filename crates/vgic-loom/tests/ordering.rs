//! Each model holds as the engine is, and each order is needed by one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use vgic_core::Pair;
use vgic_loom::models::{self, MODELS};
use vgic_loom::needed::{ORDERS, Without};
use vgic_loom::{Ctx, Options, Report, Side, Site, explore};

/// Preemptions in the tests that run always; more of them, or any number, in those that are asked for.
const BOUND: usize = 2;

fn run(model: &str, preemptions: Option<usize>, weakened: Option<Site>) -> Report {
    let model = models::find(model).unwrap_or_else(|| panic!("there is no model {model}"));
    explore(&Options { preemptions, weakened, ..Options::default() }, model.run)
}

/// All executions with at most so many preemptions were tried, and nothing was broken.
fn holds(model: &str, preemptions: Option<usize>) -> Report {
    let report = run(model, preemptions, None);
    if let Some(story) = &report.violation {
        panic!("{model}:\n{}", story.text(100));
    }
    assert_eq!(report.gave_up, None, "{model}");
    assert!(report.complete, "{model}: only {} executions in {:?}", report.executions, report.time);
    println!("{model}: {} executions in {:?}", report.executions, report.time);
    report
}

#[test]
fn store_in_a_new_leaf() {
    holds("store_in_a_new_leaf", Some(BOUND));
}

#[test]
fn walk_beside_a_store() {
    holds("walk_beside_a_store", Some(BOUND));
}

#[test]
fn growth_beside_a_load() {
    holds("growth_beside_a_load", Some(BOUND));
}

#[test]
fn collapse_beside_a_load() {
    holds("collapse_beside_a_load", Some(BOUND));
}

#[test]
fn add_to_either_end() {
    holds("add_to_either_end", Some(BOUND));
}

#[test]
fn del_before_a_newcomer() {
    holds("del_before_a_newcomer", Some(BOUND));
}

#[test]
fn del_between_two() {
    holds("del_between_two", Some(BOUND));
}

#[test]
fn the_last_of_two_puts() {
    holds("the_last_of_two_puts", Some(BOUND));
}

#[test]
fn found_at_zero() {
    holds("found_at_zero", Some(BOUND));
}

#[test]
fn put_unless_last() {
    holds("put_unless_last", Some(BOUND));
}

#[test]
fn a_fold_beside_a_discard() {
    holds("a_fold_beside_a_discard", Some(BOUND));
}

#[test]
fn kick_or_stay_out() {
    holds("kick_or_stay_out", Some(BOUND));
}

#[test]
fn kick_or_stay_out_6_19() {
    holds("kick_or_stay_out_6_19", Some(BOUND));
}

#[test]
fn wake_or_stay_up() {
    holds("wake_or_stay_up", Some(BOUND));
}

#[test]
fn wake_or_see_it() {
    holds("wake_or_see_it", Some(BOUND));
}

#[test]
fn kick_or_stay_out_hints() {
    holds("kick_or_stay_out_hints", Some(BOUND));
}

#[test]
fn kick_or_stay_out_of_two() {
    holds("kick_or_stay_out_of_two", Some(BOUND));
}

#[test]
fn wake_or_see_it_hints() {
    holds("wake_or_see_it_hints", Some(BOUND));
}

#[test]
fn off_when_rwp_is_clear() {
    holds("off_when_rwp_is_clear", Some(BOUND));
}

#[test]
fn off_when_rwp_is_clear_patch_15() {
    holds("off_when_rwp_is_clear_patch_15", Some(BOUND));
}

#[test]
fn off_when_rwp_is_clear_hints() {
    holds("off_when_rwp_is_clear_hints", Some(BOUND));
}

#[test]
fn on_beside_a_send() {
    holds("on_beside_a_send", Some(BOUND));
}

#[test]
fn on_beside_a_send_hints() {
    holds("on_beside_a_send_hints", Some(BOUND));
}

#[test]
fn mapped_before_it_is_on() {
    holds("mapped_before_it_is_on", Some(BOUND));
}

#[test]
fn a_walk_behind_the_invalidation() {
    holds("a_walk_behind_the_invalidation", Some(BOUND));
}

#[test]
fn a_hit_beside_an_insertion() {
    holds("a_hit_beside_an_insertion", Some(BOUND));
}

#[test]
fn a_hit_beside_a_new_mapping() {
    holds("a_hit_beside_a_new_mapping", Some(BOUND));
}

#[test]
fn an_its_that_comes() {
    holds("an_its_that_comes", Some(BOUND));
}

#[test]
fn a_first_its_that_comes() {
    holds("a_first_its_that_comes", Some(BOUND));
}

#[test]
fn a_look_beside_a_send() {
    holds("a_look_beside_a_send", Some(BOUND));
}

#[test]
fn a_look_at_the_top_beside_a_send() {
    holds("a_look_at_the_top_beside_a_send", Some(BOUND));
}

#[test]
fn a_look_beside_a_clear() {
    holds("a_look_beside_a_clear", Some(BOUND));
}

#[test]
fn what_a_device_wrote() {
    holds("what_a_device_wrote", Some(BOUND));
}

#[test]
fn what_a_device_wrote_before_a_move() {
    holds("what_a_device_wrote_before_a_move", Some(BOUND));
}

#[test]
fn a_section_and_a_free() {
    holds("a_section_and_a_free", Some(BOUND));
}

#[test]
fn two_sections_and_a_free() {
    holds("two_sections_and_a_free", Some(BOUND));
}

#[test]
fn a_reader_that_registers_late() {
    holds("a_reader_that_registers_late", Some(BOUND));
}

#[test]
fn two_grace_periods_at_once() {
    holds("two_grace_periods_at_once", Some(BOUND));
}

#[test]
fn parked_and_woken_once() {
    holds("parked_and_woken_once", Some(BOUND));
}

#[test]
fn parked_and_woken_twice() {
    holds("parked_and_woken_twice", Some(BOUND));
}

#[test]
fn told_elsewhere() {
    holds("told_elsewhere", Some(BOUND));
}

#[test]
fn two_at_a_latch() {
    holds("two_at_a_latch", Some(BOUND));
}

#[test]
fn three_at_a_latch() {
    holds("three_at_a_latch", Some(BOUND));
}

#[test]
fn a_reader_and_a_writer_at_a_gate() {
    holds("a_reader_and_a_writer_at_a_gate", Some(BOUND));
}

/// Nothing is broken with one preemption.
fn holds_once(model: fn(&Ctx)) {
    let report = explore(&Options { preemptions: Some(1), ..Options::default() }, model);
    if let Some(story) = &report.violation {
        panic!("{}", story.text(100));
    }
    assert!(report.complete && report.gave_up.is_none(), "only {} executions in {:?}", report.executions, report.time);
}

#[test]
fn two_readers_and_a_writer_at_a_gate() {
    holds_once(models::latch::two_readers_and_a_writer_at_a_gate);
}

#[test]
fn two_writers_and_a_reader_at_a_gate() {
    holds_once(models::latch::two_writers_and_a_reader_at_a_gate);
}

/// A walk that no lock orders with the invalidation may find the ITS enabled although it misses because of it: only a
/// lock in common helps, as in `hardened` (`a_walk_behind_the_invalidation`).
#[test]
fn a_walk_that_no_lock_orders() {
    let options = Options { preemptions: Some(BOUND), ..Options::default() };
    let report = explore(&options, models::enable::a_walk_that_no_lock_orders);
    let story = report.violation.expect("no order of accesses closes the open window");
    assert_eq!(story.what, "the cache was emptied, but the walk finds the ITS enabled");
}

/// The whole of the source, below the root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn source(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().map(str::to_owned).collect()
}

/// The name of the function that a line is in.
fn function(file: &str, line: u32) -> String {
    let lines = source(file);
    let name = |line: &String| {
        let rest = line.trim_start().split_once("fn ").filter(|(before, _)| !before.contains("//"))?.1;
        Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
    };
    lines[..line as usize].iter().rev().find_map(name).expect("an access is in a function")
}

/// The places as the table names them.
fn places(sites: &BTreeSet<Site>) -> BTreeMap<(&'static str, Side, String), Site> {
    let mut places = BTreeMap::new();
    let mut times = BTreeMap::new();
    for site in sites {
        let below = site.file.split_once("/src/").expect("in a crate").1;
        let place = format!("{below} {}", function(site.file, site.line));
        let time = times.entry((site.pair, site.side, place.clone())).or_insert(0);
        *time += 1;
        let place = if *time == 1 { place } else { format!("{place} {time}") };
        places.insert((site.pair, site.side, place), *site);
    }
    places
}

/// Pairs that the engine's source names, each with the module or file that does.
fn named() -> BTreeSet<(&'static str, String)> {
    let below = root().join("crates/vgic-core/src");
    let mut files = vec![below.clone()];
    let mut named = BTreeSet::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let name = path.strip_prefix(&below).expect("below").to_string_lossy().into_owned();
        let module = name.split(['/', '.']).next().expect("a name").to_owned();
        let text = std::fs::read_to_string(&path).expect("a source file");
        let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let pairs = Pair::ALL.into_iter().filter(|pair| code.contains(&format!("(Pair::{pair:?})")));
        let fences = Pair::ALL.into_iter().filter(|pair| code.contains(&format!("ctx, Pair::{pair:?})")));
        if module != "order" {
            named.extend(pairs.chain(fences).map(|pair| (pair.code(), module.clone())));
        }
    }
    named
}

#[test]
fn every_order_is_needed() {
    let mut met: BTreeMap<&str, BTreeSet<Site>> = BTreeMap::new();
    for model in MODELS {
        met.insert(model.name, holds(model.name, Some(BOUND)).met);
    }
    let places = places(&met.values().flatten().copied().collect());
    let by_models = ORDERS.iter().filter(|asked| !matches!(asked.without, Without::Unmet(_)));
    let asked: BTreeSet<_> = by_models.map(|asked| (asked.pair, asked.side, asked.place.to_owned())).collect();
    assert_eq!(places.keys().cloned().collect::<BTreeSet<_>>(), asked, "met by the models, and in the table");

    let module = |place: &str| place.split(['/', '.']).next().expect("a name").to_owned();
    let engine = ORDERS.iter().filter(|asked| asked.pair.starts_with('O'));
    let in_table: BTreeSet<_> = engine.map(|asked| (asked.pair, module(asked.place))).collect();
    assert_eq!(named(), in_table, "in the source, and in the table");
    for pair in Pair::ALL {
        assert!(ORDERS.iter().any(|asked| asked.pair == pair.code()), "{pair:?} is not in the table");
    }

    for asked in ORDERS {
        let site = || places[&(asked.pair, asked.side, asked.place.to_owned())];
        let name = format!("{} {:?} {}", asked.pair, asked.side, asked.place);
        match asked.without {
            Without::Fails(model) => {
                let report = run(model, Some(BOUND), Some(site()));
                let story = report.violation.unwrap_or_else(|| panic!("{model} holds without {name}"));
                println!("{name}: {model} fails in execution {}: {}", report.executions, story.what);
            }
            Without::Unmet(why) => println!("{name}: in no model: {why}"),
            Without::Nothing(why) => {
                let (mut models, mut executions) = (0, 0);
                for (model, _) in met.iter().filter(|(_, met)| met.contains(&site())) {
                    let report = run(model, Some(BOUND), Some(site()));
                    assert!(report.violation.is_none(), "{model} fails without {name}: it is needed");
                    assert!(report.complete, "{model} without {name}: only {} executions", report.executions);
                    models += 1;
                    executions += report.executions;
                }
                println!("{name}: {models} models hold in {executions} executions: {why}");
            }
        }
    }
}

/// One preemption more, a minute.
#[test]
#[ignore = "a preemption more than the usual: cargo test --release -p vgic-loom -- --ignored --nocapture"]
fn every_model_with_three_preemptions() {
    for model in MODELS {
        let report = explore(&Options { preemptions: Some(BOUND + 1), ..Options::default() }, model.run);
        assert!(report.violation.is_none(), "{}", model.name);
        println!("{}: {} executions, complete: {}, {:?}", model.name, report.executions, report.complete, report.time);
    }
}
