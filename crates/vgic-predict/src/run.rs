//! [`Run`]: what the threads of a prediction share, in the host's memory: it costs no virtual time.
//!
//! It also says what is measured: the *window*, from its begin to its end in virtual time, after a warm-up. A send is of
//! the window if it begins in it, and so is what comes of it until the end: accepted, coalesced, dropped, delivered. So
//! whatever the load, no more is accepted than sent, no more delivered than accepted, and a latency is never that of a
//! send of the warm-up.

use crate::Setting;
use crate::outcome::{Latency, Outcome};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use vgic_core::designs::Composed;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Event, Platform, Vm};
use vgic_lab::sample::Poll;
use vgic_lab::stress::Failure;
use vgic_sim::report::{Spending, Tally, Threads};
use vgic_sim::{Cost, Ps, Sim, SimCtx, World};

/// Most latencies that are kept.
const MOST_LATENCIES: usize = 1 << 20;

/// What the threads share.
pub(crate) struct Run {
    /// Who has come to the end of the warm-up and waits for the others.
    waiting: RefCell<Vec<u32>>,
    /// The last of them, while it waits until nothing is pending.
    draining: Cell<Option<u32>>,
    senders: u32,
    senders_left: Cell<u32>,
    /// Everybody goes home.
    pub(crate) stop: Cell<bool>,
    pub(crate) measuring: Cell<bool>,
    accepted: Cell<u64>,
    delivered: Cell<u64>,
    pub(crate) requests: Cell<u64>,
    /// Steps done, of `steps`, for the progress bar.
    done: Cell<u64>,
    steps: u64,
    before: RefCell<Option<Box<[u64; Event::COUNT]>>>,
    measured: RefCell<Measured>,
    lpis: RefCell<Vec<Lpi>>,
    sends: Cell<u64>,
    /// Number of the first send of the window.
    first: Cell<u64>,
    latencies: RefCell<Vec<Ps>>,
    pub(crate) responses: RefCell<Vec<Ps>>,
}

/// An LPI. Each has one sender, which sends one after the other.
#[derive(Clone, Copy, Default)]
struct Lpi {
    /// The first send since it was last taken: when it began, and its number.
    first: Option<(Ps, u64)>,
    /// Its last send.
    last: (Ps, u64),
    /// That one is counted as accepted: its sender is back, or a vCPU has taken it before.
    accepted: bool,
    /// Whether its sender has been back once; `None` if it was never sent.
    was_sent: Option<bool>,
}

#[derive(Default)]
struct Measured {
    counts: [u64; Event::COUNT],
    accepted: u64,
    elapsed: Ps,
    threads: Vec<Threads>,
    tally: Tally,
    charged: Vec<(&'static str, Ps)>,
}

/// LPIs that are pending, of the counts of a moment at which no send is under way.
fn pending(counts: &[u64; Event::COUNT]) -> u64 {
    let count = |event: Event| counts[event as usize];
    count(Event::Sent) - count(Event::Coalesced) - count(Event::Dropped) - count(Event::Delivered)
}

impl Run {
    pub(crate) fn new(senders: u32, steps: u64) -> Rc<Self> {
        Rc::new(Run {
            waiting: RefCell::default(),
            draining: Cell::new(None),
            senders,
            senders_left: Cell::new(senders),
            stop: Cell::new(false),
            measuring: Cell::new(false),
            accepted: Cell::new(0),
            delivered: Cell::new(0),
            requests: Cell::new(0),
            done: Cell::new(0),
            steps,
            before: RefCell::default(),
            measured: RefCell::default(),
            lpis: RefCell::default(),
            sends: Cell::new(0),
            first: Cell::new(0),
            latencies: RefCell::default(),
            responses: RefCell::default(),
        })
    }

    /// A step of the work is done.
    pub(crate) fn step(&self) {
        self.done.set(self.done.get() + 1);
    }

    /// The warm-up is over for this sender. The window begins with the last one: without a pace at once, and the last one
    /// wakes the others one by one, as a barrier does. With a pace it begins when the guest has taken what is pending by
    /// then, if it takes any (`takes`): senders that were late after the cold start caught up in a burst, and a pace has no
    /// bursts.
    pub(crate) fn warmed_up(&self, ctx: &SimCtx, paced: bool, takes: bool) {
        ctx.in_order();
        if self.waiting.borrow().len() as u32 + 1 < self.senders {
            self.waiting.borrow_mut().push(ctx.number());
            return ctx.block("for the others to warm up", Spending::Idle);
        }
        while paced && takes && !self.stop.get() && pending(&ctx.world().events()) > 0 {
            self.draining.set(Some(ctx.number()));
            ctx.block("for the guest to take what the warm-up left", Spending::Idle);
        }
        self.draining.set(None);
        self.begin(ctx);
        for core in self.waiting.borrow_mut().drain(..) {
            if !paced {
                ctx.work(ctx.cost(Cost::wake));
            }
            ctx.wake(core, ctx.now() + if paced { 0 } else { ctx.cost(Cost::wake_latency) });
        }
    }

    /// The window begins.
    pub(crate) fn begin(&self, ctx: &SimCtx) {
        ctx.measure();
        *self.before.borrow_mut() = Some(Box::new(ctx.world().events()));
        self.latencies.borrow_mut().clear();
        self.responses.borrow_mut().clear();
        self.accepted.set(0);
        self.delivered.set(0);
        self.requests.set(0);
        self.first.set(self.sends.get());
        self.measuring.set(true);
    }

    /// This sender has ended; true for the last one, with which the run ends, and the window with it. With a pace the
    /// window ends with the first one: from then on less is sent than was asked for.
    pub(crate) fn sender_done(&self, ctx: &SimCtx, paced: bool) -> bool {
        ctx.in_order();
        self.senders_left.set(self.senders_left.get() - 1);
        let last = self.senders_left.get() == 0;
        if last || paced {
            self.end(ctx);
        }
        if last {
            self.stop.set(true);
        }
        last
    }

    /// The window ends, unless it has ended before.
    pub(crate) fn end(&self, ctx: &SimCtx) {
        if !self.measuring.replace(false) {
            return;
        }
        let world = ctx.world();
        let now = ctx.now();
        let mut counts = world.events();
        if let Some(before) = self.before.borrow().as_deref() {
            counts.iter_mut().zip(before).for_each(|(count, before)| *count -= before);
        }
        counts[Event::Sent as usize] = self.sends.get() - self.first.get();
        counts[Event::Delivered as usize] = self.delivered.get();
        let (accepted, elapsed) = (self.accepted.get(), now - world.measured_from());
        let (threads, tally, charged) = (world.measured(now), world.tally(), world.charged());
        *self.measured.borrow_mut() = Measured { counts, accepted, elapsed, threads, tally, charged };
    }

    /// Whether a send is of the window.
    fn is_measured(&self, number: u64) -> bool {
        self.measuring.get() && number >= self.first.get()
    }

    /// An LPI is about to be sent, in a call that has begun then; the number of the send that it is one with: one that
    /// finds it pending is one with the first.
    pub(crate) fn sending(&self, intid: u32, begin: Ps) -> u64 {
        let at = (intid - FIRST_LPI) as usize;
        let mut lpis = self.lpis.borrow_mut();
        if lpis.len() <= at {
            lpis.resize(at + 1, Lpi::default());
        }
        let number = self.sends.get();
        self.sends.set(number + 1);
        let lpi = &mut lpis[at];
        lpi.last = (begin, number);
        lpi.accepted = false;
        lpi.was_sent.get_or_insert(false);
        lpi.first.get_or_insert(lpi.last).1
    }

    /// The sender is back; `accepted`: the LPI was routed.
    pub(crate) fn sent(&self, intid: u32, accepted: bool) {
        let mut lpis = self.lpis.borrow_mut();
        let lpi = &mut lpis[(intid - FIRST_LPI) as usize];
        lpi.was_sent = Some(true);
        if accepted {
            self.accept(lpi);
        }
    }

    /// Whether the LPI of that number, from 0 on, has been sent and its sender was back.
    pub(crate) fn was_sent(&self, number: u32) -> bool {
        self.lpis.borrow().get(number as usize).is_some_and(|lpi| lpi.was_sent == Some(true))
    }

    /// Whether a sender is about to send an LPI for the first time.
    pub(crate) fn sends_first(&self) -> bool {
        self.lpis.borrow().iter().any(|lpi| lpi.was_sent == Some(false))
    }

    /// Counts the last send of an LPI as accepted, unless it is counted already.
    fn accept(&self, lpi: &mut Lpi) {
        if !lpi.accepted && self.is_measured(lpi.last.1) {
            lpi.accepted = true;
            self.accepted.set(self.accepted.get() + 1);
        }
    }

    /// A vCPU has taken an LPI; the number of the send that made it pending.
    pub(crate) fn taken(&self, ctx: &SimCtx, intid: u32) -> u64 {
        let mut lpis = self.lpis.borrow_mut();
        let Some(lpi) = lpis.get_mut((intid - FIRST_LPI) as usize) else { return 0 };
        // One that was taken while its next send was under way has no other than that one.
        let (begin, number) = lpi.first.take().unwrap_or(lpi.last);
        if self.is_measured(number) {
            if number == lpi.last.1 {
                self.accept(lpi);
            }
            self.delivered.set(self.delivered.get() + 1);
            let mut latencies = self.latencies.borrow_mut();
            if latencies.len() < MOST_LATENCIES {
                latencies.push(ctx.now().saturating_sub(begin));
            }
        }
        if let Some(core) = self.draining.get().filter(|_| pending(&ctx.world().events()) == 0) {
            ctx.wake(core, ctx.now());
        }
        number
    }

    /// Runs the world to its end, and takes the VM apart, which is part of what the threads share.
    pub(crate) fn finish<T>(
        &self,
        world: &Rc<World>,
        shared: Rc<T>,
        vm: impl Fn(&T) -> &Vm<Sim, Composed>,
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
    pub(crate) fn drive(&self, world: &Rc<World>, poll: Poll<'_>) -> Result<(), Failure> {
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
    pub(crate) fn outcome(&self, world: &World, pending: u64) -> Outcome {
        let measured = self.measured.take();
        Outcome {
            counts: world.events(),
            pending,
            measured: measured.counts,
            accepted: measured.accepted,
            requests: self.requests.get(),
            elapsed: measured.elapsed,
            accesses: world.accesses(),
            latency: Latency::of(self.latencies.take()),
            response: Latency::of(self.responses.take()),
            threads: measured.threads,
            tally: measured.tally,
            charged: measured.charged,
            trace: world.take_trace(),
            cores: world.core_names(),
        }
    }
}

/// The machine of a prediction.
pub(crate) fn world(setting: &Setting) -> Rc<World> {
    World::new(setting.machine.clone(), setting.seed, setting.free.clone(), setting.trace)
}
