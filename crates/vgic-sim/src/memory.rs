//! [`Memory`]: cache lines, who has them, and who waits for them.
//!
//! A line is *owned* by one core (which may write it), *shared* by some (which may read it), or in no core's cache. A core that
//! lacks what it needs makes a request. Copies of a clean line are served one behind the other, but overlap: each keeps the
//! line's home busy for a part of its way. Everything else takes turns, first come first served: the line is *taken* from
//! those who have it when the turn begins, and *granted* when it arrives. An access takes effect at its grant. Who got a line
//! keeps it for a moment (`hold`), so that a compare-and-swap that failed can be tried again; and on, for a *visit*, if its
//! next access is ready without the outcome of the last one: behind an addition, a load, or a compare-and-swap that failed.
//!
//! **Cost.** A hit is a look at the line. Of all who wait for a line only the one whose turn it is has an event, so a hundred
//! waiters cost no more than one.

use crate::cores::CoreSet;
use crate::machine::{Cost, Machine, Ps};
use crate::report::Charges;
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

/// A request that is being served.
#[derive(Clone, Copy, Debug)]
struct Turn {
    request: Request,
    begin: Ps,
    cost: Ps,
}

#[derive(Debug)]
struct Line {
    owner: u32,
    sharers: CoreSet,
    /// Who has written it last: from near there a clean copy comes.
    home: u32,
    /// It has been in a cache before.
    cached: bool,
    /// Whose turn it is, when the line is taken away for it, and how long it is under way then.
    turn: Option<Turn>,
    /// When its owner got it.
    granted: Ps,
    /// Until then nobody takes it away, for the sake of this value.
    kept_until: Ps,
    kept_for: Cost,
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
    pub(crate) charged: Charges,
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
                granted: 0,
                kept_until: 0,
                kept_for: Cost::hold,
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
        let taken = line.turn.filter(|turn| turn.begin <= now);
        let hit = match (want, taken) {
            (Want::Read, Some(turn)) if turn.request.want != Want::Read => false,
            (Want::Read, _) => line.owner == core || line.sharers.has(core),
            // Also a line that the core has: it is given back to its home.
            (Want::Far, _) => false,
            (Want::Write, None) => line.owner == core || line.owner == NOBODY && line.sharers.is_only(core),
            (Want::Write, Some(_)) => false,
        };
        if hit {
            if want == Want::Read {
                if line.owner == core {
                    line.keep(now + machine.kept(), machine.visit, &self.charged);
                }
            } else {
                line.own(core);
                line.tell(id, &mut self.effects);
            }
            return Outcome::Hit;
        }
        let request = Request { core, want, since: now, detached };
        if line.turn.is_some() || !line.queue.is_empty() {
            line.queue.push_back(request);
        } else {
            line.serve(machine, id, request, now, &self.charged, &mut self.effects);
        }
        Outcome::Waits
    }

    /// The event of a core that waited for a line: its request is granted, and this is true; unless who has the line has
    /// kept it meanwhile, and then it is granted later.
    pub(crate) fn grant(&mut self, machine: &Machine, id: LineId, core: u32, now: Ps) -> bool {
        let line = &mut self.lines[id as usize];
        let Some(turn) = line.turn.filter(|turn| turn.request.core == core) else {
            // A clean copy; by now somebody may own the line, and then the copy was good for one look.
            if line.owner == NOBODY {
                line.sharers.insert(core);
            }
            return true;
        };
        let Request { want, since, detached, .. } = turn.request;
        let at = turn.begin + turn.cost;
        if at > now {
            self.effects.push_back(Effect::Grant { at, core, line: id, queued: turn.begin - since, detached });
            return false;
        }
        line.turn = None;
        line.granted = now;
        line.kept_until = now + machine.kept();
        line.kept_for = Cost::hold;
        match want {
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
            line.serve(machine, id, next, now, &self.charged, &mut self.effects);
        }
        true
    }

    /// A core has just made an atomic access behind which it has others ready: if it has the line, it keeps it for them.
    pub(crate) fn go_on(&mut self, machine: &Machine, id: LineId, core: u32, now: Ps) {
        let line = &mut self.lines[id as usize];
        if line.owner == core {
            line.keep(now + machine.step + machine.hold, machine.visit, &self.charged);
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

    /// Its owner goes on using it, and keeps it for that; but not longer than a visit, if somebody waits.
    #[inline]
    fn keep(&mut self, until: Ps, visit: Ps, charged: &Charges) {
        let until = until.min(self.granted + visit);
        if until > self.kept_until {
            if let Some(turn) = &mut self.turn {
                charged.add(Cost::visit, until - self.kept_until);
                turn.begin = until;
            }
            self.kept_until = until;
        }
    }

    /// Tells those who watch of a write.
    fn tell(&mut self, line: LineId, effects: &mut VecDeque<Effect>) {
        effects.extend(self.watchers.drain(..).map(|core| Effect::Written { core, line }));
    }

    fn serve(
        &mut self,
        machine: &Machine,
        line: LineId,
        request: Request,
        now: Ps,
        charged: &Charges,
        effects: &mut VecDeque<Effect>,
    ) {
        let Request { core, want, since, detached } = request;
        let begin = now.max(self.kept_until);
        charged.add(self.kept_for, (begin - now).min(machine.time(self.kept_for)));
        let shared = self.owner == NOBODY;
        let from_home = if self.cached { machine.clean(self.home, core) } else { machine.memory };
        let mut cost = from_home;
        if want == Want::Far {
            cost = machine.far_atomic;
            charged.add(Cost::far_atomic, cost);
        } else if !shared {
            cost = machine.transfer(self.owner, core);
            charged.add(Cost::distance, cost);
        } else {
            let mut charge_to = Cost::shared_read;
            if want == Want::Write {
                let farthest = self.sharers.iter().map(|other| machine.transfer(other, core)).max().unwrap_or(0);
                let taken = farthest * Ps::from(machine.invalidate) / 1000;
                if self.sharers.has(core) || taken > from_home {
                    (cost, charge_to) = (taken, Cost::invalidate);
                }
            }
            if self.cached || charge_to == Cost::invalidate {
                charged.add(Cost::distance, cost);
                charged.add(charge_to, cost);
            } else {
                charged.add(Cost::memory, cost);
            }
        }
        self.cached = true;
        effects.push_back(Effect::Grant { at: begin + cost, core, line, queued: begin - since, detached });
        if shared && want == Want::Read {
            // Copies overlap: the home is busy with each for a moment, and nobody has a turn.
            self.kept_until = begin + machine.read_occupancy;
            self.kept_for = Cost::read_occupancy;
        } else {
            self.turn = Some(Turn { request, begin, cost });
        }
    }
}

#[cfg(test)]
mod tests;
