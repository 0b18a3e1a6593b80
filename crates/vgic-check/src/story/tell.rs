//! Which lines of a log are told.

use super::function::functions;
use super::words::Words;
use super::{Access, Kind, StoryLine};
use crate::explore::run::Ended;
use crate::platform::field::{Field, Object};
use crate::platform::log::{Did, Line};
use crate::platform::objects::Objects;
use crate::platform::world::MAIN;
use crate::violation::{Rule, Violation};
use std::sync::Arc;

/// A log as lines of a story.
pub(super) fn lines(ended: &Ended, violation: &Violation) -> Vec<StoryLine> {
    let objects = ended.world.objects.borrow();
    let names = ended.world.names();
    let rcu = names.iter().position(|name| name == "rcu");
    let functions = functions(&ended.log, names.len());
    let mut words = Words::new(&objects, names, &ended.log);
    let focus = Focus::new(violation, &ended.log, &objects);
    let line = |(line, function): (&Line, &'static str)| {
        let kind = match line.did {
            Did::Note(_) => Kind::Operation,
            Did::Wait(_) => Kind::Waits,
            Did::Switch { .. } => Kind::Preempted,
            Did::Broke(_) => Kind::Broken,
            _ => Kind::Step,
        };
        let aside = line.thread == MAIN || Some(line.thread) == rcu;
        let told = focus.tells(&line.did, aside) && !words.is_inside(line);
        let access = access(&line.did);
        StoryLine { step: line.step, thread: line.thread, kind, function, text: words.of(line), told, access }
    };
    let mut lines: Vec<_> = ended.log.iter().zip(functions).map(line).collect();
    tell_neighbours(&ended.log, &mut lines);
    tell_spans(&ended.log, &mut lines, violation);
    leave_out(&ended.log, &mut lines, violation);
    lines
}

/// What a step does to memory.
fn access(did: &Did) -> Option<Access> {
    let (kind, field, changes) = match did {
        Did::Read(field, _) => ("read", field, false),
        Did::Write(field, old, new) | Did::Exchange(field, old, new) | Did::Add(field, old, new) => {
            ("write", field, old != new)
        }
        Did::Lock(field) => ("lock", field, true),
        Did::Unlock(field) => ("unlock", field, true),
        _ => return None,
    };
    Some(Access { kind, object: field.object.label(), member: field.short(), changes })
}

/// A link of a list, which says little.
fn is_link(field: &Field) -> bool {
    field.name.ends_with(".next") || field.name.ends_with(".prev")
}

/// What the story is about.
struct Focus<'a> {
    objects: Vec<(&'static str, u32)>,
    all: &'a Objects,
    rule: Rule,
}

impl<'a> Focus<'a> {
    fn new(violation: &Violation, log: &[Line], all: &'a Objects) -> Self {
        let key = |object: &Arc<Object>| (object.class, object.serial);
        let mut objects: Vec<_> = violation.objects.iter().map(key).collect();
        if objects.iter().all(|(class, _)| *class != "vgic_irq") {
            // Nothing in particular: all LPIs.
            objects.extend(log.iter().filter_map(|line| match &line.did {
                Did::Alloc(object) if object.class == "vgic_irq" => Some(key(object)),
                _ => None,
            }));
        }
        Focus { objects, all, rule: violation.rule }
    }

    fn has(&self, object: &Object) -> bool {
        self.objects.contains(&(object.class, object.serial))
    }

    fn points(&self, bits: u64) -> bool {
        bits > 0xffff && self.all.find(bits).is_some_and(|object| self.has(&object))
    }

    /// ITSes and LPIs being on or off.
    fn is_switch(&self, field: &Field) -> bool {
        let matters = matches!(self.rule, Rule::Cache | Rule::Unwanted | Rule::Lost | Rule::Promise);
        let empty = field.name == "translation_cache.xa_head";
        matters && (field.name == "enabled" && field.object.class == "vgic_its" || field.name == "ctlr" || empty)
    }

    fn tells(&self, did: &Did, aside: bool) -> bool {
        match did {
            Did::Note(_) | Did::Broke(_) | Did::Grace(_) | Did::Park(_) | Did::Unpark(_) => true,
            Did::Switch { preempted, .. } => *preempted,
            Did::Wait(_) | Did::Event(_) => !aside,
            Did::Read(field, 0) if field.name == "refcount" => self.has(&field.object),
            Did::Read(field, bits) => self.is_switch(field) || self.points(*bits) && !is_link(field),
            // GICR_CTLR also says that LPIs are going off.
            Did::Write(field, old, new) | Did::Exchange(field, old, new) if field.name == "ctlr" => {
                self.is_switch(field) && (*old == 1 || *new == 1)
            }
            Did::Write(field, old, new) | Did::Exchange(field, old, new) | Did::Add(field, old, new) => {
                let reserves = (field.name == "slots" || field.name.ends_with(".xa_head")) && (*old == 1 || *new == 1);
                let about = self.has(&field.object) && field.object.class == "vgic_irq" && old != new;
                let about = about || self.points(*old) || self.points(*new) || self.is_switch(field);
                (about || reserves) && !is_link(field)
            }
            Did::Alloc(object) | Did::Free(object) | Did::CallRcu(Some(object)) => self.has(object),
            Did::Lock(_) | Did::Unlock(_) | Did::Section(_) | Did::CallRcu(None) => false,
        }
    }
}

/// Tells the last step before each loss of the turn, if it says something.
fn tell_neighbours(log: &[Line], lines: &mut [StoryLine]) {
    for at in 0..log.len() {
        if matches!(&log[at].did, Did::Switch { preempted: true, .. } | Did::Broke(_)) {
            let before = (0..at).rev().find(|before| log[*before].thread == log[at].thread);
            if let Some(before) = before.filter(|before| !lines[*before].told) {
                lines[before].told = matches!(log[before].did.field(), Some(field) if !is_link(field));
            }
        }
    }
}

/// Tells locks and read sections that somebody else ran in, or that the violation is about. Where nobody came in between
/// they say nothing.
fn tell_spans(log: &[Line], lines: &mut [StoryLine], violation: &Violation) {
    let about_locks = matches!(violation.rule, Rule::Deadlock | Rule::LockOrder | Rule::Context);
    for at in 0..log.len() {
        let thread = log[at].thread;
        let is_end = |line: &Line| {
            line.thread == thread
                && match (&log[at].did, &line.did) {
                    (Did::Lock(begin), Did::Unlock(end)) => begin.label() == end.label(),
                    (Did::Section(begin), Did::Section(end)) => begin.replace("_lock", "_unlock") == **end,
                    _ => false,
                }
        };
        let named = match &log[at].did {
            Did::Lock(field) if field.name == "mutex" && !about_locks => continue,
            Did::Lock(field) => about_locks && violation.what.contains(&field.label()),
            Did::Section(begin) if begin.ends_with("_lock") => false,
            _ => continue,
        };
        let end = log[at + 1..].iter().position(is_end).map(|end| at + 1 + end);
        let inside = at + 1..end.unwrap_or(log.len());
        let full =
            inside.clone().any(|at| log[at].thread == thread && lines[at].told && lines[at].kind != Kind::Operation);
        let others = inside.clone().any(|at| log[at].thread != thread && lines[at].told);
        if named || full && others {
            lines[at].told = true;
            if let Some(end) = end {
                lines[end].told = true;
            }
        }
    }
}

/// Leaves out what the first thread did before the others began, which is told apart, and what it looked at afterwards.
fn leave_out(log: &[Line], lines: &mut [StoryLine], violation: &Violation) {
    let begins = log.iter().position(|line| line.thread != MAIN).unwrap_or(0);
    lines[..begins].iter_mut().for_each(|line| line.told = false);
    let main = |at: &usize| log[*at].thread == MAIN;
    if violation.thread != MAIN {
        (begins..lines.len()).filter(main).for_each(|at| lines[at].told = false);
        return;
    }
    // Of its last operation, what led to the end; of the others, that they were.
    let last = log.iter().rposition(|line| line.thread == MAIN && matches!(line.did, Did::Note(_))).unwrap_or(0);
    let looks = matches!(&log[last].did, Did::Note(what) if what.starts_with("checks"));
    for at in (begins..lines.len()).filter(main) {
        let step = matches!(lines[at].kind, Kind::Step | Kind::Waits | Kind::Preempted);
        let matters = at > last && !looks || at + 2 >= lines.len() && violation.rule == Rule::UseAfterFree;
        lines[at].told &= !step || matters;
    }
}
