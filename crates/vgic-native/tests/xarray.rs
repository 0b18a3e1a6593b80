//! The XArray on real threads: against a model, under concurrency, and with memory running out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vgic_core::guard::Rcu;
use vgic_core::xarray::XArray;
use vgic_core::{NoMemory, Obj, Platform};
use vgic_native::{Native, NativeCtx, live_objects};

type Tree = XArray<Native, Item>;

const SHIFT: u32 = 6;

/// What the trees hold. `check` is derived from the rest, so nonsense in freed memory does not fit.
struct Item {
    index: u64,
    serial: u64,
    check: AtomicU64,
}

fn checksum(index: u64, serial: u64) -> u64 {
    ((index << 40) ^ serial ^ 0x0123_4567_89AB_CDEF).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn item(ctx: &NativeCtx, index: u32, serial: u64) -> Obj<Item> {
    let index = u64::from(index);
    Native::alloc(ctx, "item", |_| Item { index, serial, check: AtomicU64::new(checksum(index, serial)) }).unwrap()
}

/// Frees an item that was in a tree.
fn free_rcu(ctx: &NativeCtx, obj: Obj<Item>) {
    // SAFETY: S-13 (test): the caller has erased the item and keeps no handle.
    unsafe { Native::free_rcu(ctx, obj) }
}

fn verify(index: u32, obj: Obj<Item>) {
    assert_eq!(obj.index, u64::from(index), "an item of another index, or a freed one");
    assert_eq!(obj.check.load(Ordering::Relaxed), checksum(obj.index, obj.serial), "a freed item at {index}");
}

fn tree() -> Tree {
    Native::embed("tree", |l| Tree::new(l, "tree.xa_lock", "tree.xa_head", 10))
}

/// The tests count live objects of the process, so they run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn live(ctx: &NativeCtx, class: &str) -> i64 {
    Native::rcu_barrier(ctx);
    live_objects().get(class).copied().unwrap_or(0)
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: u64) -> u64 {
        ((self.next() >> 32) * n) >> 32
    }

    /// An index: dense, around the borders of levels, as LPIs are, or anywhere.
    fn index(&mut self, mode: u64) -> u32 {
        match mode {
            0 => self.below(3) as u32,
            1 => self.below(200) as u32,
            2 => self.below(9000) as u32,
            3 => 8192 + self.below(5000) as u32,
            4 => {
                let border = 1u64 << (SHIFT as u64 * self.below(6));
                (border * (1 + self.below(3)) + self.below(3)).wrapping_sub(1) as u32
            }
            5 => u32::MAX - self.below(100) as u32,
            _ => self.next() as u32 & 0xFC0F_C0C3, // anywhere, with some indices that come again
        }
    }
}

/// What a tree should be.
#[derive(Clone, Default)]
struct Model(BTreeMap<u32, Option<Obj<Item>>>);

impl Model {
    fn object(&self, index: u32) -> Option<Obj<Item>> {
        self.0.get(&index).copied().flatten()
    }

    fn find(&self, from: u32, max: u32) -> Option<(u32, Obj<Item>)> {
        if from > max {
            return None;
        }
        self.0.range(from..=max).find_map(|(&index, &obj)| Some((index, obj?)))
    }

    /// How many nodes the tree has: one for each different index prefix, at each level that the largest index needs.
    fn nodes(&self) -> usize {
        let Some(&max) = self.0.keys().next_back().filter(|max| **max > 0) else {
            return 0;
        };
        (1..=6)
            .map(|level| level * SHIFT)
            .take_while(|bits| *bits == SHIFT || u64::from(max) >> (bits - SHIFT) > 0)
            .map(|bits| self.0.keys().map(|key| u64::from(*key) >> bits).collect::<BTreeSet<_>>().len())
            .sum()
    }

    /// Compares everything.
    fn check(&self, ctx: &NativeCtx, xa: &Tree) {
        assert_eq!(xa.lock(ctx).audit(), Ok(self.nodes()));
        assert_eq!(xa.is_empty(ctx), self.0.is_empty());
        let mut all = Vec::new();
        xa.for_each(ctx, 0, u32::MAX, |index, obj| all.push((index, obj)));
        let expected: Vec<_> = self.0.iter().filter_map(|(index, obj)| Some((*index, (*obj)?))).collect();
        assert_eq!(all, expected);
        let rcu = Rcu::read_lock(ctx);
        for (&index, &obj) in &self.0 {
            assert_eq!(xa.load(ctx, &rcu, index), obj);
        }
    }
}

/// One random change to both, and whether they answer the same.
fn step(ctx: &NativeCtx, xa: &Tree, model: &mut Model, r: &mut Random, pool: &[Obj<Item>], mode: u64, grow: u64) {
    let mut index = r.index(mode);
    if r.below(2) == 0 {
        index = model.0.range(index..).next().map_or(index, |(&near, _)| near);
    }
    let obj = pool[r.below(pool.len() as u64) as usize];
    let irqs_off = r.below(2) == 0;
    let growing = r.below(10) < grow;
    match (r.below(9), growing) {
        (0..=3, true) => {
            let old = model.0.entry(index).or_default().replace(obj);
            assert_eq!(xa.store(ctx, index, obj, irqs_off), Ok(old));
        }
        (4..=5, true) => {
            xa.reserve(ctx, index, irqs_off).unwrap();
            model.0.entry(index).or_default();
        }
        (0..=3, false) => {
            assert_eq!(xa.erase(ctx, index, irqs_off), model.0.remove(&index).flatten());
        }
        (4..=5, false) => {
            xa.release(ctx, index, irqs_off);
            if model.object(index).is_none() {
                model.0.remove(&index);
            }
        }
        (6, _) => {
            let stored = xa.lock(ctx).store(index, obj, false);
            match stored {
                Ok(old) => assert_eq!(old, model.0.entry(index).or_default().replace(obj)),
                Err(NoMemory) => assert!(!model.0.contains_key(&index)),
            }
        }
        (7, _) => {
            let max = if irqs_off { u32::MAX } else { index.saturating_add(r.index(mode)) };
            let rcu = Rcu::read_lock(ctx);
            assert_eq!(xa.find(ctx, &rcu, index, max), model.find(index, max));
            assert_eq!(xa.lock(ctx).find(index, max), model.find(index, max));
        }
        _ => {
            let rcu = Rcu::read_lock(ctx);
            let expected = model.object(index);
            assert_eq!(xa.load(ctx, &rcu, index), expected);
            assert_eq!(xa.lock(ctx).load(index), expected);
            assert_eq!(xa.is_empty(ctx), model.0.is_empty());
        }
    }
}

#[test]
fn a_million_operations_equal_the_model() {
    let _alone = alone();
    let ctx = NativeCtx::new("model");
    let (nodes_before, items_before) = (live(&ctx, "xa_node"), live(&ctx, "item"));
    let pool: Vec<_> = (0..512).map(|serial| item(&ctx, 0, serial)).collect();
    let mut r = Random(0x00C0_FFEE);
    let (xa, mut model) = (tree(), Model::default());
    for round in 0..500 {
        // A round stays in one range (the rest of the tree stays what it was), and mostly grows or mostly shrinks.
        let (mode, grow) = (r.below(7), 1 + r.below(9));
        for _ in 0..2000 {
            step(&ctx, &xa, &mut model, &mut r, &pool, mode, grow);
        }
        model.check(&ctx, &xa);
        match round % 20 {
            10 => {
                // Down to nothing, one by one in random order.
                let mut keys: Vec<u32> = model.0.keys().copied().collect();
                while !keys.is_empty() {
                    let key = keys.swap_remove(r.below(keys.len() as u64) as usize);
                    assert_eq!(xa.erase(&ctx, key, false), model.0.remove(&key).flatten());
                    if keys.len() % 256 < 4 {
                        assert_eq!(xa.lock(&ctx).audit(), Ok(model.nodes()));
                    }
                }
                assert!(xa.is_empty(&ctx));
                assert_eq!(live(&ctx, "xa_node"), nodes_before);
            }
            19 => {
                assert_eq!(live(&ctx, "xa_node") - nodes_before, model.nodes() as i64);
                xa.destroy(&ctx);
                model.0.clear();
                model.check(&ctx, &xa);
                assert_eq!(live(&ctx, "xa_node"), nodes_before);
            }
            _ => {}
        }
    }
    xa.destroy(&ctx);
    assert_eq!(live(&ctx, "xa_node"), nodes_before);
    pool.into_iter().for_each(|obj| free_rcu(&ctx, obj));
    assert_eq!(live(&ctx, "item"), items_before);
}

#[test]
fn every_allocation_may_fail() {
    let _alone = alone();
    let ctx = NativeCtx::new("no memory");
    let nodes_before = live(&ctx, "xa_node");
    let pool: Vec<_> = (0..16).map(|serial| item(&ctx, 0, serial)).collect();
    let mut r = Random(0xBAD_A110C);
    let (xa, mut model) = (tree(), Model::default());
    let mut failures = [0u32; 12];
    for round in 0..4000 {
        let fresh = round % 50 == 0;
        let mode = r.below(7);
        if fresh {
            // The longest way: an entry in the head, six levels on top of it, five nodes down.
            xa.destroy(&ctx);
            model = Model::default();
            assert_eq!(xa.store(&ctx, 0, pool[1], false), Ok(None));
            model.0.insert(0, Some(pool[1]));
        } else {
            for _ in 0..r.below(4) {
                step(&ctx, &xa, &mut model, &mut r, &pool, mode, 5);
            }
        }
        let mode = if fresh { 5 } else { r.below(7) };
        let (index, obj, reserve) = (r.index(mode), pool[0], r.below(2) == 0);
        for n in 1.. {
            ctx.fail_allocs.set(n);
            let done =
                if reserve { xa.reserve(&ctx, index, false) } else { xa.store(&ctx, index, obj, false).map(|_| ()) };
            ctx.fail_allocs.set(0);
            if done.is_ok() {
                break;
            }
            failures[n as usize] += 1;
            model.check(&ctx, &xa);
            assert_eq!(xa.lock(&ctx).store(index, obj, false), Err(NoMemory), "a path was left");
        }
        let entry = model.0.entry(index).or_default();
        if !reserve {
            *entry = Some(obj);
        }
        model.check(&ctx, &xa);
        if reserve {
            let old = model.object(index);
            assert_eq!(xa.lock(&ctx).store(index, obj, false), Ok(old), "reserved, so it needs no memory");
            *model.0.entry(index).or_default() = Some(obj);
        }
    }
    assert!(failures[1] > 100 && failures[2] > 100 && failures[6] > 10 && failures[11] > 10, "{failures:?}");
    assert_eq!(live(&ctx, "xa_node") - nodes_before, model.nodes() as i64);
    xa.destroy(&ctx);
    assert_eq!(live(&ctx, "xa_node"), nodes_before);
    pool.into_iter().for_each(|obj| free_rcu(&ctx, obj));
}

/// So long nothing here takes; that it did is a failure.
const HANGS: Duration = Duration::from_secs(600);

/// Stops the others if its thread panics.
struct StopOnPanic(Arc<AtomicBool>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Two writers change the tree at `goers` while two readers look: `stayers` are always there.
fn concurrent(stayers: &[u32], goers: &[u32]) {
    let _alone = alone();
    let ctx = NativeCtx::new("main");
    let (nodes_before, items_before) = (live(&ctx, "xa_node"), live(&ctx, "item"));
    let xa = Arc::new(tree());
    let stop = Arc::new(AtomicBool::new(false));
    let [changes, looks, hits] = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
    for &index in stayers {
        assert_eq!(xa.store(&ctx, index, item(&ctx, index, 0), false), Ok(None));
    }
    let mut threads = Vec::new();
    for id in 1..=2u64 {
        let (xa, stop, changes, goers) = (Arc::clone(&xa), Arc::clone(&stop), Arc::clone(&changes), goers.to_vec());
        threads.push(Native::spawn(&ctx, "writer", move |ctx| {
            let (mut r, mut serial) = (Random(id), id << 32);
            let _stop = StopOnPanic(Arc::clone(&stop));
            while !stop.load(Ordering::Relaxed) {
                let index = goers[r.below(goers.len() as u64) as usize];
                serial += 1;
                let displaced = match r.below(8) {
                    0..=2 => xa.store(ctx, index, item(ctx, index, serial), true).unwrap(),
                    3 => {
                        xa.reserve(ctx, index, true).unwrap();
                        let obj = item(ctx, index, serial);
                        let stored = xa.lock_irqsave(ctx).store(index, obj, false);
                        // The other writer may have erased or released the reservation.
                        stored.unwrap_or(Some(obj))
                    }
                    4 => {
                        xa.release(ctx, index, true);
                        None
                    }
                    _ => xa.erase(ctx, index, true),
                };
                if let Some(obj) = displaced {
                    verify(index, obj);
                    free_rcu(ctx, obj);
                }
                changes.fetch_add(1, Ordering::Relaxed);
                Native::rcu_throttle(ctx);
            }
        }));
    }
    for id in 1..=2u64 {
        let (xa, stop, looks, hits) = (Arc::clone(&xa), Arc::clone(&stop), Arc::clone(&looks), Arc::clone(&hits));
        let (stayers, goers) = (stayers.to_vec(), goers.to_vec());
        threads.push(Native::spawn(&ctx, "reader", move |ctx| {
            let mut r = Random(id << 16);
            let _stop = StopOnPanic(Arc::clone(&stop));
            while !stop.load(Ordering::Relaxed) {
                for &index in &stayers {
                    let rcu = Rcu::read_lock(ctx);
                    let obj = xa.load(ctx, &rcu, index).unwrap_or_else(|| panic!("missed {index}"));
                    verify(index, obj);
                }
                for _ in 0..16 {
                    let index = goers[r.below(goers.len() as u64) as usize];
                    let rcu = Rcu::read_lock(ctx);
                    if let Some(obj) = xa.load(ctx, &rcu, index) {
                        verify(index, obj);
                        if r.below(64) == 0 {
                            std::thread::yield_now(); // let the writers free it, if they dare
                            verify(index, obj);
                        }
                        hits.fetch_add(1, Ordering::Relaxed);
                    }
                }
                // Walks see all that stay, in order.
                let (mut from, mut seen) = (Some(0), Vec::new());
                let rcu = Rcu::read_lock(ctx);
                while let Some(first) = from {
                    let Some((index, obj)) = xa.find(ctx, &rcu, first, u32::MAX) else { break };
                    assert!(index >= first);
                    verify(index, obj);
                    if stayers.contains(&index) {
                        seen.push(index);
                    }
                    from = index.checked_add(1);
                }
                assert_eq!(seen, stayers, "a walk missed an entry");
                drop(rcu);
                looks.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    // Until everybody has done some work, however busy the machine is.
    let start = Instant::now();
    let done = |count: &AtomicU64, least: u64| count.load(Ordering::Relaxed) >= least;
    while !(stop.load(Ordering::Relaxed) || done(&changes, 50_000) && done(&looks, 2_000) && done(&hits, 2_000)) {
        std::thread::sleep(Duration::from_millis(10));
        assert!(start.elapsed() < HANGS, "no end: {changes:?} changes, {looks:?} rounds of reading, {hits:?} hits");
    }
    stop.store(true, Ordering::Relaxed);
    let panicked = threads.into_iter().map(|thread| Native::join(&ctx, thread)).filter(|fine| !fine).count();
    assert_eq!(panicked, 0, "threads panicked");
    let [changes, looks, hits] = [changes, looks, hits].map(|count| count.load(Ordering::Relaxed));
    println!("{changes} changes, {looks} rounds of reading, {hits} hits of entries that come and go");

    xa.lock(&ctx).audit().unwrap();
    let mut last = Vec::new();
    xa.for_each(&ctx, 0, u32::MAX, |index, obj| {
        verify(index, obj);
        assert_eq!(xa.erase(&ctx, index, false), Some(obj));
        last.push(obj);
    });
    last.into_iter().for_each(|obj| free_rcu(&ctx, obj));
    goers.iter().for_each(|&index| xa.release(&ctx, index, false));
    assert!(xa.is_empty(&ctx));
    assert_eq!(live(&ctx, "xa_node"), nodes_before);
    assert_eq!(live(&ctx, "item"), items_before);
}

#[test]
fn index_0_stays_while_the_tree_collapses_into_the_head_and_back() {
    concurrent(&[0], &[1]);
}

#[test]
fn index_0_stays_while_levels_come_and_go() {
    concurrent(&[0], &[63, 64, 4095, 4096, 1 << 18, 1 << 24, u32::MAX]);
}

#[test]
fn a_leaf_stays_while_levels_come_and_go() {
    concurrent(&[5, 17], &[0, 6, 64, 5000, 1 << 30]);
}

#[test]
fn lpis_stay_while_neighbours_come_and_go() {
    let goers: Vec<u32> = (8192..8200).chain(8256..8260).chain([0, 9000, 20_000, 70_000, u32::MAX]).collect();
    concurrent(&[8200, 8255, 12_288, 65_536], &goers);
}

#[test]
fn everything_comes_and_goes() {
    concurrent(&[], &[0, 1, 64, 8192, 8193, u32::MAX]);
}
