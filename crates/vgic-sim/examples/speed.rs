//! How many shared accesses a second the simulator does: `cargo run --release --example speed -p vgic-sim`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use vgic_core::Platform;
use vgic_core::platform::{AtomicInt, Layout, PlainCell};
use vgic_core::{Order, Pair};
use vgic_sim::{Machine, Sim, World};

/// Each core works on lines of its own, and now and then on one that all share.
fn mixed(cores: u32, rounds: u32) -> (u64, f64) {
    let world = World::new(Machine::flat(cores), 1, BTreeSet::new(), 0);
    let shared = Arc::new(Sim::embed("shared", |l| l.u64("value", 0)));
    for core in 0..cores {
        let shared = Arc::clone(&shared);
        world.spawn(&format!("sender{core}"), move |ctx| {
            let own = Sim::embed("own", |l| [l.cell("a", 0_u64), l.cell("b", 0_u64), l.cell("c", 0_u64)]);
            for round in 0..rounds {
                Sim::count(ctx, vgic_core::Event::Sent);
                for cell in &own {
                    cell.set(ctx, cell.get(ctx) + 1);
                }
                if round % 4 == 0 {
                    shared.fetch_add(ctx, 1, Order::SeqCst(Pair::KickEntry));
                }
            }
        });
    }
    let begin = Instant::now();
    world.run(|| ()).expect("an end");
    (world.accesses(), begin.elapsed().as_secs_f64())
}

fn main() {
    for (cores, rounds) in [(1, 2_000_000), (16, 200_000), (128, 20_000)] {
        let (accesses, seconds) = mixed(cores, rounds);
        println!("{cores:4} cores: {:5.1} M accesses a second", accesses as f64 / seconds / 1e6);
    }
}
