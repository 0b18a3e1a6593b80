//! Searches in tests: bounded by executions, so that they come to the same on every machine.
#![allow(dead_code)] // Each test uses its part.

use std::time::Duration;
use vgic_check::{Ctx, End, Options, Report, check, check_function};
use vgic_core::designs::Composed;

/// So long no search of a test takes; that it did is a failure, whatever it has found.
const HANGS: Duration = Duration::from_secs(1200);

fn guarded(options: &Options) -> Options {
    Options { time: Some(HANGS), ..options.clone() }
}

fn ended(name: &str, report: Report) -> Report {
    assert_ne!(report.end, End::Time, "{name}: no end after {HANGS:?} and {} executions", report.executions);
    report
}

/// A scenario in a design, shipped or composed.
pub fn searched(scenario: &str, design: &str, options: &Options) -> Report {
    let report =
        check(scenario, Composed::new(design).expect("a design"), &guarded(options), &|| false).expect("both exist");
    ended(&format!("{scenario} in {design}"), report)
}

/// A function that is no scenario; the names are for its story.
pub fn searched_function(
    name: &str,
    design: &str,
    function: impl Fn(&Ctx) + Send + Sync + 'static,
    options: &Options,
) -> Report {
    let report = check_function(name, design, function, &guarded(options), &|| false).expect("nothing to look up");
    ended(name, report)
}
