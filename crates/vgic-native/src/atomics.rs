//! Atomics and cells: one machine instruction each.
//!
//! [`Order`] is a constant at every call, so the match in [`ordering`] folds away and the wrappers cost nothing.
//! The kernel's fully ordered read-modify-writes ([`Order::SeqCst`]) promise more than the language's: accesses
//! before them stay before accesses after them, whatever they touch. [`full_after_rmw`] adds what is missing.

use crate::ctx::NativeCtx;
use core::sync::atomic::{self, Ordering, compiler_fence, fence};
use vgic_core::Obj;
use vgic_core::order::Order;
use vgic_core::platform::{Atomic, AtomicInt, Plain, PlainCell, PointerCell};

/// Whether a read-modify-write is an instruction in place: on arm64 only in a build for CPUs with FEAT_LSE. In the others
/// it is a call that looks what the CPU has.
pub const ATOMICS_IN_PLACE: bool = !cfg!(all(target_arch = "aarch64", not(target_feature = "lse")));

/// The language's name of an order.
#[inline(always)]
const fn ordering(order: Order) -> Ordering {
    match order {
        Order::Relaxed => Ordering::Relaxed,
        Order::Consume(_) | Order::Acquire(_) => Ordering::Acquire,
        Order::Release(_) => Ordering::Release,
        Order::AcqRel(_) => Ordering::AcqRel,
        Order::SeqCst(_) => Ordering::SeqCst,
    }
}

/// The same for a read-modify-write.
///
/// ThreadSanitizer does not see fences. The acquire fence after the last put of a reference (O-03) would be missing, and
/// each free would look like a race; `ci/sanitizers/tsan.sh` sets `vgic_tsan`, which puts the acquire into every put.
#[inline(always)]
const fn rmw_ordering(order: Order) -> Ordering {
    match order {
        Order::Release(_) if cfg!(vgic_tsan) => Ordering::AcqRel,
        other => ordering(other),
    }
}

/// Whether what is reached through a loaded pointer needs no acquire: Arm orders an access behind the load that gave its
/// address ("Dependency-ordered-before" in the Architecture Reference Manual), which `rcu_dereference` relies on, too. The
/// tools that look for data races know nothing of dependencies.
const DEPENDENCIES_ORDER: bool = cfg!(target_arch = "aarch64") && !cfg!(any(vgic_tsan, miri));

/// A load of `order` by `load`. Where dependencies order, a consuming load is a plain one, behind which the compiler keeps
/// what comes later; it cannot guess a pointer that it has not seen.
#[inline(always)]
fn load<T>(order: Order, load: impl FnOnce(Ordering) -> T) -> T {
    match order {
        Order::Consume(_) if DEPENDENCIES_ORDER => {
            let value = load(Ordering::Relaxed);
            compiler_fence(Ordering::Acquire);
            value
        }
        order => load(ordering(order)),
    }
}

/// A full barrier right after a read-modify-write of any order.
#[inline(always)]
pub(crate) fn fence_after_rmw() {
    if cfg!(target_arch = "x86_64") {
        // A locked instruction is a full barrier already; only the compiler must keep the order.
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Makes a sequentially consistent read-modify-write a full barrier, as the kernel's are.
#[inline(always)]
fn full_after_rmw(order: Order) {
    if let Order::SeqCst(_) = order {
        if cfg!(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "lse"))) {
            // A locked instruction, or an LSE one with acquire and release, is a full barrier.
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }
}

macro_rules! atomic_ops {
    ($value:ty) => {
        #[inline(always)]
        fn load(&self, _: &NativeCtx, order: Order) -> $value {
            load(order, |order| self.0.load(order))
        }
        #[inline(always)]
        fn store(&self, _: &NativeCtx, value: $value, order: Order) {
            self.0.store(value, ordering(order));
        }
        #[inline(always)]
        fn swap(&self, _: &NativeCtx, value: $value, order: Order) -> $value {
            let old = self.0.swap(value, rmw_ordering(order));
            full_after_rmw(order);
            old
        }
        #[inline(always)]
        fn compare_exchange(
            &self,
            _: &NativeCtx,
            current: $value,
            new: $value,
            order: Order,
        ) -> Result<$value, $value> {
            let old = self.0.compare_exchange(current, new, rmw_ordering(order), Ordering::Relaxed)?;
            full_after_rmw(order);
            Ok(old)
        }
    };
}

macro_rules! atomic_int {
    ($(#[$doc:meta])* $name:ident, $value:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[repr(transparent)]
        pub struct $name(pub(crate) atomic::$name);

        impl Atomic<NativeCtx, $value> for $name {
            atomic_ops!($value);
        }

        impl AtomicInt<NativeCtx, $value> for $name {
            atomic_int!(@rmw fetch_add, $value);
            atomic_int!(@rmw fetch_sub, $value);
            atomic_int!(@rmw fetch_or, $value);
            atomic_int!(@rmw fetch_and, $value);
            #[inline(always)]
            fn add(&self, _: &NativeCtx, value: $value) {
                self.0.fetch_add(value, Ordering::Relaxed);
            }
        }
    };
    (@rmw $op:ident, $value:ty) => {
        #[inline(always)]
        fn $op(&self, _: &NativeCtx, value: $value, order: Order) -> $value {
            let old = self.0.$op(value, rmw_ordering(order));
            full_after_rmw(order);
            old
        }
    };
}

atomic_int!(
    /// A 32-bit atomic.
    AtomicU32, u32
);
atomic_int!(
    /// A 64-bit atomic.
    AtomicU64, u64
);

/// An atomic pointer.
#[derive(Debug)]
#[repr(transparent)]
pub struct AtomicPtr<T>(pub(crate) atomic::AtomicPtr<T>);

impl<T> Atomic<NativeCtx, *mut T> for AtomicPtr<T> {
    atomic_ops!(*mut T);
}

/// Plain data: a relaxed atomic, so that a race reads a stale value and nothing worse.
#[derive(Debug)]
#[repr(transparent)]
pub struct Cell<T>(pub(crate) atomic::AtomicU64, pub(crate) core::marker::PhantomData<T>);

impl<T: Plain> PlainCell<NativeCtx, T> for Cell<T> {
    #[inline(always)]
    fn get(&self, _: &NativeCtx) -> T {
        T::from_bits(self.0.load(Ordering::Relaxed))
    }
    #[inline(always)]
    fn set(&self, _: &NativeCtx, value: T) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// A plain pointer: a relaxed atomic, as [`Cell`] is.
///
/// # Invariants
/// Null, or from [`Obj::as_ptr`] of a handle that was valid when it was stored.
#[derive(Debug)]
#[repr(transparent)]
pub struct PtrCell<T>(pub(crate) atomic::AtomicPtr<T>);

impl<T> PointerCell<NativeCtx, T> for PtrCell<T> {
    #[inline(always)]
    fn get(&self, _: &NativeCtx) -> Option<Obj<T>> {
        let ptr = self.0.load(Ordering::Relaxed);
        // SAFETY: N-01: only `set` writes the cell, and it takes a handle; who freed its object since has promised
        // that no copy of the handle is used, this one included.
        unsafe { Obj::from_ptr(ptr) }
    }
    #[inline(always)]
    fn set(&self, _: &NativeCtx, value: Option<Obj<T>>) {
        self.0.store(value.map_or(core::ptr::null_mut(), Obj::as_ptr), Ordering::Relaxed);
    }
}
