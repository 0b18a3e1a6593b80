//! The fields that hold a value: a name, and the value in an atomic of the standard library.

use crate::ctx::CountCtx;
use crate::field::Field;
use crate::step::Kind;
use core::marker::PhantomData;
use core::ptr::null_mut;
use std::sync::atomic::{self, Ordering::Relaxed};
use vgic_core::platform::{Atomic, AtomicInt, Plain, PlainCell, PointerCell};
use vgic_core::{Obj, Order};

// Relaxed everywhere: one thread uses the platform. The order that the engine asked for is written down.

macro_rules! atomic {
    ($name:ident $(<$param:ident>)?, $value:ty) => {
        impl $(<$param: 'static>)? Atomic<CountCtx, $value> for $name $(<$param>)? {
            fn load(&self, ctx: &CountCtx, order: Order) -> $value {
                self.field.touch(ctx, Kind::Read, Some(order));
                self.value.load(Relaxed)
            }
            fn store(&self, ctx: &CountCtx, value: $value, order: Order) {
                self.field.touch(ctx, Kind::Write, Some(order));
                self.value.store(value, Relaxed);
            }
            fn swap(&self, ctx: &CountCtx, value: $value, order: Order) -> $value {
                self.field.touch(ctx, Kind::Rmw, Some(order));
                self.value.swap(value, Relaxed)
            }
            fn compare_exchange(
                &self,
                ctx: &CountCtx,
                current: $value,
                new: $value,
                order: Order,
            ) -> Result<$value, $value> {
                self.field.touch(ctx, Kind::Rmw, Some(order));
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

        impl AtomicInt<CountCtx, $value> for $name {
            fn fetch_add(&self, ctx: &CountCtx, value: $value, order: Order) -> $value {
                self.field.touch(ctx, Kind::Rmw, Some(order));
                self.value.fetch_add(value, Relaxed)
            }
            fn fetch_sub(&self, ctx: &CountCtx, value: $value, order: Order) -> $value {
                self.field.touch(ctx, Kind::Rmw, Some(order));
                self.value.fetch_sub(value, Relaxed)
            }
            fn fetch_or(&self, ctx: &CountCtx, value: $value, order: Order) -> $value {
                self.field.touch(ctx, Kind::Rmw, Some(order));
                self.value.fetch_or(value, Relaxed)
            }
            fn fetch_and(&self, ctx: &CountCtx, value: $value, order: Order) -> $value {
                self.field.touch(ctx, Kind::Rmw, Some(order));
                self.value.fetch_and(value, Relaxed)
            }
            fn add(&self, ctx: &CountCtx, value: $value) {
                self.field.touch(ctx, Kind::Rmw, Some(Order::Relaxed));
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

impl<T: Plain> PlainCell<CountCtx, T> for Cell<T> {
    fn get(&self, ctx: &CountCtx) -> T {
        self.field.touch(ctx, Kind::CellRead, None);
        T::from_bits(self.bits.load(Relaxed))
    }
    fn set(&self, ctx: &CountCtx, value: T) {
        self.field.touch(ctx, Kind::CellWrite, None);
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

impl<T: 'static> PointerCell<CountCtx, T> for PtrCell<T> {
    fn get(&self, ctx: &CountCtx) -> Option<Obj<T>> {
        self.field.touch(ctx, Kind::CellRead, None);
        // SAFETY: C-03: only `set` writes the value, from a handle; memory of objects stays until the context is
        // dropped, so a handle that outlives its object meets the check for freed objects.
        unsafe { Obj::from_ptr(self.value.load(Relaxed)) }
    }
    fn set(&self, ctx: &CountCtx, value: Option<Obj<T>>) {
        self.field.touch(ctx, Kind::CellWrite, None);
        self.value.store(value.map_or(null_mut(), Obj::as_ptr), Relaxed);
    }
}
