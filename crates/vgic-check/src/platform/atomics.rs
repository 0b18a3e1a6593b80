//! The fields that hold a value.
//!
//! Interleavings only: each access sees the latest write (sequential consistency), whatever order it asked for.
//! Once an execution has ended early, every value reads as zero, so that the destructors that run then find empty lists
//! and end soon.
//!
//! The engine is compiled for every design: what each access does here stays out of line, or it would take minutes.

use super::ctx::Ctx;
use super::field::{Access, Field};
use super::log::Did;
use core::marker::PhantomData;
use core::ptr::null_mut;
use std::sync::atomic::{self, Ordering::Relaxed};
use vgic_core::platform::{Atomic, AtomicInt, Plain, PlainCell, PointerCell};
use vgic_core::{Obj, Order};

macro_rules! atomic {
    ($name:ident $(<$param:ident>)?, $value:ty, $zero:expr, $did:ident, $bits:expr) => {
        impl $(<$param: 'static>)? Atomic<Ctx, $value> for $name $(<$param>)? {
            #[inline(never)]
            fn load(&self, ctx: &Ctx, _order: Order) -> $value {
                if !ctx.touch(&self.field, Access::Read) {
                    return $zero;
                }
                let value = self.value.load(Relaxed);
                ctx.log(|| Did::$did(self.field.clone(), $bits(value)));
                value
            }
            #[inline(never)]
            fn store(&self, ctx: &Ctx, value: $value, _order: Order) {
                if ctx.touch(&self.field, Access::Write) {
                    let old = self.value.swap(value, Relaxed);
                    ctx.log(|| Did::Write(self.field.clone(), $bits(old), $bits(value)));
                }
            }
            #[inline(never)]
            fn swap(&self, ctx: &Ctx, value: $value, _order: Order) -> $value {
                if !ctx.touch(&self.field, Access::Write) {
                    return $zero;
                }
                let old = self.value.swap(value, Relaxed);
                ctx.log(|| Did::Exchange(self.field.clone(), $bits(old), $bits(value)));
                old
            }
            #[inline(never)]
            fn compare_exchange(
                &self,
                ctx: &Ctx,
                current: $value,
                new: $value,
                _order: Order,
            ) -> Result<$value, $value> {
                if !ctx.touch(&self.field, Access::Write) {
                    return Err($zero);
                }
                let result = self.value.compare_exchange(current, new, Relaxed, Relaxed);
                ctx.log(|| match result {
                    Ok(old) => Did::Exchange(self.field.clone(), $bits(old), $bits(new)),
                    Err(found) => Did::Read(self.field.clone(), $bits(found)),
                });
                result
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

            /// One read-modify-write; the old value.
            #[inline(never)]
            fn change(&self, ctx: &Ctx, change: impl FnOnce($value) -> $value) -> $value {
                if !ctx.touch(&self.field, Access::Write) {
                    return 0;
                }
                let old = self.value.load(Relaxed);
                let new = change(old);
                self.value.store(new, Relaxed);
                ctx.log(|| Did::Add(self.field.clone(), u64::from(old), u64::from(new)));
                old
            }
        }

        atomic!($name, $value, 0, Read, u64::from);

        impl AtomicInt<Ctx, $value> for $name {
            fn fetch_add(&self, ctx: &Ctx, value: $value, _order: Order) -> $value {
                self.change(ctx, |old| old.wrapping_add(value))
            }
            fn fetch_sub(&self, ctx: &Ctx, value: $value, _order: Order) -> $value {
                self.change(ctx, |old| old.wrapping_sub(value))
            }
            fn fetch_or(&self, ctx: &Ctx, value: $value, _order: Order) -> $value {
                self.change(ctx, |old| old | value)
            }
            fn fetch_and(&self, ctx: &Ctx, value: $value, _order: Order) -> $value {
                self.change(ctx, |old| old & value)
            }
            fn add(&self, ctx: &Ctx, value: $value) {
                self.change(ctx, |old| old.wrapping_add(value));
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

/// An address as the log keeps it.
fn address<T>(pointer: *mut T) -> u64 {
    pointer.addr() as u64
}

atomic!(AtomicPtr<T>, *mut T, null_mut(), Read, address);

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

impl<T: Plain> PlainCell<Ctx, T> for Cell<T> {
    #[inline(never)]
    fn get(&self, ctx: &Ctx) -> T {
        if !ctx.touch(&self.field, Access::PlainRead) {
            return T::from_bits(0);
        }
        let bits = self.bits.load(Relaxed);
        ctx.log(|| Did::Read(self.field.clone(), bits));
        T::from_bits(bits)
    }
    #[inline(never)]
    fn set(&self, ctx: &Ctx, value: T) {
        if ctx.touch(&self.field, Access::PlainWrite) {
            let old = self.bits.swap(value.to_bits(), Relaxed);
            ctx.log(|| Did::Write(self.field.clone(), old, value.to_bits()));
        }
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

impl<T: 'static> PointerCell<Ctx, T> for PtrCell<T> {
    #[inline(never)]
    fn get(&self, ctx: &Ctx) -> Option<Obj<T>> {
        if !ctx.touch(&self.field, Access::PlainRead) {
            return None;
        }
        let value = self.value.load(Relaxed);
        ctx.log(|| Did::Read(self.field.clone(), address(value)));
        // SAFETY: K-02: only `set` writes the value, from a handle; the memory of objects stays until the execution is
        // over, so a handle that outlives its object meets the check for freed objects.
        unsafe { Obj::from_ptr(value) }
    }
    #[inline(never)]
    fn set(&self, ctx: &Ctx, value: Option<Obj<T>>) {
        if ctx.touch(&self.field, Access::PlainWrite) {
            let new = value.map_or(null_mut(), Obj::as_ptr);
            let old = self.value.swap(new, Relaxed);
            ctx.log(|| Did::Write(self.field.clone(), address(old), address(new)));
        }
    }
}
