//! the code of `vgic_native::latch`, on loom's atomics.
//!
//! A word that threads sleep on is a word, a mutex and a condition variable here. What the machine's futex promises is
//! kept: who lies down has looked at the word as it is at that moment, and who wakes does it before or after that.

use super::protocol::{Named, Word};
use crate::platform::{Ctx, Loom, object::TakesTurns};
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};
use std::sync::Arc;
use vgic_core::Platform;
use vgic_core::platform::{Layout, PlainCell};
use vgic_native::latch::{Gate, Latch, SleepWord};
use vgic_native::protocol;

/// The word of a mutex.
struct R10;
impl Named for R10 {
    const PAIR: &'static str = "R-10";
}

/// The word of a reader-writer lock.
struct R11;
impl Named for R11 {
    const PAIR: &'static str = "R-11";
}

/// A word, and its sleepers.
struct Futex<N> {
    word: Word<N, AtomicU32>,
    asleep: TakesTurns<(Mutex<()>, Condvar)>,
}

impl<N: Named> protocol::Word<u32> for Futex<N> {
    fn new(value: u32) -> Self {
        Futex { word: protocol::Word::new(value), asleep: TakesTurns((Mutex::new(()), Condvar::new())) }
    }
    #[track_caller]
    fn load(&self, order: Ordering) -> u32 {
        self.word.load(order)
    }
    #[track_caller]
    fn store(&self, value: u32, order: Ordering) {
        self.word.store(value, order);
    }
    #[track_caller]
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.word.swap(value, order)
    }
    #[track_caller]
    fn compare_exchange(&self, current: u32, new: u32, order: Ordering) -> Result<u32, u32> {
        self.word.compare_exchange(current, new, order)
    }
    #[track_caller]
    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.word.fetch_add(value, order)
    }
}

impl<N: Named> SleepWord for Futex<N> {
    fn sleep(&self, value: u32) {
        let (asleep, wake) = &self.asleep.0;
        let guard = asleep.lock().expect("no panic");
        // A read-modify-write reads the newest value, as the kernel does.
        if protocol::Word::fetch_add(&self.word, 0, Ordering::Relaxed) == value {
            drop(wake.wait(guard).expect("no panic"));
        }
    }

    fn wake_one(&self) {
        drop(self.asleep.0.0.lock());
        self.asleep.0.1.notify_one();
    }

    fn wake_all(&self) {
        drop(self.asleep.0.0.lock());
        self.asleep.0.1.notify_all();
    }

    /// Time passes as the model checker says.
    fn pause(_: u32) -> bool {
        false
    }
}

/// A mutex, and what it guards.
struct Guarded {
    latch: Latch<Futex<R10>>,
    value: <Loom as Platform>::Cell<u32>,
}

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Guarded { latch: Latch::new(), value: Loom::embed("guarded", |l| l.cell("value", 0)) })
    }

    fn add(&self, ctx: &Ctx) {
        self.latch.lock();
        self.value.set(ctx, self.value.get(ctx) + 1);
        self.latch.unlock();
    }
}

fn at_a_latch(ctx: &Ctx, others: u32) {
    let guarded = Guarded::new();
    let spawn = |_| {
        let guarded = Arc::clone(&guarded);
        Loom::spawn(ctx, "other", move |ctx| guarded.add(ctx))
    };
    let threads: Vec<_> = (0..others).map(spawn).collect();
    guarded.add(ctx);
    threads.into_iter().for_each(|thread| {
        Loom::join(ctx, thread);
    });
    ctx.expect(guarded.value.get(ctx) == others + 1, "two were inside at once");
}

pub(super) fn two_at_a_latch(ctx: &Ctx) {
    at_a_latch(ctx, 1);
}

pub(super) fn three_at_a_latch(ctx: &Ctx) {
    at_a_latch(ctx, 2);
}

/// A reader-writer lock, and what it guards.
struct Shared {
    gate: Gate<Futex<R11>>,
    values: [<Loom as Platform>::Cell<u32>; 2],
}

impl Shared {
    fn new() -> Arc<Self> {
        let values = Loom::embed("shared", |l| [l.cell("values[0]", 0), l.cell("values[1]", 0)]);
        Arc::new(Shared { gate: Gate::new(), values })
    }

    fn read(&self, ctx: &Ctx) {
        self.gate.enter();
        let [a, b] = [self.values[0].get(ctx), self.values[1].get(ctx)];
        ctx.expect(a == b, "a reader saw half of a change");
        self.gate.leave();
    }

    fn write(&self, ctx: &Ctx) {
        self.gate.close();
        self.values.iter().for_each(|value| value.set(ctx, value.get(ctx) + 1));
        self.gate.open();
    }
}

fn at_a_gate(ctx: &Ctx, others: &[fn(&Shared, &Ctx)], mine: fn(&Shared, &Ctx)) {
    let shared = Shared::new();
    let spawn = |other: &fn(&Shared, &Ctx)| {
        let (shared, other) = (Arc::clone(&shared), *other);
        Loom::spawn(ctx, "other", move |ctx| other(&shared, ctx))
    };
    let threads: Vec<_> = others.iter().map(spawn).collect();
    mine(&shared, ctx);
    threads.into_iter().for_each(|thread| {
        Loom::join(ctx, thread);
    });
}

pub(super) fn a_reader_and_a_writer_at_a_gate(ctx: &Ctx) {
    at_a_gate(ctx, &[Shared::read], Shared::write);
}

/// The last reader wakes the writer. For one preemption: with two it has a quarter of a million executions.
pub fn two_readers_and_a_writer_at_a_gate(ctx: &Ctx) {
    at_a_gate(ctx, &[Shared::read, Shared::read], Shared::write);
}

/// Who leaves wakes both. For one preemption as well.
pub fn two_writers_and_a_reader_at_a_gate(ctx: &Ctx) {
    at_a_gate(ctx, &[Shared::write, Shared::write], Shared::read);
}
