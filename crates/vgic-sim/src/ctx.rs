//! [`SimCtx`]: a core, or the set-up.

use crate::field::Field;
use crate::machine::{Cost, Machine, Ps};
use crate::memory::Want;
use crate::report::Spending;
use crate::trace::TraceEvent;
use crate::virtual_core::Core;
use crate::world::World;
use core::fmt::Display;
use std::rc::Rc;
use vgic_core::Event;

/// A core, or whoever sets up and looks at the end: that costs nothing, while no core runs.
pub struct SimCtx {
    pub(crate) world: Rc<World>,
    core: Option<Rc<Core>>,
}

impl SimCtx {
    pub(crate) fn new(world: Rc<World>, core: Rc<Core>) -> Self {
        SimCtx { world, core: Some(core) }
    }

    /// Who sets up.
    pub fn set_up(world: &Rc<World>) -> Self {
        SimCtx { world: Rc::clone(world), core: None }
    }

    /// The machine.
    pub fn world(&self) -> &Rc<World> {
        &self.world
    }

    /// The core.
    pub(crate) fn core(&self) -> &Rc<Core> {
        self.core.as_ref().expect("a core")
    }

    pub(crate) fn if_core(&self) -> Option<&Rc<Core>> {
        self.core.as_ref()
    }

    /// The number that places its objects: its own pages for each core.
    pub(crate) fn place(&self) -> u32 {
        self.core.as_ref().map_or(u32::MAX, |core| core.number)
    }

    #[inline]
    pub(crate) fn read(&self, field: &Field) {
        if let Some(core) = &self.core {
            self.world.access(core, field, Want::Read);
            // The address of another line comes from what was loaded before, and what is on one line is loaded together.
            let near = core.loaded.replace(field.line) == field.line;
            core.spend(Spending::Hits, self.cost(if near { Cost::near_load } else { Cost::hit_load }));
        }
    }

    #[inline]
    pub(crate) fn write(&self, field: &Field) {
        if let Some(core) = &self.core {
            self.world.store(core, field);
            core.spend(Spending::Hits, self.cost(Cost::hit_store));
        }
    }

    #[inline]
    pub(crate) fn modify(&self, field: &Field) {
        if let Some(core) = &self.core {
            self.world.access(core, field, Want::Write);
            core.spend(Spending::Hits, self.cost(Cost::hit_rmw));
        }
    }

    /// An atomic whose result nobody asks for, at the line's home.
    #[inline]
    pub(crate) fn modify_far(&self, field: &Field) {
        if let Some(core) = &self.core {
            self.world.access(core, field, Want::Far);
        }
    }

    /// Behind an atomic access: others may be ready, as they need no outcome of it.
    #[inline]
    pub(crate) fn go_on(&self, field: &Field) {
        if let Some(core) = &self.core {
            self.world.go_on(core, field);
        }
    }

    /// Looks, again after each write to the field's line, until the value is good; `why`: what it waits for meanwhile.
    pub(crate) fn look_until(&self, field: &Field, why: &'static str, good: impl Fn() -> bool) {
        loop {
            self.read(field);
            if good() {
                return;
            }
            let Some(core) = &self.core else { unreachable!("the set-up waits for nobody") };
            if field.free {
                // Nobody is told of writes that cost nothing.
                core.spend(Spending::Queueing, self.cost(Cost::relax));
                self.world.in_order(core);
            } else {
                self.world.wait_for_write(core, field, why);
            }
        }
    }

    /// Earlier stores are done before what follows.
    #[inline]
    pub(crate) fn drain(&self) {
        if let Some(core) = &self.core {
            self.world.drain(core);
        }
    }

    /// Time goes by.
    #[inline]
    pub fn spend(&self, on: Spending, time: Ps) {
        if let Some(core) = &self.core {
            core.spend(on, time);
        }
    }

    /// What something costs, which is charged to it from now on.
    #[inline]
    pub fn cost(&self, cost: Cost) -> Ps {
        let time = self.world.machine.time(cost);
        self.charge(cost, time);
        time
    }

    /// A time hangs on a value.
    #[inline]
    pub(crate) fn charge(&self, cost: Cost, time: Ps) {
        self.world.charged.add(cost, time);
    }

    /// What things cost.
    pub fn costs(&self) -> &Machine {
        &self.world.machine
    }

    /// Work, which takes longer or shorter at random.
    pub fn work(&self, time: Ps) {
        self.charge(Cost::jitter, time * Ps::from(self.world.machine.jitter) / 1000);
        self.spend(Spending::Work, self.vary(time));
    }

    /// A time, longer or shorter at random.
    pub fn vary(&self, time: Ps) -> Ps {
        let jitter = u64::from(self.world.machine.jitter);
        let Some(core) = self.core.as_ref().filter(|_| jitter > 0 && time > 0) else { return time };
        time * (1000 - jitter.min(1000) + core.random(2 * jitter + 1)) / 1000
    }

    /// A random number below `limit`, which is not zero.
    pub fn random(&self, limit: u64) -> u64 {
        self.core().random(limit)
    }

    /// The core's clock.
    pub fn now(&self) -> Ps {
        self.core.as_ref().map_or(self.world.now(), |core| core.now())
    }

    /// Waits until everybody whose clock is behind has come so far: what is read next from the host's memory is what it is
    /// at this time.
    pub fn in_order(&self) {
        if let Some(core) = &self.core {
            self.world.in_order(core);
        }
    }

    /// Sleeps until a time.
    pub fn sleep_until(&self, at: Ps, on: Spending) {
        self.world.sleep_until(self.core(), at, on);
    }

    /// Waits until another core calls [`SimCtx::wake`]; the time goes to `on`.
    pub fn block(&self, why: &'static str, on: Spending) {
        self.world.block(self.core(), why, on);
    }

    /// A core that waits goes on at a time.
    pub fn wake(&self, core: u32, at: Ps) {
        self.world.wake(core, at);
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.core().number
    }

    /// This core runs a vCPU: IPIs to it come here.
    pub fn runs_vcpu(&self, vcpu: u32) {
        self.world.runs_vcpu(self.number(), vcpu);
    }

    /// An IPI that came while the guest did not run disturbs nobody.
    pub fn forget_ipi(&self) {
        self.world.forget_ipi(self.core());
    }

    /// Whether an IPI has arrived; then it is taken.
    pub fn take_ipi(&self) -> bool {
        self.world.take_ipi(self.core())
    }

    /// The guest runs until an IPI comes.
    pub fn wait_for_ipi(&self) {
        self.world.wait_for_ipi(self.core());
    }

    /// Measuring begins at the core's time.
    pub fn measure(&self) {
        self.world.measure(self.now());
    }

    /// Counts an event; what the set-up does is not counted.
    pub(crate) fn count(&self, event: Event) {
        if let Some(core) = &self.core {
            core.count(event);
        }
        if event != Event::EntryCancelled {
            self.world.note_progress();
        }
    }

    /// Notes for a picture what began at a time and ends now.
    pub fn trace(&self, kind: &'static str, name: impl Display, begin: Ps, flow: Option<u64>) {
        let mut trace = self.world.trace.borrow_mut();
        if let Some(core) = self.core.as_ref().filter(|_| trace.wants_more()) {
            let event = TraceEvent { kind, core: core.number, name: name.to_string(), begin, end: core.now(), flow };
            trace.events.push(event);
        }
    }

    /// Whether [`SimCtx::trace`] keeps anything.
    pub(crate) fn traces(&self) -> bool {
        self.world.trace.borrow().wants_more()
    }
}

impl core::fmt::Debug for SimCtx {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.core {
            Some(core) => write!(f, "SimCtx({})", core.name),
            None => f.write_str("SimCtx(set-up)"),
        }
    }
}
