//! Plain data: no place where threads switch, since what orders it are the locks and publications around it.
//!
//! An access that nothing orders with a write is a violation, whether or not it happened to read the right value: loom
//! tracks each cell. The fields that are meant to be read bare are in [`BARE`]: they are relaxed atomics.

use super::Ctx;
use super::object::{Field, TakesTurns};
use core::marker::PhantomData;
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::Relaxed;
use vgic_core::Obj;
use vgic_core::platform::{Plain, PlainCell, PointerCell};

/// Plain fields that the engine reads without what orders their writes, and why a stale value does no harm.
pub const BARE: &[(&str, &str)] =
    &[("lpi_list_count", "a size for the copy of the list; an LPI that is added meanwhile is left out")];

/// The bits of a plain field.
#[derive(Debug)]
enum Bits {
    Ordered(TakesTurns<UnsafeCell<u64>>),
    Bare(AtomicU64),
}

/// A plain field.
#[derive(Debug)]
struct Place {
    field: Field,
    bits: Bits,
}

impl Place {
    #[inline(never)]
    fn new(field: Field, bits: u64) -> Self {
        let bare = BARE.iter().any(|(name, _)| *name == field.name);
        let bits =
            if bare { Bits::Bare(AtomicU64::new(bits)) } else { Bits::Ordered(TakesTurns(UnsafeCell::new(bits))) };
        Place { field, bits }
    }

    #[inline(never)]
    fn get(&self, ctx: &Ctx) -> u64 {
        if !self.field.touch(ctx, "reads") {
            return 0;
        }
        let bits = match &self.bits {
            // SAFETY: M-01: one thread at a time, and nothing in between.
            Bits::Ordered(cell) => cell.0.with(|bits| unsafe { *bits }),
            Bits::Bare(bits) => bits.load(Relaxed),
        };
        self.field.done(ctx, "read", bits);
        bits
    }

    #[inline(never)]
    fn set(&self, ctx: &Ctx, value: u64) {
        if !self.field.touch(ctx, "writes") {
            return;
        }
        match &self.bits {
            // SAFETY: M-01: one thread at a time, and nothing in between.
            Bits::Ordered(cell) => cell.0.with_mut(|bits| unsafe { *bits = value }),
            Bits::Bare(bits) => bits.store(value, Relaxed),
        }
        self.field.done(ctx, "wrote", value);
    }
}

/// Plain data.
#[derive(Debug)]
pub struct Cell<T>(Place, PhantomData<T>);

impl<T: Plain> Cell<T> {
    pub(crate) fn new(field: Field, value: T) -> Self {
        Cell(Place::new(field, value.to_bits()), PhantomData)
    }
}

impl<T: Plain> PlainCell<Ctx, T> for Cell<T> {
    fn get(&self, ctx: &Ctx) -> T {
        T::from_bits(self.0.get(ctx))
    }
    fn set(&self, ctx: &Ctx, value: T) {
        self.0.set(ctx, value.to_bits());
    }
}

/// A plain pointer.
#[derive(Debug)]
pub struct PtrCell<T>(Place, PhantomData<fn() -> T>);

impl<T> PtrCell<T> {
    pub(crate) fn new(field: Field) -> Self {
        PtrCell(Place::new(field, 0), PhantomData)
    }
}

impl<T: 'static> PointerCell<Ctx, T> for PtrCell<T> {
    fn get(&self, ctx: &Ctx) -> Option<Obj<T>> {
        let pointer = core::ptr::with_exposed_provenance_mut(self.0.get(ctx) as usize);
        // SAFETY: M-03: null or what a handle was stored as; its memory stays as M-02 says.
        unsafe { Obj::from_ptr(pointer) }
    }
    fn set(&self, ctx: &Ctx, value: Option<Obj<T>>) {
        self.0.set(ctx, value.map_or(0, |obj| obj.as_ptr().expose_provenance()) as u64);
    }
}
