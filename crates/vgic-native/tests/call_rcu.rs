//! Deferred callbacks: all of them run, in order, after a grace period, and the backlog is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use vgic_core::Platform;
use vgic_core::guard::{Rcu, Srcu};
use vgic_native::{Native, NativeCtx, Runtime, Strategy, warnings};

fn runtime() -> Arc<Runtime> {
    Runtime::new(Strategy::best())
}

/// Queues a callback that adds one to a counter that lives until the test ends.
fn defer_count(ctx: &NativeCtx, counter: &'static AtomicU64) {
    unsafe fn count(_: &NativeCtx, data: *mut ()) {
        // SAFETY: `data` is a `&'static AtomicU64`.
        let counter = unsafe { &*data.cast::<AtomicU64>() };
        counter.fetch_add(1, Ordering::SeqCst);
    }
    // SAFETY: `count` only adds to an atomic that lives for ever.
    unsafe { Native::call_rcu(ctx, count, core::ptr::from_ref(counter).cast_mut().cast()) }
}

fn counter() -> &'static AtomicU64 {
    Box::leak(Box::new(AtomicU64::new(0)))
}

#[test]
fn a_barrier_waits_for_all_that_was_queued_before() {
    let runtime = runtime();
    let ctx = NativeCtx::with_runtime(&runtime, "main");
    let counter = counter();
    Native::rcu_barrier(&ctx);
    for round in 1..=20 {
        for _ in 0..round * 100 {
            defer_count(&ctx, counter);
        }
        Native::rcu_barrier(&ctx);
        let queued = (1..=round).sum::<u64>() * 100;
        assert_eq!(counter.load(Ordering::SeqCst), queued);
        let stats = runtime.rcu_stats();
        assert_eq!((stats.callbacks_queued, stats.callbacks_run, stats.backlog), (queued, queued, 0));
        assert_eq!(stats.oldest_callback_age_ns, 0);
    }
}

#[test]
fn a_callback_waits_for_the_reader_that_was_there_first() {
    let runtime = runtime();
    let ctx = NativeCtx::with_runtime(&runtime, "main");
    let counter = counter();
    {
        let _rcu = Rcu::<Native>::read_lock(&ctx);
        defer_count(&ctx, counter);
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(counter.load(Ordering::SeqCst), 0);
        assert!(runtime.rcu_stats().oldest_callback_age_ns >= 30_000_000);
    }
    Native::rcu_barrier(&ctx);
    assert_eq!(counter.load(Ordering::SeqCst), 1);
}

#[test]
fn the_backlog_is_bounded() {
    const CAP: usize = 100;
    const THREADS: usize = 3;
    const CALLBACKS: u64 = 20_000;
    let runtime = runtime();
    runtime.set_backlog_cap(CAP);
    let ctx = NativeCtx::with_runtime(&runtime, "main");
    let counter = counter();
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            Native::spawn(&ctx, "updater", move |ctx| {
                for _ in 0..CALLBACKS {
                    defer_count(ctx, counter);
                    let backlog = ctx.runtime().rcu_stats().backlog as usize;
                    assert!(backlog < CAP + THREADS, "a backlog of {backlog}");
                    Native::rcu_throttle(ctx);
                }
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| Native::join(&ctx, thread)));
    Native::rcu_barrier(&ctx);
    assert_eq!(counter.load(Ordering::SeqCst), THREADS as u64 * CALLBACKS);
}

#[test]
fn a_throttle_inside_a_read_section_does_not_wait_and_is_made_up_for_later() {
    let runtime = runtime();
    runtime.set_backlog_cap(10);
    let ctx = NativeCtx::with_runtime(&runtime, "main");
    let counter = counter();
    {
        let _rcu = Rcu::<Native>::read_lock(&ctx);
        for _ in 0..50 {
            defer_count(&ctx, counter);
            Native::rcu_throttle(&ctx);
        }
        assert_eq!(runtime.rcu_stats().backlog, 50);
    }
    {
        let _srcu = Srcu::<Native>::read_lock(&ctx);
        Native::rcu_throttle(&ctx);
    }
    assert!(runtime.rcu_stats().backlog < 10);
}

#[test]
fn a_callback_may_queue_another_and_read() {
    unsafe fn first(ctx: &NativeCtx, data: *mut ()) {
        let _rcu = Rcu::<Native>::read_lock(ctx);
        // SAFETY: `data` is a `&'static AtomicU64`.
        defer_count(ctx, unsafe { &*data.cast::<AtomicU64>() });
        Native::rcu_throttle(ctx);
    }
    let runtime = runtime();
    runtime.set_backlog_cap(1);
    let ctx = NativeCtx::with_runtime(&runtime, "main");
    let counter = counter();
    // SAFETY: `first` only adds to an atomic that lives for ever.
    unsafe { Native::call_rcu(&ctx, first, core::ptr::from_ref(counter).cast_mut().cast()) };
    Native::rcu_barrier(&ctx);
    Native::rcu_barrier(&ctx);
    assert_eq!(counter.load(Ordering::SeqCst), 1);
}

#[test]
fn a_callback_that_panics_takes_no_other_with_it() {
    unsafe fn bad(_: &NativeCtx, _: *mut ()) {
        panic!("on purpose");
    }
    let runtime = runtime();
    let ctx = NativeCtx::with_runtime(&runtime, "main");
    let counter = counter();
    let before = warnings();
    // SAFETY: `bad` touches nothing.
    unsafe { Native::call_rcu(&ctx, bad, core::ptr::null_mut()) };
    defer_count(&ctx, counter);
    Native::rcu_barrier(&ctx);
    assert_eq!(counter.load(Ordering::SeqCst), 1);
    assert_eq!(warnings(), before + 1);
}

#[test]
fn the_thread_ends_when_idle_and_is_started_again() {
    let runtime = runtime();
    let ctx = NativeCtx::with_runtime(&runtime, "main");
    let counter = counter();
    for _ in 0..2 {
        defer_count(&ctx, counter);
        Native::rcu_barrier(&ctx);
        std::thread::sleep(Duration::from_millis(1_200));
    }
    assert_eq!(counter.load(Ordering::SeqCst), 2);
}

#[test]
fn a_runtime_goes_when_its_last_thread_has_gone() {
    let runtime = runtime();
    let weak = Arc::downgrade(&runtime);
    let ctx = NativeCtx::with_runtime(&runtime, "main");
    let counter = counter();
    defer_count(&ctx, counter);
    drop((ctx, runtime));
    while weak.strong_count() > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(counter.load(Ordering::SeqCst), 1);
}

#[test]
fn grace_periods_and_callbacks_of_many_threads_all_end() {
    let runtime = runtime();
    let ctx = NativeCtx::with_runtime(&runtime, "main");
    let counter = counter();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = Native::spawn(&ctx, "reader", {
        let stop = Arc::clone(&stop);
        move |ctx| {
            while !stop.load(Ordering::Relaxed) {
                drop(Rcu::<Native>::read_lock(ctx));
            }
        }
    });
    let threads: Vec<_> = (0..3)
        .map(|_| {
            Native::spawn(&ctx, "updater", move |ctx| {
                for _ in 0..300 {
                    defer_count(ctx, counter);
                    Native::synchronize_rcu(ctx);
                    Native::synchronize_srcu(ctx);
                }
                Native::rcu_barrier(ctx);
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| Native::join(&ctx, thread)));
    assert_eq!(counter.load(Ordering::SeqCst), 900);
    stop.store(true, Ordering::Relaxed);
    assert!(Native::join(&ctx, reader));
}
