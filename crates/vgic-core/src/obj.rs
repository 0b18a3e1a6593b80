//! [`Obj`]: a handle to a shared object that the platform allocated.
//!
//! The kernel frees its objects by hand, under rules that differ from design to design; that is where its
//! use-after-free defects are. The handle mirrors it: copying and dereferencing one is safe, **freeing is unsafe**.
//! Whoever frees promises that no copy is used from then on, and says by which rule of `SAFETY.md` that holds. So
//! the `unsafe` blocks of the engine stand at the places where an object's life ends, which is where they are
//! worth reading.

use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;

/// A copyable handle to an object allocated with [`Platform::alloc`](crate::Platform::alloc).
///
/// # Invariants
/// Points to a live `T`: whoever frees it (the only unsafe act) guarantees that no handle is used afterwards.
pub struct Obj<T>(NonNull<T>);

impl<T> Obj<T> {
    /// Makes a handle from the pointer that an allocator returned.
    ///
    /// # Safety
    /// `ptr` points to an initialised `T` that stays valid until it is freed by an unsafe call that upholds the
    /// invariant above.
    #[inline(always)]
    pub const unsafe fn from_raw(ptr: NonNull<T>) -> Self {
        Obj(ptr)
    }

    /// A handle from a pointer read out of an atomic or a cell that only ever holds handles; `None` for null.
    ///
    /// # Safety
    /// `ptr` is null or came from [`Obj::as_ptr`] of a handle that is still valid.
    #[inline(always)]
    pub unsafe fn from_ptr(ptr: *mut T) -> Option<Self> {
        NonNull::new(ptr).map(Obj)
    }

    /// The address, for storing in an atomic.
    #[inline(always)]
    pub const fn as_ptr(self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Deref for Obj<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: S-01: the invariant of Obj; whoever freed the object promised that no handle is used.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Clone for Obj<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Obj<T> {}
impl<T> PartialEq for Obj<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Obj<T> {}
impl<T> fmt::Debug for Obj<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}", self.0)
    }
}

// SAFETY: S-01: a handle gives only shared access to the object, so it may go where `&T` may.
unsafe impl<T: Sync> Send for Obj<T> {}
// SAFETY: S-01: as above.
unsafe impl<T: Sync> Sync for Obj<T> {}
