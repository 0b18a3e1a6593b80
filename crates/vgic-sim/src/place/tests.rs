//! Where objects lie, and where they lie again.

use super::*;
use std::collections::BTreeSet;

/// Places that know a class of 64 bytes.
fn places() -> Places {
    let mut places = Places::default();
    let first = places.allocate(0, "thing");
    assert_eq!(first % LINE, 0, "the first lies alone");
    places.learn("thing", Shape { size: 40, aligned: false });
    places
}

#[test]
fn a_page_is_filled_one_behind_the_other() {
    let mut places = places();
    let all: Vec<_> = (0..3).map(|_| places.allocate(0, "thing")).collect();
    assert_eq!([all[1] - all[0], all[2] - all[1]], [64, 64], "40 bytes take 64");
    let rest: Vec<_> = (3..64).map(|_| places.allocate(0, "thing")).collect();
    assert_eq!(rest[60] - all[0], 63 * 64, "to its end");
}

/// As `kmalloc` has sizes; nodes of an XArray follow each other, and what is aligned takes whole lines.
#[test]
fn what_objects_take() {
    for (class, size, aligned, takes) in [
        ("a", 72, false, 96),
        ("b", 72, true, 128),
        ("c", 8, true, 64),
        ("xa_node", 520, false, 576),
        ("d", 520, false, 1024),
    ] {
        let mut places = Places::default();
        places.allocate(0, class);
        places.learn(class, Shape { size, aligned });
        let [one, other] = [0; 2].map(|core| places.allocate(core, class));
        assert_eq!(other - one, takes, "{class}");
    }
}

#[test]
fn what_was_freed_last_is_used_first() {
    let mut places = places();
    let [a, b, c] = [0; 3].map(|core| places.allocate(core, "thing"));
    places.free(0, "thing", a);
    places.free(0, "thing", c);
    assert_eq!(places.allocate(0, "thing"), c);
    assert_eq!(places.allocate(0, "thing"), a);
    let new = places.allocate(0, "thing");
    assert!(![a, b, c].contains(&new), "each is used once");
}

#[test]
fn it_is_used_by_the_core_that_freed_it() {
    let mut places = places();
    let [a, b] = [0; 2].map(|core| places.allocate(core, "thing"));
    places.free(1, "thing", a);
    let other = places.allocate(0, "thing");
    assert!(![a, b].contains(&other), "core 0 does not have it");
    assert_eq!(places.allocate(1, "thing"), a);
}

#[test]
fn classes_of_one_size_share_and_others_do_not() {
    let mut places = places();
    for (class, size) in [("same", 64), ("larger", 65), ("xa_node", 40)] {
        places.allocate(0, class);
        places.learn(class, Shape { size, aligned: false });
    }
    let a = places.allocate(0, "thing");
    places.free(0, "thing", a);
    assert_ne!(places.allocate(0, "larger"), a);
    assert_eq!(places.allocate(0, "same"), a);
}

/// Whatever is allocated and freed, no two that live overlap.
#[test]
fn what_lives_does_not_overlap() {
    const CLASSES: [(&str, u64); 4] = [("a", 24), ("b", 72), ("c", 200), ("d", 5000)];
    let mut random = 7_u64;
    let mut draw = |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % limit
    };
    let mut places = Places::default();
    let mut live: Vec<(u64, usize)> = Vec::new();
    let mut used = BTreeSet::new();
    let mut again = 0;
    for _ in 0..5000 {
        if live.len() > 40 || !live.is_empty() && draw(3) == 0 {
            let (address, class) = live.swap_remove(draw(live.len()));
            places.free(draw(3) as u32, CLASSES[class].0, address);
            continue;
        }
        let class = draw(CLASSES.len());
        let (name, size) = CLASSES[class];
        let address = places.allocate(draw(3) as u32, name);
        places.learn(name, Shape { size, aligned: class == 2 });
        for (other, of) in &live {
            let apart = address + size <= *other || other + CLASSES[*of].1 <= address;
            assert!(apart, "{name} at {address:#x} overlaps {} at {other:#x}", CLASSES[*of].0);
        }
        assert!(address >= LINE, "nothing lies where absent fields are");
        again += usize::from(!used.insert(address));
        live.push((address, class));
    }
    assert!(again > 1000, "memory is used again: {again} times");
}
