//! [`Story`]: a violation, told.
//!
//! One column a thread, one line a step, in the engine's words. Told is what has to do with the objects of the violation,
//! and what surrounds a change of threads; the rest is counted, or told in full if wanted.

use crate::explore::run::Ended;
use crate::platform::field::{Field, Object};
use crate::platform::log::{Did, Line};
use crate::platform::world::{MAIN, Wait, World};
use crate::violation::{Rule, Violation};
use core::fmt::Write;
use std::sync::Arc;

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
    /// Names of the threads.
    pub threads: Vec<String>,
    /// Everything that happened, in order.
    pub lines: Vec<StoryLine>,
    /// The objects.
    pub objects: Vec<Life>,
    /// How often a thread lost its turn.
    pub preemptions: u32,
    /// For a replay.
    pub schedule: String,
}

/// Choices as text: `142:2,160:1`, step and thread; `-` for none.
pub(crate) fn schedule(choices: &[(u32, u8)]) -> String {
    if choices.is_empty() {
        return "-".to_owned();
    }
    let choices: Vec<_> = choices.iter().map(|(step, thread)| format!("{step}:{thread}")).collect();
    choices.join(",")
}

/// And back.
pub(crate) fn choices(schedule: &str) -> Option<Vec<(u32, u8)>> {
    if schedule == "-" {
        return Some(Vec::new());
    }
    let choice = |text: &str| {
        let (step, thread) = text.trim().split_once(':')?;
        Some((step.parse().ok()?, thread.parse().ok()?))
    };
    let choices: Option<Vec<(u32, u8)>> = schedule.split(',').map(choice).collect();
    choices.filter(|choices| choices.is_sorted_by(|a, b| a.0 < b.0))
}

impl Story {
    pub(crate) fn new(scenario: &str, design: &str, ended: &Ended, violation: &Violation) -> Self {
        let world = &ended.world;
        let threads = world.names();
        let focus = Focus::new(&violation.objects, &ended.log);
        let names = Names::new(&ended.log);
        let mut lines: Vec<_> = ended.log.iter().map(|line| told(world, line, &focus, &names)).collect();
        tell_neighbours(&ended.log, &mut lines, violation);
        let life = |object: &Arc<Object>| Life {
            name: object.label(),
            made: (threads[object.made.0].clone(), object.made.1),
            freed: object.freed.with(|freed| freed.map(|(thread, step)| (threads[thread].clone(), step))),
        };
        Story {
            scenario: scenario.to_owned(),
            design: design.to_owned(),
            rule: violation.rule,
            what: violation.what.clone(),
            objects: violation.objects.iter().filter(|object| !object.embedded).map(life).collect(),
            threads,
            lines,
            preemptions: ended.preemptions,
            schedule: schedule(&ended.choices),
        }
    }

    /// The story as text; with every step if `full`.
    pub fn text(&self, full: bool) -> String {
        let mut out = String::new();
        let shown: Vec<_> = self.lines.iter().filter(|line| full || line.told).collect();
        let mut columns: Vec<_> = shown.iter().map(|line| line.thread).collect();
        columns.sort_unstable();
        columns.dedup();
        let _ = writeln!(out, "{}\n  {} in {}: {}\n", self.what, self.scenario, self.design, self.rule.text());
        let width = (108 / columns.len().max(1)).clamp(20, 46) - 2;
        let heads: Vec<_> = columns.iter().map(|thread| self.threads[*thread].as_str()).collect();
        row(&mut out, " step", &heads, width);
        let _ = writeln!(out, "------{}", format!("+{}", "-".repeat(width + 1)).repeat(columns.len()));
        for line in &shown {
            let text = match line.kind {
                Kind::Operation => line.text.clone(),
                Kind::Broken => format!("==> {}", line.text),
                Kind::Preempted => format!("--- {}", line.text),
                Kind::Step | Kind::Waits => format!("  {}", line.text),
            };
            for (at, piece) in wrap(&text, width).iter().enumerate() {
                let step = if at == 0 { line.step.to_string() } else { String::new() };
                let cells: Vec<_> = columns.iter().map(|id| if *id == line.thread { piece } else { "" }).collect();
                row(&mut out, &step, &cells, width);
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
        let left_out = self.lines.len() - shown.len();
        if left_out > 0 {
            let _ = writeln!(out, "  {left_out} more steps are not shown.");
        }
        let plural = if self.preemptions == 1 { "" } else { "s" };
        let _ = writeln!(out, "  {} preemption{plural}; replay: {}", self.preemptions, self.schedule);
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
    let mut lines = vec![" ".repeat(indent)];
    for word in text.split_whitespace() {
        // A word that fits no line is broken.
        let (mut word, room) = (word, width - indent - 4);
        while word.len() > room {
            let (piece, rest) = word.split_at(room);
            lines.push(format!("{}{piece}", " ".repeat(indent + 4)));
            word = rest;
        }
        let line = lines.last_mut().expect("there is one");
        let empty = line.trim().is_empty();
        if !empty && line.len() + 1 + word.len() > width {
            lines.push(format!("{}{word}", " ".repeat(indent + 4)));
        } else {
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// What the story is about.
struct Focus(Vec<(&'static str, u32)>);

impl Focus {
    fn new(objects: &[Arc<Object>], log: &[Line]) -> Self {
        let key = |object: &Arc<Object>| (object.class, object.serial);
        if !objects.is_empty() {
            return Focus(objects.iter().map(key).collect());
        }
        // Nothing in particular: all LPIs.
        let made = log.iter().filter_map(|line| match &line.did {
            Did::Alloc(object) if object.class == "vgic_irq" => Some(key(object)),
            _ => None,
        });
        Focus(made.collect())
    }

    fn has(&self, object: &Object) -> bool {
        self.0.contains(&(object.class, object.serial))
    }
}

/// Classes of which there is one object: its fields need no "of".
struct Names(Vec<&'static str>);

impl Names {
    fn new(log: &[Line]) -> Self {
        let mut classes = std::collections::BTreeMap::new();
        for line in log {
            if let Did::Alloc(object) = &line.did {
                *classes.entry(object.class).or_insert(0) += 1;
            }
        }
        let once = classes.into_iter().filter(|(class, count)| *count == 1 && *class != "vgic_irq");
        Names(once.map(|(class, _)| class).collect())
    }

    fn field(&self, field: &Field) -> String {
        if self.0.contains(&field.object.class) { field.short() } else { field.label() }
    }
}

/// A link of a list, which says little.
fn is_link(field: &Field) -> bool {
    field.name.ends_with(".next") || field.name.ends_with(".prev")
}

fn told(world: &World, line: &Line, focus: &Focus, names_of: &Names) -> StoryLine {
    let objects = world.objects.borrow();
    let value = |bits: u64| match objects.find(bits) {
        Some(object) if bits > 0xffff => object.label(),
        // NO_VCPU, or one below zero.
        _ if bits == u64::from(u32::MAX) => "none (-1)".to_owned(),
        _ if bits > 0xffff => format!("{bits:#x}"),
        _ => bits.to_string(),
    };
    let points = |bits: u64| bits > 0xffff && objects.find(bits).is_some_and(|object| focus.has(&object));
    let names = world.names();
    let (kind, text, told) = match &line.did {
        Did::Note(text) => (Kind::Operation, text.clone(), true),
        Did::Read(field, bits) => {
            let told = points(*bits) && !is_link(field);
            (Kind::Step, format!("reads {}: {}", names_of.field(field), value(*bits)), told)
        }
        Did::Write(field, old, new) | Did::Exchange(field, old, new) => {
            let about = focus.has(&field.object) && old != new || points(*old) || points(*new);
            let what = format!("{}: {} -> {}", names_of.field(field), value(*old), value(*new));
            (Kind::Step, what, about && !is_link(field))
        }
        Did::Lock(field) => (Kind::Step, format!("lock {}", names_of.field(field)), false),
        Did::Unlock(field) => (Kind::Step, format!("unlock {}", names_of.field(field)), false),
        Did::Section(what) => (Kind::Step, (*what).to_owned(), false),
        Did::Alloc(object) => (Kind::Step, format!("allocates {}", object.label()), focus.has(object)),
        Did::Free(object) => (Kind::Step, format!("frees {}", object.label()), focus.has(object)),
        Did::CallRcu => (Kind::Step, "call_rcu".to_owned(), false),
        Did::Grace(what) => (Kind::Step, (*what).to_owned(), true),
        Did::Park(_) => (Kind::Step, "sleeps".to_owned(), true),
        Did::Unpark(field) => (Kind::Step, format!("wakes {}", field.object.label()), true),
        Did::Wait(wait) => {
            let told = names[line.thread] != "rcu" && line.thread != MAIN;
            let what = match wait {
                Wait::Lock(lock, _) => names_of.field(&lock.field),
                other => other.describe(),
            };
            (Kind::Waits, format!("waits for {what}"), told)
        }
        Did::Switch { to, preempted } => (Kind::Preempted, format!("{} goes on", names[*to]), *preempted),
        Did::Broke(what) => (Kind::Broken, what.clone(), true),
    };
    StoryLine { step: line.step, thread: line.thread, kind, text, told }
}

/// Adds the locks around what is told, and the last step before each loss of the turn; leaves out what the first thread
/// did before the others began.
fn tell_neighbours(log: &[Line], lines: &mut [StoryLine], violation: &Violation) {
    let begins = log.iter().position(|line| line.thread != MAIN).unwrap_or(log.len());
    for at in 0..log.len() {
        match &log[at].did {
            Did::Switch { preempted: true, .. } | Did::Broke(_) => {
                let before = (0..at).rev().find(|before| log[*before].thread == log[at].thread);
                if let Some(before) = before.filter(|before| !lines[*before].told) {
                    lines[before].told = matches!(log[before].did.field(), Some(field) if !is_link(field));
                }
            }
            _ => {}
        }
    }
    for at in 0..log.len() {
        let Did::Lock(field) = &log[at].did else { continue };
        let is_end = |line: &Line| {
            let same = |end: &Field| end.label() == field.label();
            line.thread == log[at].thread && matches!(&line.did, Did::Unlock(end) if same(end))
        };
        let end = log[at + 1..].iter().position(is_end).map(|end| at + 1 + end);
        let inside = at + 1..end.unwrap_or(log.len());
        let full = lines[inside].iter().any(|line| {
            line.thread == log[at].thread && line.told && matches!(line.kind, Kind::Step | Kind::Preempted)
        });
        if full || lines[at].told || end.is_some_and(|end| lines[end].told) {
            lines[at].told = true;
            if let Some(end) = end {
                lines[end].told = true;
            }
        }
    }
    for (at, line) in lines.iter_mut().enumerate() {
        let setup = at < begins;
        let cleanup = line.thread == MAIN && violation.thread != MAIN;
        if setup || cleanup {
            line.told = false;
        }
    }
}
