//! Reference counts: a broken one stays where it is, for ever, and says so.

use vgic_core::refcount::{Refcount, SATURATED};
use vgic_core::{Obj, Platform};
use vgic_count::{Count, CountCtx};

fn count(ctx: &CountCtx, value: u32) -> Obj<Refcount<Count>> {
    Count::alloc(ctx, "thing", |l| Refcount::new(l, "refcount", value)).expect("memory")
}

/// Does `f` to a count that starts at `value`; what it is then, and what was said.
fn after(value: u32, f: impl FnOnce(&CountCtx, &Refcount<Count>)) -> (u32, Vec<&'static str>) {
    let ctx = CountCtx::new();
    let count = count(&ctx, value);
    f(&ctx, &count);
    (count.read(&ctx), ctx.warnings())
}

/// The last value that is in range.
const MOST: u32 = SATURATED / 2 - 1;

#[test]
fn a_count_in_range_counts() {
    for value in [1, 2, MOST - 1, MOST] {
        assert_eq!(after(value, |ctx, count| count.get(ctx)), (value + 1, vec![]));
        assert_eq!(after(value, |ctx, count| assert!(count.get_unless_zero(ctx))), (value + 1, vec![]));
    }
    for value in [2, 3, MOST] {
        assert_eq!(after(value, |ctx, count| assert!(!count.put_and_test(ctx))), (value - 1, vec![]));
        assert_eq!(after(value, |ctx, count| assert!(count.put_unless_last(ctx))), (value - 1, vec![]));
    }
    assert_eq!(after(1, |ctx, count| assert!(count.put_and_test(ctx))), (0, vec![]));
    assert_eq!(after(1, |ctx, count| assert!(!count.put_unless_last(ctx))), (1, vec![]));
}

#[test]
fn zero_is_not_raised() {
    assert_eq!(after(0, |ctx, count| assert!(!count.get_unless_zero(ctx))), (0, vec![]));
    // Who takes one of a dead object must not make it look alive.
    assert_eq!(after(0, |ctx, count| count.get(ctx)), (SATURATED, vec!["reference taken at zero"]));
}

#[test]
fn zero_is_not_lowered() {
    let dropped = after(0, |ctx, count| assert!(!count.put_and_test(ctx), "it was not the last"));
    assert_eq!(dropped, (SATURATED, vec!["reference dropped at zero"]));
    assert_eq!(after(0, |ctx, count| assert!(!count.put_unless_last(ctx))), (0, vec![]));
}

#[test]
fn an_overflow_saturates() {
    for value in [MOST + 1, SATURATED - 1, SATURATED, u32::MAX] {
        let taken = after(value, |ctx, count| count.get(ctx));
        assert_eq!(taken, (SATURATED, vec!["reference count saturated"]), "{value:#x} taken");
        let found = after(value, |ctx, count| assert!(count.get_unless_zero(ctx)));
        assert_eq!(found, (SATURATED, vec!["reference count saturated"]), "{value:#x} found");
        let dropped = after(value, |ctx, count| assert!(!count.put_and_test(ctx)));
        assert_eq!(dropped, (SATURATED, vec!["saturated reference dropped"]), "{value:#x} dropped");
    }
}

/// However often it is taken and dropped: never again is a drop the last one.
#[test]
fn saturation_is_for_ever() {
    let (value, warnings) = after(0, |ctx, count| {
        count.get(ctx);
        for _ in 0..20 {
            assert!(count.get_unless_zero(ctx));
            assert!(!count.put_and_test(ctx));
            assert!(!count.put_and_test(ctx));
            assert!(count.put_unless_last(ctx));
            assert_eq!(count.read(ctx), SATURATED);
        }
    });
    assert_eq!((value, warnings.len()), (SATURATED, 61));
}
