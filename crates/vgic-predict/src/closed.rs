//! [`Closed`]: a load like redis-memtier on a VM with a multi-queue NIC that is assigned to it.
//!
//! So many requests are in flight. A request comes over the network and raises an RX interrupt of its queue. The queue's
//! vCPU takes it, serves what has arrived by then, each in a drawn time, and answers; each answer raises a TX interrupt when
//! it has left, and lets the client send the next request after the network's time. Under load most of these interrupts do
//! not come: see [`driver`](crate::driver). The host takes the NIC's interrupts on a core a queue pair and injects them. A
//! vCPU with nothing to do sleeps (WFI), as does the host's thread.

use crate::Setting;
use crate::Workload;
use crate::driver::{Driver, Leaving, Line};
use crate::entry::{Call, Door, Entry, Place};
use crate::gicv4::Hardware;
use crate::guest::usual_time;
use crate::outcome::Outcome;
use crate::run::{Run, world};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use vgic_core::Command;
use vgic_core::designs::Composed;
use vgic_core::irq::FIRST_LPI;
use vgic_core::vcpu::MAX_LIST_REGISTERS;
use vgic_core::vm::MAX_VCPUS;
use vgic_host::{Refused, in_range};
use vgic_lab::bench::{Bench, Guest, Load, message};
use vgic_lab::sample::Poll;
use vgic_lab::stress::Failure;
use vgic_sim::report::Spending;
use vgic_sim::{Cost, Ps, Sim, SimCtx};

/// The load.
#[derive(Clone, Copy, Debug)]
pub struct Closed {
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Queue pairs: an RX and a TX queue each, with an LPI each.
    pub queues: u32,
    /// Requests in flight, spread over the queues.
    pub in_flight: u32,
    /// What the guest spends on a request.
    pub service: Ps,
    /// From an answer to the next request of that client.
    pub network: Ps,
    /// Answers that are measured.
    pub requests: u64,
    /// Answers before that, and no fewer than it takes until each interrupt has been sent once: what misses a cold
    /// translation cache is the warm-up's. 0 is a cold start.
    pub warmup: u64,
    /// How an MSI comes in.
    pub entry: Entry,
    /// List registers of the GIC.
    pub list_registers: u32,
    /// What the NIC and the guest do about interrupts.
    pub driver: Driver,
}

/// Which queue of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// RX: requests.
    In,
    /// TX: answers.
    Out,
}

/// What happens at the NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum AtNic {
    /// A request arrives, which was sent at that time.
    Request(Ps),
    /// An answer has left.
    Sent,
    /// An interrupt that was put off.
    Raise(Way),
}

/// A queue pair.
#[derive(Default)]
struct Pair {
    /// What comes next, by time and number.
    next: RefCell<BTreeSet<(Ps, u64, AtNic)>>,
    number: Cell<u64>,
    /// Its core, while that waits for work.
    waiting: Cell<Option<u32>>,
    /// Packets of requests that wait for the guest, and when they were sent.
    arrived: RefCell<VecDeque<Ps>>,
    /// When the last of those comes that are on their way.
    last_request: Cell<Ps>,
    rx: Line,
    tx: Line,
    leaving: Leaving,
}

impl Pair {
    fn plan(&self, ctx: &SimCtx, at: Ps, what: AtNic) {
        let number = self.number.get();
        self.number.set(number + 1);
        self.next.borrow_mut().insert((at, number, what));
        if let Some(core) = self.waiting.take() {
            ctx.wake(core, at);
        }
    }

    /// The interrupt of one of its queues.
    fn line(&self, way: Way) -> &Line {
        match way {
            Way::In => &self.rx,
            Way::Out => &self.tx,
        }
    }
}

/// Until an answer has left the NIC.
const TRANSMIT: Ps = 1_000_000;

impl Workload for Closed {
    fn check(&self) -> Result<(), Refused> {
        in_range("vcpus", u64::from(self.vcpus), 1, u64::from(MAX_VCPUS))?;
        in_range("queues", u64::from(self.queues), 1, 512)?;
        in_range("in_flight", u64::from(self.in_flight), 1, 1 << 20)?;
        in_range("service (ps)", self.service, 1, 1_000_000_000_000)?;
        in_range("network (ps)", self.network, 1, 1_000_000_000_000)?;
        in_range("requests", self.requests, 1, 1 << 40)?;
        in_range("warmup", self.warmup, 0, 1 << 40)?;
        self.entry.check()?;
        self.driver.check()?;
        in_range("servers", u64::from(self.driver.servers), 0, u64::from(self.vcpus))?;
        in_range("list_registers", u64::from(self.list_registers), 1, MAX_LIST_REGISTERS as u64)
    }

    fn threads(&self) -> u64 {
        u64::from(self.vcpus) + u64::from(self.queues)
    }

    fn run(&self, design: Composed, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure> {
        let world = world(setting);
        let set_up = SimCtx::set_up(&world);
        let bench = self.load().bench::<Sim, Composed>(design, &set_up)?;
        let shared = Rc::new(Shared { bench, door: Door::new(self.entry, 1), loop_: Loop::new(*self) });
        for id in 0..self.vcpus {
            let shared = Rc::clone(&shared);
            world.spawn(&format!("vcpu{id}"), move |ctx| shared.vcpu(ctx, id));
        }
        for queue in 0..self.queues {
            let shared = Rc::clone(&shared);
            world.spawn(&format!("sender{queue}"), move |ctx| {
                shared.loop_.nic(ctx, queue, |event, place| {
                    shared.door.send(&shared.bench.vm, ctx, &message(0, event), 0, place)
                });
                shared.bench.vm.vcpus.iter().for_each(|vcpu| vcpu.interrupt(ctx));
            });
        }
        let run = Rc::clone(&shared.loop_.run);
        run.finish(&world, shared, |shared| &shared.bench.vm, poll)
    }

    fn run_gicv4(&self, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure> {
        let world = world(setting);
        let hardware = Rc::new(Hardware::new(self.vcpus));
        let loop_ = Rc::new(Loop::new(Closed { entry: Entry::Direct, ..*self }));
        for id in 0..self.vcpus {
            let (hardware, loop_) = (Rc::clone(&hardware), Rc::clone(&loop_));
            world.spawn(&format!("vcpu{id}"), move |ctx| {
                while !loop_.run.stop.get() {
                    if let Some(intid) = hardware.take(ctx, id) {
                        loop_.run.taken(ctx, intid);
                        loop_.handle(ctx, id, intid - FIRST_LPI);
                        continue;
                    }
                    match loop_.work(ctx, id) {
                        Did::Nothing => {}
                        Did::Something => continue,
                        Did::Woken(vcpu) => {
                            hardware.wake(ctx, vcpu);
                            continue;
                        }
                    }
                    // Nothing to do: the vCPU is not resident, and a doorbell wakes it.
                    ctx.work(ctx.cost(Cost::world_switch_out));
                    hardware.wait(ctx, id, Spending::Idle, || loop_.run.stop.get() || loop_.has_work(id));
                    ctx.spend(Spending::Idle, ctx.cost(Cost::gicv4_doorbell) + ctx.cost(Cost::wake_latency));
                    ctx.work(ctx.cost(Cost::world_switch_in));
                }
            });
        }
        for queue in 0..self.queues {
            let (hardware, loop_) = (Rc::clone(&hardware), Rc::clone(&loop_));
            world.spawn(&format!("sender{queue}"), move |ctx| {
                loop_.nic(ctx, queue, |event, _| {
                    hardware.send(ctx, FIRST_LPI + event, event % loop_.closed.vcpus);
                    true
                });
                hardware.wake_all(ctx);
            });
        }
        loop_.run.drive(&world, poll)?;
        Ok(loop_.run.outcome(&world, hardware.pending()))
    }
}

impl Closed {
    /// Packets in flight.
    fn packets(&self) -> u32 {
        self.in_flight.div_ceil(self.driver.pipeline)
    }

    /// Of those, a queue's.
    fn packets_of(&self, queue: u32) -> u32 {
        self.packets() / self.queues + u32::from(queue < self.packets() % self.queues)
    }

    /// The vCPU whose server has what comes in on a queue; none: that which polls it.
    fn server_of(&self, queue: u32) -> Option<u32> {
        let servers = self.driver.servers;
        (servers != 0).then(|| queue % servers * self.vcpus / servers)
    }

    fn load(&self) -> Load {
        Load {
            vcpus: self.vcpus,
            devices: 1,
            events: 2 * self.queues,
            guest: Guest::Fixed,
            list_registers: self.list_registers,
            mapped: 0,
        }
    }
}

/// A packet in the guest: of which queue, and when it was sent.
type Packet = (u32, Ps);

/// What a vCPU has to do where it polls.
#[derive(Default)]
struct ToDo {
    /// Queues, in turn.
    polls: RefCell<VecDeque<(u32, Way)>>,
    /// Packets that wait for its server,
    packets: RefCell<VecDeque<Packet>>,
    /// those that the server has found, all that there were, as an epoll does,
    found: RefCell<VecDeque<Packet>>,
    /// and those of them that it has served. It answers them together, as redis does.
    served: RefCell<Vec<Packet>>,
}

/// What a vCPU has done.
enum Did {
    Nothing,
    Something,
    /// Given a packet to the server on that vCPU.
    Woken(u32),
}

/// Clients, NIC and guest.
struct Loop {
    closed: Closed,
    pairs: Box<[Pair]>,
    /// What each vCPU has to do where it polls.
    to_do: Box<[ToDo]>,
    /// MOVIs so far, and when the next is due.
    moves: Cell<(u32, Ps)>,
    run: Rc<Run>,
    answered: Cell<u64>,
    /// How many answers there were when each RX interrupt had been sent.
    received: Cell<Option<u64>>,
    /// After how many answers the window ends; it has begun.
    until: Cell<Option<u64>>,
    stopped: Cell<bool>,
}

impl Loop {
    fn new(closed: Closed) -> Self {
        Loop {
            closed,
            pairs: (0..closed.queues).map(|_| Pair::default()).collect(),
            to_do: (0..closed.vcpus).map(|_| ToDo::default()).collect(),
            moves: Cell::new((0, closed.driver.movi)),
            run: Run::new(1, closed.warmup + closed.requests),
            answered: Cell::new(0),
            received: Cell::new(None),
            until: Cell::new(None),
            stopped: Cell::new(false),
        }
    }

    /// The core of a queue pair: raises its interrupts when their time comes.
    fn nic(&self, ctx: &SimCtx, queue: u32, raise: impl Fn(u32, Place) -> bool) {
        let pair = &self.pairs[queue as usize];
        let Closed { queues, network, entry, driver, .. } = self.closed;
        let mut call = Call::default();
        for _ in 0..self.closed.packets_of(queue) {
            let at = ctx.random(network);
            pair.plan(ctx, at, AtNic::Request(at));
        }
        loop {
            ctx.in_order();
            if self.run.stop.get() {
                break;
            }
            let next = pair.next.borrow().first().copied();
            match next {
                Some((at, ..)) if at > ctx.now() => ctx.sleep_until(at, Spending::Idle),
                Some(first) => {
                    // Where the guest polls, most packets raise nothing, and a call has one MSI.
                    if call.is_over() {
                        let now = ctx.now();
                        let next = pair.next.borrow();
                        let most = if driver.polls { 1 } else { entry.msis() as usize };
                        let due = next.iter().take(most).take_while(|(at, ..)| *at <= now).count();
                        call = Call::new(now, due as u32);
                    }
                    pair.next.borrow_mut().remove(&first);
                    let now = ctx.now();
                    let (way, at) = match first.2 {
                        AtNic::Request(sent) => {
                            pair.arrived.borrow_mut().push_back(sent);
                            (Way::In, pair.rx.packet(&driver, now))
                        }
                        AtNic::Sent => {
                            pair.leaving.left();
                            (Way::Out, pair.tx.packet(&driver, now))
                        }
                        AtNic::Raise(way) => (way, Some(now)),
                    };
                    match at {
                        None => continue,
                        Some(at) if at > now => {
                            pair.plan(ctx, at, AtNic::Raise(way));
                            continue;
                        }
                        Some(_) if way == Way::In => pair.rx.raised(now, driver.rx_moderation),
                        Some(_) => pair.tx.raised(now, driver.tx_moderation),
                    }
                    // The first events are RX queues, the others TX: a pair's interrupts go to one vCPU each, in turn.
                    let event = if way == Way::In { queue } else { queues + queue };
                    self.run.sending(FIRST_LPI + event, call.begin);
                    let taken = raise(event, call.next());
                    self.run.sent(FIRST_LPI + event, taken);
                }
                None => {
                    pair.waiting.set(Some(ctx.number()));
                    ctx.block("for packets", Spending::Idle);
                    pair.waiting.set(None);
                }
            }
        }
    }

    /// Whether no interrupt is to come for the first time, after so many answers. A guest with too much to do may serve a
    /// queue never, and then that has no TX interrupt: it is not waited for once each other request could have been
    /// answered several times.
    fn is_warm(&self, answered: u64) -> bool {
        let Closed { queues, in_flight, warmup, .. } = self.closed;
        let used = queues.min(self.closed.packets());
        if warmup == 0 {
            return true;
        }
        if !(0..used).all(|queue| self.run.was_sent(queue)) {
            return false;
        }
        let since = self.received.get().unwrap_or(answered);
        self.received.set(Some(since));
        (0..used).all(|queue| self.run.was_sent(queues + queue))
            || (answered - since >= 4 * u64::from(in_flight) && !self.run.sends_first())
    }

    /// The guest's handler.
    fn handle(&self, ctx: &SimCtx, vcpu: u32, event: u32) {
        ctx.spend(Spending::Guest, usual_time(ctx));
        let queues = self.closed.queues;
        let (queue, way) = if event < queues { (event, Way::In) } else { (event - queues, Way::Out) };
        let pair = &self.pairs[queue as usize];
        if self.closed.driver.polls {
            pair.line(way).disarm();
            self.to_do[vcpu as usize].polls.borrow_mut().push_back((queue, way));
            return;
        }
        if way == Way::Out {
            return;
        }
        // What has arrived by now; what comes later raises an interrupt of its own.
        ctx.in_order();
        let arrived = pair.arrived.borrow().len();
        for _ in 0..arrived {
            let Some(sent) = pair.arrived.borrow_mut().pop_front() else { break };
            self.serve(ctx);
            self.answer(ctx, pair, sent, ctx.vary(self.closed.network));
            if self.run.stop.get() {
                break;
            }
        }
    }

    /// Does the next thing that a vCPU has to do, and no more, so that it takes interrupts in between: a packet of a queue
    /// that it polls, or a packet of its server's.
    fn work(&self, ctx: &SimCtx, vcpu: u32) -> Did {
        let next = self.to_do[vcpu as usize].polls.borrow_mut().pop_front();
        if let Some((queue, way)) = next {
            return self.poll(ctx, vcpu, queue, way);
        }
        let ToDo { packets, found, served, .. } = &self.to_do[vcpu as usize];
        if found.borrow().is_empty() {
            found.swap(packets);
        }
        let Some(packet) = found.borrow_mut().pop_front() else { return Did::Nothing };
        self.serve(ctx);
        served.borrow_mut().push(packet);
        if found.borrow().is_empty() {
            // They go together, so they arrive together.
            let network = ctx.vary(self.closed.network);
            for (queue, sent) in served.take() {
                ctx.spend(Spending::Guest, ctx.vary(self.closed.driver.packet));
                self.answer(ctx, &self.pairs[queue as usize], sent, network);
            }
        }
        Did::Something
    }

    /// Whether a vCPU's server has something to do.
    fn has_work(&self, vcpu: u32) -> bool {
        !self.to_do[vcpu as usize].packets.borrow().is_empty()
    }

    /// Polls a queue: takes one packet, or frees what has left.
    fn poll(&self, ctx: &SimCtx, vcpu: u32, queue: u32, way: Way) -> Did {
        let pair = &self.pairs[queue as usize];
        ctx.in_order();
        let mut did = Did::Something;
        let goes_on = match way {
            Way::In => {
                let arrived = pair.arrived.borrow_mut().pop_front();
                if let Some(sent) = arrived {
                    ctx.spend(Spending::Guest, ctx.vary(self.closed.driver.packet));
                    let server = self.closed.server_of(queue).unwrap_or(vcpu);
                    self.to_do[server as usize].packets.borrow_mut().push_back((queue, sent));
                    if server != vcpu {
                        did = Did::Woken(server);
                    }
                } else {
                    pair.leaving.free(&pair.tx);
                    pair.rx.arm(1);
                    // What came since the look raised nothing.
                    ctx.in_order();
                }
                arrived.is_some() || !pair.arrived.borrow().is_empty()
            }
            Way::Out => pair.leaving.free(&pair.tx) > 0,
        };
        if goes_on {
            pair.line(way).disarm();
            self.to_do[vcpu as usize].polls.borrow_mut().push_back((queue, way));
        }
        did
    }

    /// Serves the requests of a packet.
    fn serve(&self, ctx: &SimCtx) {
        for _ in 0..self.closed.driver.pipeline {
            ctx.spend(Spending::Guest, ctx.vary(self.closed.service));
        }
    }

    /// Answers the requests of a packet that was sent at that time; the client's next one comes after `network`, and the
    /// client's time behind the one before.
    fn answer(&self, ctx: &SimCtx, pair: &Pair, sent: Ps, network: Ps) {
        let driver = &self.closed.driver;
        ctx.in_order();
        let now = ctx.now();
        pair.leaving.send(&pair.tx);
        pair.plan(ctx, now + TRANSMIT, AtNic::Sent);
        let mut again = now + network;
        if driver.client != 0 {
            again = again.max(pair.last_request.get() + ctx.vary(driver.client));
            pair.last_request.set(again);
        }
        pair.plan(ctx, again, AtNic::Request(again));
        for _ in 0..driver.pipeline {
            self.answered(ctx, sent);
        }
    }

    /// A request that was sent at that time is answered.
    fn answered(&self, ctx: &SimCtx, sent: Ps) {
        let Closed { warmup, requests, .. } = self.closed;
        let now = ctx.now();
        let answered = self.answered.get() + 1;
        self.answered.set(answered);
        self.run.step();
        if self.run.measuring.get() {
            self.run.requests.set(self.run.requests.get() + 1);
            if sent >= ctx.world().measured_from() {
                self.run.responses.borrow_mut().push(now.saturating_sub(sent));
            }
        }
        if self.until.get().is_none() && answered >= warmup.max(1) && self.is_warm(answered) {
            self.run.begin(ctx);
            self.until.set(Some(answered + requests));
        }
        if (self.until.get() == Some(answered) || self.run.stop.get()) && !self.stopped.replace(true) {
            self.run.end(ctx);
            self.run.stop.set(true);
            for pair in &self.pairs {
                if let Some(core) = pair.waiting.take() {
                    ctx.wake(core, now);
                }
            }
        }
    }

    /// The MOVI that is due now: of each queue's RX interrupt in turn, to the vCPU behind the one that has it.
    fn movi(&self, now: Ps) -> Option<Command> {
        let Closed { vcpus, queues, driver, .. } = self.closed;
        let (moves, due) = self.moves.get();
        if driver.movi == 0 || now < due {
            return None;
        }
        self.moves.set((moves + 1, now + driver.movi));
        let (event_id, round) = (moves % queues, moves / queues);
        Some(Command::Movi { device_id: 0, event_id, collection_id: (event_id + round + 1) % vcpus })
    }
}

/// What the threads share.
struct Shared {
    bench: Bench<Sim, Composed>,
    door: Door,
    loop_: Loop,
}

impl Shared {
    fn vcpu(&self, ctx: &SimCtx, id: u32) {
        ctx.runs_vcpu(id);
        let run = &self.loop_.run;
        let mut vcpu = self.bench.vm.run_vcpu(ctx, id);
        loop {
            ctx.forget_ipi();
            ctx.in_order();
            if run.stop.get() {
                break;
            }
            // By whichever vCPU comes by: who moves it makes no difference to the designs.
            if let Some(command) = self.loop_.movi(ctx.now()) {
                let moved = self.bench.vm.command(ctx, &self.bench.its, command);
                debug_assert_eq!(moved, Ok(()));
            }
            if !vcpu.enter() {
                continue;
            }
            let mut kicked = false;
            while !kicked {
                if let Some(intid) = vcpu.acknowledge() {
                    run.taken(ctx, intid);
                    self.loop_.handle(ctx, id, intid - FIRST_LPI);
                    vcpu.eoi(intid);
                } else {
                    match self.loop_.work(ctx, id) {
                        Did::Nothing => break,
                        Did::Something => {}
                        // An IPI of the guest.
                        Did::Woken(server) => self.bench.vm.vcpus[server as usize].interrupt(ctx),
                    }
                }
                if run.stop.get() {
                    break;
                }
                kicked = ctx.take_ipi();
            }
            let dry = vcpu.runs_dry();
            vcpu.exit();
            if !kicked && !dry {
                // WFI.
                self.bench.vm.block(ctx, vcpu.vcpu(), || run.stop.get() || self.loop_.has_work(id));
            }
        }
    }
}
