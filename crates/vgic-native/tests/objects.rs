//! Objects are counted, allocations can be made to fail, events are counted per thread, threads report panics.

use std::sync::Arc;
use vgic_core::platform::{Atomic, AtomicInt, Layout, PlainCell, PointerCell, Slots};
use vgic_core::{Event, NoMemory, Obj, Order, Pair, Platform, Work};
use vgic_native::{Native, NativeCtx, live_objects, warnings};

type U64 = <Native as Platform>::AtomicU64;

fn alloc(ctx: &NativeCtx, class: &'static str) -> Result<Obj<U64>, NoMemory> {
    Native::alloc(ctx, class, |layout| layout.u64("value", 7))
}

#[test]
fn live_objects_are_counted_by_class_and_come_back_to_zero() {
    let ctx = NativeCtx::new("main");
    let objects: Vec<_> = (0..10).map(|_| alloc(&ctx, "counted").unwrap()).collect();
    let other = alloc(&ctx, "counted too").unwrap();
    assert_eq!((live_objects()["counted"], live_objects()["counted too"]), (10, 1));
    for object in objects {
        // SAFETY: made above, and used no more.
        unsafe { Native::free(&ctx, object) };
    }
    // SAFETY: made above, and used no more.
    unsafe { Native::free_rcu(&ctx, other) };
    Native::rcu_barrier(&ctx);
    assert_eq!((live_objects()["counted"], live_objects()["counted too"]), (0, 0));
}

#[test]
fn more_classes_than_a_context_remembers_are_still_told_apart() {
    let ctx = NativeCtx::new("main");
    let names: Vec<&'static str> = (0..40).map(|n| &*Box::leak(format!("class {n}").into_boxed_str())).collect();
    let objects: Vec<_> = names.iter().chain(&names).map(|name| alloc(&ctx, name).unwrap()).collect();
    // The same name at another address is the same class.
    let again = alloc(&ctx, Box::leak(String::from("class 3").into_boxed_str())).unwrap();
    assert!(names.iter().all(|&name| live_objects()[name] == if name == "class 3" { 3 } else { 2 }));
    for object in objects.into_iter().chain([again]) {
        // SAFETY: made above, and used no more.
        unsafe { Native::free(&ctx, object) };
    }
    assert!(names.iter().all(|name| live_objects()[name] == 0));
}

#[test]
fn an_object_is_dropped_when_freed() {
    let ctx = NativeCtx::new("main");
    let witness = Arc::new(());
    let object = Native::alloc(&ctx, "owner", |_| Arc::clone(&witness)).unwrap();
    assert_eq!(Arc::strong_count(&witness), 2);
    // SAFETY: made above, and used no more.
    unsafe { Native::free(&ctx, object) };
    assert_eq!(Arc::strong_count(&witness), 1);
}

#[test]
fn an_over_aligned_object_is_aligned() {
    #[repr(align(256))]
    struct Wide(U64);
    let ctx = NativeCtx::new("main");
    let object = Native::alloc(&ctx, "wide", |layout| Wide(layout.u64("value", 9))).unwrap();
    assert_eq!(object.as_ptr().addr() % 256, 0);
    assert_eq!(object.0.load(&ctx, Order::Relaxed), 9);
    // SAFETY: made above, and used no more.
    unsafe { Native::free(&ctx, object) };
}

#[test]
fn the_chosen_allocation_fails_and_no_other() {
    let ctx = NativeCtx::new("main");
    ctx.fail_allocs.set(3);
    let results: Vec<_> = (0..5).map(|_| alloc(&ctx, "failing")).collect();
    assert_eq!(results.iter().map(|r| r.is_err()).collect::<Vec<_>>(), [false, false, true, false, false]);
    for object in results.into_iter().flatten() {
        // SAFETY: made above, and used no more.
        unsafe { Native::free(&ctx, object) };
    }
    assert_eq!(live_objects()["failing"], 0);
}

#[test]
fn events_are_counted_per_thread_and_another_may_read_them() {
    let ctx = NativeCtx::new("main");
    let (send, receive) = std::sync::mpsc::channel();
    let thread = Native::spawn(&ctx, "counter", move |ctx| {
        assert_eq!(ctx.name(), "counter");
        send.send(ctx.shared_counters()).unwrap();
        for _ in 0..1_000 {
            Native::count(ctx, Event::Sent);
        }
        Native::count(ctx, Event::GracePeriod);
        assert_eq!(ctx.counters()[Event::Sent as usize], 1_000);
    });
    let counters = receive.recv().unwrap();
    let mut last = 0;
    while last < 1_000 {
        let now = counters.read()[Event::Sent as usize];
        assert!(now >= last);
        last = now;
    }
    assert!(Native::join(&ctx, thread));
    assert_eq!(counters.read()[Event::GracePeriod as usize], 1);
    assert_eq!(ctx.counters(), [0; Event::COUNT]);
}

#[test]
fn join_tells_whether_the_thread_panicked() {
    let ctx = NativeCtx::new("main");
    let good = Native::spawn(&ctx, "good", |_| {});
    let bad = Native::spawn(&ctx, "bad", |ctx| {
        Native::rcu_read_lock(ctx);
        panic!("on purpose");
    });
    assert!(Native::join(&ctx, good));
    assert!(!Native::join(&ctx, bad));
    // A reader that died in its section is not waited for.
    Native::synchronize_rcu(&ctx);
}

#[test]
fn warnings_are_counted_and_work_is_free() {
    let ctx = NativeCtx::new("main");
    let before = warnings();
    Native::warn(&ctx, "on purpose");
    Native::warn(&ctx, "on purpose");
    assert_eq!(warnings(), before + 2);
    Native::work(&ctx, Work::SendIpi(0));
    (0..70).for_each(|spins| Native::relax(&ctx, spins));
}

#[test]
fn atomics_do_what_they_say_with_every_order() {
    let ctx = NativeCtx::new("main");
    let pair = Pair::RefDrop;
    let atomic = Native::embed("test", |layout| layout.u32("value", 1));
    for order in [Order::Relaxed, Order::Acquire(pair), Order::Release(pair), Order::AcqRel(pair), Order::SeqCst(pair)]
    {
        atomic.store(&ctx, 1, Order::Relaxed);
        assert_eq!(atomic.swap(&ctx, 2, order), 1);
        assert_eq!(atomic.compare_exchange(&ctx, 2, 3, order), Ok(2));
        assert_eq!(atomic.compare_exchange(&ctx, 2, 4, order), Err(3));
        assert_eq!(atomic.fetch_add(&ctx, 5, order), 3);
        assert_eq!(atomic.fetch_sub(&ctx, 9, order), 8);
        assert_eq!(atomic.fetch_or(&ctx, 1, order), u32::MAX);
        atomic.add(&ctx, 8);
        assert_eq!(atomic.load(&ctx, Order::SeqCst(pair)), 7);
        Native::fence_after_rmw(&ctx, pair);
        Native::fence(&ctx, pair);
        Native::fence_acquire(&ctx, pair);
    }
}

#[test]
fn cells_and_slots_keep_what_was_put_in() {
    let ctx = NativeCtx::new("main");
    let flag = Native::embed("test", |layout| layout.cell("enabled", true));
    flag.set(&ctx, false);
    assert!(!flag.get(&ctx));
    let negative = Native::embed("test", |layout| layout.cell("delta", -3_i64));
    assert_eq!(negative.get(&ctx), -3);

    let slot: <Native as Platform>::PtrCell<U64> = Native::embed("test", |layout| layout.ptr_cell("next"));
    assert!(slot.get(&ctx).is_none());
    let object = alloc(&ctx, "pointed to").unwrap();
    slot.set(&ctx, Some(object));
    assert_eq!(slot.get(&ctx), Some(object));
    slot.set(&ctx, None);
    // SAFETY: made above, and used no more.
    unsafe { Native::free(&ctx, object) };

    let slots = <<Native as Platform>::Slots<usize> as Slots<usize>>::from_fn(|n| n * n);
    assert_eq!((slots.slot(0), slots.slot(63)), (&0, &(63 * 63)));
}
