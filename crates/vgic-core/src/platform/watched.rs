//! [`watched_fields!`](crate::watched_fields): the fields of a platform that runs one thread at a time and wants to know of
//! each access.
//!
//! Such a platform need not synchronise anything: a value is a value, and all that differs is what an access means. The
//! platform says that with [`Watch`], once for all kinds of field; what each kind of access does to the value is here.

use crate::order::Order;

/// What is done to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load of an atomic; also a compare-exchange that failed, once it is known to have failed.
    Load,
    /// A store to an atomic.
    Store,
    /// A swap, or a compare-exchange.
    Exchange,
    /// Arithmetic whose old value is asked for.
    Change,
    /// An addition whose old value nobody asks for.
    Add,
    /// A plain field is read.
    Get,
    /// A plain field is written.
    Set,
}

/// A field that wants to know what is done to it.
pub trait Watch<C> {
    /// Before an access; the order is none for a plain field. If this answers false, the access does not happen, and what
    /// it would read is zero.
    fn before(&self, ctx: &C, access: Access, order: Option<Order>) -> bool;

    /// After one: the word that was there, and the word that is.
    #[inline(always)]
    fn after(&self, ctx: &C, access: Access, old: u64, new: u64) {
        let _ = (ctx, access, old, new);
    }

    /// After a compare-and-swap that found another value than it was to change: it was a load.
    #[inline(always)]
    fn found_another(&self, ctx: &C, found: u64) {
        self.after(ctx, Access::Load, found, found);
    }
}

/// Makes `AtomicU32`, `AtomicU64`, `AtomicPtr`, `Cell` and `PtrCell` of a platform, each with a `new(field, value)`.
///
/// `words` is a module with what keeps the values: types that are named as the standard library's atomics, which they are
/// only since a platform's fields are shared by its threads. Only relaxed loads and stores are asked of them. The
/// attributes are put on each access.
#[macro_export]
macro_rules! watched_fields {
    (context $ctx:ty; field $field:ty; words $($words:ident)::+; $(#[$each:meta])*) => {
        $crate::watched_fields!(@integer $ctx, $field, [$($words)::+], [$(#[$each])*], AtomicU32, u32, "A 32-bit atomic.");
        $crate::watched_fields!(@integer $ctx, $field, [$($words)::+], [$(#[$each])*], AtomicU64, u64, "A 64-bit atomic.");

        /// An address as a word.
        fn address<T>(pointer: *mut T) -> u64 {
            pointer.addr() as u64
        }

        /// An atomic pointer.
        #[derive(Debug)]
        pub struct AtomicPtr<T> {
            field: $field,
            value: $($words)::+::AtomicPtr<T>,
        }

        impl<T> AtomicPtr<T> {
            pub(crate) fn new(field: $field) -> Self {
                AtomicPtr { field, value: <$($words)::+::AtomicPtr<T>>::new(::core::ptr::null_mut()) }
            }
        }

        $crate::watched_fields!(
            @atomic $ctx, [$($words)::+], [$(#[$each])*], AtomicPtr<T>, *mut T, ::core::ptr::null_mut(), address
        );

        /// Plain data.
        #[derive(Debug)]
        pub struct Cell<T> {
            field: $field,
            bits: $($words)::+::AtomicU64,
            plain: ::core::marker::PhantomData<T>,
        }

        impl<T: $crate::platform::Plain> Cell<T> {
            pub(crate) fn new(field: $field, value: T) -> Self {
                let bits = <$($words)::+::AtomicU64>::new(value.to_bits());
                Cell { field, bits, plain: ::core::marker::PhantomData }
            }
        }

        impl<T: $crate::platform::Plain> $crate::platform::PlainCell<$ctx, T> for Cell<T> {
            $(#[$each])*
            fn get(&self, ctx: &$ctx) -> T {
                use $crate::platform::watched::{Access, Watch};
                if !self.field.before(ctx, Access::Get, None) {
                    return T::from_bits(0);
                }
                let bits = self.bits.load($($words)::+::Ordering::Relaxed);
                self.field.after(ctx, Access::Get, bits, bits);
                T::from_bits(bits)
            }
            $(#[$each])*
            fn set(&self, ctx: &$ctx, value: T) {
                use $crate::platform::watched::{Access, Watch};
                if self.field.before(ctx, Access::Set, None) {
                    let (old, new) = (self.bits.load($($words)::+::Ordering::Relaxed), value.to_bits());
                    self.bits.store(new, $($words)::+::Ordering::Relaxed);
                    self.field.after(ctx, Access::Set, old, new);
                }
            }
        }

        /// A plain pointer.
        #[derive(Debug)]
        pub struct PtrCell<T> {
            field: $field,
            value: $($words)::+::AtomicPtr<T>,
        }

        impl<T> PtrCell<T> {
            pub(crate) fn new(field: $field) -> Self {
                PtrCell { field, value: <$($words)::+::AtomicPtr<T>>::new(::core::ptr::null_mut()) }
            }
        }

        impl<T: 'static> $crate::platform::PointerCell<$ctx, T> for PtrCell<T> {
            $(#[$each])*
            fn get(&self, ctx: &$ctx) -> Option<$crate::Obj<T>> {
                use $crate::platform::watched::{Access, Watch};
                if !self.field.before(ctx, Access::Get, None) {
                    return None;
                }
                let value = self.value.load($($words)::+::Ordering::Relaxed);
                self.field.after(ctx, Access::Get, address(value), address(value));
                // SAFETY: S-14: only `set` writes the value, from a handle; the platform keeps the memory of a freed object,
                // or the caller holds what keeps the object alive.
                unsafe { $crate::Obj::from_ptr(value) }
            }
            $(#[$each])*
            fn set(&self, ctx: &$ctx, value: Option<$crate::Obj<T>>) {
                use $crate::platform::watched::{Access, Watch};
                if self.field.before(ctx, Access::Set, None) {
                    let new = value.map_or(::core::ptr::null_mut(), $crate::Obj::as_ptr);
                    let old = self.value.load($($words)::+::Ordering::Relaxed);
                    self.value.store(new, $($words)::+::Ordering::Relaxed);
                    self.field.after(ctx, Access::Set, address(old), address(new));
                }
            }
        }
    };

    (@integer $ctx:ty, $field:ty, [$($words:ident)::+], [$(#[$each:meta])*], $name:ident, $value:ty, $about:literal) => {
        #[doc = $about]
        #[derive(Debug)]
        pub struct $name {
            field: $field,
            value: $($words)::+::$name,
        }

        impl $name {
            pub(crate) fn new(field: $field, value: $value) -> Self {
                $name { field, value: <$($words)::+::$name>::new(value) }
            }

            /// One read-modify-write; the old value.
            $(#[$each])*
            fn change(
                &self,
                ctx: &$ctx,
                access: $crate::platform::watched::Access,
                order: $crate::Order,
                change: impl FnOnce($value) -> $value,
            ) -> $value {
                use $crate::platform::watched::Watch;
                if !self.field.before(ctx, access, Some(order)) {
                    return 0;
                }
                let old = self.value.load($($words)::+::Ordering::Relaxed);
                let new = change(old);
                self.value.store(new, $($words)::+::Ordering::Relaxed);
                self.field.after(ctx, access, u64::from(old), u64::from(new));
                old
            }
        }

        $crate::watched_fields!(@atomic $ctx, [$($words)::+], [$(#[$each])*], $name, $value, 0, u64::from);

        impl $crate::platform::AtomicInt<$ctx, $value> for $name {
            fn fetch_add(&self, ctx: &$ctx, value: $value, order: $crate::Order) -> $value {
                self.change(ctx, $crate::platform::watched::Access::Change, order, |old| old.wrapping_add(value))
            }
            fn fetch_sub(&self, ctx: &$ctx, value: $value, order: $crate::Order) -> $value {
                self.change(ctx, $crate::platform::watched::Access::Change, order, |old| old.wrapping_sub(value))
            }
            fn fetch_or(&self, ctx: &$ctx, value: $value, order: $crate::Order) -> $value {
                self.change(ctx, $crate::platform::watched::Access::Change, order, |old| old | value)
            }
            fn fetch_and(&self, ctx: &$ctx, value: $value, order: $crate::Order) -> $value {
                self.change(ctx, $crate::platform::watched::Access::Change, order, |old| old & value)
            }
            fn add(&self, ctx: &$ctx, value: $value) {
                let relaxed = $crate::Order::Relaxed;
                self.change(ctx, $crate::platform::watched::Access::Add, relaxed, |old| old.wrapping_add(value));
            }
        }
    };

    (
        @atomic $ctx:ty, [$($words:ident)::+], [$(#[$each:meta])*], $name:ident $(<$param:ident>)?, $value:ty, $zero:expr,
        $word:expr
    ) => {
        impl $(<$param: 'static>)? $crate::platform::Atomic<$ctx, $value> for $name $(<$param>)? {
            $(#[$each])*
            fn load(&self, ctx: &$ctx, order: $crate::Order) -> $value {
                use $crate::platform::watched::{Access, Watch};
                if !self.field.before(ctx, Access::Load, Some(order)) {
                    return $zero;
                }
                let value = self.value.load($($words)::+::Ordering::Relaxed);
                self.field.after(ctx, Access::Load, $word(value), $word(value));
                value
            }
            $(#[$each])*
            fn store(&self, ctx: &$ctx, value: $value, order: $crate::Order) {
                use $crate::platform::watched::{Access, Watch};
                if self.field.before(ctx, Access::Store, Some(order)) {
                    let old = self.value.load($($words)::+::Ordering::Relaxed);
                    self.value.store(value, $($words)::+::Ordering::Relaxed);
                    self.field.after(ctx, Access::Store, $word(old), $word(value));
                }
            }
            $(#[$each])*
            fn swap(&self, ctx: &$ctx, value: $value, order: $crate::Order) -> $value {
                use $crate::platform::watched::{Access, Watch};
                if !self.field.before(ctx, Access::Exchange, Some(order)) {
                    return $zero;
                }
                let old = self.value.load($($words)::+::Ordering::Relaxed);
                self.value.store(value, $($words)::+::Ordering::Relaxed);
                self.field.after(ctx, Access::Exchange, $word(old), $word(value));
                old
            }
            $(#[$each])*
            fn compare_exchange(
                &self,
                ctx: &$ctx,
                current: $value,
                new: $value,
                order: $crate::Order,
            ) -> Result<$value, $value> {
                use $crate::platform::watched::{Access, Watch};
                if !self.field.before(ctx, Access::Exchange, Some(order)) {
                    return Err($zero);
                }
                let found = self.value.load($($words)::+::Ordering::Relaxed);
                if found != current {
                    self.field.found_another(ctx, $word(found));
                    return Err(found);
                }
                self.value.store(new, $($words)::+::Ordering::Relaxed);
                self.field.after(ctx, Access::Exchange, $word(found), $word(new));
                Ok(found)
            }
        }
    };
}
