//! The fields that hold a value. One core runs at a time, so a value is a value; its access takes time.

use crate::ctx::SimCtx;
use crate::field::Field;
use crate::machine::Atomics;
use core::marker::PhantomData;
use core::ptr::null_mut;
use std::sync::atomic::{self, Ordering::Relaxed};
use vgic_core::platform::{Atomic, AtomicInt, Plain, PlainCell, PointerCell};
use vgic_core::{Obj, Order};

// Relaxed everywhere: all cores run on one thread of the host; the types are atomics since the traits ask for `Sync`.

/// Whether what came before must be done first.
fn releases(order: Order) -> bool {
    matches!(order, Order::Release(_) | Order::AcqRel(_) | Order::SeqCst(_))
}

/// A read-modify-write.
#[inline]
fn modify(ctx: &SimCtx, field: &Field, order: Order) {
    if releases(order) {
        ctx.drain();
    }
    if ctx.world.machine.atomics == Atomics::LlSc {
        // The kernel fetches the line for writing before it loads. Should the line be gone at the store, it comes again.
        ctx.modify(field);
    }
    ctx.modify(field);
}

#[inline]
fn load(ctx: &SimCtx, field: &Field) {
    ctx.read(field);
}

#[inline]
fn store(ctx: &SimCtx, field: &Field, order: Order) {
    if releases(order) {
        ctx.drain();
    }
    ctx.write(field);
}

macro_rules! atomic {
    ($name:ident $(<$param:ident>)?, $value:ty) => {
        impl $(<$param: 'static>)? Atomic<SimCtx, $value> for $name $(<$param>)? {
            fn load(&self, ctx: &SimCtx, _order: Order) -> $value {
                load(ctx, &self.field);
                self.value.load(Relaxed)
            }
            fn store(&self, ctx: &SimCtx, value: $value, order: Order) {
                store(ctx, &self.field, order);
                self.value.store(value, Relaxed);
            }
            fn swap(&self, ctx: &SimCtx, value: $value, order: Order) -> $value {
                modify(ctx, &self.field, order);
                self.value.swap(value, Relaxed)
            }
            fn compare_exchange(
                &self,
                ctx: &SimCtx,
                current: $value,
                new: $value,
                order: Order,
            ) -> Result<$value, $value> {
                modify(ctx, &self.field, order);
                self.value.compare_exchange(current, new, Relaxed, Relaxed)
            }
        }
    };
}

macro_rules! integer {
    ($(#[$doc:meta])* $name:ident, $value:ty, $std:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            field: Field,
            value: $std,
        }

        impl $name {
            pub(crate) fn new(field: Field, value: $value) -> Self {
                $name { field, value: <$std>::new(value) }
            }
        }

        atomic!($name, $value);

        impl AtomicInt<SimCtx, $value> for $name {
            fn fetch_add(&self, ctx: &SimCtx, value: $value, order: Order) -> $value {
                modify(ctx, &self.field, order);
                self.value.fetch_add(value, Relaxed)
            }
            fn fetch_sub(&self, ctx: &SimCtx, value: $value, order: Order) -> $value {
                modify(ctx, &self.field, order);
                self.value.fetch_sub(value, Relaxed)
            }
            fn fetch_or(&self, ctx: &SimCtx, value: $value, order: Order) -> $value {
                modify(ctx, &self.field, order);
                self.value.fetch_or(value, Relaxed)
            }
            fn fetch_and(&self, ctx: &SimCtx, value: $value, order: Order) -> $value {
                modify(ctx, &self.field, order);
                self.value.fetch_and(value, Relaxed)
            }
            fn add(&self, ctx: &SimCtx, value: $value) {
                if ctx.world.machine.atomics == Atomics::FarStore {
                    ctx.modify_far(&self.field);
                } else {
                    modify(ctx, &self.field, Order::Relaxed);
                }
                self.value.fetch_add(value, Relaxed);
            }
        }
    };
}

integer!(
    /// A 32-bit atomic.
    AtomicU32, u32, atomic::AtomicU32
);
integer!(
    /// A 64-bit atomic.
    AtomicU64, u64, atomic::AtomicU64
);

/// An atomic pointer.
#[derive(Debug)]
pub struct AtomicPtr<T> {
    field: Field,
    value: atomic::AtomicPtr<T>,
}

impl<T> AtomicPtr<T> {
    pub(crate) fn new(field: Field) -> Self {
        AtomicPtr { field, value: atomic::AtomicPtr::new(null_mut()) }
    }
}

atomic!(AtomicPtr<T>, *mut T);

/// Plain data.
#[derive(Debug)]
pub struct Cell<T> {
    field: Field,
    bits: atomic::AtomicU64,
    plain: PhantomData<T>,
}

impl<T: Plain> Cell<T> {
    pub(crate) fn new(field: Field, value: T) -> Self {
        Cell { field, bits: atomic::AtomicU64::new(value.to_bits()), plain: PhantomData }
    }
}

impl<T: Plain> PlainCell<SimCtx, T> for Cell<T> {
    fn get(&self, ctx: &SimCtx) -> T {
        load(ctx, &self.field);
        T::from_bits(self.bits.load(Relaxed))
    }
    fn set(&self, ctx: &SimCtx, value: T) {
        store(ctx, &self.field, Order::Relaxed);
        self.bits.store(value.to_bits(), Relaxed);
    }
}

/// A plain pointer.
#[derive(Debug)]
pub struct PtrCell<T> {
    field: Field,
    value: atomic::AtomicPtr<T>,
}

impl<T> PtrCell<T> {
    pub(crate) fn new(field: Field) -> Self {
        PtrCell { field, value: atomic::AtomicPtr::new(null_mut()) }
    }
}

impl<T: 'static> PointerCell<SimCtx, T> for PtrCell<T> {
    fn get(&self, ctx: &SimCtx) -> Option<Obj<T>> {
        load(ctx, &self.field);
        // SAFETY: X-02: only `set` writes the value, from a handle; the caller holds what keeps the object alive.
        unsafe { Obj::from_ptr(self.value.load(Relaxed)) }
    }
    fn set(&self, ctx: &SimCtx, value: Option<Obj<T>>) {
        store(ctx, &self.field, Order::Relaxed);
        self.value.store(value.map_or(null_mut(), Obj::as_ptr), Relaxed);
    }
}
