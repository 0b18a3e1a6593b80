//! The atomics: loom's, with the orders that the engine asks for, less the one that the run takes away.
//!
//! Where loom tries less than it could, and what is done about it:
//! - Of the loads of a field, loom remembers the last one only. A thread that loads and then stores (the holder of a lock,
//!   say) hides from it that the store could have come before the load of another thread. So each load first touches a
//!   word that loads alone have in common: they count as dependent, and both orders are tried.
//! - loom's `SeqCst` accesses are acquire and release only. `Order::SeqCst` means a full barrier on both sides, so it is
//!   a fence before and after.
//! - A compare-exchange that fails reads the latest value in loom. It is a load, so it may read an older one: such a load
//!   comes first here.
//! - A load sees one of the last seven stores to its field; no model here stores as often.

use super::Ctx;
use super::object::Field;
use super::world;
use crate::weaken::{Side, granted};
use loom::sync::atomic::{self as real, Ordering, fence};
use vgic_core::Order;
use vgic_core::platform::{Atomic, AtomicInt};

/// What is left of an order at a site.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Strength {
    acquire: bool,
    release: bool,
    full: bool,
}

impl Strength {
    #[track_caller]
    fn of(order: Order) -> Self {
        let mut strength = Strength { acquire: false, release: false, full: false };
        match order {
            Order::Relaxed => {}
            // loom knows no dependencies, so the load acquires: that all which needs the order hangs on the pointer is
            // argued in ORDERING.md.
            Order::Consume(pair) | Order::Acquire(pair) => strength.acquire = granted(pair.code(), Side::Acquire),
            Order::Release(pair) => strength.release = granted(pair.code(), Side::Release),
            Order::AcqRel(pair) => {
                strength.acquire = granted(pair.code(), Side::Acquire);
                strength.release = granted(pair.code(), Side::Release);
            }
            Order::SeqCst(pair) => strength.full = granted(pair.code(), Side::Full),
        }
        strength
    }

    fn load(self) -> Ordering {
        if self.acquire || self.full { Ordering::Acquire } else { Ordering::Relaxed }
    }

    fn store(self) -> Ordering {
        if self.release || self.full { Ordering::Release } else { Ordering::Relaxed }
    }

    fn exchange(self) -> Ordering {
        match (self.acquire || self.full, self.release || self.full) {
            (true, true) => Ordering::AcqRel,
            (true, false) => Ordering::Acquire,
            (false, true) => Ordering::Release,
            (false, false) => Ordering::Relaxed,
        }
    }

    /// Does it between the barriers that it needs.
    fn around<R>(self, f: impl FnOnce() -> R) -> R {
        if self.full {
            fence(Ordering::SeqCst);
        }
        let result = f();
        if self.full {
            fence(Ordering::SeqCst);
        }
        result
    }
}

macro_rules! atomic {
    ($(#[$doc:meta])* $name:ident $(<$param:ident>)?, $value:ty, $real:ty, $zero:expr, $bits:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name $(<$param>)? {
            field: Field,
            value: $real,
            /// What loads have in common.
            loads: real::AtomicU8,
        }

        impl $(<$param: 'static>)? $name $(<$param>)? {
            pub(crate) fn new(field: Field, value: $value) -> Self {
                $name { field, value: <$real>::new(value), loads: real::AtomicU8::new(0) }
            }

            fn read(&self, order: Ordering) -> $value {
                if world::are_many() {
                    self.loads.fetch_add(0, Ordering::Relaxed);
                }
                self.value.load(order)
            }
        }

        impl $(<$param: 'static>)? Atomic<Ctx, $value> for $name $(<$param>)? {
            #[track_caller]
            #[inline(never)]
            fn load(&self, ctx: &Ctx, order: Order) -> $value {
                let strength = Strength::of(order);
                if !self.field.touch(ctx, "reads") {
                    return $zero;
                }
                let value = strength.around(|| self.read(strength.load()));
                self.field.done(ctx, "read", $bits(value));
                value
            }
            #[track_caller]
            #[inline(never)]
            fn store(&self, ctx: &Ctx, value: $value, order: Order) {
                let strength = Strength::of(order);
                if self.field.touch(ctx, "writes") {
                    strength.around(|| self.value.store(value, strength.store()));
                    self.field.done(ctx, "wrote", $bits(value));
                }
            }
            #[track_caller]
            #[inline(never)]
            fn swap(&self, ctx: &Ctx, value: $value, order: Order) -> $value {
                let strength = Strength::of(order);
                if !self.field.touch(ctx, "exchanges") {
                    return $zero;
                }
                let old = strength.around(|| self.value.swap(value, strength.exchange()));
                self.field.done(ctx, "found", $bits(old));
                old
            }
            #[track_caller]
            #[inline(never)]
            fn compare_exchange(
                &self,
                ctx: &Ctx,
                current: $value,
                new: $value,
                order: Order,
            ) -> Result<$value, $value> {
                let strength = Strength::of(order);
                if !self.field.touch(ctx, "exchanges") {
                    return Err($zero);
                }
                let seen = self.read(Ordering::Relaxed);
                let result = match seen == current {
                    true => strength.around(|| {
                        self.value.compare_exchange(current, new, strength.exchange(), Ordering::Relaxed)
                    }),
                    false => Err(seen),
                };
                self.field.done(ctx, "found", result.map_or_else($bits, $bits));
                result
            }
        }
    };
}

macro_rules! integer {
    ($(#[$doc:meta])* $name:ident, $value:ty, $real:ty) => {
        atomic!($(#[$doc])* $name, $value, $real, 0, u64::from);

        impl $name {
            fn change(&self, ctx: &Ctx, strength: Strength, change: impl FnOnce(&$real, Ordering) -> $value) -> $value {
                if !self.field.touch(ctx, "changes") {
                    return 0;
                }
                let old = strength.around(|| change(&self.value, strength.exchange()));
                self.field.done(ctx, "found", u64::from(old));
                old
            }
        }

        impl AtomicInt<Ctx, $value> for $name {
            #[track_caller]
            #[inline(never)]
            fn fetch_add(&self, ctx: &Ctx, value: $value, order: Order) -> $value {
                self.change(ctx, Strength::of(order), |real, order| real.fetch_add(value, order))
            }
            #[track_caller]
            #[inline(never)]
            fn fetch_sub(&self, ctx: &Ctx, value: $value, order: Order) -> $value {
                self.change(ctx, Strength::of(order), |real, order| real.fetch_sub(value, order))
            }
            #[track_caller]
            #[inline(never)]
            fn fetch_or(&self, ctx: &Ctx, value: $value, order: Order) -> $value {
                self.change(ctx, Strength::of(order), |real, order| real.fetch_or(value, order))
            }
            #[track_caller]
            #[inline(never)]
            fn fetch_and(&self, ctx: &Ctx, value: $value, order: Order) -> $value {
                self.change(ctx, Strength::of(order), |real, order| real.fetch_and(value, order))
            }
            #[inline(never)]
            fn add(&self, ctx: &Ctx, value: $value) {
                self.change(ctx, Strength::of(Order::Relaxed), |real, order| real.fetch_add(value, order));
            }
        }
    };
}

integer!(
    /// A 32-bit atomic.
    AtomicU32, u32, real::AtomicU32
);
integer!(
    /// A 64-bit atomic.
    AtomicU64, u64, real::AtomicU64
);

/// An address as the story keeps it.
fn address<T>(pointer: *mut T) -> u64 {
    pointer.addr() as u64
}

atomic!(
    /// An atomic pointer.
    AtomicPtr<T>, *mut T, real::AtomicPtr<T>, core::ptr::null_mut(), address
);
