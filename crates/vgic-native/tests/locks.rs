//! Locks exclude, and a parked thread wakes.

use std::sync::Arc;
use vgic_core::guard::{Read, Spin, Write};
use vgic_core::platform::{Atomic, AtomicInt, Layout, Parker, PlainCell};
use vgic_core::{Order, Pair, Platform};
use vgic_native::{Native, NativeCtx};

type SpinLock = <Native as Platform>::SpinLock;
type RwLock = <Native as Platform>::RwLock;

fn spin(name: &'static str, rank: u8) -> SpinLock {
    Native::embed("test", |layout| layout.spin(name, rank))
}

#[test]
fn locks_may_be_released_in_any_order() {
    let ctx = NativeCtx::new("main");
    let (a, b, c) = (spin("a", 10), spin("b", 20), spin("c", 30));
    for _ in 0..2 {
        let held_a = Spin::<Native>::lock(&a, &ctx);
        let held_b = Spin::<Native>::lock(&b, &ctx);
        let held_c = Spin::<Native>::lock(&c, &ctx);
        drop(held_a);
        drop(held_c);
        drop(held_b);
    }
}

#[test]
fn locks_exclude() {
    const ROUNDS: u64 = 20_000;
    struct Shared {
        spin: SpinLock,
        rwlock: RwLock,
        under_spin: <Native as Platform>::Cell<u64>,
        under_rwlock: <Native as Platform>::Cell<u64>,
    }
    let ctx = NativeCtx::new("main");
    let shared = Arc::new(Native::embed("test", |layout| Shared {
        spin: layout.spin("spin", 10),
        rwlock: layout.rwlock("rwlock", 20),
        under_spin: layout.cell("under_spin", 0),
        under_rwlock: layout.cell("under_rwlock", 0),
    }));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let shared = Arc::clone(&shared);
            Native::spawn(&ctx, "adder", move |ctx| {
                for _ in 0..ROUNDS {
                    let _spin = Spin::<Native>::lock(&shared.spin, ctx);
                    shared.under_spin.set(ctx, shared.under_spin.get(ctx) + 1);
                    let before = {
                        let _read = Read::<Native>::lock_irqsave(&shared.rwlock, ctx);
                        shared.under_rwlock.get(ctx)
                    };
                    let _write = Write::<Native>::lock_irqsave(&shared.rwlock, ctx);
                    assert!(shared.under_rwlock.get(ctx) >= before);
                    shared.under_rwlock.set(ctx, shared.under_rwlock.get(ctx) + 1);
                }
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| Native::join(&ctx, thread)));
    assert_eq!((shared.under_spin.get(&ctx), shared.under_rwlock.get(&ctx)), (3 * ROUNDS, 3 * ROUNDS));
}

#[test]
fn a_parked_thread_misses_no_wake_up() {
    const ROUNDS: u32 = 20_000;
    struct Shared {
        parker: <Native as Platform>::Parker,
        ball: <Native as Platform>::AtomicU32,
        back: <Native as Platform>::Parker,
    }
    let ctx = NativeCtx::new("main");
    let shared = Arc::new(Native::embed("test", |layout| Shared {
        parker: layout.parker("there"),
        ball: layout.u32("ball", 0),
        back: layout.parker("back"),
    }));
    let player = Native::spawn(&ctx, "player", {
        let shared = Arc::clone(&shared);
        move |ctx| {
            for round in 0..ROUNDS {
                while shared.ball.load(ctx, Order::Relaxed) != 2 * round + 1 {
                    shared.parker.park(ctx);
                }
                shared.ball.fetch_add(ctx, 1, Order::SeqCst(Pair::KickBlock));
                shared.back.unpark(ctx);
            }
        }
    });
    for round in 0..ROUNDS {
        shared.ball.add(&ctx, 1);
        shared.parker.unpark(&ctx);
        while shared.ball.load(&ctx, Order::Relaxed) != 2 * round + 2 {
            shared.back.park(&ctx);
        }
    }
    assert!(Native::join(&ctx, player));
}
