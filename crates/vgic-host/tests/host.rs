//! A VM in the hands of a VMM: senders, vCPUs, commands and switches on threads of their own, in every design. At the
//! end each send has exactly one end, and nothing is left behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use vgic_core::designs::series::DESIGNS;
use vgic_core::vcpu::run::Tie;
use vgic_core::{Command, Event, Msi, Platform};
use vgic_host::{Host, new_host};
use vgic_native::{Native, NativeCtx, live_objects};

const VCPUS: u32 = 2;
const DEVICES: u32 = 2;
const EVENTS: u32 = 4;
/// So long no delivery is waited for: that it takes longer is a failure.
const HANGS: Duration = Duration::from_secs(600);
/// Designs that may lose an LPI while mappings come and go: a put-off release that a map overwrites (CVE-2026-74568).
const LEAKING: &[&str] = &["v6.17"];

fn sound() -> impl Iterator<Item = &'static str> {
    DESIGNS.iter().filter(|(_, spec)| !spec.is_unsound()).map(|(name, _)| *name)
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) % u64::from(limit)) as u32
    }
}

fn mapti(device_id: u32, event_id: u32, collection_id: u32) -> Command {
    Command::Mapti { device_id, event_id, intid: 8192 + device_id * EVENTS + event_id, collection_id }
}

fn map_all(ctx: &NativeCtx, host: &Host) {
    for vcpu in 0..VCPUS {
        host.command(ctx, 0, Command::Mapc { collection_id: vcpu, vcpu, valid: true }).unwrap();
    }
    for device_id in 0..DEVICES {
        host.command(ctx, 0, Command::Mapd { device_id, event_bits: 5, itt_addr: 0, valid: true }).unwrap();
        for event_id in 0..EVENTS {
            host.command(ctx, 0, mapti(device_id, event_id, event_id % VCPUS)).unwrap();
        }
    }
}

fn boot(ctx: &NativeCtx, host: &Host) {
    (0..VCPUS).for_each(|vcpu| host.set_lpis_enabled(ctx, vcpu, true, true).unwrap());
    map_all(ctx, host);
    host.set_its_enabled(ctx, 0, true);
}

fn change_mappings(ctx: &NativeCtx, host: &Host, random: &mut Random) {
    let (device_id, event_id) = (random.below(DEVICES), random.below(EVENTS));
    let collection_id = random.below(VCPUS);
    let command = match random.below(8) {
        0..=2 => Command::Discard { device_id, event_id },
        3..=5 => mapti(device_id, event_id, collection_id),
        6 => Command::Movi { device_id, event_id, collection_id },
        _ => Command::Movall { from_vcpu: random.below(VCPUS), to_vcpu: random.below(VCPUS) },
    };
    let _ = host.command(ctx, 0, command);
}

fn change_all(ctx: &NativeCtx, host: &Host, random: &mut Random) {
    let mut meanwhile = || (0..8).for_each(|_| change_mappings(ctx, host, random));
    let vcpu = (host.lpis(ctx).len() as u32) % VCPUS;
    meanwhile();
    // Whatever is switched off or unmapped comes back, so that there is traffic again.
    host.set_its_enabled(ctx, 0, false);
    meanwhile();
    host.set_its_enabled(ctx, 0, true);
    host.set_lpis_enabled(ctx, vcpu, false, true).unwrap();
    meanwhile();
    host.set_lpis_enabled(ctx, vcpu, true, true).unwrap();
    host.set_distributor_enabled(ctx, false);
    meanwhile();
    host.set_distributor_enabled(ctx, true);
    host.save_pending_tables(ctx).unwrap();
    assert!(host.lpis(ctx).len() <= (DEVICES * EVENTS) as usize);
    assert!(host.pending_count(ctx) <= u64::from(DEVICES * EVENTS + VCPUS * 4));
    host.command(ctx, 0, Command::Mapc { collection_id: vcpu, vcpu, valid: false }).unwrap();
    meanwhile();
    map_all(ctx, host);
}

/// What is sent and not yet delivered, coalesced or dropped.
fn open(counts: &[u64; Event::COUNT]) -> i64 {
    let count = |event: Event| counts[event as usize] as i64;
    count(Event::Sent) + count(Event::PendingLoaded)
        - count(Event::Delivered)
        - count(Event::Coalesced)
        - count(Event::Dropped)
}

fn torture(design: &str, change: fn(&NativeCtx, &Host, &mut Random), changes: u32) {
    let ctx = NativeCtx::new("test");
    let host = new_host(&ctx, design, VCPUS, 4, 1, false).unwrap();
    boot(&ctx, &host);
    let stop = AtomicBool::new(false);
    let delivered = AtomicBool::new(false);
    let total = Mutex::new([0_u64; Event::COUNT]);
    let add = |ctx: &NativeCtx| {
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        total.iter_mut().zip(ctx.counters()).for_each(|(sum, count)| *sum += count);
    };
    std::thread::scope(|scope| {
        for device_id in 0..DEVICES {
            let (host, stop, add) = (&host, &stop, &add);
            scope.spawn(move || {
                let ctx = NativeCtx::new("sender");
                while !stop.load(Ordering::Relaxed) {
                    for event_id in 0..EVENTS {
                        let msi = Msi { doorbell: host.doorbell(0), device_id, event_id, device_id_valid: true };
                        let _ = host.signal(&ctx, &msi);
                    }
                }
                add(&ctx);
            });
        }
        for vcpu in 0..VCPUS {
            let (host, stop, add, delivered) = (&host, &stop, &add, &delivered);
            scope.spawn(move || {
                let ctx = NativeCtx::new("vcpu");
                while !stop.load(Ordering::Relaxed) {
                    if let Some(intid) = host.acknowledge(&ctx, vcpu, Tie::Register) {
                        host.eoi(&ctx, vcpu, intid);
                        delivered.store(true, Ordering::Relaxed);
                    }
                }
                add(&ctx);
            });
        }
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let start = Instant::now();
        (0..changes).for_each(|_| change(&ctx, &host, &mut random));
        // On a busy machine the vCPUs may come late.
        while !delivered.load(Ordering::Relaxed) && start.elapsed() < HANGS {
            change(&ctx, &host, &mut random);
        }
        stop.store(true, Ordering::Relaxed);
    });
    add(&ctx);
    let counts = *total.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(counts[Event::Delivered as usize] > 0, "{design}: nothing was delivered");
    assert_eq!(open(&counts), host.pending_count(&ctx) as i64, "{design}: sends without an end, or with two");
}

fn torture_all(change: fn(&NativeCtx, &Host, &mut Random), changes: u32) {
    // The count of live objects is one of the process, so the tests take turns.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // Longer runs, by hand: VGIC_TORTURE_TIMES=20.
    let times = std::env::var("VGIC_TORTURE_TIMES").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for design in sound() {
        let left = || {
            Native::rcu_barrier(&NativeCtx::new("test"));
            let mut left = live_objects();
            if LEAKING.contains(&design) {
                left.remove("vgic_irq");
            }
            left.retain(|_, count| *count != 0);
            left
        };
        let before = left();
        torture(design, change, times * changes);
        assert_eq!(left(), before, "{design}: not all memory came back");
    }
}

#[test]
fn sends_add_up_while_mappings_change() {
    torture_all(change_mappings, 4_000);
}

#[test]
fn sends_add_up_while_everything_changes() {
    torture_all(change_all, 60);
}
