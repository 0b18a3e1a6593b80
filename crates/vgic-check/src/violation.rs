//! [`Violation`]: which rule was broken, by whom, and what it was about.

use crate::platform::field::Object;
use std::sync::Arc;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// No thread touches an object after it was freed.
    UseAfterFree,
    /// An object is freed once.
    DoubleFree,
    /// No thread waits for ever.
    Deadlock,
    /// Locks are taken in one order.
    LockOrder,
    /// Nobody sleeps where that is forbidden, and locks that interrupts take are held with interrupts off.
    Context,
    /// The engine warns about nothing (reference counts, the membership of the ap_list, a NULL pointer).
    Warning,
    /// The engine does not panic.
    Panic,
    /// Every execution ends.
    Progress,
    /// Everything that was allocated is freed.
    Leak,
    /// Each send is delivered once, coalesced, dropped or pending; who should be queued is.
    Accounts,
    /// What the scenario promises.
    Promise,
}

impl Rule {
    /// The rule as a sentence.
    pub fn text(self) -> &'static str {
        match self {
            Rule::UseAfterFree => "no thread touches an object after it was freed",
            Rule::DoubleFree => "an object is freed once",
            Rule::Deadlock => "no thread waits for ever",
            Rule::LockOrder => "locks are taken in one order",
            Rule::Context => "nobody sleeps in atomic context; a lock that interrupts take is held with interrupts off",
            Rule::Warning => "the engine warns about nothing",
            Rule::Panic => "the engine does not panic",
            Rule::Progress => "every execution ends",
            Rule::Leak => "everything that was allocated is freed",
            Rule::Accounts => "each send has one end, and what is deliverable is queued",
            Rule::Promise => "what the scenario promises holds",
        }
    }
}

/// A rule that was broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
    pub(crate) thread: usize,
    pub(crate) objects: Vec<Arc<Object>>,
}

impl Violation {
    /// Whether both are the same mistake, met at different moments.
    pub(crate) fn is_like(&self, other: &Violation) -> bool {
        let digits = |what: &str| what.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        self.rule == other.rule && (self.rule != Rule::Promise || digits(&self.what) == digits(&other.what))
    }
}
