//! [`Memory`]: cache lines, who has them, and who waits for them.
//!
//! A line is *owned* by one core (which may write it), *shared* by some (which may read it), or in no core's cache. A core that
//! lacks what it needs makes a request. Copies of a clean line are served one behind the other, but overlap: each keeps the
//! line's home busy for a part of its way. Everything else takes turns, first come first served: the line is *taken* from
//! those who have it when the turn begins, and *granted* when it arrives. An access takes effect at its grant. Who got a line
//! keeps it for a moment (`hold`), so that a compare-and-swap that failed can be tried again.
//!
//! **Cost.** A hit is a look at the line. Of all who wait for a line only the one whose turn it is has an event, so a hundred
//! waiters cost no more than one.

use crate::cores::CoreSet;
use crate::machine::{Machine, Ps};
use std::collections::VecDeque;

/// Nobody, where a core is named.
const NOBODY: u32 = u32::MAX;

/// Number of a line.
pub(crate) type LineId = u32;

/// What an access needs of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// A copy.
    Read,
    /// The line alone.
    Write,
    /// An atomic at the line's home; the line stays there.
    Far,
}

/// A core that waits for a line.
#[derive(Clone, Copy, Debug)]
struct Request {
    core: u32,
    want: Want,
    since: Ps,
    /// The core goes on meanwhile.
    detached: bool,
}

#[derive(Debug)]
struct Line {
    owner: u32,
    sharers: CoreSet,
    /// Who has written it last: from near there a clean copy comes.
    home: u32,
    /// It has been in a cache before.
    cached: bool,
    /// The turn that has begun, and when.
    turn: Option<(Request, Ps)>,
    /// Until then nobody takes it away.
    kept_until: Ps,
    queue: VecDeque<Request>,
    /// Who wants to know of the next write.
    watchers: Vec<u32>,
}

/// What comes of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It takes effect now.
    Hit,
    /// It takes effect at the grant.
    Waits,
}

/// What an access or a grant sets off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A request is granted then; it has waited for its turn so long.
    Grant { at: Ps, core: u32, line: LineId, queued: Ps, detached: bool },
    /// A core that watches the line was told of a write.
    Written { core: u32, line: LineId },
}

/// All lines.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    lines: Vec<Line>,
    pub(crate) effects: VecDeque<Effect>,
}

impl Memory {
    /// There are lines up to this one.
    pub(crate) fn reach(&mut self, id: LineId) {
        while self.lines.len() <= id as usize {
            self.lines.push(Line {
                owner: NOBODY,
                sharers: CoreSet::EMPTY,
                home: 0,
                cached: false,
                turn: None,
                kept_until: 0,
                queue: VecDeque::new(),
                watchers: Vec::new(),
            });
        }
    }

    /// An access by a core, at a time that is not before that of any other.
    #[inline]
    pub(crate) fn access(
        &mut self,
        machine: &Machine,
        id: LineId,
        core: u32,
        want: Want,
        detached: bool,
        now: Ps,
    ) -> Outcome {
        let line = &mut self.lines[id as usize];
        let taken = line.turn.filter(|(_, begun)| *begun <= now);
        let hit = match (want, taken) {
            (Want::Read, Some((turn, _))) if turn.want != Want::Read => false,
            (Want::Read, _) => line.owner == core || line.sharers.has(core),
            // Also a line that the core has: it is given back to its home.
            (Want::Far, _) => false,
            (Want::Write, None) => line.owner == core || line.owner == NOBODY && line.sharers.is_only(core),
            (Want::Write, Some(_)) => false,
        };
        if hit {
            if want != Want::Read {
                line.own(core);
                line.tell(id, &mut self.effects);
            }
            return Outcome::Hit;
        }
        let request = Request { core, want, since: now, detached };
        if line.turn.is_some() || !line.queue.is_empty() {
            line.queue.push_back(request);
        } else {
            line.serve(machine, id, request, now, &mut self.effects);
        }
        Outcome::Waits
    }

    /// The event of a core that waited for a line: its request is granted.
    pub(crate) fn grant(&mut self, machine: &Machine, id: LineId, core: u32, now: Ps) {
        let line = &mut self.lines[id as usize];
        let Some((turn, _)) = line.turn.filter(|(turn, _)| turn.core == core) else {
            // A clean copy; by now somebody may own the line, and then the copy was good for one look.
            if line.owner == NOBODY {
                line.sharers.insert(core);
            }
            return;
        };
        line.turn = None;
        line.kept_until = now + machine.kept();
        match turn.want {
            Want::Write => {
                line.own(core);
                line.tell(id, &mut self.effects);
            }
            Want::Far => {
                line.own(NOBODY);
                line.home = core;
                line.kept_until = now;
                line.tell(id, &mut self.effects);
            }
            Want::Read => {
                line.sharers.insert(line.owner);
                line.sharers.insert(core);
                line.owner = NOBODY;
            }
        }
        while line.turn.is_none() {
            let Some(next) = line.queue.pop_front() else { break };
            line.serve(machine, id, next, now, &mut self.effects);
        }
    }

    /// The core wants to know when the line is written next; it has just read it.
    pub(crate) fn watch(&mut self, id: LineId, core: u32) {
        self.lines[id as usize].watchers.push(core);
    }
}

impl Line {
    fn own(&mut self, core: u32) {
        self.owner = core;
        self.home = core;
        self.sharers.clear();
    }

    /// Tells those who watch of a write.
    fn tell(&mut self, line: LineId, effects: &mut VecDeque<Effect>) {
        effects.extend(self.watchers.drain(..).map(|core| Effect::Written { core, line }));
    }

    fn serve(&mut self, machine: &Machine, line: LineId, request: Request, now: Ps, effects: &mut VecDeque<Effect>) {
        let Request { core, want, since, detached } = request;
        let begin = now.max(self.kept_until);
        let from_home = if self.cached { machine.clean(self.home, core) } else { machine.memory };
        self.cached = true;
        let grant = |cost: Ps| Effect::Grant { at: begin + cost, core, line, queued: begin - since, detached };
        if self.owner == NOBODY && want == Want::Read {
            self.kept_until = begin + machine.read_occupancy;
            effects.push_back(grant(from_home));
            return;
        }
        let cost = if want == Want::Far {
            machine.far_atomic
        } else if self.owner != NOBODY {
            machine.transfer(self.owner, core)
        } else {
            let farthest = self.sharers.iter().map(|other| machine.transfer(other, core)).max().unwrap_or(0);
            let taken = farthest * Ps::from(machine.invalidate) / 1000;
            if self.sharers.has(core) { taken } else { taken.max(from_home) }
        };
        self.turn = Some((request, begin));
        effects.push_back(grant(cost));
    }
}

#[cfg(test)]
mod tests;
