//! [`Run`]: what the threads of a prediction share, in the host's memory: it costs no virtual time.

use super::Setting;
use super::outcome::{Latency, Outcome};
use crate::sample::Poll;
use crate::stress::Failure;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Design, Event, Platform, Vm};
use vgic_sim::report::{Spending, Tally, Threads};
use vgic_sim::{Ps, Sim, SimCtx, World};

/// Most latencies that are kept.
const MOST_LATENCIES: usize = 1 << 20;

/// What the threads share.
pub(super) struct Run {
    /// Who has come to the end of the warm-up and waits for the others.
    waiting: RefCell<Vec<u32>>,
    senders: u32,
    senders_left: Cell<u32>,
    /// Everybody goes home.
    pub(super) stop: Cell<bool>,
    pub(super) measuring: Cell<bool>,
    pub(super) accepted: Cell<u64>,
    pub(super) requests: Cell<u64>,
    /// Steps done, of `steps`, for the progress bar.
    done: Cell<u64>,
    steps: u64,
    before: RefCell<Option<Box<[u64; Event::COUNT]>>>,
    measured: RefCell<Measured>,
    /// When each LPI that is pending was sent, and the number of that send.
    sent: RefCell<Vec<(Ps, u64)>>,
    sends: Cell<u64>,
    latencies: RefCell<Vec<Ps>>,
    pub(super) responses: RefCell<Vec<Ps>>,
}

#[derive(Default)]
struct Measured {
    counts: [u64; Event::COUNT],
    elapsed: Ps,
    threads: Vec<Threads>,
    tally: Tally,
}

impl Run {
    pub(super) fn new(senders: u32, steps: u64) -> Rc<Self> {
        Rc::new(Run {
            waiting: RefCell::default(),
            senders,
            senders_left: Cell::new(senders),
            stop: Cell::new(false),
            measuring: Cell::new(false),
            accepted: Cell::new(0),
            requests: Cell::new(0),
            done: Cell::new(0),
            steps,
            before: RefCell::default(),
            measured: RefCell::default(),
            sent: RefCell::default(),
            sends: Cell::new(0),
            latencies: RefCell::default(),
            responses: RefCell::default(),
        })
    }

    /// A step of the work is done.
    pub(super) fn step(&self) {
        self.done.set(self.done.get() + 1);
    }

    /// The warm-up is over for this sender; it goes on with the last one, from whose time on is measured.
    pub(super) fn warmed_up(&self, ctx: &SimCtx) {
        ctx.in_order();
        if self.waiting.borrow().len() as u32 + 1 < self.senders {
            self.waiting.borrow_mut().push(ctx.number());
            return ctx.block("for the others to warm up", Spending::Idle);
        }
        self.begin(ctx);
        // The last one wakes them one by one, as a barrier does.
        for core in self.waiting.borrow_mut().drain(..) {
            ctx.work(ctx.costs().wake);
            ctx.wake(core, ctx.now() + ctx.costs().wake_latency);
        }
    }

    /// Measuring begins.
    pub(super) fn begin(&self, ctx: &SimCtx) {
        ctx.measure();
        *self.before.borrow_mut() = Some(Box::new(ctx.world().events()));
        self.latencies.borrow_mut().clear();
        self.responses.borrow_mut().clear();
        self.accepted.set(0);
        self.requests.set(0);
        self.measuring.set(true);
    }

    /// This sender has ended; true for the last one, with which measuring ends.
    pub(super) fn sender_done(&self, ctx: &SimCtx) -> bool {
        ctx.in_order();
        self.senders_left.set(self.senders_left.get() - 1);
        let last = self.senders_left.get() == 0;
        if last {
            self.end(ctx);
        }
        last
    }

    /// Measuring ends.
    pub(super) fn end(&self, ctx: &SimCtx) {
        let world = ctx.world();
        let now = ctx.now();
        let mut counts = world.events();
        if let Some(before) = self.before.borrow().as_deref() {
            counts.iter_mut().zip(before).for_each(|(count, before)| *count -= before);
        }
        let elapsed = now - world.measured_from();
        *self.measured.borrow_mut() = Measured { counts, elapsed, threads: world.measured(now), tally: world.tally() };
        self.measuring.set(false);
        self.stop.set(true);
    }

    /// An LPI is about to be sent; the number of the send.
    pub(super) fn sending(&self, ctx: &SimCtx, intid: u32) -> u64 {
        let at = (intid - FIRST_LPI) as usize;
        let mut sent = self.sent.borrow_mut();
        if sent.len() <= at {
            sent.resize(at + 1, (Ps::MAX, 0));
        }
        let number = self.sends.get();
        self.sends.set(number + 1);
        // A send that finds it pending is one with the first.
        if sent[at].0 == Ps::MAX {
            sent[at] = (ctx.now(), number);
        }
        sent[at].1
    }

    /// A vCPU has taken an LPI; the number of the send that made it pending.
    pub(super) fn taken(&self, ctx: &SimCtx, intid: u32) -> u64 {
        let Some(first) =
            self.sent.borrow_mut().get_mut((intid - FIRST_LPI) as usize).map(|at| (*at, at.0 = Ps::MAX).0)
        else {
            return 0;
        };
        let mut latencies = self.latencies.borrow_mut();
        if self.measuring.get() && first.0 != Ps::MAX && latencies.len() < MOST_LATENCIES {
            latencies.push(ctx.now().saturating_sub(first.0));
        }
        first.1
    }

    /// Runs the world to its end, and takes the VM apart, which is part of what the threads share.
    pub(super) fn finish<T, D: Design>(
        &self,
        world: &Rc<World>,
        shared: Rc<T>,
        vm: impl Fn(&T) -> &Vm<Sim, D>,
        poll: Poll<'_>,
    ) -> Result<Outcome, Failure> {
        if let Err(failure) = self.drive(world, poll) {
            // What the VM's state is nobody knows.
            std::mem::forget(shared);
            return Err(failure);
        }
        let (vm, set_up) = (vm(&shared), SimCtx::set_up(world));
        let outcome = self.outcome(world, vm.pending_count(&set_up));
        vm.destroy(&set_up);
        Sim::rcu_barrier(&set_up);
        match world.warnings().first() {
            None => Ok(outcome),
            Some(warning) => Err(Failure::Broken(format!("the engine warned: {warning}"))),
        }
    }

    /// Runs the world to its end.
    pub(super) fn drive(&self, world: &Rc<World>, poll: Poll<'_>) -> Result<(), Failure> {
        let mut stopped = false;
        let steps = self.steps.max(1) as f64;
        let ran = catch_unwind(AssertUnwindSafe(|| {
            world.run(|| {
                if !stopped && !poll((self.done.get() as f64 / steps).min(1.0)) {
                    stopped = true;
                    self.stop.set(true);
                }
            })
        }));
        world.leave();
        let broken = match ran {
            Ok(Ok(())) if stopped => return Err(Failure::Stopped),
            Ok(Ok(())) => return Ok(()),
            Ok(Err(stuck)) => {
                format!("the simulated threads are stuck ({}):\n  {}", stuck.what, stuck.cores.join("\n  "))
            }
            Err(panic) => format!(
                "a simulated thread panicked: {}",
                vgic_check::text_of_panic(&*panic).unwrap_or("without a text")
            ),
        };
        // The cores stand where they are, in the middle of things: they and what they hold stay for ever.
        std::mem::forget(Rc::clone(world));
        Err(Failure::Broken(broken))
    }

    /// What came out.
    pub(super) fn outcome(&self, world: &World, pending: u64) -> Outcome {
        let measured = self.measured.take();
        Outcome {
            counts: world.events(),
            pending,
            measured: measured.counts,
            accepted: self.accepted.get(),
            requests: self.requests.get(),
            elapsed: measured.elapsed,
            accesses: world.accesses(),
            latency: Latency::of(self.latencies.take()),
            response: Latency::of(self.responses.take()),
            threads: measured.threads,
            tally: measured.tally,
            trace: world.take_trace(),
            cores: world.core_names(),
        }
    }
}

/// The machine of a prediction.
pub(super) fn world(setting: &Setting) -> Rc<World> {
    World::new(setting.machine.clone(), setting.seed, setting.free.clone(), setting.trace)
}
