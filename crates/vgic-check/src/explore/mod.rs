//! The search: which schedules are tried, what is known, and how a finding gets short.

pub(crate) mod bounded;
pub(crate) mod knowledge;
pub(crate) mod random;
pub(crate) mod run;
pub(crate) mod shrink;
pub(crate) mod strategy;
