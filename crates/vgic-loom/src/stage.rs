//! [`LoomStage`]: the scenarios of `vgic-check` on [`Loom`].

use crate::platform::{Ctx, Loom, Thread, rcu, world};
use std::sync::{Arc, Mutex, PoisonError};
use vgic_check::Rule;
use vgic_check::stage::Stage;
use vgic_core::designs::Composed;
use vgic_core::{Event, Platform};

/// One execution on [`Loom`].
#[derive(Clone, Debug)]
pub struct LoomStage {
    design: Composed,
    threads: Arc<Mutex<Vec<Thread>>>,
}

impl LoomStage {
    /// An execution in a design.
    pub fn new(design: Composed) -> Self {
        LoomStage { design, threads: Arc::default() }
    }
}

impl Stage<Loom> for LoomStage {
    fn design(&self) -> Composed {
        self.design
    }

    fn note(&self, ctx: &Ctx, what: impl FnOnce() -> String) {
        ctx.note(what());
    }

    fn broken(&self, _ctx: &Ctx, rule: Rule, what: String) {
        if !world::stopped() {
            world::violation(&format!("{} (rule: {})", what, rule.text()));
        }
    }

    /// One seed: what a scenario draws must not differ from one execution to the next.
    fn seed(&self, _ctx: &Ctx) -> u64 {
        1
    }

    fn events(&self, _ctx: &Ctx, event: Event) -> u64 {
        world::with(|world| world.events(event))
    }

    fn fail_allocation(&self, _ctx: &Ctx, after: u64) {
        world::with(|world| world.fail_allocation(after));
    }

    fn spawn(&self, ctx: &Ctx, name: &str, _interrupt: bool, f: impl FnOnce(&Ctx) + Send + 'static) {
        let thread = Loom::spawn(ctx, name, f);
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    fn join(&self, ctx: &Ctx) {
        let threads = core::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            Loom::join(ctx, thread);
        }
    }

    fn close(&self, ctx: &Ctx) -> Vec<String> {
        rcu::close(ctx);
        world::with(|world| world.live())
    }
}
