//! the code of `vgic_native::protocol`, on loom's atomics.
//!
//! Around it stands what `vgic-native` has around it: `synchronize` here is `Domain::wait_for_readers` there without its
//! statistics, and `Bed` is a mutex and a condition variable on both sides. Membarrier cannot be said in loom: both halves
//! of the barrier are sequentially consistent fences, as in `Strategy::Fences`.

use crate::platform::{Ctx, Loom, full_fence, object::TakesTurns};
use crate::weaken::{Side, granted};
use core::marker::PhantomData;
use loom::sync::atomic::{AtomicU8, Ordering};
use loom::sync::{Condvar, Mutex};
use std::sync::Arc;
use vgic_core::platform::{Atomic, Layout, PlainCell};
use vgic_core::{Obj, Order, Platform};
use vgic_native::protocol::{self, Bed, Number, Parking, Section};

/// To which pair the orders of a word belong.
pub(super) trait Named {
    const PAIR: &'static str;
}

/// The words of RCU.
struct R02;
impl Named for R02 {
    const PAIR: &'static str = "R-02";
}

/// The token.
struct R08;
impl Named for R08 {
    const PAIR: &'static str = "R-08";
}

/// A word whose orders can be taken away.
pub(super) struct Word<N, A> {
    value: A,
    /// What loads have in common; see the platform's atomics.
    loads: AtomicU8,
    name: PhantomData<fn() -> N>,
}

/// What is left of an order.
#[track_caller]
fn left<N: Named>(order: Ordering) -> Ordering {
    let side = match order {
        Ordering::Acquire => Side::Acquire,
        Ordering::Release => Side::Release,
        _ => return order,
    };
    if granted(N::PAIR, side) { order } else { Ordering::Relaxed }
}

macro_rules! word {
    ($($atomic:ty, $value:ty;)*) => {$(
        impl<N: Named> protocol::Word<$value> for Word<N, $atomic> {
            fn new(value: $value) -> Self {
                Word { value: <$atomic>::new(value), loads: AtomicU8::new(0), name: PhantomData }
            }
            #[track_caller]
            fn load(&self, order: Ordering) -> $value {
                self.loads.fetch_add(0, Ordering::Relaxed);
                self.value.load(left::<N>(order))
            }
            #[track_caller]
            fn store(&self, value: $value, order: Ordering) {
                self.value.store(value, left::<N>(order));
            }
            #[track_caller]
            fn swap(&self, value: $value, order: Ordering) -> $value {
                self.value.swap(value, left::<N>(order))
            }
            #[track_caller]
            fn compare_exchange(&self, current: $value, new: $value, order: Ordering) -> Result<$value, $value> {
                // One that fails is a load, and may read an older value than loom's does.
                self.loads.fetch_add(0, Ordering::Relaxed);
                match self.value.load(Ordering::Relaxed) {
                    seen if seen == current => {
                        self.value.compare_exchange(current, new, left::<N>(order), Ordering::Relaxed)
                    }
                    seen => Err(seen),
                }
            }
            #[track_caller]
            fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.value.fetch_add(value, left::<N>(order))
            }
        }
    )*};
}
word! {
    loom::sync::atomic::AtomicU32, u32;
    loom::sync::atomic::AtomicU64, u64;
}

type RcuWord = Word<R02, loom::sync::atomic::AtomicU64>;
type Record = Arc<Section<RcuWord>>;

/// A domain, and an object that its readers reach through a pointer.
struct Domain {
    number: Number<RcuWord>,
    records: Mutex<Vec<Record>>,
    pointer: <Loom as Platform>::AtomicPtr<Thing>,
}

struct Thing {
    value: <Loom as Platform>::Cell<u32>,
}

impl Domain {
    fn new(ctx: &Ctx) -> Arc<Self> {
        let thing = Loom::alloc(ctx, "thing", |l| Thing { value: l.cell("value", 1) }).expect("memory");
        let pointer = Loom::embed("domain", |l| l.ptr("pointer"));
        pointer.store(ctx, thing.as_ptr(), Order::Relaxed);
        Arc::new(Domain { number: Number::new(), records: Mutex::new(Vec::new()), pointer })
    }

    fn register(&self) -> Record {
        let record = Arc::new(Section::new());
        self.records.lock().expect("no panic").push(Arc::clone(&record));
        record
    }

    /// One section: uses the object if it is there. No order but RCU's.
    fn read(&self, ctx: &Ctx, record: &Record) {
        record.enter(&self.number, || full_fence("R-03"));
        // SAFETY: M-06: null or the object, which is freed when its readers are gone.
        if let Some(thing) = unsafe { Obj::from_ptr(self.pointer.load(ctx, Order::Relaxed)) } {
            thing.value.get(ctx);
        }
        record.leave();
    }

    /// Waits for the readers; as in `vgic-native`, done at once if there are none.
    fn synchronize(&self) {
        let (mut late, mut new) = (Vec::new(), 0);
        {
            let records = self.records.lock().expect("no panic");
            if !records.is_empty() {
                new = self.number.raise(|| full_fence("R-03"));
                late.extend(records.iter().filter(|record| record.is_before(new)).cloned());
            }
        }
        for record in late {
            while record.is_before(new) {
                loom::thread::yield_now();
            }
        }
    }

    /// Unlinks the object, waits, frees it.
    fn replace(&self, ctx: &Ctx) {
        // SAFETY: M-06: as in `read`.
        let thing = unsafe { Obj::from_ptr(self.pointer.swap(ctx, core::ptr::null_mut(), Order::Relaxed)) };
        self.synchronize();
        if let Some(thing) = thing {
            // SAFETY: M-06: unlinked, and its readers are gone.
            unsafe { Loom::free(ctx, thing) };
        }
    }
}

fn readers(ctx: &Ctx, sections: usize) {
    let domain = Domain::new(ctx);
    let record = domain.register();
    let reader = Arc::clone(&domain);
    let reader = Loom::spawn(ctx, "reader", move |ctx| (0..sections).for_each(|_| reader.read(ctx, &record)));
    domain.replace(ctx);
    Loom::join(ctx, reader);
}

pub(super) fn a_section_and_a_free(ctx: &Ctx) {
    readers(ctx, 1);
}

pub(super) fn two_sections_and_a_free(ctx: &Ctx) {
    readers(ctx, 2);
}

pub(super) fn a_reader_that_registers_late(ctx: &Ctx) {
    let domain = Domain::new(ctx);
    let reader = Arc::clone(&domain);
    let reader = Loom::spawn(ctx, "reader", move |ctx| {
        let record = reader.register();
        reader.read(ctx, &record);
    });
    domain.replace(ctx);
    Loom::join(ctx, reader);
}

pub(super) fn two_grace_periods_at_once(ctx: &Ctx) {
    let domain = Domain::new(ctx);
    let record = domain.register();
    let (reader, writer) = (Arc::clone(&domain), Arc::clone(&domain));
    let reader = Loom::spawn(ctx, "reader", move |ctx| reader.read(ctx, &record));
    let writer = Loom::spawn(ctx, "writer", move |_| writer.synchronize());
    domain.replace(ctx);
    Loom::join(ctx, reader);
    Loom::join(ctx, writer);
}

/// Where a thread sleeps.
struct Sleeper {
    asleep: Mutex<()>,
    wake: Condvar,
}

impl Bed for TakesTurns<Sleeper> {
    fn sleep(&self, enter: impl FnOnce() -> bool, leave: impl Fn() -> bool) {
        let mut asleep = self.0.asleep.lock().expect("no panic");
        if enter() {
            while !leave() {
                asleep = self.0.wake.wait(asleep).expect("no panic");
            }
        }
    }

    fn rouse(&self) {
        drop(self.0.asleep.lock());
        self.0.wake.notify_one();
    }
}

/// A place to sleep, and what each waker says before it wakes the sleeper.
struct Bedroom {
    parking: Parking<Word<R08, loom::sync::atomic::AtomicU32>, TakesTurns<Sleeper>>,
    said: [<Loom as Platform>::AtomicU32; 2],
}

impl Bedroom {
    fn new() -> Arc<Self> {
        let sleeper = Sleeper { asleep: Mutex::new(()), wake: Condvar::new() };
        let said = Loom::embed("said", |l| [l.u32("said[0]", 0), l.u32("said[1]", 0)]);
        Arc::new(Bedroom { parking: Parking::new(TakesTurns(sleeper)), said })
    }

    fn waker(self: &Arc<Self>, ctx: &Ctx, waker: usize) -> crate::platform::Thread {
        let bedroom = Arc::clone(self);
        Loom::spawn(ctx, "waker", move |ctx| {
            bedroom.said[waker].store(ctx, 1, Order::Relaxed);
            bedroom.parking.unpark();
        })
    }
}

pub(super) fn parked_and_woken_once(ctx: &Ctx) {
    let bedroom = Bedroom::new();
    let waker = bedroom.waker(ctx, 0);
    bedroom.parking.park();
    ctx.expect(bedroom.said[0].load(ctx, Order::Relaxed) == 1, "woken up without what was said before");
    Loom::join(ctx, waker);
}

/// Two tokens may become one; whoever takes it must see what both have said, or it sleeps for ever.
pub(super) fn parked_and_woken_twice(ctx: &Ctx) {
    let bedroom = Bedroom::new();
    let wakers = [bedroom.waker(ctx, 0), bedroom.waker(ctx, 1)];
    while bedroom.said.iter().any(|said| said.load(ctx, Order::Relaxed) == 0) {
        bedroom.parking.park();
    }
    wakers.into_iter().for_each(|waker| {
        Loom::join(ctx, waker);
    });
}

/// Counts how often it is roused; nobody sleeps in it.
struct Elsewhere(loom::sync::atomic::AtomicU32);

impl Bed for Elsewhere {
    fn sleep(&self, _: impl FnOnce() -> bool, _: impl Fn() -> bool) {
        unreachable!("who sleeps elsewhere does not sleep here");
    }

    fn rouse(&self) {
        // Relaxed: it is looked at when the wakers are joined.
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Who lies down and looks sees what was said, or is told: of what its last look has missed nothing is left untold.
pub(super) fn told_elsewhere(ctx: &Ctx) {
    let said = Loom::embed("said", |l| [l.u32("said[0]", 0), l.u32("said[1]", 0)]);
    let parking: Parking<Word<R08, loom::sync::atomic::AtomicU32>, _> =
        Parking::new(Elsewhere(loom::sync::atomic::AtomicU32::new(0)));
    let shared = Arc::new((parking, said));
    let told = || shared.0.bed().0.load(std::sync::atomic::Ordering::Relaxed);
    shared.0.lie_down();
    let wakers = [0, 1].map(|waker| {
        let shared = Arc::clone(&shared);
        Loom::spawn(ctx, "waker", move |ctx| {
            shared.1[waker].store(ctx, 1, Order::Relaxed);
            shared.0.unpark();
        })
    });
    // It looks once for some other reason, and sleeps again.
    let was_told = shared.0.lie_down();
    let seen: u32 = shared.1.iter().map(|said| said.load(ctx, Order::Relaxed)).sum();
    wakers.into_iter().for_each(|waker| {
        Loom::join(ctx, waker);
    });
    ctx.expect(!was_told || seen > 0, "told, and nothing is there");
    // Two that come behind one look are told as one.
    ctx.expect(told() >= u32::from(was_told) + u32::from(seen < 2), "asleep, and nobody has told");
}
