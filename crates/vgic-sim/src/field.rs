//! [`Field`]: where a field lies, and what it is called.

use crate::memory::LineId;

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) line: LineId,
    /// Number of its class and name in the tally.
    pub(crate) kind: u32,
    /// It is asked what would be if the field cost nothing.
    pub(crate) free: bool,
}
