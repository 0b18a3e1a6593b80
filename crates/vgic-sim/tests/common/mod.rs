//! A machine on which a test plays a little scene.

use std::cell::RefCell;
use std::rc::Rc;
use vgic_sim::{Machine, Ps, SimCtx, World};

pub type Log = Rc<RefCell<Vec<(&'static str, Ps)>>>;

/// A machine on which each thread says when it had what it wanted.
pub struct Rig {
    pub world: Rc<World>,
    log: Log,
}

impl Rig {
    pub fn new(machine: Machine, free: &[&str]) -> Self {
        let world = World::new(machine, 1, free.iter().map(|name| (*name).to_owned()).collect(), 100);
        Rig { world, log: Rc::default() }
    }

    /// Starts a thread that does something from a time on.
    pub fn at(&self, at: Ps, f: impl FnOnce(&SimCtx, &dyn Fn(&'static str)) + 'static) {
        let log = Rc::clone(&self.log);
        self.world.spawn("other", move |ctx| {
            // It runs meanwhile: only who holds or wants something sleeps in these tests.
            ctx.work(at);
            ctx.in_order();
            f(ctx, &|what| log.borrow_mut().push((what, ctx.now())));
        });
    }

    pub fn run(&self) -> Vec<(&'static str, Ps)> {
        self.world.run(|| ()).expect("an end");
        self.log.borrow().clone()
    }
}
