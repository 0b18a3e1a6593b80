//! What a prediction counts, and when: the window is the same for everything that is counted in it, and a short run tells
//! the same as a long one.

use std::collections::BTreeSet;
use vgic_core::Event;
use vgic_core::designs::ROWS;
use vgic_lab::bench::{Guest, Load};
use vgic_predict::{Closed, Driver, Entry, FileReference, Flood, GICV4, Outcome, Predict, Setting};
use vgic_sim::machine::{Machine, NS};

fn setting(seed: u64) -> Setting {
    let machine = Machine { jitter: 300, ..Machine::flat(16) };
    Setting { machine, seed, free: BTreeSet::new(), trace: 0, allow_unsound: true }
}

fn designs() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name).chain([GICV4])
}

fn flood(vcpus: u32, devices: u32, events: u32) -> Flood {
    let load = Load { vcpus, devices, events, guest: Guest::Fixed, list_registers: 4, mapped: 0 };
    Flood { load, iterations: 4, warmup: 1, entry: Entry::Irqfd, gap: 0 }
}

fn run(load: &impl Predict, design: &str, seed: u64) -> Outcome {
    load.predict(design, &setting(seed), &mut |_| true).unwrap_or_else(|failure| panic!("{design}: {failure:?}"))
}

/// The counts of a window never contradict each other, however short it is and whatever was before.
fn check(outcome: &Outcome, what: &str) {
    let count = |event: Event| outcome.measured[event as usize];
    let (sent, delivered) = (count(Event::Sent), count(Event::Delivered));
    assert!(outcome.accepted <= sent, "{what}: accepted {} of {sent}", outcome.accepted);
    assert!(delivered <= outcome.accepted, "{what}: delivered {delivered} of {}", outcome.accepted);
    assert_eq!(outcome.latency.samples, delivered, "{what}: each delivery of the window has a latency");
    let all = |event: Event| outcome.counts[event as usize];
    let ends = all(Event::Delivered) + all(Event::Coalesced) + all(Event::Dropped) + outcome.pending;
    assert_eq!(all(Event::Sent), ends, "{what}: the whole run adds up");
}

#[test]
fn no_more_is_accepted_than_sent_and_no_more_delivered_than_accepted() {
    let ioctl = |msis| Entry::Ioctl { reference: FileReference::CompareAndSwap, msis };
    let entries = [Entry::Direct, Entry::Irqfd, ioctl(1), ioctl(5)];
    for design in designs() {
        for (gap, guest) in
            [(0, Guest::Fixed), (0, Guest::AsPublished), (900 * NS, Guest::Fixed), (5000 * NS, Guest::Fixed)]
        {
            for (number, entry) in (0..).zip(entries) {
                let mut flood = Flood { gap, entry, warmup: number % 2, ..flood(3, 4, 3) };
                flood.load.guest = guest;
                let outcome = run(&flood, design, number);
                let what = format!("{design}, gap {gap}, {guest:?}, {entry:?}");
                check(&outcome, &what);
                let count = |event: Event| outcome.measured[event as usize];
                let (sent, all) = (count(Event::Sent), 4 * 3 * 4);
                assert_eq!(outcome.counts[Event::Sent as usize], all + 4 * 3 * flood.warmup, "{what}");
                if gap == 0 {
                    assert_eq!(
                        (sent, outcome.accepted),
                        (all, all),
                        "{what}: a flood's window ends with its last sender"
                    );
                } else {
                    assert!((12..=all).contains(&sent), "{what}: {sent}: it ends with the first that is through");
                }
                if guest == Guest::Fixed {
                    // No send is under way when the window begins, and with a pace nothing is pending.
                    let ends = count(Event::Delivered) + count(Event::Coalesced) + count(Event::Dropped);
                    assert!(ends <= sent, "{what}: {ends} of {sent}");
                    // Many sends at once may keep the guest out for all of so short a window.
                    let bursts = gap == 0 || (gap < 5000 * NS && entry == ioctl(5));
                    assert!(bursts || count(Event::Delivered) > 0, "{what}");
                } else {
                    assert_eq!(count(Event::Delivered), 0, "{what}");
                }
            }
        }
    }
}

#[test]
fn nor_in_a_closed_loop() {
    let many = Entry::Ioctl { reference: FileReference::None, msis: 3 };
    let polls = Driver { polls: true, packet: 500 * NS, ..Driver::EACH };
    let all = Driver {
        polls: true,
        packet: 500 * NS,
        rx_moderation: 8000 * NS,
        tx_moderation: 20_000 * NS,
        client: 2000 * NS,
        servers: 2,
        pipeline: 3,
        movi: 20_000 * NS,
    };
    for design in designs() {
        for (requests, warmup, entry, driver) in [
            (1, 0, Entry::Irqfd, Driver::EACH),
            (7, 3, Entry::Irqfd, Driver::EACH),
            (60, 10, Entry::Irqfd, Driver::EACH),
            (60, 10, many, Driver::EACH),
            (60, 10, Entry::Irqfd, polls),
            (60, 0, many, all),
        ] {
            let (service, network) = (3000 * NS, 9000 * NS);
            let closed = Closed {
                vcpus: 3,
                queues: 4,
                in_flight: 24,
                service,
                network,
                requests,
                warmup,
                entry,
                list_registers: 4,
                driver,
            };
            let outcome = run(&closed, design, requests);
            check(&outcome, &format!("{design}, {requests} requests after {warmup}, {driver:?}"));
            assert!(outcome.response.samples <= outcome.requests);
            assert!(outcome.requests >= requests);
        }
    }
}

/// A guest that polls takes fewer interrupts the more is in flight, and about two a request when little is: one for the
/// request, one for its answer.
#[test]
fn a_guest_that_polls_takes_fewer_interrupts_than_packets() {
    let closed = |in_flight, driver| {
        let (service, network) = (3000 * NS, 9000 * NS);
        let (requests, warmup) = (400, 40);
        let load = Closed {
            vcpus: 4,
            queues: 4,
            in_flight,
            service,
            network,
            requests,
            warmup,
            entry: Entry::Irqfd,
            list_registers: 4,
            driver,
        };
        let outcome = run(&load, "v7.3", 1);
        outcome.accepted as f64 / outcome.requests as f64
    };
    let polls = Driver { polls: true, packet: 500 * NS, ..Driver::EACH };
    let (few, some, many) = (closed(4, polls), closed(32, polls), closed(256, polls));
    assert!((1.8..=2.05).contains(&few), "{few}");
    assert!(some < 0.8 * few && many <= some, "{some}, {many}");
    assert!((1.9..=2.1).contains(&closed(256, Driver::EACH)));
    let pipelined = closed(256, Driver { pipeline: 16, ..polls });
    assert!(pipelined < 0.3 * some, "{pipelined}");
    let moderated = closed(32, Driver { rx_moderation: 50_000 * NS, tx_moderation: 50_000 * NS, ..polls });
    assert!(moderated < 0.6 * some, "{moderated}");
}

/// The first interrupt of each queue misses, which in this design waits for a grace period: that is the warm-up's, however
/// few answers are asked for before the window. A cold start can be had.
#[test]
fn a_closed_loop_is_warm_when_its_window_begins() {
    let closed = |warmup| Closed {
        vcpus: 4,
        queues: 6,
        in_flight: 24,
        service: 3000 * NS,
        network: 9000 * NS,
        requests: 100,
        warmup,
        entry: Entry::Irqfd,
        list_registers: 4,
        driver: Driver::EACH,
    };
    let misses = |warmup| run(&closed(warmup), "patch-15", 1).measured[Event::CacheMiss as usize];
    assert_eq!(misses(1), 0);
    assert!(misses(0) > 0);
}

/// With a pace that a design keeps up with, the cold start is over when the window begins, so that five rounds have the
/// latency of two hundred. (Devices that all began with their first event would visit one vCPU after the other together.)
#[test]
fn a_short_run_has_the_latency_of_a_long_one() {
    for design in ["v6.9", "patch-15", "v6.10", "v7.1.8"] {
        let of = |iterations| run(&Flood { iterations, warmup: 2, gap: 8000 * NS, ..flood(8, 8, 8) }, design, 1);
        let (short, long) = (of(5), of(200));
        let ratio = short.latency.median as f64 / long.latency.median as f64;
        assert!((0.95..1.05).contains(&ratio), "{design}: {} to {} ps", short.latency.median, long.latency.median);
        let rate = |outcome: &Outcome| outcome.accepted as f64 / outcome.elapsed as f64;
        let ratio = rate(&short) / rate(&long);
        assert!((0.96..1.04).contains(&ratio), "{design}: {ratio}");
    }
}

/// While a pace is kept up with, the rate of sends is that of the pace.
#[test]
fn a_pace_is_kept() {
    for devices in [1, 3, 8] {
        let outcome = run(&Flood { iterations: 100, gap: 10_000 * NS, ..flood(8, devices, 4) }, "v6.10", 3);
        let sent = outcome.measured[Event::Sent as usize] as f64;
        let asked = f64::from(devices) * outcome.elapsed as f64 / (10_000.0 * NS as f64);
        assert!((0.98..1.02).contains(&(sent / asked)), "{devices} devices: sent {sent}, asked for {asked}");
    }
}
