//! [`Ctx`]: a thread of an execution.

use super::field::{Access, Field};
use super::log::Did;
use super::world::World;
use crate::violation::Rule;
use std::rc::Rc;

/// A thread of an execution.
pub struct Ctx {
    pub(crate) world: Rc<World>,
    pub(crate) id: usize,
}

impl Ctx {
    /// Before an access to a value: false if the execution is over, and then there is no value.
    pub(crate) fn touch(&self, field: &Field, access: Access) -> bool {
        let goes_on = self.world.touch(self.id, field, access);
        if !goes_on {
            self.over();
        }
        goes_on
    }

    /// The execution is over: goes on only where destructors run.
    pub(crate) fn over(&self) {
        if !std::thread::panicking() {
            self.world.halt();
        }
    }

    /// A rule was broken.
    pub(crate) fn fail(&self, rule: Rule, what: String) {
        self.world.fail(rule, what, Vec::new());
        self.over();
    }

    pub(crate) fn log(&self, did: impl FnOnce() -> Did) {
        self.world.log_as(self.id, did);
    }

    /// Checks a promise of a scenario: where it does not hold, that is the violation.
    pub fn expect(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && !self.world.stopped() {
            self.fail(Rule::Promise, what());
        }
    }

    /// Makes one allocation fail: the first from now on if `after` is 0.
    pub fn fail_allocation(&self, after: u64) {
        self.world.fail_allocation(after);
    }

    /// Checks that the thread may sleep now.
    pub(crate) fn may_sleep(&self, what: &str) {
        let why = self.world.thread(self.id, |thread| match thread.held.iter().find(|held| !held.lock.sleeps) {
            Some(held) => Some(format!("under {}", held.lock.field.label())),
            None if thread.sections[0].0 > 0 => Some("in an RCU read section".to_owned()),
            None => thread.interrupt.then(|| "in an interrupt".to_owned()),
        });
        if let Some(why) = why.filter(|_| !self.world.stopped()) {
            self.fail(Rule::Context, format!("sleeping in atomic context: {what} {why}"));
        }
    }
}

impl core::fmt::Debug for Ctx {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Ctx({})", self.id)
    }
}
