//! [`Script`]: a scenario that somebody has written down, checked as the shipped ones are.
//!
//! ```text
//! # A DISCARD meets a send.
//! vcpus 1
//! mapti 0 0 0        # event 0 is LPI 8192, in collection 0, which is vCPU 0
//! send 0             # so that it is cached
//! drain
//!
//! thread sender
//!   send 0
//!
//! thread guest on 0
//!   discard 0
//! ```
//!
//! Settings come first, then what happens before the threads start, then each thread. What a thread does that a guest
//! does, it does as the vCPU behind `on`, 0 unless it is said; `interrupt NAME` is an interrupt of the host, which only
//! sends.

use crate::guest::Guest;
use crate::guest::operation::Operation;
use crate::platform::Shuttle;
use crate::platform::ctx::Ctx;
use crate::platform::stage::ShuttleStage;
use crate::stage::Stage;
use crate::story::Story;
use crate::{Failed, Options, Report, check_function, trace_function};
use std::sync::Arc;
use vgic_core::designs::Composed;
use vgic_core::{Design, Platform};

/// Bytes of a text, operations in it, and threads: more is no small scenario, and no search of it would end.
const MOST_BYTES: usize = 1 << 16;
const MOST_OPERATIONS: usize = 64;
const MOST_THREADS: usize = 4;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    vcpus: u32,
    its_count: u64,
    before: Vec<Operation>,
    threads: Vec<Thread>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Thread {
    name: String,
    vcpu: u32,
    is_interrupt: bool,
    operations: Vec<Operation>,
}

impl Script {
    /// Reads a text. The error names the line.
    pub fn read(text: &str) -> Result<Script, String> {
        if text.len() > MOST_BYTES {
            return Err(format!("a scenario has at most {MOST_BYTES} bytes"));
        }
        let mut script = Script { vcpus: 2, its_count: 1, before: Vec::new(), threads: Vec::new() };
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                script.line(line).map_err(|why| format!("line {}: {why}", number + 1))?;
            }
        }
        if script.threads.is_empty() {
            return Err("there is no thread: 'thread NAME', and below it what it does".to_owned());
        }
        if let Some(idle) = script.threads.iter().find(|thread| thread.operations.is_empty()) {
            return Err(format!("thread {} does nothing", idle.name));
        }
        Ok(script)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["vcpus", number] => {
                self.is_setting("vcpus")?;
                self.vcpus = setting("vcpus", number, 1, 4)?;
            }
            ["itses", number] => {
                self.is_setting("itses")?;
                self.its_count = u64::from(setting("itses", number, 1, 2)?);
            }
            ["thread", name] => self.thread(name, 0, false)?,
            ["thread", name, "on", vcpu] => {
                let vcpu = setting("the vCPU of a thread", vcpu, 0, self.vcpus - 1)?;
                self.thread(name, vcpu, false)?;
            }
            ["interrupt", name] => self.thread(name, 0, true)?,
            ["thread" | "interrupt" | "vcpus" | "itses", ..] => {
                return Err("it is written vcpus N, itses N, thread NAME [on VCPU] or interrupt NAME".to_owned());
            }
            _ => {
                let operation = Operation::read(line, self.vcpus, self.its_count)?;
                let all = self.before.len() + self.threads.iter().map(|thread| thread.operations.len()).sum::<usize>();
                if all >= MOST_OPERATIONS {
                    return Err(format!("a scenario has at most {MOST_OPERATIONS} operations"));
                }
                match self.threads.last_mut() {
                    None => self.before.push(operation),
                    Some(thread) if thread.is_interrupt && !matches!(operation, Operation::SendCached { .. }) => {
                        return Err("an interrupt must not sleep, so all that it does is send-cached".to_owned());
                    }
                    Some(thread) => thread.operations.push(operation),
                }
            }
        }
        Ok(())
    }

    fn is_setting(&self, name: &str) -> Result<(), String> {
        let first = self.before.is_empty() && self.threads.is_empty();
        if first { Ok(()) } else { Err(format!("{name} stands before everything that is done")) }
    }

    fn thread(&mut self, name: &str, vcpu: u32, is_interrupt: bool) -> Result<(), String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.len() > 20 || !name.chars().all(fits) {
            return Err(format!("{name:?}: a name is up to 20 letters, digits, - and _"));
        }
        if ["main", "rcu"].contains(&name) || self.threads.iter().any(|thread| thread.name == name) {
            return Err(format!("there is a thread {name} already"));
        }
        if self.threads.len() >= MOST_THREADS {
            return Err(format!("a scenario has at most {MOST_THREADS} threads"));
        }
        self.threads.push(Thread { name: name.to_owned(), vcpu, is_interrupt, operations: Vec::new() });
        Ok(())
    }

    /// One execution.
    pub fn run<P: Platform, S: Stage<P>>(&self, ctx: &P::Ctx, stage: S) {
        let guest = Guest::<P, S>::new(ctx, stage, self.vcpus, self.its_count);
        for operation in &self.before {
            operation.execute(&guest, ctx, 0);
        }
        for Thread { name, vcpu, is_interrupt, operations } in self.threads.iter().cloned() {
            let run = move |guest: &Guest<P, S>, ctx: &P::Ctx| {
                operations.into_iter().for_each(|operation| operation.execute(guest, ctx, vcpu));
            };
            if is_interrupt {
                guest.interrupt(ctx, &name, run);
            } else {
                guest.spawn(ctx, &name, run);
            }
        }
        guest.finish(ctx);
    }
}

fn setting(name: &str, word: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = word.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{name} must be {least} to {most}, not {word:?}"))
}

/// One execution of a script, told; see [`trace_function`].
pub fn trace_script(
    name: &str,
    script: Script,
    design: Composed,
    schedule: &str,
    options: &Options,
) -> Result<Story, Failed> {
    let run = move |ctx: &Ctx| script.run::<Shuttle, ShuttleStage>(ctx, ShuttleStage::new(design));
    trace_function(name, design.name(), run, schedule, options)
}

/// Searches a script as [`check`](crate::check) searches a shipped scenario; the name is for the story.
pub fn check_script(
    name: &str,
    script: Script,
    design: Composed,
    options: &Options,
    stop: &dyn Fn() -> bool,
) -> Result<Report, Failed> {
    let script = Arc::new(script);
    let run = move |ctx: &Ctx| script.run::<Shuttle, ShuttleStage>(ctx, ShuttleStage::new(design));
    check_function(name, design.name(), run, options, stop)
}
