//! The lock order is checked in debug builds: a mistake is a panic that names both locks.
#![cfg(debug_assertions)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use vgic_core::Platform;
use vgic_core::guard::{Mutex, Read, Spin, Write};
use vgic_core::platform::{Layout, RawLock};
use vgic_native::{Native, NativeCtx};

type SpinLock = <Native as Platform>::SpinLock;
type RwLock = <Native as Platform>::RwLock;

fn spin(name: &'static str, rank: u8) -> SpinLock {
    Native::embed("test", |layout| layout.spin(name, rank))
}

/// The message of the panic that `f` ends in.
fn panic_of(f: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("no panic");
    panic.downcast_ref::<String>().cloned().expect("a message")
}

#[test]
fn a_lock_below_one_that_is_held_is_refused_and_both_are_named() {
    let ctx = NativeCtx::new("main");
    let (xa_lock, irq_lock) = (spin("lpi_xa.xa_lock", 70), spin("irq_lock", 60));
    let message = panic_of(|| {
        let _xa = Spin::<Native>::lock_irqsave(&xa_lock, &ctx);
        let _irq = Spin::<Native>::lock(&irq_lock, &ctx);
    });
    assert_eq!(message, "lock order: took `irq_lock` (rank 60) while holding `lpi_xa.xa_lock` (rank 70)");
    // Nothing is left held.
    let _irq = Spin::<Native>::lock(&irq_lock, &ctx);
    let _xa = Spin::<Native>::lock(&xa_lock, &ctx);
}

#[test]
fn the_rank_is_checked_against_the_highest_lock_held_not_the_last() {
    let ctx = NativeCtx::new("main");
    let (low, high, middle) = (spin("low", 10), spin("high", 30), spin("middle", 20));
    let _low = Spin::<Native>::lock(&low, &ctx);
    let high = Spin::<Native>::lock(&high, &ctx);
    let refused = panic_of(|| drop(Spin::<Native>::lock(&middle, &ctx)));
    assert!(refused.contains("`middle` (rank 20) while holding `high` (rank 30)"), "{refused}");
    drop(high);
    drop(Spin::<Native>::lock(&middle, &ctx));
}

#[test]
fn a_second_lock_of_one_class_needs_lock_nested() {
    let ctx = NativeCtx::new("main");
    let (a, b) = (spin("ap_list_lock", 50), spin("ap_list_lock", 50));
    let irq_lock = spin("irq_lock", 60);
    let _a = Spin::<Native>::lock(&a, &ctx);
    assert!(panic_of(|| drop(Spin::<Native>::lock(&b, &ctx))).contains("ap_list_lock"));
    assert!(panic_of(|| drop(Spin::<Native>::lock_nested(&a, &ctx))).contains("ap_list_lock"), "the same lock twice");
    let _b = Spin::<Native>::lock_nested(&b, &ctx);
    let _irq = Spin::<Native>::lock(&irq_lock, &ctx);
}

#[test]
fn lock_nested_does_not_allow_another_class() {
    let ctx = NativeCtx::new("main");
    let (a, b) = (spin("ap_list_lock", 50), spin("other_lock", 50));
    let _a = Spin::<Native>::lock(&a, &ctx);
    assert!(panic_of(|| drop(Spin::<Native>::lock_nested(&b, &ctx))).contains("`other_lock`"));
}

#[test]
fn mutexes_and_reader_writer_locks_are_in_the_same_order() {
    let ctx = NativeCtx::new("main");
    let mutex = Native::embed("test", |layout| layout.mutex("its_lock", 20));
    let rwlock: RwLock = Native::embed("test", |layout| layout.rwlock("lpi_cache_lock", 40));
    {
        let _mutex = Mutex::<Native>::lock(&mutex, &ctx);
        let _read = Read::<Native>::lock_irqsave(&rwlock, &ctx);
    }
    let _write = Write::<Native>::lock_irqsave(&rwlock, &ctx);
    assert!(panic_of(|| drop(Mutex::<Native>::lock(&mutex, &ctx))).contains("`its_lock` (rank 20)"));
    assert!(panic_of(|| drop(Read::<Native>::lock_irqsave(&rwlock, &ctx))).contains("`lpi_cache_lock`"));
}

#[test]
fn only_the_holder_may_release() {
    let ctx = NativeCtx::new("vcpu-1");
    let lock = spin("ap_list_lock", 50);
    let message = panic_of(|| lock.unlock(&ctx));
    assert!(message.contains("released `ap_list_lock` (rank 50), which `vcpu-1` does not hold"), "{message}");
}
