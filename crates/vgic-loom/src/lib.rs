//! The engine under weak memory: small models, every execution that loom tells apart, and each memory order taken away in
//! turn.
//!
//! [`explore`] runs a program on [`Loom`], a [`Platform`](vgic_core::Platform) on loom's atomics, where a load may see an
//! older value if nothing forbids it. Loom looks for accesses that nothing orders; the platform adds what it knows of
//! objects: who touches one that it has not seen being made, or that is freed before all that touched it is done with it.
//! [`models`] has the programs, one or more for each pair of `ORDERING.md`; [`needed`] says which of them fails without
//! which order. [`scenarios`] runs the scenarios of `vgic-check`.
//!
//! **What a pass means.** Nothing was broken in the executions that loom tries, up to a bound of preemptions; `complete`
//! says that it has no more to try. Not in it:
//! - Full fences are stronger in loom than in the language: one that comes after another has seen all that came before
//!   that other. So a full fence may hide that a release or acquire is missing.
//! - A load sees one of the last seven stores.
//! - Loom gets back to where executions part by doing the same again. A program that depends on chance makes it give up
//!   ([`Report::gave_up`]), which is neither a finding nor a pass; or it makes loads incoherent, which looks like a finding.
//! - Loom drops executions that it takes to be equal, and counts preemptions in its own way: a bound here is not the same
//!   bound as in `vgic-check`.
//! - Lock order, sleeping in atomic context and interrupts are not looked at here; `vgic-check` does.
//!
//! **Where to look.** [`platform`]: what it runs on · [`weaken`]: whose order is taken away · [`story`]: what is told

pub mod explore;
pub mod models;
pub mod needed;
pub mod platform;
pub mod scenarios;
pub mod stage;
pub mod story;
pub mod weaken;

pub use explore::{Options, Report, explore};
pub use platform::{Ctx, Loom};
pub use story::Story;
pub use weaken::{Side, Site};
