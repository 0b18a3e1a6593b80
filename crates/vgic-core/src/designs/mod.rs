//! The designs: every locking scheme that LPI injection has had or has been offered.
//!
//! A design is one value, a [`Spec`]: a choice on each of the [`axes`]. The shipped ones in [`series`] are written as the
//! series is: each is the one before it with what the patch changed. Anybody can [compose](Composed) another.
//!
//! The engine is generic over [`Design`], which hands out the spec. Where speed counts it is a type without a value,
//! whose spec is a constant: what the engine asks of it folds away, so that a hot path has no branch on it. Where it does
//! not, as under a model checker or on a simulated machine, it is [`Composed`], which looks its spec up, and the engine is
//! compiled once for all.

pub mod axes;
pub mod composed;
pub mod rank;
pub mod row;
pub mod series;
pub mod spec;

pub use axes::*;
pub use composed::Composed;
pub use row::{ROWS, Row, row};
pub use spec::{AXES, ApList, Axis, CacheKind, Lazy, PerIts, QueueKind, Spec};

use crate::cache::Cache;
use crate::platform::Platform;
use crate::queue::Queue;

/// A design, as the engine takes it.
pub trait Design: Copy + Send + Sync + 'static {
    /// Its translation cache: the one of the spec's kind.
    type Cache<P: Platform>: Cache<P>;
    /// Its vCPUs' queue: the one of the spec's kind.
    type Queue<P: Platform>: Queue<P>;
    /// What it is.
    fn spec(self) -> &'static Spec;
    /// Its name, as users type it.
    fn name(self) -> &'static str;
}
