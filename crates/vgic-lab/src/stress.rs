//! The load of the kernel's `vgic_lpi_stress`: `-d` devices send `-e` events each, round after round, to `-v` vCPUs.
//!
//! Three ways to run it:
//! - *live*: a thread a device, a thread a vCPU. As it is in a machine, with the luck of the scheduler.
//! - *lockstep*: one thread sends a round, then runs the vCPUs until nothing is left. The cost of delivery.
//! - *senders*: one thread sends, no vCPU runs, so a send finds its LPI queued. The cost of routing alone.

use crate::bench::{Bench, Guest, Load, message};
use crate::company::Company;
use crate::sample::{Length, Poll, Sample, Stopped};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vgic_core::designs::Composed;
use vgic_core::irq::{FIRST_LPI, INTID_LIMIT};
use vgic_core::vcpu::MAX_LIST_REGISTERS;
use vgic_core::vcpu::run::Running;
use vgic_core::vm::MAX_VCPUS;
use vgic_core::{Command, CommandError, Design, Event, Msi, Platform, Vm, with_design};
use vgic_host::{Refused, check_compiled, in_range};
use vgic_native::{Counters, Native, NativeCtx};

/// How a workload is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Senders and vCPUs as threads.
    Live,
    /// One thread sends a round, then delivers it.
    Lockstep,
    /// One thread sends; nobody takes.
    Senders,
}

/// The load.
#[derive(Clone, Debug)]
pub struct Stress {
    /// `-v`.
    pub vcpus: u32,
    /// `-d`.
    pub devices: u32,
    /// `-e`.
    pub events: u32,
    /// `-i`, or a time.
    pub length: Length,
    /// How it is run.
    pub mode: Mode,
    /// Who takes.
    pub guest: Guest,
    /// List registers of the GIC.
    pub list_registers: u32,
    /// LPIs that are mapped before and never sent.
    pub mapped: u32,
    /// Live: at most so many sends in flight; 0 is no limit.
    pub window: u64,
    /// Live: another thread maps, moves, clears and discards meanwhile.
    pub churn: bool,
    /// Run designs that are known to be unsound.
    pub allow_unsound: bool,
}

/// Why there is no sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Bad input.
    Refused(Refused),
    /// Somebody asked to stop.
    Stopped,
    /// A thread of the run panicked, or the guest could not be set up; the text says what.
    Broken(String),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Failure::Refused(refused)
    }
}
impl From<Stopped> for Failure {
    fn from(Stopped: Stopped) -> Self {
        Failure::Stopped
    }
}
impl From<vgic_core::NoMemory> for Failure {
    fn from(none: vgic_core::NoMemory) -> Self {
        Failure::Refused(none.into())
    }
}
impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Failure::Broken(format!("the guest's set-up failed: {error:?}"))
    }
}

/// Events that one device can have.
const EVENTS_PER_DEVICE: u32 = 1 << 16;

impl Stress {
    fn check(&self, design: &str) -> Result<Composed, Refused> {
        let any = check_compiled(design, self.allow_unsound)?;
        let lpis = u64::from(INTID_LIMIT - FIRST_LPI);
        in_range("vcpus", u64::from(self.vcpus), 1, u64::from(MAX_VCPUS))?;
        in_range("devices", u64::from(self.devices), 1, lpis)?;
        in_range("events", u64::from(self.events), 1, u64::from(EVENTS_PER_DEVICE))?;
        in_range("list_registers", u64::from(self.list_registers), 1, MAX_LIST_REGISTERS as u64)?;
        let all = u64::from(self.devices) * u64::from(self.events) + u64::from(self.mapped);
        in_range("devices x events + mapped", all, 1, lpis)?;
        if self.mode == Mode::Live {
            in_range("devices in live mode (a thread each)", u64::from(self.devices), 1, 1024)?;
        }
        Ok(any)
    }

    /// Runs it once, on a new VM of the design.
    pub fn run(&self, design: &str, poll: Poll<'_>) -> Result<Sample, Failure> {
        let any = self.check(design)?;
        with_design!(design, any, design => self.run_design(design, poll))
    }

    fn run_design<D: Design>(&self, design: D, poll: Poll<'_>) -> Result<Sample, Failure> {
        let _company = Company::new();
        let ctx = NativeCtx::new("main");
        // What the set-up counts is not the run's.
        let bench = Arc::new(NativeBench(self.load().bench::<Native, D>(design, &NativeCtx::new("set-up"))?));
        let mut sample = Sample::default();
        let result = match self.mode {
            Mode::Live => self.live(&ctx, &bench, &mut sample, poll),
            Mode::Lockstep | Mode::Senders => self.one_thread(&ctx, &bench, &mut sample, poll),
        };
        sample.add(&ctx);
        sample.pending = bench.vm.pending_count(&ctx);
        result.map(|()| sample)
    }

    fn load(&self) -> Load {
        Load {
            vcpus: self.vcpus,
            devices: self.devices,
            events: self.events,
            guest: self.guest,
            list_registers: self.list_registers,
            mapped: self.mapped,
        }
    }

    fn messages(&self) -> Vec<Msi> {
        let devices = 0..self.devices;
        devices.flat_map(|device| (0..self.events).map(move |event| message(device, event))).collect()
    }

    /// Senders, and in lockstep the vCPUs, by this thread.
    fn one_thread<D: Design>(
        &self,
        ctx: &NativeCtx,
        bench: &NativeBench<D>,
        sample: &mut Sample,
        poll: Poll<'_>,
    ) -> Result<(), Failure> {
        let messages = self.messages();
        let mut vcpus = if self.mode == Mode::Lockstep { bench.vm.run_all_vcpus(ctx) } else { Vec::new() };
        let result = sample.timed_rounds(self.length, poll, |accepted| {
            for msi in &messages {
                *accepted += u64::from(bench.vm.inject_msi(ctx, msi) == Ok(true));
            }
            for vcpu in &mut vcpus {
                if self.guest == Guest::Fixed {
                    drain(vcpu);
                } else {
                    vcpu.enter_always();
                    vcpu.exit();
                }
            }
        });
        Ok(result?)
    }

    fn live<D: Design>(
        &self,
        ctx: &NativeCtx,
        bench: &Arc<NativeBench<D>>,
        sample: &mut Sample,
        poll: Poll<'_>,
    ) -> Result<(), Failure> {
        let threads = self.vcpus + self.devices + u32::from(self.churn);
        let shared = Arc::new(LiveRun {
            start: Barrier::new(threads as usize + 1),
            senders_stop: AtomicBool::new(false),
            all_stop: AtomicBool::new(false),
            senders_left: AtomicU64::new(u64::from(self.devices)),
            rounds: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            counters: Mutex::default(),
            result: Mutex::default(),
            span: Mutex::default(),
        });
        let mut senders = Vec::new();
        let mut others = Vec::new();
        for id in 0..self.vcpus {
            let (bench, shared, guest) = (Arc::clone(bench), Arc::clone(&shared), self.guest);
            others.push(Native::spawn(ctx, &format!("vcpu{id}"), move |ctx| {
                shared.register(ctx);
                vcpu_thread::<Native, D>(&bench.vm, ctx, id, guest, &shared.all_stop);
                shared.finish(ctx);
            }));
        }
        if self.churn {
            let (bench, shared, load) = (Arc::clone(bench), Arc::clone(&shared), self.clone());
            others.push(Native::spawn(ctx, "churn", move |ctx| {
                shared.register(ctx);
                churn_thread(&bench, ctx, &load, &shared.all_stop);
                shared.finish(ctx);
            }));
        }
        for device in 0..self.devices {
            let (bench, shared, load) = (Arc::clone(bench), Arc::clone(&shared), self.clone());
            senders.push(Native::spawn(ctx, &format!("sender{device}"), move |ctx| {
                shared.register(ctx);
                let done = SenderDone(&shared);
                sender_thread(&bench.vm, ctx, &load, device, &shared);
                shared.finish(ctx);
                drop(done);
            }));
        }

        shared.start.wait();
        let start = Instant::now();
        let mut stopped = false;
        while shared.senders_left.load(Ordering::Acquire) != 0 {
            std::thread::sleep(Duration::from_millis(1));
            let fraction = match self.length {
                Length::Time(time) => {
                    if start.elapsed() >= time {
                        shared.senders_stop.store(true, Ordering::Relaxed);
                    }
                    start.elapsed().as_secs_f64() / time.as_secs_f64()
                }
                Length::Iterations(iterations) | Length::OneBlock(iterations) => {
                    let all = iterations as f64 * f64::from(self.devices);
                    shared.rounds.load(Ordering::Relaxed) as f64 / all.max(1.0)
                }
            };
            if !stopped && !poll(fraction.min(1.0)) {
                stopped = true;
                shared.senders_stop.store(true, Ordering::Relaxed);
            }
        }
        let mut sound = true;
        for thread in senders {
            sound &= Native::join(ctx, thread);
        }
        // By the senders' own clocks: this thread may have slept through the start.
        let span = *shared.span.lock().unwrap_or_else(PoisonError::into_inner);
        sample.elapsed = span.map_or(start.elapsed(), |(first, last)| last - first);
        shared.all_stop.store(true, Ordering::Relaxed);
        for vcpu in &bench.vm.vcpus {
            vcpu.interrupt(ctx);
        }
        for thread in others {
            sound &= Native::join(ctx, thread);
        }
        if !sound {
            return Err(Failure::Broken("a thread of the run panicked".to_owned()));
        }
        sample.absorb(&shared.result.lock().unwrap_or_else(PoisonError::into_inner));
        sample.accepted = shared.accepted.load(Ordering::Relaxed);
        if stopped { Err(Failure::Stopped) } else { Ok(()) }
    }
}

/// Runs a vCPU until nothing is queued on it any more.
pub(crate) fn drain<P: Platform, D: Design>(vcpu: &mut Running<'_, P, D>) {
    while vcpu.has_queued() {
        vcpu.enter_always();
        let mut any = false;
        while let Some(intid) = vcpu.acknowledge() {
            vcpu.eoi(intid);
            any = true;
        }
        vcpu.exit();
        if !any {
            return;
        }
    }
}

/// What the threads of a live run share.
struct LiveRun {
    start: Barrier,
    senders_stop: AtomicBool,
    all_stop: AtomicBool,
    senders_left: AtomicU64,
    rounds: AtomicU64,
    accepted: AtomicU64,
    counters: Mutex<Vec<Arc<Counters>>>,
    result: Mutex<Sample>,
    /// When the first sender began and the last ended.
    span: Mutex<Option<(Instant, Instant)>>,
}

impl LiveRun {
    fn register(&self, ctx: &NativeCtx) {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).push(ctx.shared_counters());
        self.start.wait();
    }

    fn finish(&self, ctx: &NativeCtx) {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).add(ctx);
    }
}

/// Says that a sender has ended, also if it panicked.
struct SenderDone<'a>(&'a LiveRun);

impl Drop for SenderDone<'_> {
    fn drop(&mut self) {
        self.0.senders_left.fetch_sub(1, Ordering::Release);
    }
}

fn sender_thread<D: Design>(vm: &Vm<Native, D>, ctx: &NativeCtx, load: &Stress, device: u32, shared: &LiveRun) {
    let iterations = match load.length {
        Length::Iterations(iterations) | Length::OneBlock(iterations) => iterations,
        Length::Time(_) => u64::MAX,
    };
    let messages: Vec<_> = (0..load.events).map(|event| message(device, event)).collect();
    let counters = shared.counters.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut accepted = 0;
    let start = Instant::now();
    for round in 0..iterations {
        if shared.senders_stop.load(Ordering::Relaxed) {
            break;
        }
        for msi in &messages {
            if load.window != 0 {
                wait_for_window(ctx, &counters, load.window, &shared.senders_stop);
            }
            accepted += u64::from(vm.inject_msi(ctx, msi) == Ok(true));
        }
        if round % 64 == 63 {
            shared.rounds.fetch_add(64, Ordering::Relaxed);
        }
    }
    let end = Instant::now();
    shared.accepted.fetch_add(accepted, Ordering::Relaxed);
    let mut span = shared.span.lock().unwrap_or_else(PoisonError::into_inner);
    *span = Some(span.map_or((start, end), |(first, last)| (first.min(start), last.max(end))));
}

/// Waits until fewer than `window` sends are in flight.
fn wait_for_window(ctx: &NativeCtx, counters: &[Arc<Counters>], window: u64, stop: &AtomicBool) {
    let mut spins = 0;
    loop {
        let mut in_flight = 0_i64;
        for thread in counters {
            let counts = thread.read();
            let count = |event: Event| counts[event as usize] as i64;
            in_flight += count(Event::Sent);
            in_flight -= count(Event::Delivered) + count(Event::Coalesced) + count(Event::Dropped);
        }
        if in_flight < window as i64 || stop.load(Ordering::Relaxed) {
            return;
        }
        spins += 1;
        Native::relax(ctx, spins);
    }
}

/// A vCPU: enters the guest, which takes what is pending and spins, until it is told to stop.
pub(crate) fn vcpu_thread<P: Platform, D: Design>(
    vm: &Vm<P, D>,
    ctx: &P::Ctx,
    id: u32,
    guest: Guest,
    stop: &AtomicBool,
) {
    let mut vcpu = vm.run_vcpu(ctx, id);
    let mut cancelled = 0;
    while !stop.load(Ordering::Relaxed) {
        if !vcpu.enter() {
            cancelled += 1;
            P::relax(ctx, cancelled);
            continue;
        }
        cancelled = 0;
        let mut idle = 0;
        loop {
            if guest == Guest::Fixed {
                while let Some(intid) = vcpu.acknowledge() {
                    vcpu.eoi(intid);
                    idle = 0;
                }
            }
            if vcpu.must_exit() || stop.load(Ordering::Relaxed) {
                break;
            }
            idle += 1;
            P::relax(ctx, idle);
        }
        vcpu.exit();
    }
}

/// Maps, moves, clears and discards the events that are being sent, at random from a fixed seed.
fn churn_thread<D: Design>(bench: &NativeBench<D>, ctx: &NativeCtx, load: &Stress, stop: &AtomicBool) {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: u32| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        ((random >> 32) % u64::from(limit)) as u32
    };
    while !stop.load(Ordering::Relaxed) {
        let (device_id, event_id) = (below(load.devices), below(load.events));
        let collection_id = below(load.vcpus);
        let command = match below(8) {
            0 => Command::Discard { device_id, event_id },
            1 => Command::Movi { device_id, event_id, collection_id },
            // Where a CLEAR may undo what others store, nothing would add up.
            2 if !bench.vm.spec().clear_may_miscount() => Command::Clear { device_id, event_id },
            2 | 3 => Command::Inv { device_id, event_id },
            4 => Command::Int { device_id, event_id },
            5 => Command::Invall { collection_id },
            6 => Command::Mapc { collection_id, vcpu: below(load.vcpus), valid: true },
            _ => {
                let intid = load.load().intid(device_id, event_id);
                Command::Mapti { device_id, event_id, intid, collection_id }
            }
        };
        // Some commands name an event that is not mapped now: rejected, as intended.
        let _ = bench.vm.command(ctx, &bench.its, command);
        Native::relax(ctx, 100);
    }
}

/// A VM on real threads, which takes itself apart.
struct NativeBench<D: Design>(Bench<Native, D>);

impl<D: Design> std::ops::Deref for NativeBench<D> {
    type Target = Bench<Native, D>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<D: Design> Drop for NativeBench<D> {
    fn drop(&mut self) {
        self.vm.destroy(&NativeCtx::new("vgic-destroy"));
    }
}
