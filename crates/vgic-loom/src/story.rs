//! [`Story`]: what was broken, and what the threads did before, one column each.

use crate::platform::object::label;
use crate::platform::world::{Did, Step};
use std::fmt::Write;

/// An execution that broke a rule.
#[derive(Clone, Debug)]
pub struct Story {
    /// What was broken.
    pub what: String,
    /// Names of the threads.
    pub threads: Vec<String>,
    /// Who did what, in order.
    pub lines: Vec<(usize, String)>,
}

impl Story {
    pub(crate) fn new(what: String, threads: Vec<String>, steps: Vec<Step>) -> Self {
        let mut lines: Vec<(usize, String)> = Vec::new();
        for step in steps {
            let line = match step.did {
                Did::Access { object, field, verb, value: None } => format!("{verb} {field} of {}", label(object)),
                Did::Access { object, field, verb, value: Some(value) } => {
                    let line = format!("{verb} {field} of {}: {value:#x}", label(object));
                    // The value belongs to the access that was begun.
                    if let Some(begun) = lines.iter_mut().rev().find(|(thread, _)| *thread == step.thread) {
                        *begun = (step.thread, line);
                        continue;
                    }
                    line
                }
                Did::Object(verb, object) => format!("{verb} {}", label(object)),
                Did::Plain(what) => what.to_owned(),
                Did::Note(note) => format!("- {note}"),
            };
            lines.push((step.thread, line));
        }
        // The causes that loom lists are places in this crate; the first line says what they are, the last step where.
        let mut what = what.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned();
        if let Some((thread, line)) = lines.last().filter(|_| what.starts_with("Causality")) {
            what = format!("{} ({} {line})", what.trim_end_matches('.'), threads[*thread]);
        }
        Story { what, threads, lines }
    }

    /// The last `count` lines as text, and what was broken.
    pub fn text(&self, count: usize) -> String {
        let mut out = String::new();
        let used: Vec<_> = (0..self.threads.len()).filter(|id| self.lines.iter().any(|(at, _)| at == id)).collect();
        let width = 44;
        for id in &used {
            let _ = write!(out, "{:width$}", self.threads[*id]);
        }
        out.push('\n');
        for (thread, line) in self.lines.iter().skip(self.lines.len().saturating_sub(count)) {
            let column = used.iter().position(|id| id == thread).unwrap_or_default();
            let _ = writeln!(out, "{}{line}", " ".repeat(column * width));
        }
        let _ = writeln!(out, "{}", self.what);
        out
    }
}
