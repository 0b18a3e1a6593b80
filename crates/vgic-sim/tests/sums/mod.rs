//! What something costs as a sum of the machine's values: so many of each.
//!
//! Nothing is computed for that. A scene is played again with one value a nanosecond longer: so much longer as it takes then,
//! so often is the value in it.

use crate::common::Rig;
use vgic_sim::machine::{Distance, Machine, NS};
use vgic_sim::{Ps, SimCtx};

/// A value, and what makes it longer. Who keeps a line longer has that in the distance: so the transfer stays as it is.
type Value = (&'static str, fn(&mut Machine, Ps));

const VALUES: [Value; 25] = [
    ("transfer", farther),
    ("memory", |m, by| m.memory += by),
    ("far", |m, by| m.far_atomic += by),
    ("occupancy", |m, by| m.read_occupancy += by),
    ("load", |m, by| m.hit_load += by),
    ("near load", |m, by| m.near_load += by),
    ("store", |m, by| m.hit_store += by),
    ("rmw", |m, by| (m.hit_rmw, _) = (m.hit_rmw + by, farther(m, by))),
    ("step", |m, by| (m.step, _) = (m.step + by, farther(m, by))),
    ("hold", |m, by| (m.hold, _) = (m.hold + by, farther(m, by))),
    ("fence", |m, by| m.fence += by),
    ("relax", |m, by| m.relax += by),
    ("section", |m, by| m.rcu_section += by),
    ("grace", |m, by| (m.grace_period_min, m.grace_period_max) = (m.grace_period_min + by, m.grace_period_max + by)),
    ("kmalloc", |m, by| m.kmalloc += by),
    ("kfree", |m, by| m.kfree += by),
    ("wake", |m, by| m.wake += by),
    ("latency", |m, by| m.wake_latency += by),
    ("ipi", |m, by| m.ipi_send += by),
    ("in", |m, by| m.world_switch_in += by),
    ("out", |m, by| m.world_switch_out += by),
    ("write lr", |m, by| m.list_register_write += by),
    ("read lr", |m, by| m.list_register_read += by),
    ("guest", |m, by| m.guest_access += by),
    ("bus", |m, by| m.bus_step += by),
];

fn farther(machine: &mut Machine, by: Ps) {
    if let Distance::Classes { cost, .. } = &mut machine.distance {
        cost.iter_mut().for_each(|cost| *cost += by);
    }
}

/// A machine on which no two values are easily taken for each other.
pub fn machine() -> Machine {
    let grace = 1_000_000 * NS;
    Machine { grace_period_min: grace, grace_period_max: grace, ..Machine::flat(8) }
}

/// What it took from one word to the other, as a sum.
fn sum(machine: &Machine, play: &dyn Fn(&Machine) -> Vec<(&'static str, Ps)>, from: &str, to: &str) -> String {
    let took = |machine: &Machine| {
        let log = play(machine);
        let at = |what| log.iter().find(|(said, _)| *said == what).unwrap_or_else(|| panic!("{what} in {log:?}")).1;
        at(to) as i64 - at(from) as i64
    };
    let base = took(machine);
    let terms = VALUES.iter().filter_map(|(name, lengthen)| {
        let mut longer = machine.clone();
        lengthen(&mut longer, NS);
        match (took(&longer) - base) as f64 / NS as f64 {
            0.0 => None,
            1.0 => Some((*name).to_owned()),
            times => Some(format!("{times} {name}")),
        }
    });
    terms.collect::<Vec<_>>().join(" + ")
}

/// Plays a scene, and compares sums: from a word, to a word, what it took.
pub fn costs(machine: &Machine, free: &[&str], scene: impl Fn(&Rig), expected: &[(&str, &str, &str)]) {
    let play = |machine: &Machine| {
        let rig = Rig::new(machine.clone(), free);
        scene(&rig);
        rig.run()
    };
    let found: Vec<_> = expected.iter().map(|(from, to, _)| (*from, *to, sum(machine, &play, from, to))).collect();
    let found: Vec<_> = found.iter().map(|(from, to, sum)| (*from, *to, sum.as_str())).collect();
    assert_eq!(found, expected);
}

/// One core does things, one after the other: what each costs, by its name.
pub fn alone(machine: &Machine, things: impl Fn() -> Vec<Thing>, expected: &[(&str, &str)]) {
    let scene = |rig: &Rig| {
        let things = things();
        rig.at(0, move |ctx, say| {
            for (name, thing) in things {
                say(name);
                thing(ctx);
            }
            say("end");
        });
    };
    let names: Vec<_> = expected.iter().map(|(name, _)| *name).chain(["end"]).collect();
    let pairs = names.windows(2).zip(expected).map(|(pair, (_, sum))| (pair[0], pair[1], *sum));
    costs(machine, &[], scene, &pairs.collect::<Vec<_>>());
}

pub type Thing = (&'static str, Box<dyn Fn(&SimCtx)>);

pub fn thing(name: &'static str, f: impl Fn(&SimCtx) + 'static) -> Thing {
    (name, Box::new(f))
}
