//! [`Story`]: a violation, told.
//!
//! One column a thread, one line a step, in the kernel's words. Told is what has to do with the objects of the violation,
//! and what surrounds a change of threads; the rest is counted, or told in full if wanted.

mod schedule;
mod tell;
mod words;

use crate::explore::run::Ended;
use crate::platform::field::Object;
use crate::platform::world::MAIN;
use crate::violation::{Rule, Violation};
use core::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use schedule::Schedule;

/// What kind of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A thread begins an operation.
    Operation,
    /// One step of it.
    Step,
    /// The thread has to wait.
    Waits,
    /// Another thread takes the turn, though this one could go on.
    Preempted,
    /// The rule is broken here.
    Broken,
}

/// One line.
#[derive(Clone, Debug)]
pub struct StoryLine {
    /// Steps of the execution before.
    pub step: u32,
    /// Index of the thread.
    pub thread: usize,
    /// What kind of line it is.
    pub kind: Kind,
    /// What happens.
    pub text: String,
    /// Whether it belongs to the short story.
    pub told: bool,
}

/// An object that the violation is about.
#[derive(Clone, Debug)]
pub struct Life {
    /// Its name.
    pub name: String,
    /// Who allocated it, at which step.
    pub made: (String, u32),
    /// Who freed it, at which step.
    pub freed: Option<(String, u32)>,
}

/// When a violation was met.
#[derive(Clone, Copy, Debug)]
pub struct Met {
    /// In the execution of this number.
    pub execution: u64,
    /// After so long.
    pub time: Duration,
    /// How often, in the whole search.
    pub times: u64,
}

/// A violation, told.
#[derive(Clone, Debug)]
pub struct Story {
    /// The scenario.
    pub scenario: String,
    /// The design.
    pub design: String,
    /// The rule that was broken.
    pub rule: Rule,
    /// How, in a sentence.
    pub what: String,
    /// What the thread that broke it had set out to do.
    pub operation: String,
    /// Rule, sentence and operation without numbers and names of threads: the same for the same mistake.
    pub signature: String,
    /// When it was met.
    pub met: Met,
    /// Names of the threads; the first one sets up and cleans up.
    pub threads: Vec<String>,
    /// What the first thread did before the others began.
    pub before: Vec<String>,
    /// Everything that happened, in order.
    pub lines: Vec<StoryLine>,
    /// The objects.
    pub objects: Vec<Life>,
    /// How often a thread lost its turn.
    pub preemptions: u32,
    /// For a replay, with the seed.
    pub schedule: String,
    /// The seed of the search.
    pub seed: u64,
}

/// Columns of the text.
const WIDTH: usize = 118;

impl Story {
    pub(crate) fn new(scenario: &str, design: &str, seed: u64, ended: &Ended, violation: &Violation, met: Met) -> Self {
        let threads = ended.world.names();
        let lines = tell::lines(ended, violation);
        let life = |object: &Arc<Object>| Life {
            name: match object.intid.with(|intid| *intid) {
                Some(intid) => format!("{} (LPI {intid})", object.label()),
                None => object.label(),
            },
            made: (threads[object.made.0].clone(), object.made.1),
            freed: object.freed.with(|freed| freed.map(|(thread, step)| (threads[thread].clone(), step))),
        };
        let begins = lines.iter().position(|line| line.thread != MAIN).unwrap_or(0);
        let before = lines[..begins].iter().filter(|line| line.kind == Kind::Operation);
        Story {
            scenario: scenario.to_owned(),
            design: design.to_owned(),
            rule: violation.rule,
            what: violation.what.clone(),
            operation: violation.operation.clone(),
            signature: violation.signature.clone(),
            met,
            objects: violation.objects.iter().filter(|object| !object.embedded).map(life).collect(),
            before: before.map(|line| line.text.clone()).collect(),
            threads,
            lines,
            preemptions: ended.preemptions,
            schedule: Schedule { program: ended.program.unwrap_or_default(), choices: ended.choices.clone() }
                .to_string(),
            seed,
        }
    }

    /// Whether a thread's lines stand across the columns: those of the first one, which sets up and cleans up, and of RCU,
    /// which are few.
    fn is_aside(&self, thread: usize) -> bool {
        thread == MAIN || self.threads[thread] == "rcu"
    }

    /// The story as text; with every step if `full`.
    pub fn text(&self, full: bool) -> String {
        let mut out = String::new();
        let shown: Vec<_> = self.lines.iter().filter(|line| full || line.told).collect();
        let mut columns: Vec<_> =
            shown.iter().map(|line| line.thread).filter(|thread| !self.is_aside(*thread)).collect();
        columns.sort_unstable();
        columns.dedup();
        let _ = writeln!(out, "{}\n", wrap(&self.what, WIDTH).join("\n"));
        if !self.before.is_empty() {
            let before = format!("Before: {}.", self.before.join("; "));
            let _ = writeln!(out, "{}\n", wrap(&before, WIDTH).join("\n"));
        }
        let width = ((WIDTH - 6) / columns.len().max(1)).clamp(20, 56) - 2;
        let heads: Vec<_> = columns.iter().map(|thread| self.threads[*thread].as_str()).collect();
        if !columns.is_empty() {
            row(&mut out, " step", &heads, width);
            let _ = writeln!(out, "------{}", format!("+{}", "-".repeat(width + 1)).repeat(columns.len()));
        }
        for line in &shown {
            let text = match line.kind {
                Kind::Operation => line.text.clone(),
                Kind::Broken => format!("==> {}", line.text),
                Kind::Preempted => format!("--- {}", line.text),
                Kind::Step | Kind::Waits => format!("  {}", line.text),
            };
            let aside = self.is_aside(line.thread);
            let (text, width) = match aside {
                true => (format!("{}: {}", self.threads[line.thread], text.trim_start()), WIDTH - 8),
                false => (text, width),
            };
            for (at, piece) in wrap(&text, width).iter().enumerate() {
                let step = if at == 0 { line.step.to_string() } else { String::new() };
                if aside {
                    row(&mut out, &step, &[piece], 0);
                } else {
                    let cells: Vec<_> = columns.iter().map(|id| if *id == line.thread { piece } else { "" }).collect();
                    row(&mut out, &step, &cells, width);
                }
            }
        }
        out.push('\n');
        for life in &self.objects {
            let freed = match &life.freed {
                Some((who, step)) => format!("freed by {who} at step {step}"),
                None => "not freed".to_owned(),
            };
            let _ = writeln!(out, "  {}: allocated by {} at step {}, {freed}", life.name, life.made.0, life.made.1);
        }
        let rule = format!("  broken: {}", self.rule.text());
        let _ = writeln!(out, "{}", wrap(&rule, WIDTH).join("\n"));
        let left_out = self.lines.len() - shown.len();
        let plural = if self.preemptions == 1 { "" } else { "s" };
        let _ = writeln!(out, "  {} preemption{plural}; {left_out} more steps are not shown", self.preemptions);
        out
    }
}

/// One row of the table.
fn row(out: &mut String, step: &str, cells: &[&str], width: usize) {
    let cells: String = cells.iter().map(|cell| format!("| {cell:<width$}")).collect();
    let _ = writeln!(out, "{}", format!("{step:>5} {cells}").trim_end());
}

/// Breaks a text into lines of at most `width`.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let indent = text.len() - text.trim_start().len();
    let more = if width > 60 { indent } else { indent + 4 };
    let mut lines = Vec::new();
    let mut line = " ".repeat(indent);
    for mut word in text.split_whitespace() {
        loop {
            let space = if line.trim().is_empty() { "" } else { " " };
            let room = width.saturating_sub(line.len() + space.len());
            if word.len() <= room {
                line = line + space + word;
                break;
            }
            // A word that fits no line is broken, behind a bracket or a dot if there is one.
            if word.len() > width - more && room > width / 2 {
                let at = word[..room].rfind(['(', '.', ',']).map_or(room, |at| at + 1);
                line = line + space + &word[..at];
                word = &word[at..];
            }
            lines.push(core::mem::replace(&mut line, " ".repeat(more)));
        }
    }
    lines.push(line);
    lines
}
