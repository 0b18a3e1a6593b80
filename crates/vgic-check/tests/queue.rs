//! Who queues an LPI must drop its `irq_lock` to take the list's lock first: what changed meanwhile counts.

mod common;

use common::searched_function;
use vgic_check::guest::Guest;
use vgic_check::platform::stage::ShuttleStage;
use vgic_check::{Ctx, Options, Search, Shuttle};
use vgic_core::designs::Composed;
use vgic_core::irq::FIRST_LPI;

/// A cached event is sent while it moves from vCPU 0 to vCPU 1; no vCPU runs.
fn send_meets_movi(ctx: &Ctx, design: &str) {
    let guest = Guest::<Shuttle, ShuttleStage>::new(ctx, ShuttleStage::new(Composed::named(design)), 2, 1);
    guest.map(ctx, 0, 0, 0);
    guest.warm(ctx, &[0]);
    let queued_on = |guest: &Guest<Shuttle, ShuttleStage>, ctx: &Ctx| {
        let lpi = guest.vm.lpi(ctx, FIRST_LPI).expect("it is mapped");
        lpi.view.queued_on
    };
    guest.spawn(ctx, "sender", |guest, ctx| {
        let _ = guest.send(ctx, 0);
    });
    let after_movi = std::sync::Arc::new(std::sync::Mutex::new(None));
    let noted = std::sync::Arc::clone(&after_movi);
    guest.spawn(ctx, "guest", move |guest, ctx| {
        let _ = guest.movi(ctx, 0, 1);
        *noted.lock().unwrap() = Some(queued_on(guest, ctx));
    });
    guest.join(ctx);
    let (then, now) = (after_movi.lock().unwrap().expect("the guest ran"), queued_on(&guest, ctx));
    match then {
        // Queued before the move: the vCPU that has it hands it over when it prunes.
        Some(_) => assert_eq!(now, then, "a queued LPI stays where it is"),
        // Not queued when MOVI was done: whoever queues it must know.
        None => assert_eq!(now, Some(1), "queued where it went, not where it was"),
    }
    guest.finish(ctx);
}

#[test]
fn an_lpi_that_moves_before_it_is_queued_is_queued_where_it_went() {
    for design in ["v6.7", "patch-15", "v6.10", "v7.1.8", "hardened"] {
        let options = Options { search: Search::Bounded { preemptions: 1 }, ..Options::default() };
        let report = searched_function("send_meets_movi", design, move |ctx| send_meets_movi(ctx, design), &options);
        if let Some(story) = report.story() {
            panic!("{design}: {}", story.text(false));
        }
        assert!(report.complete(), "{design}");
    }
}
