//! [`Story`]: a violation, told.
//!
//! One line a step, in the kernel's words. Told is what has to do with the objects of the violation, and what surrounds a
//! change of threads; the rest is counted, or told in full if wanted. How it is laid out for readers is Python's part.

mod function;
mod schedule;
mod state;
mod tell;
mod words;

use crate::explore::run::Ended;
use crate::platform::field::Object;
use crate::platform::world::MAIN;
use crate::violation::{Rule, Violation};
use core::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use schedule::Schedule;
pub use state::{LpiAt, RegisterAt, State};

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

/// What a step does to a member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `read`, `write`, `lock` or `unlock`.
    pub kind: &'static str,
    /// The object: `irq#2`, `vCPU 1`; of what is there once, its kind.
    pub object: String,
    /// The member, by the kernel's name.
    pub member: String,
    /// Whether it has another value afterwards.
    pub changes: bool,
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
    /// The kernel's function that it is in; empty if that is not known.
    pub function: &'static str,
    /// What happens.
    pub text: String,
    /// Whether it belongs to the short story.
    pub told: bool,
    /// Of a step that touches memory, what it does there.
    pub access: Option<Access>,
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
    /// What LPIs and list registers are, from behind a line on: its number in `lines`, ascending.
    pub states: Vec<(usize, State)>,
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

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: allocated by {} at step {}, ", self.name, self.made.0, self.made.1)?;
        match &self.freed {
            Some((who, step)) => write!(f, "freed by {who} at step {step}"),
            None => f.write_str("not freed"),
        }
    }
}

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
        let states = state::states(&ended.log, &ended.world.objects.borrow());
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
            states,
            preemptions: ended.preemptions,
            schedule: Schedule { program: ended.program.unwrap_or_default(), choices: ended.choices.clone() }
                .to_string(),
            seed,
        }
    }

    /// The story line by line, as who works on the engine reads it; with every step if `full`.
    pub fn text(&self, full: bool) -> String {
        let mut lines = vec![self.what.clone(), format!("{} in {}", self.scenario, self.design)];
        if !self.before.is_empty() {
            lines.push(format!("before: {}", self.before.join("; ")));
        }
        for line in self.lines.iter().filter(|line| full || line.told) {
            let StoryLine { step, thread, function, text, .. } = line;
            let mark = match line.kind {
                Kind::Operation => "",
                Kind::Broken => "==> ",
                Kind::Preempted => "--- ",
                Kind::Step | Kind::Waits => "  ",
            };
            lines.push(format!("{step} {}: {mark}{text} [{function}]", self.threads[*thread]));
        }
        lines.extend(self.objects.iter().map(ToString::to_string));
        lines.push(format!("broken: {}", self.rule.text()));
        let mut out = String::new();
        for line in lines.iter().flat_map(|line| wrap(line, WIDTH)) {
            let _ = writeln!(out, "{line}");
        }
        out
    }
}

/// Breaks a text into lines of at most `width`.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one");
        if line.len() + 1 + word.len() <= width {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        } else {
            lines.push(format!("        {word}"));
        }
    }
    lines
}
