//! Translation caches, in every design: what is found, what goes when there is no room, and what empties them.

use vgic_core::designs::series::NAMES;
use vgic_core::designs::{CacheKind, Composed, Eviction, Forgets, Limit, Mapc, NewEntry};
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Event, Msi, Platform, SendError};
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{Count, CountCtx, Kind, Tables};

/// Entries of a cache with a limit, for one vCPU.
const ENTRIES: u32 = 16;

/// A guest whose first ITS has events 0 to `events` of its device, all in collection 0; its second ITS has event 0.
fn guest<'a>(name: &str, ctx: &'a CountCtx, vcpus: u32, events: u32) -> Guest<'a> {
    let guest = Guest::new(Composed::named(name), ctx, vcpus, Tables::new()).expect("memory");
    for its in [0, 1] {
        guest.mapc(its, 0, 0, true);
        guest.mapd(its, true);
        guest.vm.set_its_enabled(ctx, &guest.its[its], true);
    }
    for event in 0..events {
        guest.mapti(0, event, FIRST_LPI + event, 0);
    }
    guest.mapti(1, 0, FIRST_LPI + events, 0);
    for vcpu in 0..vcpus {
        guest.lpis(vcpu, true);
    }
    guest
}

/// Sends an event of the first ITS; whether the translation was cached.
fn hits(guest: &Guest<'_>, event: u32) -> bool {
    let counts = || [Event::CacheHit, Event::CacheMiss].map(|event| guest.ctx.events(event));
    let [hits, misses] = counts();
    assert_eq!(guest.send(0, event), Ok(true));
    match counts() {
        [h, m] if (h, m) == (hits + 1, misses) => true,
        [h, m] if (h, m) == (hits, misses + 1) => false,
        other => panic!("neither a hit nor a miss: {other:?} after {hits} hits, {misses} misses"),
    }
}

fn entries(ctx: &CountCtx) -> usize {
    // Those that a callback frees are gone then.
    Count::rcu_barrier(ctx);
    ctx.live_objects().iter().filter(|label| label.starts_with("vgic_translation_cache_entry")).count()
}

/// Doorbell, DeviceID and EventID: each alone makes another LPI of it.
#[test]
fn a_translation_is_found_by_its_whole_key() {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = guest(name, &ctx, 1, 2);
        let command = |command| assert_eq!(guest.command(0, command), Ok(()), "{name}");
        command(Command::Mapd { device_id: DEVICE + 1, event_bits: 16, itt_addr: 0, valid: true });
        command(Command::Mapti { device_id: DEVICE + 1, event_id: 0, intid: FIRST_LPI + 9, collection_id: 0 });
        let [first, second] = [0, 1].map(|its| guest.its[its].doorbell());
        let sends = [
            (first, DEVICE, 0, FIRST_LPI),
            (first, DEVICE, 1, FIRST_LPI + 1),
            (first, DEVICE + 1, 0, FIRST_LPI + 9),
            (second, DEVICE, 0, FIRST_LPI + 2),
        ];
        // Missed at first, then found, and found again in another order.
        for (turn, order) in [[0, 1, 2, 3], [0, 1, 2, 3], [3, 1, 0, 2]].into_iter().enumerate() {
            for (doorbell, device_id, event_id, intid) in order.map(|at: usize| sends[at]) {
                let msi = Msi { doorbell, device_id, event_id, device_id_valid: true };
                assert_eq!(guest.vm.inject_msi(&ctx, &msi), Ok(true), "{name}");
                assert_eq!(guest.run(0), [intid], "{name}, turn {turn}: {msi:?}");
            }
        }
        assert_eq!((ctx.events(Event::CacheMiss), ctx.events(Event::CacheHit)), (4, 8), "{name}");
        // What is cached is what is mapped.
        let audit = guest.vm.audit(&ctx);
        let mapped: Vec<_> = audit.mappings.iter().map(|mapping| (mapping.key, mapping.lpi)).collect();
        assert_eq!(audit.cached.len(), 4, "{name}");
        assert!(audit.cached.iter().all(|cached| mapped.contains(cached)), "{name}: {audit:?}");
        // What 16 bits do not hold is nobody else's.
        for (device_id, event_id) in [(DEVICE, 0x1_0000), (DEVICE + 0x1_0000, 0), (0, DEVICE << 16)] {
            let msi = Msi { doorbell: first, device_id, event_id, device_id_valid: true };
            assert_eq!(guest.vm.inject_msi(&ctx, &msi), Ok(false), "{name}: {msi:?}");
        }
        guest.destroy();
    }
}

/// The first and the last that there are: each is found, and each goes.
#[test]
fn a_cache_takes_every_device_and_event() {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = guest(name, &ctx, 1, 0);
        let command = |command| assert_eq!(guest.command(0, command), Ok(()), "{name}");
        let ends = [(0, 0), (0, 0xffff), (0xffff, 0), (0xffff, 0xffff)];
        for (n, (device_id, event_id)) in (0..).zip(ends) {
            if event_id == 0 {
                command(Command::Mapd { device_id, event_bits: 16, itt_addr: 0, valid: true });
            }
            command(Command::Mapti { device_id, event_id, intid: FIRST_LPI + n, collection_id: 0 });
        }
        let send = |device_id, event_id| {
            let msi = Msi { doorbell: guest.its[0].doorbell(), device_id, event_id, device_id_valid: true };
            guest.vm.inject_msi(&ctx, &msi)
        };
        for turn in 0..2 {
            for (n, (device_id, event_id)) in (0..).zip(ends) {
                assert_eq!(
                    (send(device_id, event_id), guest.run(0)),
                    (Ok(true), vec![FIRST_LPI + n]),
                    "{name}: {turn}"
                );
            }
        }
        assert_eq!((ctx.events(Event::CacheMiss), ctx.events(Event::CacheHit)), (4, 4), "{name}");
        assert_eq!(send(0x1_0000, 0), Ok(false), "{name}");
        assert_eq!(guest.vm.cached_translations(&ctx), 4, "{name}");
        guest.vm.set_its_enabled(&ctx, &guest.its[0], false);
        assert_eq!(guest.vm.cached_translations(&ctx), 0, "{name}");
        for (device_id, event_id) in ends {
            assert_eq!(send(device_id, event_id), Err(SendError::Busy), "{name}: the ITS is off");
        }
        guest.destroy();
    }
}

/// Where a hit moves its entry to the front, one that is there is left alone.
#[test]
fn a_hit_moves_an_entry_once() {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = guest(name, &ctx, 1, 2);
        let moves = match guest.vm.spec().cache {
            CacheKind::EagerLru => true,
            CacheKind::Lazy(lazy) => lazy.eviction == Eviction::Lru,
            CacheKind::ReadWrite | CacheKind::PerIts(_) => false,
        };
        assert!(!hits(&guest, 0) && !hits(&guest, 1), "{name}");
        let moved = |event| {
            let steps = ctx.record(|| assert!(hits(&guest, event), "{name}"));
            steps.iter().any(|step| step.kind.is_write() && step.class == "vgic_translation_cache_entry")
        };
        assert_eq!([1, 0, 0, 1].map(moved), [false, moves, false, moves], "{name}");
        guest.destroy();
    }
}

/// What the caches under one lock keep is looked at and changed with the lock held, but for a hit under RCU and an entry
/// that was taken out.
#[test]
fn what_a_lock_protects_is_touched_under_it() {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = guest(name, &ctx, 1, ENTRIES + 2);
        let (lock, lazy) = match guest.vm.spec().cache {
            CacheKind::EagerLru => ("lpi_list_lock", false),
            CacheKind::Lazy(_) => ("lpi_list_lock", true),
            CacheKind::ReadWrite => ("lpi_translation_cache_lock", false),
            CacheKind::PerIts(_) => ("", true),
        };
        let steps = ctx.record(|| {
            for round in 0..3 {
                guest.send_all(0, 0..ENTRIES + round);
                guest.send_all(0, 0..ENTRIES);
                guest.vm.cached_translations(&ctx);
            }
            guest.vm.set_its_enabled(&ctx, &guest.its[0], false);
        });
        let mut held: Vec<(&str, bool)> = Vec::new();
        for step in steps.iter().filter(|_| !lock.is_empty()) {
            let is_list = step.field.starts_with("lpi_translation_cache.") || step.field.starts_with("entry.");
            let is_entry = step.class == "vgic_translation_cache_entry";
            if step.kind.takes_lock() {
                held.push((step.field, step.kind == Kind::ReadLock));
            } else if step.kind.releases_lock() {
                let at = held.iter().rposition(|(field, _)| *field == step.field).expect("it is held");
                held.remove(at);
            } else if step.kind.is_write() && (is_list || is_entry && !lazy) {
                assert!(held.contains(&(lock, false)), "{name}: {step}");
            } else if step.kind.is_read() && (is_list || is_entry) && !lazy {
                assert!(held.iter().any(|(field, _)| *field == lock), "{name}: {step}");
            }
        }
        guest.destroy();
    }
}

#[test]
fn the_least_recently_used_goes() {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = guest(name, &ctx, 1, ENTRIES + 1);
        if guest.vm.spec().cache == CacheKind::EagerLru {
            assert!((0..ENTRIES).all(|event| !hits(&guest, event)), "{name}");
            // Twice: one that is in front stays there.
            assert!(hits(&guest, 0) && hits(&guest, 0) && hits(&guest, 3), "{name}");
            assert!(!hits(&guest, ENTRIES), "{name}: evicts event 1");
            assert!(hits(&guest, 0) && hits(&guest, 2), "{name}");
            assert!(!hits(&guest, 1), "{name}: evicts event 4");
            assert!((0..ENTRIES).filter(|event| *event != 4).all(|event| hits(&guest, event)), "{name}");
            assert_eq!(ctx.events(Event::CacheEviction), 2, "{name}");
        }
        guest.destroy();
    }
}

#[test]
fn the_least_used_goes_and_of_equals_the_oldest() {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = guest(name, &ctx, 1, ENTRIES + 1);
        let resets = match guest.vm.spec().cache {
            CacheKind::ReadWrite => Some(false),
            CacheKind::Lazy(lazy) if lazy.limit == Limit::Kept => Some(lazy.eviction == Eviction::UsageReset),
            _ => None,
        };
        if let Some(resets) = resets {
            assert!((0..ENTRIES).all(|event| !hits(&guest, event)), "{name}");
            for event in (0..ENTRIES).filter(|event| *event != 5) {
                assert!((0..if event == 7 { 6 } else { 1 }).all(|_| hits(&guest, event)), "{name}");
            }
            assert!(!hits(&guest, ENTRIES), "{name}: evicts event 5");
            for event in (0..=ENTRIES).filter(|event| ![5, 7].contains(event)) {
                assert!(hits(&guest, event) && hits(&guest, event), "{name}: event {event}");
            }
            // Event 7 was used most: before the eviction. A design that counts anew takes it; another one takes the oldest.
            assert!(!hits(&guest, 5), "{name}");
            let gone = if resets { 7 } else { 0 };
            for event in (0..=ENTRIES).filter(|event| *event != gone) {
                assert!(hits(&guest, event), "{name}: event {event} stays");
            }
            assert!(!hits(&guest, gone), "{name}: event {gone} went");
            assert_eq!((ctx.events(Event::CacheEviction), entries(&ctx)), (3, ENTRIES as usize), "{name}");
        }
        guest.destroy();
    }
}

/// How often a new entry counts as used: as often as the one that is used most, or never.
#[test]
fn a_new_entry_is_the_first_to_go_or_the_last() {
    for name in NAMES {
        // What is used after the one eviction and before the next, and who goes then.
        let goes = |used: &[u32], times: u32| {
            let ctx = CountCtx::new();
            let guest = guest(name, &ctx, 1, ENTRIES + 2);
            let new_entry = match guest.vm.spec().cache {
                CacheKind::ReadWrite => NewEntry::AtLargest,
                CacheKind::Lazy(lazy) if lazy.limit == Limit::Kept => lazy.new_entry,
                _ => return None,
            };
            guest.send_all(0, 0..ENTRIES);
            // Event 7 is used most.
            (0..6).for_each(|_| assert!(hits(&guest, 7), "{name}"));
            (1..ENTRIES).for_each(|event| assert!(hits(&guest, event), "{name}"));
            assert!(!hits(&guest, ENTRIES), "{name}: evicts event 0");
            for _ in 0..times {
                used.iter().for_each(|event| assert!(hits(&guest, *event), "{name}: event {event}"));
            }
            assert!(!hits(&guest, ENTRIES + 1), "{name}");
            let gone = (1..=ENTRIES).find(|event| !hits(&guest, *event));
            guest.destroy();
            gone.map(|gone| (new_entry, gone))
        };
        let others: Vec<u32> = (1..ENTRIES).collect();
        for (used, times, at_zero, at_largest) in
            [(&[][..], 0, 1, 1), (&others, 1, ENTRIES, 1), (&others, 3, ENTRIES, 1)]
        {
            if let Some((new_entry, gone)) = goes(used, times) {
                let expected = if new_entry == NewEntry::AtZero { at_zero } else { at_largest };
                assert_eq!(gone, expected, "{name}: {times} uses of the others");
            }
        }
    }
}

/// An entry that was emptied is used again before one that is in use goes.
#[test]
fn an_emptied_cache_fills_without_an_eviction() {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = guest(name, &ctx, 1, ENTRIES + 1);
        for _ in 0..3 {
            assert!((0..ENTRIES).all(|event| !hits(&guest, event)), "{name}");
            assert!((0..ENTRIES).all(|event| hits(&guest, event)), "{name}");
            guest.vm.set_its_enabled(&ctx, &guest.its[0], false);
            guest.vm.set_its_enabled(&ctx, &guest.its[0], true);
            assert_eq!(guest.vm.cached_translations(&ctx), 0, "{name}");
        }
        assert_eq!(ctx.events(Event::CacheEviction), 0, "{name}");
        let limited = match guest.vm.spec().cache {
            CacheKind::EagerLru | CacheKind::ReadWrite => true,
            CacheKind::Lazy(lazy) => lazy.limit == Limit::Kept,
            CacheKind::PerIts(_) => false,
        };
        if limited {
            assert_eq!(entries(&ctx), ENTRIES as usize, "{name}: no entry too many");
        }
        guest.destroy();
    }
}

/// What a translation is good for ends with the mapping, the collection, the ITS or the LPIs; not with where it goes.
#[test]
fn what_empties_a_cache() {
    let (device_id, event_id, collection_id) = (DEVICE, 0, 0);
    let all = 3;
    type Change = (&'static str, fn(&Guest<'_>, Command), Command);
    let by_command: fn(&Guest<'_>, Command) = |guest, command| assert_eq!(guest.command(0, command), Ok(()));
    let sync = Command::Sync { vcpu: 0 };
    let empty: [Change; 6] = [
        ("DISCARD", by_command, Command::Discard { device_id, event_id }),
        ("MAPD V=0", by_command, Command::Mapd { device_id, event_bits: 16, itt_addr: 0, valid: false }),
        ("MAPC V=0", by_command, Command::Mapc { collection_id, vcpu: 0, valid: false }),
        ("MOVI", by_command, Command::Movi { device_id, event_id, collection_id }),
        ("MOVALL", by_command, Command::Movall { from_vcpu: 0, to_vcpu: 1 }),
        ("GITS_CTLR", |guest, _| guest.vm.set_its_enabled(guest.ctx, &guest.its[0], false), sync),
    ];
    let keep: [Change; 10] = [
        ("MAPC", by_command, Command::Mapc { collection_id, vcpu: 1, valid: true }),
        ("MAPC of another collection", by_command, Command::Mapc { collection_id: 5, vcpu: 0, valid: true }),
        ("MOVALL to itself", by_command, Command::Movall { from_vcpu: 1, to_vcpu: 1 }),
        ("INT", by_command, Command::Int { device_id, event_id }),
        ("CLEAR", by_command, Command::Clear { device_id, event_id }),
        ("INV", by_command, Command::Inv { device_id, event_id }),
        ("INVALL", by_command, Command::Invall { collection_id }),
        ("SYNC", by_command, sync),
        ("GITS_CTLR on", |guest, _| guest.vm.set_its_enabled(guest.ctx, &guest.its[0], true), sync),
        ("EnableLPIs on", |guest, _| guest.lpis(0, true), sync),
    ];
    for name in NAMES {
        let after = |(what, change, command): Change| {
            let ctx = CountCtx::new();
            let guest = guest(name, &ctx, 2, 2);
            assert_eq!(
                (guest.send(0, 0), guest.send(0, 1), guest.send(1, 0)),
                (Ok(true), Ok(true), Ok(true)),
                "{name}"
            );
            assert_eq!(guest.vm.cached_translations(&ctx), all, "{name}: {what}");
            change(&guest, command);
            let left = guest.vm.cached_translations(&ctx);
            guest.destroy();
            left
        };
        let ctx = CountCtx::new();
        let small = guest(name, &ctx, 1, 0);
        let per_its = small.vm.spec().has_cache_per_its();
        let (mapc, forgets) = (small.vm.spec().mapc, small.vm.spec().per_its().forgets);
        small.destroy();
        // Of the three, those that are left where a design throws out what is stale: the other event's, and the other ITS's.
        let all_but_stale = |what: &str| match what {
            "MOVI" | "MOVALL" => all,
            "DISCARD" => all - 1,
            _ => 1,
        };
        let everything = forgets == Forgets::Everything;
        for change in empty {
            let expected = if everything { usize::from(per_its) } else { all_but_stale(change.0) };
            assert_eq!(after(change), expected, "{name}: {}", change.0);
        }
        for change in keep {
            assert_eq!(after(change), all, "{name}: {} leaves the cache", change.0);
        }
        let off: Change = ("EnableLPIs off", |guest, _| guest.lpis(1, false), sync);
        assert_eq!(after(off), 0, "{name}: EnableLPIs off empties every cache");
        let to_off: fn(&Guest<'_>, Command) = |guest, command| {
            guest.lpis(1, false);
            assert_eq!((guest.send(0, 0), guest.send(0, 1), guest.send(1, 0)), (Ok(true), Ok(true), Ok(true)));
            assert_eq!(guest.command(0, command), Ok(()));
        };
        let left = after(("MAPC to a vCPU without LPIs", to_off, keep[0].2));
        assert_eq!(left, if mapc == Mapc::EmptiesCache { usize::from(per_its) } else { all }, "{name}");
        if !everything {
            let movi = Command::Movi { device_id, event_id, collection_id: 5 };
            let to_collection_5: fn(&Guest<'_>, Command) = |guest, movi| {
                assert_eq!(guest.command(0, Command::Mapc { collection_id: 5, vcpu: 1, valid: true }), Ok(()));
                guest.lpis(1, false);
                assert_eq!((guest.send(0, 0), guest.send(0, 1), guest.send(1, 0)), (Ok(true), Ok(true), Ok(true)));
                assert_eq!(guest.command(0, movi), Ok(()));
            };
            assert_eq!(after(("MOVI to a vCPU without LPIs", to_collection_5, movi)), all - 1, "{name}");
            let movall = Command::Movall { from_vcpu: 0, to_vcpu: 1 };
            assert_eq!(after(("MOVALL to a vCPU without LPIs", to_off, movall)), 1, "{name}");
        }
    }
}
