//! [`Site`]: a place in the source that asks for an order, and the one place whose order a run takes away.
//!
//! The platform knows its callers (`#[track_caller]`), so the engine's source needs no labels beside its orders. The
//! engine itself is not touched: what it asks for is ignored at that one place, here and on no other platform.

use core::cell::{Cell, RefCell};
use core::panic::Location;
use std::collections::BTreeSet;

/// What a site asks for, and what is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// An acquire load, read-modify-write or fence: relaxed instead, or no fence.
    Acquire,
    /// A release store or read-modify-write: relaxed instead.
    Release,
    /// A full barrier: none, or a relaxed read-modify-write.
    Full,
}

/// A place in the source that asks for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// Its pair, as `ORDERING.md` has it: `O-03`.
    pub pair: &'static str,
    /// The file, from the root of the repository.
    pub file: &'static str,
    /// The line.
    pub line: u32,
    /// What it asks for.
    pub side: Side,
}

thread_local! {
    static WEAKENED: Cell<Option<Site>> = const { Cell::new(None) };
    static MET: RefCell<BTreeSet<Site>> = const { RefCell::new(BTreeSet::new()) };
}

/// From now on the order of this site is taken away, on this thread of the machine.
pub(crate) fn set(site: Option<Site>) {
    WEAKENED.set(site);
    MET.take();
}

/// The sites that were met since [`set`].
pub(crate) fn met() -> BTreeSet<Site> {
    MET.with_borrow(BTreeSet::clone)
}

/// Whether the caller gets the order that it asks for.
#[track_caller]
pub(crate) fn granted(pair: &'static str, side: Side) -> bool {
    let at = Location::caller();
    let site = Site { pair, file: at.file(), line: at.line(), side };
    MET.with_borrow_mut(|met| met.insert(site));
    WEAKENED.get() != Some(site)
}
