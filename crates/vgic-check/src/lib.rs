//! The engine under a model checker: small scenarios, all their interleavings, and a story for each that goes wrong.
//!
//! [`check`] runs a [`Scenario`] in a design on [`Shuttle`], a [`Platform`](vgic_core::Platform) whose threads take turns: at
//! each access that could matter, another may go on. What is looked for: use after free, double free, deadlock, lock
//! order, sleeping in atomic context, a lock taken in interrupts and elsewhere with interrupts on, what the engine warns
//! about (reference counts above all), panics, leaks, and sends that get lost.
//!
//! **What a pass means.** No violation in the schedules that were tried. With [`Search::Bounded`] and `complete` those are
//! all schedules of the scenario with at most that many preemptions, at the accesses that were found to matter. It says
//! nothing about larger scenarios, about more preemptions, or about weak memory: accesses take effect at once and in
//! order here, so the barriers of `ORDERING.md` are not tested.
//!
//! - [`scenario`], [`scenarios`], [`guest`], [`stage`]: what is run · [`platform`]: what it runs on
//! - `explore`: who goes on · [`story`]: what is told · [`violation`]: what is a mistake

mod check;
mod explore;
pub mod guest;
pub mod platform;
mod quiet;
pub mod scenario;
pub mod scenarios;
pub mod script;
pub mod stage;
pub mod story;
pub mod violation;

pub use check::{End, Failed, Options, Report, Search, check, check_function, trace_function};
pub use explore::strategy::Misfit;
pub use platform::Shuttle;
pub use platform::ctx::Ctx;
pub use quiet::text_of_panic;
pub use scenario::{Entry, SCENARIOS, Scenario};
pub use script::{Script, check_script, trace_script};
pub use story::Story;
pub use violation::Rule;
