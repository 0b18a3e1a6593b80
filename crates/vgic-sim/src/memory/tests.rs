//! What holds of a line whatever the cores do to it.

use super::*;

const CORES: u32 = 5;

/// A memory with one line, and cores of which each makes one access after another.
struct Rig {
    machine: Machine,
    memory: Memory,
    now: Ps,
    /// Grants that are to come: when, to whom, and whether that core goes on meanwhile.
    grants: Vec<(Ps, u32, bool)>,
}

impl Rig {
    fn new() -> Self {
        let mut memory = Memory::default();
        memory.reach(0);
        Rig { machine: Machine::flat(CORES), memory, now: 0, grants: Vec::new() }
    }

    fn line(&self) -> &Line {
        &self.memory.lines[0]
    }

    /// An access now; true if it takes effect at once.
    fn access(&mut self, core: u32, want: Want) -> bool {
        let outcome = self.memory.access(&self.machine, 0, core, want, false, self.now);
        self.settle();
        outcome == Outcome::Hit
    }

    /// The next grant comes; whose it was.
    fn grant(&mut self) -> u32 {
        let first = (0..self.grants.len()).min_by_key(|at| self.grants[*at]).expect("somebody waits");
        let (at, core, _) = self.grants.swap_remove(first);
        assert!(at >= self.now, "a grant in the past");
        self.now = at;
        self.memory.grant(&self.machine, 0, core, at);
        self.settle();
        core
    }

    fn settle(&mut self) {
        while let Some(effect) = self.memory.effects.pop_front() {
            if let Effect::Grant { at, core, detached, .. } = effect {
                self.grants.push((at, core, detached));
            }
        }
        let line = self.line();
        assert!(line.owner == NOBODY || line.sharers.is_empty(), "a line is owned, or shared: {line:?}");
        assert!(!line.sharers.has_nobody(), "nobody is no sharer: {line:?}");
        assert!(line.queue.is_empty() || line.turn.is_some(), "who waits, waits for somebody's turn: {line:?}");
    }

    fn has(&self, core: u32) -> bool {
        self.line().owner == core || self.line().sharers.has(core)
    }
}

impl CoreSet {
    fn has_nobody(&self) -> bool {
        self.iter().any(|core| core >= CORES)
    }
}

/// The line is in these caches, and in no other.
fn shared_by(rig: &Rig, cores: &[u32]) {
    let sharers: Vec<_> = rig.line().sharers.iter().collect();
    assert_eq!((rig.line().owner, sharers.as_slice()), (NOBODY, cores));
}

fn owned_by(rig: &Rig, core: u32) {
    assert_eq!((rig.line().owner, rig.line().sharers.is_empty()), (core, true));
}

#[test]
fn a_reader_makes_the_owner_a_sharer_and_a_writer_takes_the_line_from_all() {
    let mut rig = Rig::new();
    assert!(!rig.access(0, Want::Write));
    assert_eq!(rig.grant(), 0);
    owned_by(&rig, 0);
    assert!(rig.access(0, Want::Read) && rig.access(0, Want::Write), "it has the line");

    assert!(!rig.access(1, Want::Read));
    assert_eq!(rig.grant(), 1);
    shared_by(&rig, &[0, 1]);
    assert!(rig.access(0, Want::Read) && rig.access(1, Want::Read));
    assert!(!rig.access(0, Want::Write), "another one has a copy");
    assert_eq!(rig.grant(), 0);
    owned_by(&rig, 0);
    assert!(!rig.access(1, Want::Read), "its copy is gone");
}

/// The only one who shares a line writes it without asking; an atomic far away leaves it in no cache.
#[test]
fn the_only_sharer_owns_and_a_far_atomic_leaves_nobody() {
    let mut rig = Rig::new();
    assert!(!rig.access(2, Want::Read));
    rig.grant();
    shared_by(&rig, &[2]);
    assert!(rig.access(2, Want::Write));
    owned_by(&rig, 2);
    assert!(!rig.access(2, Want::Far), "also who has it asks");
    rig.grant();
    shared_by(&rig, &[]);
}

/// A copy that is on its way while another core becomes the owner is good for one look and no more.
#[test]
fn a_copy_that_comes_too_late_shares_nothing() {
    let mut rig = Rig::new();
    rig.access(0, Want::Read);
    rig.grant();
    rig.access(1, Want::Read);
    // The only sharer so far writes: a hit, as the copy of core 1 has not come.
    assert!(rig.access(0, Want::Write));
    assert_eq!(rig.grant(), 1);
    owned_by(&rig, 0);
    assert!(!rig.access(1, Want::Read), "it must ask again");
}

#[test]
fn turns_come_in_the_order_in_which_they_were_asked_for() {
    let mut rig = Rig::new();
    rig.access(0, Want::Write);
    rig.grant();
    for core in [3, 1, 4, 2] {
        assert!(!rig.access(core, Want::Write));
        rig.now += 1;
    }
    let granted: Vec<_> = (0..4).map(|_| rig.grant()).collect();
    assert_eq!(granted, [3, 1, 4, 2]);
    owned_by(&rig, 2);
}

/// The lines of memory that is freed and used again are those that they were: in the cache of who had them.
#[test]
fn reaching_a_line_again_leaves_it_where_it_is() {
    let mut rig = Rig::new();
    rig.access(3, Want::Write);
    rig.grant();
    rig.memory.reach(0);
    rig.memory.reach(7);
    owned_by(&rig, 3);
    assert!(rig.access(3, Want::Write));
}

#[test]
fn whatever_the_cores_do_a_line_has_one_owner_or_sharers() {
    let mut random = 1_u64;
    let mut draw = |limit: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % limit
    };
    let mut rig = Rig::new();
    let mut wants = [None; CORES as usize];
    let (mut hits, mut grants) = (0, 0);
    for _ in 0..100_000 {
        let core = draw(u64::from(CORES)) as u32;
        let before = rig.grants.iter().map(|(at, ..)| *at).min();
        // Time goes on, but not past the next grant.
        rig.now = (rig.now + draw(40_000)).min(before.unwrap_or(Ps::MAX));
        if wants[core as usize].is_some() {
            if !rig.grants.is_empty() {
                let core = rig.grant();
                grants += 1;
                match wants[core as usize].take().expect("it waited") {
                    Want::Write => owned_by(&rig, core),
                    Want::Far => assert_eq!(rig.line().owner, NOBODY),
                    Want::Read => {}
                }
            }
            continue;
        }
        let want = [Want::Read, Want::Read, Want::Write, Want::Far][draw(4) as usize];
        let had = rig.has(core);
        if rig.access(core, want) {
            hits += 1;
            assert!(had, "a hit needs the line");
            if want == Want::Write {
                owned_by(&rig, core);
            }
        } else {
            wants[core as usize] = Some(want);
        }
    }
    assert!(hits > 1000 && grants > 1000, "{hits} hits, {grants} grants");
    while !rig.grants.is_empty() {
        rig.grant();
    }
    assert!(rig.line().turn.is_none() && rig.line().queue.is_empty(), "nobody waits for ever");
}

/// As many cores as a machine may have, also where a word of the set ends.
#[test]
fn a_set_has_who_was_put_in() {
    let mut set = CoreSet::EMPTY;
    let cores = [0, 1, 63, 64, 65, 127, 128, 1023];
    for (before, core) in cores.into_iter().enumerate() {
        assert!(!set.has(core));
        set.insert(core);
        assert_eq!((set.is_only(core), set.is_empty()), (before == 0, false));
        assert_eq!(set.iter().collect::<Vec<_>>(), cores[..=before]);
    }
    set.clear();
    assert!(set.is_empty() && cores.iter().all(|core| !set.has(*core)));
    set.insert(64);
    assert_eq!(set.iter().collect::<Vec<_>>(), [64]);
}

/// Who watches a line is told of a write that hits, one that had to wait, and one at the line's home, and of one only.
#[test]
fn who_watches_is_told_of_the_next_write_of_any_kind() {
    let told = |rig: &mut Rig, core, want| {
        let outcome = rig.memory.access(&rig.machine, 0, core, want, false, rig.now);
        let mut told = 0;
        let mut effects = |memory: &mut Memory| {
            let mut grant = None;
            while let Some(effect) = memory.effects.pop_front() {
                match effect {
                    Effect::Written { core: 4, line: 0 } => told += 1,
                    Effect::Grant { at, .. } => grant = Some(at),
                    Effect::Written { .. } => panic!("nobody else watches: {effect:?}"),
                }
            }
            grant
        };
        if let Some(at) = effects(&mut rig.memory) {
            rig.now = at;
            rig.memory.grant(&rig.machine, 0, core, at);
            effects(&mut rig.memory);
        }
        (outcome == Outcome::Hit, told)
    };
    let mut rig = Rig::new();
    for (core, want, hit) in
        [(1, Want::Write, false), (1, Want::Write, true), (2, Want::Write, false), (2, Want::Far, false)]
    {
        rig.memory.watch(0, 4);
        assert_eq!(told(&mut rig, core, want), (hit, 1), "{core} {want:?}");
        assert_eq!(told(&mut rig, core, want).1, 0, "it watches no more");
    }
    rig.memory.watch(0, 4);
    assert_eq!(told(&mut rig, 3, Want::Read).1, 0, "a read is no write");
}
