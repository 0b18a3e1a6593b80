//! Reference counts with the kernel's rules (`kref`, `refcount_t`).
//!
//! Taking a reference where one is held already is a plain increment. Taking one of an object that was only *found*
//! (in an index, in a cache) must refuse zero: the object may be dying. A count that overflows, or is raised from
//! zero, is stuck at [`SATURATED`] for ever: a leak is better than a use after free.

use crate::order::{Order, Pair};
use crate::platform::{Atomic, AtomicInt, Layout, Platform};

/// Where a broken count stays; counts at or above the half of this are out of range.
pub const SATURATED: u32 = 0xc000_0000;

/// A reference count.
pub struct Refcount<P: Platform>(P::AtomicU32);

impl<P: Platform> Refcount<P> {
    /// A count that starts at `value`.
    pub fn new(l: &P::Layout, name: &'static str, value: u32) -> Self {
        Refcount(l.u32(name, value))
    }

    /// The count now; stale at once unless the caller excludes others.
    pub fn read(&self, ctx: &P::Ctx) -> u32 {
        // Relaxed: a look; who acts on it has another reason (a lock, `acquire`).
        self.0.load(ctx, Order::Relaxed)
    }

    /// Orders everything that was done under references that are gone before what the caller does.
    pub fn acquire(&self, ctx: &P::Ctx) {
        // Acquire: pairs with the release of every put that went before, whoever dropped the last one (O-03).
        self.0.load(ctx, Order::Acquire(Pair::RefDrop));
    }

    /// Takes one more reference where the caller holds one or excludes the last put (`kref_get`).
    #[inline(always)]
    pub fn get(&self, ctx: &P::Ctx) {
        // Relaxed: the caller reached the object through a reference or a lock, which orders it.
        let old = self.0.fetch_add(ctx, 1, Order::Relaxed);
        if old.wrapping_sub(1) >= SATURATED / 2 - 1 {
            self.saturate(ctx, if old == 0 { "reference taken at zero" } else { "reference count saturated" });
        }
    }

    /// Takes a reference unless the count is zero (`kref_get_unless_zero`).
    #[inline(always)]
    pub fn get_unless_zero(&self, ctx: &P::Ctx) -> bool {
        // Relaxed: a first guess for the exchange.
        let mut old = self.0.load(ctx, Order::Relaxed);
        loop {
            if old == 0 {
                return false;
            }
            // Relaxed: the object was reached by an acquire load that published it (O-01, O-06); the count itself
            // orders nothing on the way up.
            match self.0.compare_exchange(ctx, old, old.wrapping_add(1), Order::Relaxed) {
                Ok(_) => break,
                Err(found) => old = found,
            }
        }
        if old >= SATURATED / 2 {
            self.saturate(ctx, "reference count saturated");
        }
        true
    }

    /// Drops one reference; true if it was the last (`kref_put`). Then the caller may release the object.
    #[inline(always)]
    pub fn put_and_test(&self, ctx: &P::Ctx) -> bool {
        // Release: pairs with the acquire fence of who drops the last reference (O-03).
        let old = self.0.fetch_sub(ctx, 1, Order::Release(Pair::RefDrop));
        if old == 1 {
            P::fence_acquire(ctx, Pair::RefDrop);
            return true;
        }
        if old.wrapping_sub(1) >= SATURATED / 2 - 1 {
            self.saturate(ctx, if old == 0 { "reference dropped at zero" } else { "saturated reference dropped" });
        }
        false
    }

    /// Drops one reference unless it is the last; false, and nothing done, if it is (`refcount_dec_not_one`).
    /// A saturated count stays as it is.
    #[inline]
    pub fn put_unless_last(&self, ctx: &P::Ctx) -> bool {
        // Relaxed: a first guess for the exchange.
        let mut old = self.0.load(ctx, Order::Relaxed);
        loop {
            if old == SATURATED {
                return true;
            }
            if old <= 1 {
                return false;
            }
            // Release: pairs with the acquire fence of who drops the last reference (O-03).
            match self.0.compare_exchange(ctx, old, old - 1, Order::Release(Pair::RefDrop)) {
                Ok(_) => return true,
                Err(found) => old = found,
            }
        }
    }

    #[cold]
    fn saturate(&self, ctx: &P::Ctx, what: &'static str) {
        // Relaxed: the count is broken and orders nothing any more.
        self.0.store(ctx, SATURATED, Order::Relaxed);
        P::warn(ctx, what);
    }
}
