//! O-10, O-11, O-12: where vCPUs have hints, an LPI is not forgotten, and what its device wrote comes before it.

use super::{Guest, guest, guest_of, guest_with};
use crate::platform::{Ctx, Loom};
use std::sync::Arc;
use vgic_core::platform::{Atomic, Layout};
use vgic_core::{Command, Order, Platform};

/// The first LPI whose hint is below the second bit of the word on top.
const FAR: u32 = 64 * 64;

/// A VM with one vCPU and two LPIs, which were taken. The hints are gone, and all above them is left: a look leaves what is
/// above the first, which it meets before.
fn taken(ctx: &Ctx) -> Arc<Guest> {
    let guest = guest_of(ctx, "next-01", 1);
    guest.map(ctx, 0, FAR, 0);
    guest.map(ctx, 1, 0, 0);
    for event in 0..2 {
        let _ = guest.send(ctx, event);
    }
    guest.run(ctx, 0);
    guest
}

/// The vCPU looks once beside `other`. Whether it has left the hint or put the LPI back, the next look finds it.
fn look_beside(ctx: &Ctx, guest: &Arc<Guest>, other: impl FnOnce(&Guest, &Ctx) + Send + 'static) {
    guest.spawn(ctx, "other", other);
    guest.pass(ctx, 0);
    guest.join(ctx);
    ctx.expect(guest.run(ctx, 0) == 1, "an LPI is due, and has no hint");
}

fn look_beside_a_send(ctx: &Ctx, guest: &Arc<Guest>) {
    look_beside(ctx, guest, |guest, ctx| {
        let _ = guest.send(ctx, 0);
    });
}

pub(super) fn a_look_beside_a_send(ctx: &Ctx) {
    look_beside_a_send(ctx, &taken(ctx));
}

/// One look more has cleared the summary, and left what is above that.
pub(super) fn a_look_at_the_top_beside_a_send(ctx: &Ctx) {
    let guest = taken(ctx);
    guest.run(ctx, 0);
    look_beside_a_send(ctx, &guest);
}

/// The vCPU finds the LPI due before it clears the hint, and not due behind it.
pub(super) fn a_look_beside_a_clear(ctx: &Ctx) {
    let guest = guest(ctx, "next-01");
    let _ = guest.send(ctx, 0);
    look_beside(ctx, &guest, |guest, ctx| {
        let _ = guest.command(ctx, Command::Clear { device_id: 0, event_id: 0 });
        let _ = guest.send(ctx, 0);
    });
}

/// Memory that a device writes and the guest reads.
fn memory() -> Arc<<Loom as Platform>::AtomicU32> {
    Arc::new(Loom::embed("memory", |l| l.u32("written", 0)))
}

/// A device that writes and sends.
fn device(ctx: &Ctx, guest: &Arc<Guest>) -> Arc<<Loom as Platform>::AtomicU32> {
    let written = memory();
    let memory = Arc::clone(&written);
    guest.spawn(ctx, "device", move |guest, ctx| {
        memory.store(ctx, 1, Order::Relaxed);
        let _ = guest.send(ctx, 0);
    });
    written
}

/// The guest takes the LPI on a vCPU: what it then reads is what the device wrote, or there is more to take.
fn takes_and_reads(ctx: &Ctx, guest: &Guest, vcpu: u32, memory: &<Loom as Platform>::AtomicU32) {
    guest.run(ctx, vcpu);
    let read = memory.load(ctx, Order::Relaxed);
    guest.join(ctx);
    let more = guest.run(ctx, vcpu);
    ctx.expect(read == 1 || more == 1, "the guest has taken the LPI of a send, and not seen what was written before");
}

pub(super) fn what_a_device_wrote(ctx: &Ctx) {
    let guest = guest(ctx, "next-01");
    let _ = guest.send(ctx, 0);
    let memory = device(ctx, &guest);
    takes_and_reads(ctx, &guest, 0, &memory);
}

/// The LPI is in a list register of the vCPU that it has left, and comes to the other one through its fold.
pub(super) fn what_a_device_wrote_before_a_move(ctx: &Ctx) {
    let guest = guest_with(ctx, "next-01", 2);
    let _ = guest.send(ctx, 0);
    guest.spawn_in_guest(ctx, 0, "takes nothing", |_| {});
    let _ = guest.movi(ctx, 0, 1);
    let memory = device(ctx, &guest);
    takes_and_reads(ctx, &guest, 1, &memory);
}

/// The LPI's last mapping goes while a list register has it: of the fold and DISCARD, the later one frees it.
pub(super) fn a_fold_beside_a_discard(ctx: &Ctx) {
    let guest = guest(ctx, "next-01");
    let _ = guest.send(ctx, 0);
    let mut running = guest.vm.run_vcpu(ctx, 0);
    running.enter_always();
    guest.spawn(ctx, "guest", |guest, ctx| {
        let _ = guest.discard(ctx, 0);
    });
    running.exit();
    drop(running);
    guest.join(ctx);
}
