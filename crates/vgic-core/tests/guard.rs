//! Guards: each ends what it began when it is dropped, also early, and nothing else.

use vgic_core::guard::{Mutex, Rcu, Read, Spin, Srcu, Write};
use vgic_core::platform::Layout;
use vgic_core::{Obj, Platform};
use vgic_count::{Count, CountCtx, Kind};

type Thing = (vgic_count::Mutex, vgic_count::SpinLock, vgic_count::SpinLock, vgic_count::RwLock);

fn thing(ctx: &CountCtx) -> Obj<Thing> {
    let make = |l: &<Count as Platform>::Layout| {
        (l.mutex("mutex", 1), l.spin("spin", 2), l.spin("inner", 3), l.rwlock("rwlock", 4))
    };
    Count::alloc(ctx, "thing", make).expect("memory")
}

/// What `f` does to locks and sections, and where.
#[track_caller]
fn does(expected: &[(Kind, &str)], f: impl FnOnce(&CountCtx, Obj<Thing>)) {
    let ctx = CountCtx::new();
    let thing = thing(&ctx);
    let steps = ctx.record(|| f(&ctx, thing));
    let found: Vec<_> = steps.iter().map(|step| (step.kind, step.field)).collect();
    assert_eq!(found, expected);
    assert_eq!(ctx.held(), Vec::<String>::new());
    // Nothing is open: who may sleep is in no section, and SRCU does not wait for itself.
    Count::synchronize_rcu(&ctx);
    Count::synchronize_srcu(&ctx);
}

#[test]
fn a_section_ends_when_its_guard_is_dropped() {
    does(&[(Kind::RcuLock, ""), (Kind::RcuUnlock, "")], |ctx, _| drop(Rcu::<Count>::read_lock(ctx)));
    does(&[(Kind::SrcuLock, ""), (Kind::SrcuUnlock, "")], |ctx, _| drop(Srcu::<Count>::read_lock(ctx)));
}

#[test]
fn sections_nest() {
    let two = [Kind::RcuLock, Kind::RcuLock, Kind::RcuUnlock, Kind::RcuUnlock].map(|kind| (kind, ""));
    does(&two, |ctx, _| {
        let outer = Rcu::<Count>::read_lock(ctx);
        drop(Rcu::<Count>::read_lock(ctx));
        drop(outer);
    });
}

#[test]
fn a_lock_is_released_when_its_guard_is_dropped() {
    does(&[(Kind::Lock, "mutex"), (Kind::Unlock, "mutex")], |ctx, thing| drop(Mutex::<Count>::lock(&thing.0, ctx)));
    does(&[(Kind::Lock, "spin"), (Kind::Unlock, "spin")], |ctx, thing| drop(Spin::<Count>::lock(&thing.1, ctx)));
    does(&[(Kind::ReadLock, "rwlock"), (Kind::ReadUnlock, "rwlock")], |ctx, thing| {
        drop(Read::<Count>::lock_irqsave(&thing.3, ctx));
    });
    does(&[(Kind::WriteLock, "rwlock"), (Kind::WriteUnlock, "rwlock")], |ctx, thing| {
        drop(Write::<Count>::lock_irqsave(&thing.3, ctx));
    });
}

/// The one that is dropped is released, not the one that was taken last.
#[test]
fn an_outer_lock_may_go_first() {
    let steps = [(Kind::Lock, "spin"), (Kind::Lock, "inner"), (Kind::Unlock, "spin"), (Kind::Unlock, "inner")];
    does(&steps, |ctx, thing| {
        let outer = Spin::<Count>::lock(&thing.1, ctx);
        let inner = Spin::<Count>::lock(&thing.2, ctx);
        drop(outer);
        drop(inner);
    });
}

#[test]
fn only_irqsave_masks_interrupts() {
    let ctx = CountCtx::new();
    let thing = thing(&ctx);
    let masked = |f: &dyn Fn()| ctx.record(f)[0].irqs_off;
    assert!(!masked(&|| drop(Spin::<Count>::lock(&thing.1, &ctx))));
    assert!(masked(&|| drop(Spin::<Count>::lock_irqsave(&thing.1, &ctx))));
    assert!(masked(&|| drop(Read::<Count>::lock_irqsave(&thing.3, &ctx))));
    assert!(masked(&|| drop(Write::<Count>::lock_irqsave(&thing.3, &ctx))));
}
