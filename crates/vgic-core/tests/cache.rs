//! Translation caches, in every design: what is found, what goes when there is no room, and what empties them.

use vgic_core::designs::series::NAMES;
use vgic_core::designs::{CacheKind, Composed, Eviction, Limit, Mapc};
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Event, Msi, Platform};
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{Count, CountCtx, Tables};

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
        // What 16 bits do not hold is nobody else's.
        for (device_id, event_id) in [(DEVICE, 0x1_0000), (DEVICE + 0x1_0000, 0), (0, DEVICE << 16)] {
            let msi = Msi { doorbell: first, device_id, event_id, device_id_valid: true };
            assert_eq!(guest.vm.inject_msi(&ctx, &msi), Ok(false), "{name}: {msi:?}");
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

/// An entry that was emptied is used again before one that is in use goes.
#[test]
fn an_emptied_cache_fills_without_an_eviction() {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = guest(name, &ctx, 1, ENTRIES + 1);
        for _ in 0..3 {
            assert!((0..ENTRIES).all(|event| !hits(&guest, event)), "{name}");
            assert!((0..ENTRIES).all(|event| hits(&guest, event)), "{name}");
            let command = Command::Movi { device_id: DEVICE, event_id: 0, collection_id: 0 };
            assert_eq!(guest.command(0, command), Ok(()), "{name}");
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
        let mapc = small.vm.spec().mapc;
        small.destroy();
        for change in empty {
            assert_eq!(after(change), usize::from(per_its), "{name}: {} empties the cache of its ITS", change.0);
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
    }
}
