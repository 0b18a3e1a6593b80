//! O-03: what was done under a reference happens before the object is freed by who drops the last one.

use crate::platform::{Ctx, Loom};
use vgic_core::platform::{Layout, PlainCell};
use vgic_core::refcount::Refcount;
use vgic_core::{Obj, Platform};

/// An object with two references, and what each of the two owners of one writes into it.
struct Shared {
    refcount: Refcount<Loom>,
    written: [<Loom as Platform>::Cell<u32>; 2],
}

fn shared(ctx: &Ctx) -> Obj<Shared> {
    let make = |l: &<Loom as Platform>::Layout| Shared {
        refcount: Refcount::new(l, "refcount", 2),
        written: [l.cell("written[0]", 0), l.cell("written[1]", 0)],
    };
    Loom::alloc(ctx, "shared", make).expect("memory")
}

fn put(ctx: &Ctx, shared: Obj<Shared>) {
    if shared.refcount.put_and_test(ctx) {
        // SAFETY: M-06: the last reference is gone.
        unsafe { Loom::free(ctx, shared) };
    }
}

pub(super) fn the_last_of_two_puts(ctx: &Ctx) {
    let shared = shared(ctx);
    let other = Loom::spawn(ctx, "other", move |ctx| {
        shared.written[1].set(ctx, 1);
        put(ctx, shared);
    });
    shared.written[0].set(ctx, 1);
    put(ctx, shared);
    Loom::join(ctx, other);
}

/// Who drops the last reference leaves the object to another, who finds the count at zero.
pub(super) fn found_at_zero(ctx: &Ctx) {
    let shared = shared(ctx);
    let puts = move |ctx: &Ctx, owner: usize| {
        shared.written[owner].set(ctx, 1);
        shared.refcount.put_and_test(ctx);
    };
    let owners: Vec<_> = (0..2).map(|owner| Loom::spawn(ctx, "owner", move |ctx| puts(ctx, owner))).collect();
    if shared.refcount.read(ctx) == 0 {
        shared.refcount.acquire(ctx);
        // SAFETY: M-06: the last reference is gone.
        unsafe { Loom::free(ctx, shared) };
    }
    for owner in owners {
        Loom::join(ctx, owner);
    }
}

pub(super) fn put_unless_last(ctx: &Ctx) {
    let shared = shared(ctx);
    let other = Loom::spawn(ctx, "other", move |ctx| {
        shared.written[1].set(ctx, 1);
        if !shared.refcount.put_unless_last(ctx) {
            put(ctx, shared);
        }
    });
    shared.written[0].set(ctx, 1);
    put(ctx, shared);
    Loom::join(ctx, other);
}
