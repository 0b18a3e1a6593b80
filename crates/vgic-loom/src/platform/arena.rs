//! Memory for objects, at the same places in every execution.
//!
//! Loom goes back to where executions part by doing the same again, so nothing may depend on chance. Addresses would: the
//! engine sorts by them here and there. So objects lie one behind the other in memory that is kept from one execution to
//! the next.

use core::cell::RefCell;
use core::mem::{MaybeUninit, align_of, size_of};
use core::ptr::NonNull;

/// What objects are aligned to.
type Unit = u128;

/// Units for one execution: 4 MiB.
const UNITS: usize = 1 << 18;

struct Arena {
    units: Box<[MaybeUninit<Unit>]>,
    used: usize,
}

thread_local! {
    static ARENA: RefCell<Arena> = RefCell::new(Arena { units: Box::new_uninit_slice(UNITS), used: 0 });
}

/// The memory of an object; dropping it drops the object, and gives no memory back.
pub(crate) struct Memory {
    object: NonNull<()>,
    drop: unsafe fn(*mut ()),
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: M-07: `put` made both, for an object that is there until this.
        unsafe { (self.drop)(self.object.as_ptr()) }
    }
}

/// Puts an object behind the others.
pub(crate) fn put<T>(object: T) -> (NonNull<T>, Memory) {
    unsafe fn drop_it<T>(object: *mut ()) {
        // SAFETY: M-07: called once, by the drop of the memory that this is for.
        unsafe { object.cast::<T>().drop_in_place() }
    }
    const { assert!(align_of::<T>() <= align_of::<Unit>(), "no object is aligned to more") }
    let place = ARENA.with_borrow_mut(|arena| {
        let count = size_of::<T>().div_ceil(size_of::<Unit>()).max(1);
        let units = &mut arena.units[arena.used..arena.used + count];
        arena.used += count;
        NonNull::from(units).cast::<T>()
    });
    // SAFETY: M-07: the place is aligned, large enough, and nobody else's until `clear`.
    unsafe { place.write(object) };
    (place, Memory { object: place.cast(), drop: drop_it::<T> })
}

/// Begins again in front. Every [`Memory`] was dropped before.
pub(crate) fn clear() {
    ARENA.with_borrow_mut(|arena| arena.used = 0);
}
