//! What the platform itself must notice: each mistake, made on purpose, ends in a panic that names what was touched.

use std::panic::{AssertUnwindSafe, catch_unwind};
use vgic_core::guard::{Mutex, Rcu, Spin};
use vgic_core::platform::{Atomic, Layout, Parker as _, RawLock};
use vgic_core::{Obj, Order, Platform, Work};
use vgic_count::{AtomicU32, Count, CountCtx, Grace, Kind, Mutex as Sleeping, Parker, SpinLock};

struct Thing {
    low: SpinLock,
    high: SpinLock,
    mutex: Sleeping,
    value: AtomicU32,
    parker: Parker,
}

fn thing(ctx: &CountCtx) -> Obj<Thing> {
    let made = Count::alloc(ctx, "thing", |l| Thing {
        mutex: l.mutex("mutex", 5),
        low: l.spin("low", 10),
        high: l.spin("high", 20),
        value: l.u32("value", 7),
        parker: l.parker("parker"),
    });
    made.expect("memory")
}

/// Runs `f`, which must panic with this message.
#[track_caller]
fn panics(message: &str, f: impl FnOnce(&CountCtx, Obj<Thing>)) {
    let ctx = CountCtx::new();
    let thing = thing(&ctx);
    let result = catch_unwind(AssertUnwindSafe(|| f(&ctx, thing)));
    let found = *result.expect_err("it panics").downcast::<String>().expect("a message");
    assert_eq!(found, message);
}

fn free(ctx: &CountCtx, thing: Obj<Thing>) {
    // SAFETY: C-04: the handle came from `Count::alloc`; that it is used afterwards is what the platform must notice,
    // and it keeps the memory until the context is dropped.
    unsafe { Count::free(ctx, thing) }
}

fn free_rcu(ctx: &CountCtx, thing: Obj<Thing>) {
    // SAFETY: C-04: as above.
    unsafe { Count::free_rcu(ctx, thing) }
}

#[test]
fn locks() {
    panics("self-deadlock: takes thing#0.low (rank 10), which it holds", |ctx, thing| {
        let _first = Spin::<Count>::lock(&thing.low, ctx);
        let _second = Spin::<Count>::lock(&thing.low, ctx);
    });
    panics("lock order: takes thing#0.low (rank 10) while it holds thing#0.high (rank 20)", |ctx, thing| {
        let _first = Spin::<Count>::lock(&thing.high, ctx);
        let _second = Spin::<Count>::lock(&thing.low, ctx);
    });
    panics("lock order: takes thing#1.low (rank 10) while it holds thing#0.low (rank 10)", |ctx, first| {
        let second = thing(ctx);
        let _first = Spin::<Count>::lock(&first.low, ctx);
        let _second = Spin::<Count>::lock(&second.low, ctx);
    });
    panics("unlock of thing#0.low, which is not held", |ctx, thing| thing.low.unlock(ctx));
}

#[test]
fn siblings_nest() {
    let ctx = CountCtx::new();
    let (a, b) = (thing(&ctx), thing(&ctx));
    let _first = Spin::<Count>::lock_irqsave(&a.low, &ctx);
    let _second = Spin::<Count>::lock_nested(&b.low, &ctx);
    let _third = Spin::<Count>::lock(&a.high, &ctx);
    assert_eq!(ctx.held(), ["thing#0.low (rank 10)", "thing#1.low (rank 10)", "thing#0.high (rank 20)"]);
}

#[test]
fn life_times() {
    panics("use after free: read of thing#0.value", |ctx, thing| {
        free(ctx, thing);
        thing.value.load(ctx, Order::Relaxed);
    });
    panics("use after free: lock of thing#0.low", |ctx, thing| {
        free(ctx, thing);
        thing.low.lock(ctx, false);
    });
    panics("double free of thing#0", |ctx, thing| {
        free(ctx, thing);
        free(ctx, thing);
    });
    panics("free of thing#0 while thing#0.low (rank 10) is held", |ctx, thing| {
        thing.low.lock(ctx, false);
        free(ctx, thing);
    });
    panics("free of an object that this context has not allocated", |_, thing| free(&CountCtx::new(), thing));
}

type Wait = fn(&CountCtx, Obj<Thing>);

#[test]
fn atomic_context() {
    let waits: [(&str, Wait); 6] = [
        ("taking thing#0.mutex", |ctx, thing| drop(Mutex::<Count>::lock(&thing.mutex, ctx))),
        ("synchronize_rcu", |ctx, _| Count::synchronize_rcu(ctx)),
        ("synchronize_srcu", |ctx, _| Count::synchronize_srcu(ctx)),
        ("rcu_barrier", |ctx, _| Count::rcu_barrier(ctx)),
        ("an access to guest memory", |ctx, _| Count::work(ctx, Work::GuestAccess)),
        ("park", |ctx, thing| thing.parker.park(ctx)),
    ];
    for (what, wait) in waits {
        panics(&format!("sleeping in atomic context: {what} under thing#0.low (rank 10)"), |ctx, thing| {
            let _lock = Spin::<Count>::lock(&thing.low, ctx);
            wait(ctx, thing);
        });
        panics(&format!("sleeping in atomic context: {what} in an RCU read section"), |ctx, thing| {
            let _rcu = Rcu::<Count>::read_lock(ctx);
            wait(ctx, thing);
        });
    }
    panics("synchronize_srcu inside an SRCU section waits for itself", |ctx, _| {
        Count::srcu_read_lock(ctx);
        Count::synchronize_srcu(ctx);
    });
    panics("thing#0.parker sleeps for ever: no other thread can wake it", |ctx, thing| thing.parker.park(ctx));
}

#[test]
fn grace_periods() {
    for (grace, at_once) in [(Grace::Late, false), (Grace::Early, true)] {
        let ctx = CountCtx::with_grace(grace);
        let (first, second) = (thing(&ctx), thing(&ctx));
        let rcu = Rcu::<Count>::read_lock(&ctx);
        free_rcu(&ctx, first);
        assert_eq!(first.value.load(&ctx, Order::Relaxed), 7, "a reader may still look");
        assert_eq!(ctx.live_objects(), ["thing#0", "thing#1"]);
        drop(rcu);
        assert_eq!(ctx.live_objects().len(), if at_once { 1 } else { 2 });
        free_rcu(&ctx, second);
        Count::rcu_barrier(&ctx);
        assert_eq!(ctx.live_objects(), Vec::<String>::new());
    }
}

#[test]
fn steps_say_where_they_are() {
    let ctx = CountCtx::new();
    let thing = thing(&ctx);
    thing.value.store(&ctx, 1, Order::Relaxed);
    let steps = ctx.record(|| {
        let _lock = Spin::<Count>::lock_irqsave(&thing.low, &ctx);
        thing.value.swap(&ctx, 3, Order::Relaxed);
    });
    let found: Vec<_> = steps.iter().map(|s| (s.kind, s.label(), s.depth, s.irqs_off)).collect();
    let expected = [
        (Kind::Lock, "thing#0.low".to_owned(), 0, true),
        (Kind::Rmw, "thing#0.value".to_owned(), 1, true),
        (Kind::Unlock, "thing#0.low".to_owned(), 0, true),
    ];
    assert_eq!(found, expected);
    let fields = ctx.fields();
    assert_eq!((fields["thing.low"].taken_irqs_off, fields["thing.value"].writes), (1, 1));
    assert!(fields["thing.parker"].is_unused());
}
