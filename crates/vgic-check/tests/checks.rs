//! What is checked in every scenario, each by a function that gets it wrong behind the back of the checks.

mod common;

use common::searched_function;
use std::sync::Arc;
use vgic_check::guest::Guest;
use vgic_check::platform::stage::ShuttleStage;
use vgic_check::{Ctx, Options, Rule, Shuttle};
use vgic_core::designs::Composed;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Event, Msi, Platform};

type Vm = Guest<Shuttle, ShuttleStage>;

fn stage() -> ShuttleStage {
    ShuttleStage::new(Composed::named("v7.1.8"))
}

fn broken(function: fn(&Ctx)) -> (Rule, String) {
    let report = searched_function("test", "v7.1.8", function, &Options::default());
    let story = report.story().expect("something is wrong");
    (story.rule, story.what.clone())
}

fn passes(function: fn(&Ctx)) {
    let report = searched_function("test", "v7.1.8", function, &Options::default());
    if let Some(story) = report.story() {
        panic!("{}", story.text(false));
    }
    assert!(report.complete());
}

/// Event 0 is LPI 8192 on vCPU 0.
fn mapped(ctx: &Ctx) -> Arc<Vm> {
    let guest = Vm::new(ctx, stage(), 2, 1);
    guest.map(ctx, 0, 0, 0);
    guest
}

/// A send that the checks do not know of.
fn send_unseen(guest: &Vm, ctx: &Ctx) {
    let msi = Msi { doorbell: guest.its[0].doorbell(), device_id: 0, event_id: 0, device_id_valid: true };
    let _ = guest.vm.inject_msi(ctx, &msi);
}

#[test]
fn what_is_sent_arrives() {
    let (rule, what) = broken(|ctx| {
        let guest = mapped(ctx);
        let _ = guest.send(ctx, 0);
        // Throws the LPI away.
        for enabled in [false, true] {
            let _ = guest.vm.set_lpis_enabled(ctx, &guest.vm.vcpus[0], enabled, false);
        }
        guest.finish(ctx);
    });
    assert_eq!(rule, Rule::Lost, "{what}");
    assert!(what.ends_with("LPI 8192 never arrived"), "{what}");
    passes(|ctx| {
        let guest = mapped(ctx);
        let _ = guest.send(ctx, 0);
        for enabled in [false, true] {
            guest.set_lpis(ctx, 0, enabled);
        }
        guest.finish(ctx);
    });
}

#[test]
fn what_can_be_taken_is() {
    let (rule, what) = broken(|ctx| {
        let guest = mapped(ctx);
        guest.vm.set_its_enabled(ctx, &guest.its[0], false);
        let _ = guest.send(ctx, 0);
    });
    assert_eq!(rule, Rule::Lost, "{what}");
    assert!(what.starts_with("an MSI to event 0 is refused"), "{what}");
    passes(|ctx| {
        let guest = mapped(ctx);
        guest.set_its(ctx, 0, false);
        let _ = guest.send(ctx, 0);
        guest.finish(ctx);
    });
}

#[test]
fn what_is_delivered_was_sent() {
    let (rule, what) = broken(|ctx| {
        let guest = mapped(ctx);
        let _ = guest.send(ctx, 0);
        guest.run(ctx, 0);
        send_unseen(&guest, ctx);
        guest.run(ctx, 0);
    });
    assert_eq!((rule, what.as_str()), (Rule::Unwanted, "delivery 2 of LPI 8192, for 1 that were sent to it"));
}

#[test]
fn what_is_unmapped_takes_nothing() {
    let (rule, what) = broken(|ctx| {
        let guest = mapped(ctx);
        let _ = guest.discard(ctx, 0);
        let again = Command::Mapti { device_id: 0, event_id: 0, intid: FIRST_LPI, collection_id: 0 };
        let _ = guest.vm.command(ctx, &guest.its[0], again);
        let _ = guest.send(ctx, 0);
    });
    let said = "an MSI to event 0 is taken, though its event was unmapped before it was sent";
    assert_eq!((rule, what.as_str()), (Rule::Unwanted, said));
}

/// What overlaps may have happened in either order: nothing is said of it.
#[test]
fn what_overlaps_is_not_judged() {
    passes(|ctx| {
        let guest = mapped(ctx);
        guest.spawn(ctx, "sender", |guest, ctx| {
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.discard(ctx, 0);
        });
        guest.finish(ctx);
    });
}

#[test]
fn what_is_cleared_meanwhile_is_not_missed() {
    passes(|ctx| {
        let guest = Vm::new(ctx, stage(), 2, 1);
        guest.spawn(ctx, "guest", |guest, ctx| {
            let _ = guest.mapti(ctx, 0, 0, 0);
            let _ = guest.send(ctx, 0);
        });
        guest.spawn(ctx, "other", |guest, ctx| {
            let _ = guest.command(ctx, Command::Clear { device_id: 0, event_id: 0 });
        });
        guest.finish(ctx);
    });
}

#[test]
fn references_are_counted() {
    let (rule, what) = broken(|ctx| {
        let guest = mapped(ctx);
        guest.vm.get_irq(ctx, FIRST_LPI).expect("it is mapped");
        guest.finish(ctx);
    });
    let said = "the reference count of LPI 8192 is 2, but ITEs hold 1, cached translations 0, ap_lists 0";
    assert_eq!((rule, what.as_str()), (Rule::References, said));
}

#[test]
fn what_came_went() {
    let (rule, what) = broken(|ctx| {
        let guest = mapped(ctx);
        Shuttle::count(ctx, Event::Sent);
        guest.finish(ctx);
    });
    assert_eq!(rule, Rule::Accounts, "{what}");
    assert!(what.starts_with("1 came, 0 went"), "{what}");
}
