//! [`Stuck`]: a run that does not come to its end, told core by core.

use crate::virtual_core::{Core, REMEMBERED, State};
use crate::world::World;
use std::rc::Rc;

/// Why a run did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// `deadlock` or `livelock`.
    pub what: &'static str,
    /// A line a core: what it waits for, holds, and did last.
    pub cores: Vec<String>,
}

impl World {
    pub(crate) fn stuck(&self, what: &'static str) -> Stuck {
        let tally = self.tally.borrow();
        let cores = self.cores.borrow();
        let describe = |core: &Rc<Core>| {
            let doing = match core.state.get() {
                State::Ready => "runs".to_owned(),
                State::Line => "waits for a line".to_owned(),
                State::Drain { .. } => "waits for its stores".to_owned(),
                State::Blocked(why) => format!("waits: {why}"),
                State::Done => return None,
            };
            let held: Vec<_> = core.held.borrow().iter().map(|lock| tally.lock_name(*lock)).collect();
            let held = if held.is_empty() { "nothing".to_owned() } else { held.join(", ") };
            let count = core.last_at.get().min(REMEMBERED);
            let recent: Vec<_> = (core.last_at.get() - count..core.last_at.get())
                .map(|at| {
                    let last = core.last[at % REMEMBERED].get();
                    let (class, name) = tally.field_name(last >> 1);
                    format!("{} {class}.{name}", if last & 1 == 1 { "write" } else { "read" })
                })
                .collect();
            Some(format!("{} {doing}; holds {held}; last: {}", core.name, recent.join(", ")))
        };
        Stuck { what, cores: cores.iter().filter_map(describe).collect() }
    }
}
