//! [`Stage`]: what a scenario asks of the platform that it runs on, beside the engine's primitives.
//!
//! A model checker writes a story from it; real threads take it as it comes.

use crate::violation::Rule;
use vgic_core::designs::Composed;
use vgic_core::{Event, Platform};

/// One execution of a scenario, as the scenario sees it. Clones are the same execution.
pub trait Stage<P: Platform>: Clone + Send + Sync + 'static {
    /// The design that it is in.
    fn design(&self) -> Composed;

    /// Says what the calling thread sets out to do.
    fn note(&self, ctx: &P::Ctx, what: impl FnOnce() -> String);

    /// A rule was broken. A model checker ends the execution here; real threads go on.
    fn broken(&self, ctx: &P::Ctx, rule: Rule, what: String);

    /// The same, about an LPI.
    fn broken_lpi(&self, ctx: &P::Ctx, rule: Rule, what: String, intid: u32) {
        let _ = intid;
        self.broken(ctx, rule, what);
    }

    /// Checks a promise of the scenario.
    fn expect(&self, ctx: &P::Ctx, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken(ctx, Rule::Promise, what());
        }
    }

    /// What the scenario may draw its operations from.
    fn seed(&self, ctx: &P::Ctx) -> u64;

    /// Whether the operation of this number is executed, of those that were drawn. A model checker leaves some out to
    /// make a story shorter.
    fn includes(&self, ctx: &P::Ctx, operation: u32) -> bool {
        let _ = (ctx, operation);
        true
    }

    /// How often all threads have counted an event.
    fn events(&self, ctx: &P::Ctx, event: Event) -> u64;

    /// Makes one allocation fail, where the platform can: the first from now on if `after` is 0.
    fn fail_allocation(&self, ctx: &P::Ctx, after: u64);

    /// Starts a thread. An `interrupt` is one of the host: it must not sleep.
    fn spawn(&self, ctx: &P::Ctx, name: &str, interrupt: bool, f: impl FnOnce(&P::Ctx) + Send + 'static);

    /// Who was started begins now, where it would wait for the others: the caller is about to wait for what it does.
    fn begin(&self, ctx: &P::Ctx) {
        let _ = ctx;
    }

    /// Waits for all threads.
    fn join(&self, ctx: &P::Ctx);

    /// Lets every callback run; what was allocated and never freed, by name.
    fn close(&self, ctx: &P::Ctx) -> Vec<String>;
}
