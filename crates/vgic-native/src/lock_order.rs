//! The lock order, checked in debug builds: each lock has a rank, and a thread takes locks in ascending rank only.
//!
//! Each thread keeps what it holds in its context. A lock that is not above every lock held is refused *before* it
//! is taken, so a mistake is a panic that names both locks, not a deadlock that happens once a month. Two locks of
//! one class may be held together only where the second one was taken with `lock_nested`. Locks may be released
//! in any order. In release builds nothing of this exists: the types are empty and the calls vanish.

#[cfg(debug_assertions)]
mod imp {
    use crate::ctx::NativeCtx;
    use core::cell::RefCell;

    /// Name and rank of a lock.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct LockClass {
        name: &'static str,
        rank: u8,
    }

    /// The locks that a thread holds, in the order in which it took them.
    pub(crate) struct HeldLocks(RefCell<Vec<(LockClass, usize)>>);

    impl LockClass {
        pub(crate) const fn new(name: &'static str, rank: u8) -> Self {
            LockClass { name, rank }
        }

        /// Checks that `lock` may be taken now, and notes that it is.
        #[track_caller]
        pub(crate) fn taking<L>(self, ctx: &NativeCtx, lock: &L, nested: bool) {
            let address = core::ptr::from_ref(lock).addr();
            let mut held = ctx.held_locks.0.borrow_mut();
            if let Some(&(top, top_address)) = held.iter().max_by_key(|(class, _)| class.rank) {
                let below = top.rank < self.rank;
                let sibling = nested && top == self && top_address != address;
                if !below && !sibling {
                    drop(held);
                    panic!(
                        "lock order: took `{}` (rank {}) while holding `{}` (rank {})",
                        self.name, self.rank, top.name, top.rank
                    );
                }
            }
            held.push((self, address));
        }

        /// Notes that `lock` is about to be released.
        #[track_caller]
        pub(crate) fn released<L>(self, ctx: &NativeCtx, lock: &L) {
            let address = core::ptr::from_ref(lock).addr();
            let mut held = ctx.held_locks.0.borrow_mut();
            match held.iter().rposition(|&(_, held)| held == address) {
                Some(at) => drop(held.remove(at)),
                None => {
                    drop(held);
                    panic!(
                        "lock order: released `{}` (rank {}), which `{}` does not hold",
                        self.name,
                        self.rank,
                        ctx.name()
                    );
                }
            }
        }
    }

    impl HeldLocks {
        pub(crate) const fn new() -> Self {
            HeldLocks(RefCell::new(Vec::new()))
        }

        /// The name of a lock that is still held.
        pub(crate) fn any(&self) -> Option<&'static str> {
            self.0.borrow().last().map(|(class, _)| class.name)
        }
    }
}

#[cfg(not(debug_assertions))]
mod imp {
    use crate::ctx::NativeCtx;

    #[derive(Clone, Copy)]
    pub(crate) struct LockClass;

    pub(crate) struct HeldLocks;

    impl LockClass {
        #[inline(always)]
        pub(crate) const fn new(_: &'static str, _: u8) -> Self {
            LockClass
        }
        #[inline(always)]
        pub(crate) fn taking<L>(self, _: &NativeCtx, _: &L, _: bool) {}
        #[inline(always)]
        pub(crate) fn released<L>(self, _: &NativeCtx, _: &L) {}
    }

    impl HeldLocks {
        #[inline(always)]
        pub(crate) const fn new() -> Self {
            HeldLocks
        }
        #[inline(always)]
        pub(crate) fn any(&self) -> Option<&'static str> {
            None
        }
    }
}

pub(crate) use imp::{HeldLocks, LockClass};
