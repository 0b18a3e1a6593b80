//! Golden step lists: what each command and each path touches, step by step, in a few designs that stand for the others.
//!
//! A change of the engine that adds, drops or reorders a step shows as a difference of `tests/golden/<design>.txt`. Is the
//! change meant, `VGIC_BLESS=1 cargo test -p vgic-count --test golden` writes the files again; the difference is then part
//! of what is reviewed. A line is one step as [`Step`](vgic_count::Step) prints it, indented by the locks held; `irqs off`
//! stands behind a lock that is taken with interrupts masked.

use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use vgic_core::Command;
use vgic_core::designs::Composed;
use vgic_core::irq::FIRST_LPI;
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{CountCtx, Tables};

/// The first, the middle and the last of the series, and what became of it.
const DESIGNS: [&str; 6] = ["v6.7", "patch-10", "patch-15", "v6.10", "v7.3", "next-05"];

/// What is done before, and what is written down.
struct Case {
    name: &'static str,
    before: fn(&Guest<'_>),
    does: fn(&Guest<'_>),
}

/// A mapped device with events 0 and 1 in collection 0 (vCPU 0); collection 1 is vCPU 1. Everything is on, nothing cached.
fn mapped(guest: &Guest<'_>) {
    guest.mapc(0, 0, 0, true);
    guest.mapc(0, 1, 1, true);
    guest.mapd(0, true);
    more_events(guest, 0..2);
    guest.lpis(0, true);
    guest.lpis(1, true);
    guest.vm.set_its_enabled(guest.ctx, &guest.its[0], true);
}

fn more_events(guest: &Guest<'_>, events: Range<u32>) {
    for event in events {
        guest.mapti(0, event, FIRST_LPI + event, 0);
    }
}

/// The same, with event 0 cached; it was taken and ended.
fn cached(guest: &Guest<'_>) {
    mapped(guest);
    send(guest, 0);
    guest.run(0);
}

/// The same, and its LPI is pending on vCPU 0.
fn queued(guest: &Guest<'_>) {
    cached(guest);
    send(guest, 0);
}

fn send(guest: &Guest<'_>, event: u32) {
    assert_eq!(guest.send(0, event), Ok(true));
}

/// It may be refused.
fn try_send(guest: &Guest<'_>) {
    let _ = guest.send(0, 0);
}

fn command(guest: &Guest<'_>, command: Command) {
    assert_eq!(guest.command(0, command), Ok(()), "{command:?}");
}

/// Entry, as many interrupts as there are list registers taken and ended, exit.
fn enter_take_exit(guest: &Guest<'_>) {
    let mut running = guest.vm.run_vcpu(guest.ctx, 0);
    running.enter_always();
    while let Some(intid) = running.acknowledge() {
        running.eoi(intid);
    }
    running.exit();
}

/// Entry and exit with something in between; the guest takes nothing.
fn enter_exit(guest: &Guest<'_>, meanwhile: impl FnOnce()) {
    let mut running = guest.vm.run_vcpu(guest.ctx, 0);
    running.enter_always();
    meanwhile();
    running.exit();
}

const EVENT_0: (u32, u32) = (DEVICE, 0);

const CASES: &[Case] = &[
    // Commands.
    Case { name: "MAPD of a new device", before: |_| {}, does: |g| g.mapd(0, true) },
    Case { name: "MAPD of a device that is mapped", before: queued, does: |g| g.mapd(0, true) },
    Case { name: "MAPD V=0, cached and queued", before: queued, does: |g| g.mapd(0, false) },
    Case { name: "MAPC of a new collection", before: mapped, does: |g| g.mapc(0, 2, 1, true) },
    Case { name: "MAPC to another vCPU, queued", before: queued, does: |g| g.mapc(0, 0, 1, true) },
    Case {
        name: "MAPC to a vCPU whose LPIs are off",
        before: |g| {
            queued(g);
            g.lpis(1, false);
        },
        does: |g| g.mapc(0, 0, 1, true),
    },
    Case { name: "MAPC V=0, cached and queued", before: queued, does: |g| g.mapc(0, 0, 0, false) },
    Case { name: "MAPTI", before: mapped, does: |g| g.mapti(0, 9, FIRST_LPI + 9, 0) },
    Case { name: "MAPTI of an LPI that is mapped", before: queued, does: |g| g.mapti(0, 9, FIRST_LPI, 0) },
    Case { name: "MAPTI of an event that is mapped", before: queued, does: |g| g.mapti(0, 0, FIRST_LPI + 9, 0) },
    Case {
        name: "MAPTI of an LPI that is pending in the table",
        before: |g| {
            mapped(g);
            g.tables.set_pending(0, (FIRST_LPI + 9) / 8, 1 << 1);
        },
        does: |g| g.mapti(0, 9, FIRST_LPI + 9, 0),
    },
    Case {
        name: "MAPI",
        before: mapped,
        does: |g| command(g, Command::Mapi { device_id: DEVICE, event_id: FIRST_LPI + 9, collection_id: 1 }),
    },
    Case {
        name: "MOVI, cached",
        before: cached,
        does: |g| command(g, Command::Movi { device_id: EVENT_0.0, event_id: EVENT_0.1, collection_id: 1 }),
    },
    Case {
        name: "MOVI, cached and queued",
        before: queued,
        does: |g| command(g, Command::Movi { device_id: EVENT_0.0, event_id: EVENT_0.1, collection_id: 1 }),
    },
    Case {
        name: "MOVALL, cached and queued",
        before: queued,
        does: |g| command(g, Command::Movall { from_vcpu: 0, to_vcpu: 1 }),
    },
    Case {
        name: "DISCARD, never sent",
        before: cached,
        does: |g| command(g, Command::Discard { device_id: DEVICE, event_id: 1 }),
    },
    Case {
        name: "DISCARD, cached",
        before: cached,
        does: |g| command(g, Command::Discard { device_id: EVENT_0.0, event_id: EVENT_0.1 }),
    },
    Case {
        name: "DISCARD, cached and queued",
        before: queued,
        does: |g| command(g, Command::Discard { device_id: EVENT_0.0, event_id: EVENT_0.1 }),
    },
    Case {
        name: "CLEAR, queued",
        before: queued,
        does: |g| command(g, Command::Clear { device_id: EVENT_0.0, event_id: EVENT_0.1 }),
    },
    Case {
        name: "INT",
        before: mapped,
        does: |g| command(g, Command::Int { device_id: EVENT_0.0, event_id: EVENT_0.1 }),
    },
    Case {
        name: "INV",
        before: cached,
        does: |g| command(g, Command::Inv { device_id: EVENT_0.0, event_id: EVENT_0.1 }),
    },
    Case {
        name: "INV that unmasks what is pending",
        before: |g| {
            cached(g);
            g.tables.configure(FIRST_LPI, 0xa0);
            command(g, Command::Inv { device_id: EVENT_0.0, event_id: EVENT_0.1 });
            send(g, 0);
            g.tables.configure(FIRST_LPI, 0xa1);
        },
        does: |g| command(g, Command::Inv { device_id: EVENT_0.0, event_id: EVENT_0.1 }),
    },
    Case { name: "INVALL", before: queued, does: |g| command(g, Command::Invall { collection_id: 0 }) },
    Case { name: "SYNC", before: queued, does: |g| command(g, Command::Sync { vcpu: 0 }) },
    // MSIs.
    Case { name: "miss", before: mapped, does: |g| send(g, 0) },
    Case { name: "hit", before: cached, does: |g| send(g, 0) },
    Case { name: "hit that coalesces", before: queued, does: |g| send(g, 0) },
    Case {
        name: "hit on an LPI that is queued elsewhere than it should go",
        before: |g| {
            queued(g);
            command(g, Command::Movi { device_id: EVENT_0.0, event_id: EVENT_0.1, collection_id: 1 });
            // Cached again.
            send(g, 0);
        },
        does: |g| send(g, 0),
    },
    Case {
        name: "hit that kicks a vCPU out of the guest",
        before: |g| {
            cached(g);
            let mut running = g.vm.run_vcpu(g.ctx, 0);
            running.enter_always();
            // Leaves it in the guest: no exit, and the mutex stays held.
            std::mem::forget(running);
        },
        does: |g| send(g, 0),
    },
    Case {
        name: "miss that evicts",
        before: |g| {
            mapped(g);
            more_events(g, 2..33);
            g.send_all(0, 0..32);
            while !g.run(0).is_empty() {}
        },
        does: |g| send(g, 32),
    },
    Case {
        name: "MSI to a masked LPI",
        before: |g| {
            cached(g);
            g.tables.configure(FIRST_LPI, 0xa0);
            command(g, Command::Inv { device_id: EVENT_0.0, event_id: EVENT_0.1 });
        },
        does: |g| send(g, 0),
    },
    Case {
        name: "MSI with the ITS off",
        before: |g| {
            cached(g);
            g.vm.set_its_enabled(g.ctx, &g.its[0], false);
        },
        does: try_send,
    },
    Case {
        name: "MSI with LPIs off",
        before: |g| {
            cached(g);
            g.lpis(0, false);
        },
        does: try_send,
    },
    Case { name: "MSI to an event that is not mapped", before: mapped, does: |g| assert!(g.send(0, 40) != Ok(true)) },
    // Entry and exit.
    Case { name: "entry and exit with an empty list", before: mapped, does: enter_take_exit },
    Case { name: "flush, taken and ended, fold", before: queued, does: enter_take_exit },
    Case {
        name: "flush of more than there are list registers, fold",
        before: |g| {
            mapped(g);
            more_events(g, 2..5);
            g.send_all(0, 0..5);
        },
        does: enter_take_exit,
    },
    Case {
        name: "flush of as many as there are list registers, fold",
        before: |g| {
            mapped(g);
            more_events(g, 2..4);
            g.send_all(0, 0..4);
        },
        does: enter_take_exit,
    },
    Case { name: "flush, left pending, fold", before: queued, does: |g| enter_exit(g, || ()) },
    Case {
        name: "flush, taken but not ended, fold",
        before: queued,
        does: |g| {
            let mut running = g.vm.run_vcpu(g.ctx, 0);
            running.enter_always();
            running.acknowledge();
            running.exit();
        },
    },
    Case {
        name: "flush, DISCARD, fold",
        before: queued,
        does: |g| enter_exit(g, || command(g, Command::Discard { device_id: EVENT_0.0, event_id: EVENT_0.1 })),
    },
    Case {
        name: "prune with migration",
        before: |g| {
            queued(g);
            command(g, Command::Movi { device_id: EVENT_0.0, event_id: EVENT_0.1, collection_id: 1 });
        },
        does: |g| enter_exit(g, || ()),
    },
    Case {
        name: "prune of the last reference",
        before: |g| {
            queued(g);
            command(g, Command::Discard { device_id: EVENT_0.0, event_id: EVENT_0.1 });
        },
        does: enter_take_exit,
    },
    // Switches and tables.
    Case {
        name: "EnableLPIs on, with a pending table",
        before: |g| {
            mapped(g);
            g.lpis(0, false);
            g.tables.set_pending(0, FIRST_LPI / 8, 0b101);
        },
        does: |g| g.lpis(0, true),
    },
    Case { name: "EnableLPIs off, cached and queued", before: queued, does: |g| g.lpis(0, false) },
    Case {
        name: "GITS_CTLR.Enabled off, cached and queued",
        before: queued,
        does: |g| g.vm.set_its_enabled(g.ctx, &g.its[0], false),
    },
    Case {
        name: "GITS_CTLR.Enabled on",
        before: |g| {
            cached(g);
            g.vm.set_its_enabled(g.ctx, &g.its[0], false);
        },
        does: |g| g.vm.set_its_enabled(g.ctx, &g.its[0], true),
    },
    Case { name: "GICD_CTLR off, queued", before: queued, does: |g| g.vm.set_distributor_enabled(g.ctx, false) },
    Case {
        name: "GICD_CTLR on, pending",
        before: |g| {
            cached(g);
            g.vm.set_distributor_enabled(g.ctx, false);
            send(g, 0);
        },
        does: |g| g.vm.set_distributor_enabled(g.ctx, true),
    },
    Case {
        name: "save of the pending tables",
        before: queued,
        does: |g| assert_eq!(g.vm.save_pending_tables(g.ctx), Ok(())),
    },
    Case {
        name: "block of a vCPU for which something is pending",
        before: queued,
        does: |g| g.vm.block(g.ctx, &g.vm.vcpus[0], || false),
    },
];

fn file(design: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", &format!("{design}.txt")].iter().collect()
}

/// The step list of one case; the guest is not taken down, as nothing comes after it.
fn steps(design: &str, case: &Case) -> String {
    let ctx = CountCtx::new();
    let guest = Guest::new(Composed::named(design), &ctx, 2, Tables::new()).expect("memory");
    (case.before)(&guest);
    let mut text = format!("== {} ==\n", case.name);
    let steps = ctx.record(|| (case.does)(&guest));
    assert!(!steps.is_empty(), "{design}: {} does nothing", case.name);
    for step in steps {
        let masks = if step.kind.takes_lock() && step.irqs_off { " irqs off" } else { "" };
        writeln!(text, "{step}{masks}").expect("a string takes it");
    }
    text
}

/// Where two texts part, with what stands before.
fn first_difference(old: &str, new: &str) -> String {
    let (mut case, mut shown) = ("", Vec::new());
    let mut news = new.lines();
    for (number, line) in old.lines().enumerate() {
        if line.starts_with("== ") {
            (case, shown) = (line, Vec::new());
        }
        match news.next() {
            Some(same) if same == line => shown.push(line),
            other => {
                let before = shown[shown.len().saturating_sub(5)..].join("\n  ");
                let now = other.unwrap_or("(the end)");
                return format!("line {}, {case}\n  {before}\n- {line}\n+ {now}", number + 1);
            }
        }
    }
    format!("more than before: {}", news.next().unwrap_or("a line's end"))
}

#[test]
fn every_command_and_path_takes_the_steps_that_are_written_down() {
    let bless = std::env::var_os("VGIC_BLESS").is_some_and(|value| value == "1");
    for design in DESIGNS {
        let new: Vec<_> = CASES.iter().map(|case| steps(design, case)).collect();
        let (new, file) = (new.join("\n"), file(design));
        if bless {
            fs::write(&file, &new).expect("the file can be written");
            continue;
        }
        let old = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(
            old == new,
            "{design}: the steps are others than in {}\n{}\nIf that is meant: VGIC_BLESS=1 cargo test -p vgic-count --test golden",
            file.display(),
            first_difference(&old, &new)
        );
    }
}
