//! What RCU costs: a read section, a deferred free, a grace period; beside the two usual crates.
//!
//! `cargo bench -p vgic-bench --bench rcu`. On a shared machine compare rows of one run only.
#![allow(missing_docs, reason = "the macros of criterion make public functions")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use seize::Guard as _;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use vgic_core::guard::Rcu;
use vgic_core::platform::Layout;
use vgic_core::{Event, Obj, Platform};
use vgic_native::{Native, NativeCtx, Runtime, Strategy};

type U64 = <Native as Platform>::AtomicU64;

fn strategies() -> impl Iterator<Item = Strategy> {
    [Strategy::Membarrier, Strategy::Fences].into_iter().filter(|strategy| strategy.available())
}

/// Enter and leave a read section.
fn read_section(c: &mut Criterion) {
    let mut group = c.benchmark_group("read section");
    for strategy in strategies() {
        let ctx = NativeCtx::with_runtime(&Runtime::new(strategy), "bench");
        group.bench_function(BenchmarkId::new("vgic", format!("{strategy:?}")), |b| {
            b.iter(|| drop(black_box(Rcu::<Native>::read_lock(black_box(&ctx)))));
        });
    }
    let collector = crossbeam_epoch::Collector::new();
    let handle = collector.register();
    group.bench_function("crossbeam-epoch", |b| b.iter(|| drop(black_box(handle.pin()))));
    let collector = seize::Collector::new();
    group.bench_function("seize", |b| b.iter(|| drop(black_box(collector.enter()))));
    group.finish();
}

/// Allocate an object of eight bytes and leave it to be freed later.
fn deferred_free(c: &mut Criterion) {
    let mut group = c.benchmark_group("allocate and free later");
    for strategy in strategies() {
        let ctx = NativeCtx::with_runtime(&Runtime::new(strategy), "bench");
        group.bench_function(BenchmarkId::new("vgic", format!("{strategy:?}")), |b| {
            b.iter(|| {
                let object: Obj<U64> = Native::alloc(&ctx, "bench", |layout| layout.u64("value", 1)).unwrap();
                // SAFETY: nobody else has it.
                unsafe { Native::free_rcu(&ctx, object) };
                Native::rcu_throttle(&ctx);
            });
        });
        Native::rcu_barrier(&ctx);
    }
    let collector = crossbeam_epoch::Collector::new();
    let handle = collector.register();
    group.bench_function("crossbeam-epoch", |b| {
        b.iter(|| {
            let guard = handle.pin();
            let object = crossbeam_epoch::Owned::new(1_u64).into_shared(&guard);
            // SAFETY: nobody else has it.
            unsafe { guard.defer_destroy(object) };
        });
    });
    let collector = seize::Collector::new();
    group.bench_function("seize", |b| {
        b.iter(|| {
            let guard = collector.enter();
            let object = Box::into_raw(Box::new(1_u64));
            // SAFETY: nobody else has it.
            unsafe { guard.defer_retire(object, seize::reclaim::boxed) };
        });
    });
    group.finish();
}

/// Wait for a grace period: alone, beside a registered thread that sleeps, and beside one that reads all the time.
fn synchronize(c: &mut Criterion) {
    let mut group = c.benchmark_group("synchronize");
    for strategy in strategies() {
        let runtime = Runtime::new(strategy);
        let ctx = NativeCtx::with_runtime(&runtime, "bench");
        let mut run = |beside: &str| {
            group.bench_function(BenchmarkId::new(beside, format!("{strategy:?}")), |b| {
                b.iter(|| Native::synchronize_rcu(&ctx));
            });
        };
        run("alone");
        let idle = NativeCtx::with_runtime(&runtime, "idle");
        run("one idle reader");
        drop(idle);
        let stop = Arc::new(AtomicBool::new(false));
        let reader = Native::spawn(&ctx, "reader", {
            let stop = Arc::clone(&stop);
            move |ctx| {
                while !stop.load(Ordering::Relaxed) {
                    let _rcu = Rcu::<Native>::read_lock(ctx);
                    for n in 0..16 {
                        black_box(n);
                    }
                }
            }
        });
        run("one running reader");
        stop.store(true, Ordering::Relaxed);
        Native::join(&ctx, reader);
    }
    group.finish();
}

/// The small things that every operation does.
fn small(c: &mut Criterion) {
    let mut group = c.benchmark_group("small");
    let ctx = NativeCtx::new("bench");
    group.bench_function("count", |b| b.iter(|| Native::count(black_box(&ctx), Event::Sent)));
    group.bench_function("throttle, nothing queued", |b| b.iter(|| Native::rcu_throttle(black_box(&ctx))));
    group.bench_function("allocate and free", |b| {
        b.iter(|| {
            let object: Obj<U64> = Native::alloc(&ctx, "bench", |layout| layout.u64("value", 1)).unwrap();
            // SAFETY: nobody else has it.
            unsafe { Native::free(&ctx, black_box(object)) };
        });
    });
    group.finish();
}

criterion_group!(benches, read_section, deferred_free, synchronize, small);
criterion_main!(benches);
