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
    /// The sums of what came and what went agree; what is deliverable is queued.
    Accounts,
    /// A send to an event that is mapped, with everything on, is taken and arrives.
    Lost,
    /// Nothing is delivered that was not sent, or sent after its event was unmapped or turned off.
    Unwanted,
    /// An LPI is on the ap_list that it says it is on, and in the index if it is mapped.
    Membership,
    /// A translation that an invalidation has finished with is in no cache, and a cache keeps its limit.
    Cache,
    /// A reference count is what holds the object.
    References,
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
            Rule::Lost => "a send to an event that is mapped, with everything on, arrives",
            Rule::Unwanted => {
                "nothing is delivered that was not sent, or sent after its event was unmapped or turned off"
            }
            Rule::Membership => "irq->vcpu, the ap_lists and the index agree",
            Rule::Cache => "nothing stays cached that an invalidation has finished with, and the cache keeps its limit",
            Rule::References => "a reference count is what ITEs, caches and lists hold",
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
    /// What the thread had set out to do.
    pub(crate) operation: String,
    pub(crate) objects: Vec<Arc<Object>>,
    /// The same for the same mistake, met at different moments.
    pub(crate) signature: String,
}

impl Violation {
    /// Stands where an execution that breaks no rule is told.
    pub(crate) fn none() -> Self {
        let (what, operation, signature) = Default::default();
        Violation { rule: Rule::Promise, what, thread: 0, operation, objects: Vec::new(), signature }
    }

    /// Whether both are the same mistake.
    pub(crate) fn is_like(&self, other: &Violation) -> bool {
        self.signature == other.signature
    }
}

/// What is wrong, in which operation, without numbers and names of threads.
pub(crate) fn signature(
    rule: Rule,
    what: &str,
    operation: &str,
    objects: &[Arc<Object>],
    threads: &[String],
) -> String {
    let digits = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let anybody = |word: &str| {
        let name = word.trim_end_matches([',', ';', ':', ')']).trim_start_matches('(');
        if threads.iter().any(|thread| thread == name) { word.replace(name, "*") } else { word.to_owned() }
    };
    let what = match (rule, objects.first()) {
        // Which of its fields is touched first is chance.
        (Rule::UseAfterFree | Rule::DoubleFree, Some(object)) => object.class.to_owned(),
        _ => what.split(' ').map(anybody).collect::<Vec<_>>().join(" "),
    };
    // Of which ITS says nothing either.
    let operation = digits(operation).replace(" of ITS ", " ");
    format!("{rule:?}: {} [{}]", digits(&what), operation.trim_end())
}
