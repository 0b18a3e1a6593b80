//! Scenarios that somebody has written down: what is read, what is refused with the line, and what is found.

mod common;

use vgic_check::guest::operation::{Operation, WORDS};
use vgic_check::{Options, Script, Search, check_script};
use vgic_core::designs::Composed;

const DISCARD: &str = "
vcpus 1
mapti 0 0 0   # event 0 is LPI 8192, in collection 0
send 0
drain

thread sender
  send 0
thread guest on 0
  discard 0
";

fn options(preemptions: u32) -> Options {
    Options { search: Search::Bounded { preemptions }, ..Options::default() }
}

#[test]
fn a_script_finds_what_the_shipped_scenario_finds() {
    for (design, found) in [("v6.7", true), ("v6.8-rc1", false), ("v6.7+cache-hit=get", false)] {
        let script = Script::read(DISCARD).unwrap();
        let design = Composed::new(design).unwrap();
        let report = check_script("mine", script, design, &options(1), &|| false).unwrap();
        assert_eq!(report.story().is_some(), found, "{design:?}");
        assert_eq!(report.complete(), !found);
        if let Some(story) = report.story() {
            assert!(story.what.starts_with("use after free"), "{}", story.what);
            // It can be replayed.
            let replay = Options { search: Search::Replay(story.schedule.clone()), ..Options::default() };
            let again = check_script("mine", Script::read(DISCARD).unwrap(), design, &replay, &|| false).unwrap();
            assert_eq!(again.story().unwrap().what, story.what);
        }
    }
}

#[test]
fn an_interrupt_and_a_second_its_are_written_too() {
    let text = "itses 2\nmapti 0 0 1 1\nsend 0 1\ndrain\ninterrupt irq\nsend-cached 0 1\nthread a on 1\nmovi 0 0 1\n";
    let design = Composed::named("hardened");
    let report = check_script("two", Script::read(text).unwrap(), design, &options(1), &|| false).unwrap();
    assert!(report.complete() && report.stories.is_empty());
}

#[test]
fn every_operation_is_read_as_it_is_written() {
    let value = |word: &str| match word {
        "on|off" => "on",
        "VCPU|off" => "off",
        _ => "0",
    };
    for words in WORDS {
        let mut line =
            words.split(' ').map(|word| if word == words.split(' ').next().unwrap() { word } else { value(word) });
        let verb = line.next().unwrap();
        let all: Vec<_> = line.collect();
        let line = format!("{verb} {}", all.join(" "));
        assert!(Operation::read(&line, 2, 1).is_ok(), "{line}: {:?}", Operation::read(&line, 2, 1));
        // One word too many, and one too few.
        assert!(Operation::read(&format!("{line} 0"), 2, 1).is_err(), "{line} 0");
        let needed = words.split(' ').skip(1).filter(|word| !word.starts_with('[')).count();
        if needed > 0 {
            let short = format!("{verb} {}", all[..needed - 1].join(" "));
            let error = Operation::read(&short, 2, 1).unwrap_err();
            assert!(error.contains("is missing") && error.contains(words), "{short}: {error}");
        }
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_line() {
    let many = format!("thread a\n{}", "send 0\n".repeat(65));
    for (text, why) in [
        ("", "there is no thread"),
        ("thread a\n", "thread a does nothing"),
        ("thread a\nsend 32\n", "line 2: EVENT must be a number below 32, not \"32\""),
        ("thread a\nsend -1\n", "line 2: EVENT must be a number below 32"),
        ("thread a\nsend\n", "line 2: EVENT is missing: it is written send EVENT [ITS]"),
        ("thread a\nsend 0 1\n", "line 2: ITS must be a number below 1"),
        ("thread a\nsend 0 0 0\n", "line 2: \"0\" is too much"),
        ("thread a\nsned 0\n", "line 2: \"sned\" is no operation: there are send, "),
        ("thread a\nrun 2\n", "line 2: VCPU must be a number below 2"),
        ("vcpus 5\nthread a\nsend 0\n", "line 1: vcpus must be 1 to 4, not \"5\""),
        ("send 0\nvcpus 1\n", "line 2: vcpus stands before everything"),
        ("thread a b\n", "line 1: it is written"),
        ("thread a on 2\n", "line 1: the vCPU of a thread must be 0 to 1"),
        ("thread a\nsend 0\nthread a\n", "line 3: there is a thread a already"),
        ("thread main\n", "line 1: there is a thread main already"),
        ("interrupt i\nsend 0\n", "line 2: an interrupt must not sleep"),
        ("thread a\nits maybe\n", "line 2: it must be on or off"),
        (&many, "line 66: a scenario has at most 64 operations"),
    ] {
        let error = Script::read(text).unwrap_err();
        assert!(error.starts_with(why), "{text:?}: {error}");
    }
    assert!(Script::read(&" ".repeat(70_000)).is_err());
}
