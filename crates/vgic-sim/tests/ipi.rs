//! IPIs to cores that run vCPUs.

mod common;

use common::Rig;
use vgic_core::{Platform, Work};
use vgic_sim::machine::NS;
use vgic_sim::{Machine, Ps, Sim, SimCtx};

/// From the time when somebody begins to send until it has arrived.
fn way(ctx: &SimCtx) -> Ps {
    ctx.costs().ipi_send + ctx.costs().ipi_latency
}

fn send(rig: &Rig, at: Ps, vcpus: &'static [u32]) {
    rig.at(at * NS, move |ctx, _| vcpus.iter().for_each(|vcpu| Sim::work(ctx, Work::SendIpi(*vcpu))));
}

fn rig() -> Rig {
    Rig::new(Machine::flat(8), &[])
}

#[test]
fn a_guest_runs_until_an_ipi_comes() {
    let rig = rig();
    rig.at(0, |ctx, say| {
        ctx.runs_vcpu(1);
        ctx.wait_for_ipi();
        assert_eq!(ctx.now(), 10_000 * NS + way(ctx));
        assert!(ctx.take_ipi());
        assert_eq!(ctx.now(), 10_000 * NS + way(ctx) + ctx.costs().ipi_receive);
        assert!(!ctx.take_ipi(), "it was taken");
        say("done");
    });
    // Nobody runs these.
    send(&rig, 5000, &[0, 2, 7]);
    send(&rig, 10_000, &[1]);
    assert_eq!(rig.run().len(), 1);
}

#[test]
fn an_ipi_that_is_under_way_is_waited_for_and_one_that_is_there_is_not() {
    let rig = rig();
    rig.at(0, |ctx, say| {
        ctx.runs_vcpu(0);
        for at in [10_000 * NS, 20_000 * NS] {
            let there = at + way(ctx);
            // A moment before, or when it arrives.
            ctx.work((if at == 10_000 * NS { there - 1 } else { there }) - ctx.now());
            ctx.in_order();
            let early = ctx.now() < there;
            assert_eq!(ctx.take_ipi(), !early);
            if early {
                ctx.wait_for_ipi();
                assert_eq!(ctx.now(), there);
                // It is still there.
                ctx.wait_for_ipi();
                assert_eq!(ctx.now(), there);
                assert!(ctx.take_ipi());
            }
        }
        say("done");
    });
    send(&rig, 10_000, &[0]);
    send(&rig, 20_000, &[0]);
    assert_eq!(rig.run().len(), 1);
}

#[test]
fn the_first_of_two_interrupts_and_both_are_taken_as_one() {
    let rig = rig();
    rig.at(0, |ctx, say| {
        ctx.runs_vcpu(0);
        ctx.work(10_300 * NS);
        ctx.wait_for_ipi();
        assert_eq!(ctx.now(), 10_000 * NS + way(ctx));
        assert!(ctx.take_ipi());
        ctx.work(10_000 * NS);
        assert!(!ctx.take_ipi());
        say("done");
    });
    send(&rig, 10_000, &[0]);
    send(&rig, 10_100, &[0]);
    assert_eq!(rig.run().len(), 1);
}

#[test]
fn an_ipi_is_forgotten_where_no_guest_runs() {
    let rig = rig();
    rig.at(0, |ctx, say| {
        ctx.runs_vcpu(0);
        ctx.forget_ipi();
        assert_eq!(ctx.now(), 0, "there was none");
        ctx.work(10_300 * NS);
        ctx.in_order();
        ctx.forget_ipi();
        assert_eq!(ctx.now(), 10_300 * NS + ctx.costs().ipi_receive, "it was under way");
        ctx.work(10_000 * NS);
        assert!(!ctx.take_ipi());
        say("done");
    });
    send(&rig, 10_000, &[0]);
    assert_eq!(rig.run().len(), 1);
}
