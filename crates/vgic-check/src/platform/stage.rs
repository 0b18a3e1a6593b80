//! [`ShuttleStage`]: scenarios on [`Shuttle`].

use super::ctx::Ctx;
use super::log::Did;
use super::{Shuttle, Thread, rcu};
use crate::stage::Stage;
use crate::violation::Rule;
use std::sync::{Arc, Mutex, PoisonError};
use vgic_core::designs::Composed;
use vgic_core::{Event, Platform};

/// One execution on [`Shuttle`].
#[derive(Clone, Debug)]
pub struct ShuttleStage {
    design: Composed,
    threads: Arc<Mutex<Vec<Thread>>>,
}

impl ShuttleStage {
    /// An execution in a design.
    pub fn new(design: Composed) -> Self {
        ShuttleStage { design, threads: Arc::default() }
    }
}

impl Stage<Shuttle> for ShuttleStage {
    fn design(&self) -> Composed {
        self.design
    }

    fn note(&self, ctx: &Ctx, what: impl FnOnce() -> String) {
        let what = what();
        ctx.log(|| Did::Note(what.clone()));
        ctx.world.thread(ctx.id, |thread| thread.operation = what);
    }

    fn broken(&self, ctx: &Ctx, rule: Rule, what: String) {
        let world = &ctx.world;
        if world.stopped() {
            return;
        }
        let objects = if rule == Rule::Leak { world.objects.borrow().live() } else { Vec::new() };
        world.fail(rule, what, objects.into_iter().filter(|object| object.class == "vgic_irq").collect());
        ctx.over();
    }

    fn broken_lpi(&self, ctx: &Ctx, rule: Rule, what: String, intid: u32) {
        let world = &ctx.world;
        if world.stopped() {
            return;
        }
        let objects = world.objects.borrow().of_intid(intid);
        world.fail(rule, what, objects);
        ctx.over();
    }

    fn seed(&self, ctx: &Ctx) -> u64 {
        ctx.world.draw()
    }

    fn includes(&self, ctx: &Ctx, operation: u32) -> bool {
        ctx.world.includes(operation)
    }

    fn events(&self, ctx: &Ctx, event: Event) -> u64 {
        ctx.world.events(event)
    }

    fn fail_allocation(&self, ctx: &Ctx, after: u64) {
        ctx.world.fail_allocation(after);
    }

    fn spawn(&self, ctx: &Ctx, name: &str, interrupt: bool, f: impl FnOnce(&Ctx) + Send + 'static) {
        let id = super::spawn(ctx, name, interrupt, Box::new(f));
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(Thread(id));
    }

    fn join(&self, ctx: &Ctx) {
        let threads = core::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            Shuttle::join(ctx, thread);
        }
    }

    fn close(&self, ctx: &Ctx) -> Vec<String> {
        rcu::close(ctx);
        if ctx.world.stopped() {
            return Vec::new();
        }
        ctx.world.objects.borrow().live().iter().map(|object| object.label()).collect()
    }
}
