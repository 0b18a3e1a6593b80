//! [`Ledger`]: what threads set out to do and have done, so that what comes later can be judged.
//!
//! Operations overlap, and an outsider does not know in which order they took effect. So each has a begin and an end on
//! one clock, and only what ended before another began counts as before it. What is judged is then right in every order
//! that may have been: a variable *may* have a value, or *must* have it.
//!
//! Plain data: none of this is seen by the search.

use super::EVENTS;
use std::collections::{BTreeMap, BTreeSet};
use vgic_core::Command;

/// A moment. Each beginning and each end has its own.
pub(super) type Time = u64;

/// The end of what still goes on.
const OPEN: Time = Time::MAX;

/// A change of a variable.
#[derive(Clone, Copy, Debug)]
struct Write<T> {
    begin: Time,
    end: Time,
    value: T,
    /// It had an effect for sure.
    sure: bool,
}

/// A variable and all that was ever written to it.
#[derive(Debug)]
struct Variable<T>(Vec<Write<T>>);

impl<T: Copy + PartialEq> Variable<T> {
    fn new(value: T) -> Self {
        Variable(vec![Write { begin: 0, end: 0, value, sure: true }])
    }

    fn begin(&mut self, now: Time, value: T) {
        self.0.push(Write { begin: now, end: OPEN, value, sure: false });
    }

    /// The write that began then has ended: without effect, or with one that is sure or possible.
    fn end(&mut self, begin: Time, now: Time, effect: Effect) {
        match effect {
            Effect::None => self.0.retain(|write| write.begin != begin),
            Effect::Possible | Effect::Sure => {
                for write in self.0.iter_mut().filter(|write| write.begin == begin) {
                    (write.end, write.sure) = (now, effect == Effect::Sure);
                }
            }
        }
    }

    /// Every value that it may have had at some moment of `from..=to`, by other writes than the one that began `but`.
    fn values(&self, from: Time, to: Time, but: Time) -> impl Iterator<Item = T> {
        let overwritten =
            move |write: &Write<T>| self.0.iter().any(|next| next.sure && next.begin > write.end && next.end < from);
        let counts = move |write: &&Write<T>| write.begin <= to && write.begin != but && !overwritten(write);
        self.0.iter().filter(counts).map(|write| write.value)
    }

    fn may(&self, from: Time, to: Time) -> impl Iterator<Item = T> {
        self.values(from, to, OPEN)
    }

    /// The value that it had all the time.
    fn must(&self, from: Time, to: Time) -> Option<T> {
        self.must_but(from, to, OPEN)
    }

    fn must_but(&self, from: Time, to: Time, but: Time) -> Option<T> {
        let mut values = self.values(from, to, but);
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    }

    /// Every value that was ever written.
    fn ever(&self) -> impl Iterator<Item = T> {
        self.0.iter().map(|write| write.value)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    None,
    Possible,
    Sure,
}

/// An event of an ITS: the INTID that it is mapped to, and its collection.
#[derive(Debug)]
struct EventState {
    intid: Variable<Option<u32>>,
    collection: Variable<Option<u32>>,
}

/// An MSI or an INT command.
#[derive(Clone, Copy, Debug)]
struct Send {
    its: usize,
    event: u32,
    begin: Time,
    end: Time,
    taken: bool,
}

/// What may have thrown away the pending state of an LPI, or of all.
#[derive(Clone, Copy, Debug)]
struct Upset {
    intid: Option<u32>,
    begin: Time,
    end: Time,
}

/// What was done to a VM.
#[derive(Debug)]
pub(super) struct Ledger {
    now: Time,
    events: Vec<Vec<EventState>>,
    its_on: Vec<Variable<bool>>,
    lpis_on: Vec<Variable<bool>>,
    /// vCPU of a collection of an ITS.
    targets: BTreeMap<(usize, u32), Variable<Option<u32>>>,
    sends: Vec<Send>,
    deliveries: Vec<(u32, Time)>,
    upsets: Vec<Upset>,
    /// How many CLEARs there were.
    clears: u64,
    /// LPIs that may have no vCPU, or whose configuration was changed: nothing is said of when they arrive.
    vague: BTreeSet<u32>,
}

impl Ledger {
    /// Of a VM whose collection c is vCPU c, with ITSes and LPIs on, and nothing mapped.
    pub(super) fn new(its: usize, vcpus: u32) -> Self {
        let event = || EventState { intid: Variable::new(None), collection: Variable::new(None) };
        let target = |its| (0..vcpus).map(move |vcpu| ((its, vcpu), Variable::new(Some(vcpu))));
        Ledger {
            now: 0,
            events: (0..its).map(|_| (0..EVENTS).map(|_| event()).collect()).collect(),
            its_on: (0..its).map(|_| Variable::new(true)).collect(),
            lpis_on: (0..vcpus).map(|_| Variable::new(true)).collect(),
            targets: (0..its).flat_map(target).collect(),
            sends: Vec::new(),
            deliveries: Vec::new(),
            upsets: Vec::new(),
            clears: 0,
            vague: BTreeSet::new(),
        }
    }

    fn tick(&mut self) -> Time {
        self.now += 1;
        self.now
    }

    fn upset(&mut self, intid: Option<u32>, begin: Time) {
        self.upsets.push(Upset { intid, begin, end: OPEN });
    }

    // Changes. Each beginning gives the time that its end is called with.

    pub(super) fn command_begins(&mut self, its: usize, command: &Command) -> Time {
        let now = self.tick();
        match *command {
            Command::Mapti { event_id, intid, collection_id, .. } => {
                self.map_begins(its, event_id, intid, collection_id)
            }
            Command::Mapi { event_id, collection_id, .. } => self.map_begins(its, event_id, event_id, collection_id),
            Command::Movi { event_id, collection_id, .. } => {
                self.events[its][event_id as usize].collection.begin(now, Some(collection_id));
            }
            Command::Discard { event_id, .. } => self.events[its][event_id as usize].intid.begin(now, None),
            Command::Mapd { .. } => self.events[its].iter_mut().for_each(|event| event.intid.begin(now, None)),
            Command::Mapc { collection_id, vcpu, valid } => {
                let target = self.targets.entry((its, collection_id)).or_insert_with(|| Variable::new(None));
                target.begin(now, valid.then_some(vcpu));
                if !valid {
                    self.events[its].iter_mut().for_each(|event| event.collection.begin(now, None));
                }
            }
            // The others map nothing: INT is a send, what CLEAR clears is known at its end.
            _ => {}
        }
        now
    }

    fn map_begins(&mut self, its: usize, event: u32, intid: u32, collection: u32) {
        let now = self.now;
        // The pending state is read from the pending table where the LPI is new.
        self.upset(Some(intid), now);
        let event = &mut self.events[its][event as usize];
        event.intid.begin(now, Some(intid));
        event.collection.begin(now, Some(collection));
    }

    pub(super) fn command_ends(&mut self, begin: Time, its: usize, command: &Command, done: bool) {
        let now = self.tick();
        let sure = if done { Effect::Sure } else { Effect::None };
        self.upsets.iter_mut().filter(|upset| upset.begin == begin).for_each(|upset| upset.end = now);
        match *command {
            Command::Mapti { event_id, intid, collection_id, .. } => {
                self.map_ends(begin, its, event_id, intid, collection_id, done);
            }
            Command::Mapi { event_id, collection_id, .. } => {
                self.map_ends(begin, its, event_id, event_id, collection_id, done);
            }
            Command::Movi { event_id, .. } => self.events[its][event_id as usize].collection.end(begin, now, sure),
            Command::Discard { event_id, .. } => self.events[its][event_id as usize].intid.end(begin, now, sure),
            // One that fails may have unmapped the device before.
            Command::Mapd { .. } => {
                let effect = if done { Effect::Sure } else { Effect::Possible };
                self.events[its].iter_mut().for_each(|event| event.intid.end(begin, now, effect));
            }
            Command::Mapc { collection_id, valid, .. } => {
                if let Some(target) = self.targets.get_mut(&(its, collection_id)) {
                    target.end(begin, now, sure);
                }
                for event in self.events[its].iter_mut().filter(|_| !valid) {
                    let is = |collection| collection == Some(collection_id);
                    let concerned = event.collection.values(begin, now, begin).any(is);
                    let alone = event.collection.must_but(begin, now, begin) == Some(Some(collection_id));
                    let effect = match (concerned && done, alone) {
                        (true, true) => Effect::Sure,
                        (true, false) => Effect::Possible,
                        (false, _) => Effect::None,
                    };
                    event.collection.end(begin, now, effect);
                }
            }
            Command::Clear { event_id, .. } => {
                self.clears += 1;
                let intids = self.events[its][event_id as usize].intid.may(begin, now).flatten();
                self.upsets.extend(intids.map(|intid| Upset { intid: Some(intid), begin, end: now }));
            }
            _ => {}
        }
    }

    fn map_ends(&mut self, begin: Time, its: usize, event: u32, intid: u32, collection: u32, done: bool) {
        let now = self.now;
        let state = &mut self.events[its][event as usize];
        // An event that is mapped keeps its mapping.
        let effect = match (done, state.intid.must_but(begin, now, begin)) {
            (false, _) => Effect::None,
            (true, Some(None)) => Effect::Sure,
            (true, _) => Effect::Possible,
        };
        state.intid.end(begin, now, effect);
        state.collection.end(begin, now, effect);
        let target = self.targets.entry((its, collection)).or_insert_with(|| Variable::new(None));
        if target.may(begin, now).any(|target| target.is_none()) {
            self.vague.insert(intid);
        }
    }

    pub(super) fn its_begins(&mut self, its: usize, on: bool) -> Time {
        let now = self.tick();
        self.its_on[its].begin(now, on);
        now
    }

    pub(super) fn its_ends(&mut self, begin: Time, its: usize) {
        let now = self.tick();
        self.its_on[its].end(begin, now, Effect::Sure);
    }

    pub(super) fn lpis_begins(&mut self, vcpu: u32, on: bool) -> Time {
        let now = self.tick();
        self.lpis_on[vcpu as usize].begin(now, on);
        self.upset(None, now);
        now
    }

    pub(super) fn lpis_ends(&mut self, begin: Time, vcpu: u32) {
        let now = self.tick();
        self.upsets.iter_mut().filter(|upset| upset.begin == begin).for_each(|upset| upset.end = now);
        // A write that finds another one at work has no effect.
        let lpis = &mut self.lpis_on[vcpu as usize];
        let alone = lpis.must_but(begin, now, begin).is_some();
        lpis.end(begin, now, if alone { Effect::Sure } else { Effect::Possible });
    }

    pub(super) fn configures(&mut self, intid: u32) {
        self.vague.insert(intid);
    }

    // Sends and deliveries.

    pub(super) fn send_begins(&mut self, its: usize, event: u32) -> Time {
        let begin = self.tick();
        self.sends.push(Send { its, event, begin, end: OPEN, taken: false });
        begin
    }

    /// A send has ended; what is wrong with its answer. `complete`: it would not have given up at a cache miss.
    pub(super) fn send_ends(&mut self, begin: Time, taken: bool, complete: bool) -> Option<Wrong> {
        let now = self.tick();
        let send = self.sends.iter_mut().rfind(|send| send.begin == begin)?;
        (send.end, send.taken) = (now, taken);
        let send = *send;
        if taken {
            let why = self.why_refused(&send)?;
            let intid = self.events[send.its][send.event as usize].intid.ever().flatten().next();
            let (why, off) = why;
            return Some(Wrong::Taken { event: send.event, why, off, intid });
        }
        let intid = self.must_arrive_at(&send).filter(|_| complete)?;
        Some(Wrong::Refused { event: send.event, intid })
    }

    /// Why a send cannot have been taken, if it cannot, and whether that is since something was off.
    fn why_refused(&self, send: &Send) -> Option<(&'static str, bool)> {
        let (from, to) = (send.begin, send.end);
        let event = &self.events[send.its][send.event as usize];
        if event.intid.may(from, to).all(|intid| intid.is_none()) {
            return Some(("its event was unmapped", false));
        }
        if self.its_on[send.its].must(from, to) == Some(false) {
            return Some(("the ITS was off", true));
        }
        let collections: Vec<_> = event.collection.may(from, to).flatten().collect();
        let target = |collection: &u32| self.targets.get(&(send.its, *collection));
        let mut mapped = collections.iter().filter_map(target).flat_map(|target| target.may(from, to));
        if mapped.all(|target| target.is_none()) {
            return Some(("its collection was unmapped", false));
        }
        // MAPC with V = 1 moves a collection without an invalidation: any vCPU that it had may have let the MSI in.
        let mut vcpus = collections.iter().filter_map(target).flat_map(|target| target.ever().flatten());
        let off = vcpus.all(|vcpu| self.lpis_on[vcpu as usize].must(from, to) == Some(false));
        off.then_some(("LPIs of its vCPU were off", true))
    }

    /// The INTID at which a send must arrive: mapped, on, and nothing touched meanwhile.
    fn must_arrive_at(&self, send: &Send) -> Option<u32> {
        let (from, to) = (send.begin, send.end);
        let event = &self.events[send.its][send.event as usize];
        let intid = event.intid.must(from, to)??;
        let collection = event.collection.must(from, to)??;
        let vcpu = self.targets.get(&(send.its, collection))?.must(from, to)??;
        let on = self.its_on[send.its].must(from, to)? && self.lpis_on[vcpu as usize].must(from, to)?;
        on.then_some(intid)
    }

    /// A vCPU takes an LPI: how often it was taken, and how often it was sent, if that is less. `loaded`: so many pending
    /// states came from pending tables.
    pub(super) fn delivered(&mut self, intid: u32, loaded: u64) -> Option<(u64, u64)> {
        let now = self.tick();
        self.deliveries.push((intid, now));
        let count = self.deliveries.iter().filter(|(other, _)| *other == intid).count() as u64;
        let may_hit = |send: &&Send| {
            let mut intids = self.events[send.its][send.event as usize].intid.may(send.begin, send.end.min(now));
            intids.any(|other| other == Some(intid))
        };
        let sent = self.sends.iter().filter(may_hit).count() as u64 + loaded;
        (count > sent).then_some((count, sent))
    }

    /// A send that should have arrived by now and has not: event and INTID. `enabled` says it of an LPI.
    pub(super) fn lost(&mut self, enabled: impl Fn(u32) -> bool) -> Option<(u32, u32)> {
        let now = self.tick();
        self.sends.iter().find_map(|send| {
            // Taken, and mapped to the same LPI ever since.
            let intid = self.must_arrive_at(send).filter(|_| send.taken)?;
            let stays = self.events[send.its][send.event as usize].intid.must(send.begin, now) == Some(Some(intid));
            let upset = |upset: &Upset| upset.end > send.begin && upset.intid.is_none_or(|other| other == intid);
            let arrived = |(other, at): &(u32, Time)| *other == intid && *at > send.begin;
            let lost = stays
                && enabled(intid)
                && !self.vague.contains(&intid)
                && !self.upsets.iter().any(upset)
                && !self.deliveries.iter().any(arrived);
            lost.then_some((send.event, intid))
        })
    }

    /// How many CLEARs have ended.
    pub(super) fn clears(&self) -> u64 {
        self.clears
    }

    /// Whether a vCPU that the collection ever had still takes LPIs.
    pub(super) fn ever_on(&self, its: usize, collection: u32) -> bool {
        let target = self.targets.get(&(its, collection));
        let mut vcpus = target.into_iter().flat_map(|target| target.ever().flatten());
        vcpus.any(|vcpu| self.lpis_on[vcpu as usize].must(self.now, self.now) != Some(false))
    }
}

/// What is wrong with the answer to a send.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It was taken although nothing could take it.
    Taken { event: u32, why: &'static str, off: bool, intid: Option<u32> },
    /// It was refused although everything was in place.
    Refused { event: u32, intid: u32 },
}
