//! What one interrupt costs, design by design: the numbers that the series is about, counted by the engine itself.

use vgic_core::designs::series::{NAMES, spec};
use vgic_core::designs::{CacheKind, Composed, Doorbell, Eviction, Found, Get, Put, row};
use vgic_count::{Counts, counts, hit_path, lock_order};

fn count(design: &str, deliver: bool, mapped: u32) -> Counts {
    counts(Composed::named(design), deliver, mapped)
}

/// What a table has for a design: a design without a line has what it is based on has.
fn of_table<T: Copy>(table: &[(&str, T)], name: &str) -> T {
    match table.iter().find(|(design, _)| *design == name) {
        Some((_, value)) => *value,
        None => of_table(table, row(name).expect("a row, down to the first design").based_on),
    }
}

/// A hit, one send and the delivery. Of `lpi_list_lock`: cache check, put; at the fold get and put; put at prune.
const LPI_LIST_LOCK: &[(&str, u64)] = &[
    ("v6.7", 4), // no reference on a hit, so no put after it
    ("v6.8-rc1", 5),
    ("patch-08", 4), // get at the fold under RCU
    ("patch-10", 1), // no put takes it: the cache check is left
    ("patch-15", 0), // cache check under RCU
    ("rwlock", 0),   // a reader-writer lock of the cache instead
    ("v6.10", 0),    // no such lock
];

#[test]
fn lpi_list_lock_per_delivered_lpi() {
    for name in NAMES {
        let counted = count(name, true, 0).lock("lpi_list_lock");
        assert_eq!(counted, of_table(LPI_LIST_LOCK, name), "{name}");
        let spec = spec(name).expect("a design").1;
        let locked_put = u64::from(spec.put == Put::Locked);
        let get = u64::from(spec.get != Get::XArrayRcu);
        let put_after_hit = locked_put * u64::from(spec.cache_hit != Found::Unreferenced);
        let expected_without_check = get + 2 * locked_put + put_after_hit;
        assert!([expected_without_check, expected_without_check + 1].contains(&counted), "{name}");
    }
    let rwlock = count("rwlock", true, 0);
    assert_eq!(rwlock.locks["lpi_translation_cache_lock (read)"], 1);
}

#[test]
fn references_per_delivered_lpi() {
    for name in NAMES {
        let counts = count(name, true, 0);
        // Hit, queue, fold: a reference taken and dropped for each.
        let spec = spec(name).expect("a design").1;
        let hit = if matches!(spec.cache_hit, Found::Unreferenced | Found::InSection) { 0 } else { 2 };
        let expected = hit + if spec.queue_holds_lpis() { 4 } else { 0 };
        assert_eq!(counts.rmws.get("vgic_irq.refcount").copied().unwrap_or(0), expected, "{name}");
        let counted_by_use = match spec.cache {
            CacheKind::Lazy(lazy) => lazy.eviction != Eviction::Lru,
            kind => kind == CacheKind::ReadWrite,
        };
        let usage = counts.rmws.get("vgic_translation_cache_entry.usage_count");
        assert_eq!(usage.copied().unwrap_or(0), u64::from(counted_by_use), "{name}");
    }
}

#[test]
fn locks_of_the_lpi_and_of_its_list() {
    for name in NAMES {
        let counts = count(name, true, 0);
        let spec = spec(name).expect("a design").1;
        if spec.has_hints() {
            let spins: Vec<_> = counts.locks.keys().filter(|lock| !lock.starts_with("mutex")).collect();
            assert_eq!(spins, Vec::<&String>::new(), "{name}");
        } else {
            // Send, queue; depth, list register; fold; prune.
            assert_eq!(counts.lock("irq_lock"), 6, "{name}");
            // Queue, entry, exit.
            assert_eq!(counts.lock("ap_list_lock"), 3, "{name}");
        }
        let section = |what: &str| counts.others.get(what).copied().unwrap_or(0);
        let bus = spec.has_cache_per_its() && spec.per_its().doorbell == Doorbell::Bus;
        assert_eq!(section("srcu_read_lock"), u64::from(bus), "{name}: the doorbell's ITS");
        assert!(counts.others.keys().all(|what| !what.starts_with("alloc") && !what.starts_with("free")), "{name}");
        assert_eq!(section("synchronize_rcu"), 0, "{name}");
    }
}

/// A send that finds its LPI queued: locks, read-modify-writes (each lock is one more), plain writes.
const COALESCING: &[(&str, (u64, u64, u64))] = &[
    ("v6.7", (2, 2, 0)),     // lpi_list_lock, irq_lock; requests, mode
    ("v6.8-rc1", (3, 4, 0)), // lpi_list_lock twice; refcount twice
    ("patch-10", (2, 4, 0)), // lpi_list_lock once
    ("patch-12", (2, 5, 0)), // usage_count
    ("patch-15", (1, 5, 0)), // irq_lock alone
    ("rwlock", (2, 5, 0)),   // irq_lock, the cache's lock for reading
    ("v6.10", (1, 4, 0)),    // irq_lock; requests, mode, refcount twice
    ("next-01", (0, 3, 0)),  // the LPI's state, refcount twice
    ("next-02", (0, 1, 0)),  // the LPI's state
];

#[test]
fn shared_writes_per_coalescing_send() {
    for name in NAMES {
        let counts = count(name, false, 0);
        let sum = (counts.all_locks(), counts.all_rmws(), counts.all_writes());
        assert_eq!(sum, of_table(COALESCING, name), "{name}");
    }
}

/// What `hardened` mends is paid for elsewhere: a hit touches what it touches in `v7.3`, in that order, and a delivery as
/// much: it looks at `on_lr` and at EOIcount where `v7.3` looks twice at `last_lr_irq`.
#[test]
fn hardened_costs_a_hit_nothing() {
    assert_eq!(hit_path(Composed::named("hardened")), hit_path(Composed::named("v7.3")));
    assert_eq!(count("hardened", false, 0), count("v7.3", false, 0));
    for mapped in [0, 100] {
        let [ours, theirs] = ["hardened", "v7.3"].map(|name| count(name, true, mapped));
        assert_eq!((&ours.locks, &ours.rmws, &ours.writes), (&theirs.locks, &theirs.rmws, &theirs.writes));
        assert_eq!(ours.all_reads(), theirs.all_reads());
    }
}

#[test]
fn the_fold_of_the_baseline_walks_every_lpi() {
    for name in NAMES {
        let [few, some, many] = [0, 100, 200].map(|mapped| count(name, true, mapped));
        let walks = ["v6.7", "v6.8-rc1", "patch-01"].contains(name);
        // For each LPI its INTID and its link, under lpi_list_lock.
        let step = if walks { 200 } else { 0 };
        assert_eq!(many.all_reads() - some.all_reads(), step, "{name}");
        assert_eq!(some.all_reads() - few.all_reads(), step, "{name}");
        assert_eq!((&many.locks, &many.rmws, &many.writes), (&few.locks, &few.rmws, &few.writes), "{name}");
        // And nothing but the fold walks: a send costs the same.
        assert_eq!(count(name, false, 200), count(name, false, 0), "{name}");
    }
}

#[test]
fn the_hit_path_is_the_send_of_a_delivered_lpi() {
    for name in NAMES {
        let path = hit_path(Composed::named(name));
        let locks: Vec<_> = path.iter().filter(|step| step.kind.takes_lock()).map(|step| step.field).collect();
        let spec = spec(name).expect("a design").1;
        let queue: &[&str] = if spec.has_hints() { &[] } else { &["irq_lock", "ap_list_lock", "irq_lock"] };
        let rwlock = spec.cache == CacheKind::ReadWrite;
        let before: &[&str] = match of_table(LPI_LIST_LOCK, name) {
            _ if rwlock => &["lpi_translation_cache_lock"],
            0 => &[],
            _ => &["lpi_list_lock"],
        };
        let puts = spec.put == Put::Locked && spec.cache_hit != Found::Unreferenced;
        let after: &[&str] = if puts { &["lpi_list_lock"] } else { &[] };
        assert_eq!(locks, [before, queue, after].concat(), "{name}");
        // Every lock that a hit takes may be taken in a hard interrupt (irqfd), so interrupts are masked; irq_lock
        // nests, and the reader-writer lock is said to be taken so.
        for step in path.iter().filter(|step| step.kind.takes_lock() && !rwlock) {
            assert!(step.irqs_off, "{name}: {step}");
        }
        let unlocks = path.iter().filter(|step| step.kind.releases_lock()).count();
        assert_eq!(unlocks, locks.len(), "{name}");
    }
}

/// How locks nest, as a whole life of a guest shows it.
#[test]
fn lock_order_of_a_life() {
    for name in NAMES {
        let nestings = lock_order(Composed::named(name));
        let inside =
            |outer: &str, inner: &str| nestings.iter().any(|(o, i)| o.starts_with(outer) && i.starts_with(inner));
        let spec = spec(name).expect("a design").1;
        let has_list = inside("ap_list_lock", "irq_lock") && inside("its_lock", "ap_list_lock");
        assert_eq!(has_list, !spec.has_hints(), "{name}");
        // Up to 6.16 the last reference may go under ap_list_lock, and with it the LPI out of the index.
        let release_inside = spec.index.has_xarray() && !spec.releases_outside_raw_locks();
        assert_eq!(inside("ap_list_lock", "lpi_xa"), release_inside, "{name}");
        assert_eq!(inside("ap_list_lock", "lpi_list_lock"), spec.put == Put::Locked, "{name}");
        // No two locks nest both ways, directly or through others.
        for (outer, inner) in &nestings {
            let mut behind = vec![*inner];
            let mut seen = Vec::new();
            while let Some(lock) = behind.pop() {
                assert_ne!(lock, *outer, "{name}: {nestings:?}");
                if !seen.contains(&lock) {
                    seen.push(lock);
                    behind.extend(nestings.iter().filter(|(o, _)| *o == lock).map(|(_, i)| *i));
                }
            }
        }
    }
}
