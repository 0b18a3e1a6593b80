//! [`Trace`]: what a short run did, for a picture of it.

use crate::machine::Ps;

/// One thing that took time, or happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// `lock`, `wait`, `send`, `deliver`, `guest`, `grace`.
    pub kind: &'static str,
    /// Number of the core.
    pub core: u32,
    /// What: a lock, an LPI.
    pub name: String,
    /// From.
    pub begin: Ps,
    /// To.
    pub end: Ps,
    /// What a send and its delivery share.
    pub flow: Option<u64>,
}

/// The events so far, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) limit: usize,
    pub(crate) events: Vec<TraceEvent>,
}

impl Trace {
    pub(crate) fn wants_more(&self) -> bool {
        self.events.len() < self.limit
    }
}
