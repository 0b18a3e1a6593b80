//! Torture: real threads do everything at random, and every rule that can be checked is checked.
//!
//! The threads run for a period, with live checks; then they come to a halt one kind after the other and the VM is
//! audited; then they go on. First the actors rest (senders, commanders, the controller), and the vCPUs are left alone:
//! without anybody's help they must take what is pending and fall asleep. Then they rest as well.
//!
//! All that is random comes from the seed. The threads are real, so a second run repeats what each of them does and not
//! how they interleave.
//!
//! What a design is known for (its defects are kept, see the rows in `vgic-core`) is counted and does not fail a run,
//! unless the run is strict.

mod chance;
mod findings;
mod ledger;
mod rendezvous;
mod scenarios;
mod threads;
mod watch;
mod world;

use crate::stress::Failure;
use chance::Chance;
use findings::Findings;
use rendezvous::{Before, Looked};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use threads::Actor;
use vgic_check::text_of_panic;
use vgic_core::Event;
use vgic_core::bus::MAX_ITS;
use vgic_core::irq::{FIRST_LPI, INTID_LIMIT};
use vgic_core::vcpu::MAX_LIST_REGISTERS;
use vgic_host::{Refused, check_design, in_range};
use vgic_native::{NativeCtx, Runtime, set_quarantine};
use watch::{Watchdog, all_end};
use world::World;

/// A rule that a run breaks on purpose, to show that it notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// A send is noted that was never made.
    Lose,
    /// The audits are told of a reference that nobody holds.
    Leak,
    /// A thread does nothing any more.
    Stick,
    /// The process ends by a signal.
    Crash,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Torture {
    /// What all random numbers come from.
    pub seed: u64,
    /// How long threads run in all; audits come on top.
    pub time: Duration,
    /// How long they run between two audits.
    pub period: Duration,
    /// vCPUs, each a thread; LPIs of the last one are switched off and on.
    pub vcpus: u32,
    /// ITSes, each with a thread that gives commands.
    pub its: u32,
    /// Threads that send.
    pub senders: u32,
    /// Devices of each ITS whose events stay mapped.
    pub devices: u32,
    /// Events of each of them.
    pub events: u32,
    /// List registers of each vCPU.
    pub list_registers: u32,
    /// A thread without progress for so long is a deadlock.
    pub watchdog: Duration,
    /// Poison freed memory and keep it back for a while.
    pub poison: bool,
    /// Execute these scenarios of the model checker, over and over, instead.
    pub scenarios: Vec<String>,
    /// Run unsound designs, and no design with care.
    pub allow_unsound: bool,
    /// What a design is known for is a failure as well.
    pub strict: bool,
    /// For tests.
    pub break_rule: Option<Break>,
}

impl Default for Torture {
    fn default() -> Self {
        Torture {
            seed: 1,
            time: Duration::from_secs(60),
            period: Duration::from_secs(1),
            vcpus: 3,
            its: 2,
            senders: 2,
            devices: 2,
            events: 8,
            list_registers: 4,
            watchdog: Duration::from_secs(30),
            poison: true,
            scenarios: Vec::new(),
            allow_unsound: false,
            strict: false,
            break_rule: None,
        }
    }
}

/// One period.
#[derive(Clone, Debug, Default)]
pub struct Period {
    /// Its number, from 1.
    pub number: u64,
    /// Since the start of the run.
    pub elapsed: Duration,
    /// How long the threads ran.
    pub ran: Duration,
    /// What they counted, by kind of event.
    pub counts: [u64; Event::COUNT],
    /// Executions of scenarios.
    pub executions: u64,
    /// ITS commands.
    pub commands: u64,
    /// Registers written, and looks.
    pub controls: u64,
    /// LPIs in the audit.
    pub lpis: u64,
    /// Cached translations in the audit.
    pub cached: u64,
    /// The VM was saved, reset and restored.
    pub migrated: bool,
    /// RCU callbacks that were queued.
    pub callbacks: u64,
    /// The oldest callback that was seen waiting.
    pub oldest_callback: Duration,
    /// The most that were seen waiting.
    pub backlog: u64,
    /// Reports of stalled readers.
    pub stalls: u64,
}

impl Period {
    /// Looks at what RCU has waiting now.
    fn look_at_callbacks(&mut self) {
        let rcu = Runtime::global().rcu_stats();
        self.oldest_callback = self.oldest_callback.max(Duration::from_nanos(rcu.oldest_callback_age_ns));
        self.backlog = self.backlog.max(rcu.backlog);
    }
}

/// What a run has found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Rules that were broken, the first one first.
    pub broken: Vec<String>,
    /// Findings that the design is known for, and how often.
    pub known: BTreeMap<&'static str, u64>,
    /// The run was told to stop.
    pub stopped: bool,
}

const LOOK: Duration = Duration::from_millis(50);

impl Torture {
    fn check(&self) -> Result<(), Refused> {
        in_range("vcpus", u64::from(self.vcpus), 2, 64)?;
        in_range("its", u64::from(self.its), 1, MAX_ITS as u64)?;
        in_range("senders", u64::from(self.senders), 1, 256)?;
        in_range("devices", u64::from(self.devices), 1, 256)?;
        in_range("events", u64::from(self.events), 1, 1024)?;
        in_range("list_registers", u64::from(self.list_registers), 1, MAX_LIST_REGISTERS as u64)?;
        let lpis = u64::from(self.its) * (u64::from(self.stable_block()) + u64::from(world::PRIVATE_EVENTS));
        let most = u64::from(INTID_LIMIT - FIRST_LPI - world::WILD_LPIS);
        in_range("LPIs (its x (devices x events + 8))", lpis, 1, most)
    }

    /// Runs it on a new VM of the design; `report` is told of each period, and returns false to stop. It is asked with
    /// `None` between periods.
    ///
    /// After a failure threads may be left that never end.
    pub fn run(&self, design: &str, report: &mut dyn FnMut(Option<&Period>) -> bool) -> Result<Verdict, Failure> {
        let any = check_design(design, self.allow_unsound)?;
        if !self.scenarios.is_empty() {
            return scenarios::run(self, any, report);
        }
        self.check()?;
        let ctx = NativeCtx::new("torture");
        set_quarantine(self.poison);
        let mut before = Before::now(&ctx);
        let world = Arc::new(World::new(&ctx, design, self, Findings::new(self.strict))?);
        let mut run =
            Run { world: &world, ctx: &ctx, watchdog: Watchdog::new(self.watchdog, world.pulses.len()), report };
        let threads = run.start()?;
        let stopped = run.periods(&mut before);
        let ended = run.end();
        if !ended {
            if !world.findings.any_broken() {
                let late: Vec<_> = world.pulses.iter().filter_map(watch::Pulse::not_ended).collect();
                world.findings.broken(format!("threads that were told to end do not: {}", late.join(", ")));
            }
            // They have the VM.
            return Ok(Verdict { broken: world.findings.all_broken(), known: world.findings.all_known(), stopped });
        }
        for thread in threads {
            // A panic was noted where it happened.
            let _ = thread.join();
        }
        let World { host, findings, .. } =
            Arc::into_inner(world).ok_or_else(|| Failure::Broken("a thread has not let go of the VM".to_owned()))?;
        let spec = host.spec();
        drop(host);
        if !findings.any_broken() {
            before.check_returned(&ctx, &findings, spec);
        }
        set_quarantine(false);
        Ok(Verdict { broken: findings.all_broken(), known: findings.all_known(), stopped })
    }
}

/// The thread that leads a run.
struct Run<'a, 'r> {
    world: &'a Arc<World>,
    ctx: &'a NativeCtx,
    watchdog: Watchdog,
    report: &'r mut dyn FnMut(Option<&Period>) -> bool,
}

impl Run<'_, '_> {
    /// Starts all threads; they rest.
    fn start(&self) -> Result<Vec<std::thread::JoinHandle<()>>, Failure> {
        let start = |number: usize| {
            let world = Arc::clone(self.world);
            let name = world.pulses[number].name.clone();
            std::thread::Builder::new().name(name).spawn(move || thread(&world, number))
        };
        (0..self.world.pulses.len())
            .map(start)
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::Broken(format!("cannot start a thread: {error}")))
    }

    /// Runs periods until the time is over, a rule is broken, or somebody says stop (then true).
    fn periods(&mut self, before: &mut Before) -> bool {
        let world = Arc::clone(self.world);
        let pulse = watch::Pulse::new("audit".to_owned());
        let chance = Chance::new(world.plan.seed, usize::MAX - 1);
        let mut actor = Actor { world: &world, ctx: self.ctx, pulse: &pulse, chance };
        let begin = Instant::now();
        let mut ran = Duration::ZERO;
        let mut number = 0;
        while ran < world.plan.time {
            number += 1;
            let mut period = Period { number, ..Period::default() };
            let counts = world.counts();
            let rcu = Runtime::global().rcu_stats();
            let (commands, controls) = (world.commands.load(Ordering::Relaxed), world.controls.load(Ordering::Relaxed));
            world.distributor_was_off.store(false, Ordering::SeqCst);
            let start = Instant::now();
            let length = world.plan.period.min(world.plan.time - ran);
            world.vcpus.dismiss();
            world.actors.dismiss();
            if world.plan.break_rule == Some(Break::Crash) {
                std::process::abort();
            }
            // On a busy machine the threads may come late: a period in which nothing was done has shown nothing.
            let begun = || world.commands.load(Ordering::Relaxed) > commands;
            let mut stop = !self.wait(|| start.elapsed() >= length && begun(), LOOK, &mut period);
            world.actors.call();
            stop |= !self.wait(|| world.actors.is_complete(), Duration::ZERO, &mut period);
            // Nobody helps the vCPUs now: what is pending must wake them.
            let idle = |vcpu: u32| world.pulses[vcpu as usize].is_excused() && !world.host.has_pending(self.ctx, vcpu);
            let since = Instant::now();
            let left_alone = self.until(
                || (0..world.plan.vcpus).all(idle),
                Duration::from_millis(1),
                &mut period,
                |world| {
                    (since.elapsed() >= world.plan.watchdog).then(|| {
                        let late: Vec<_> = (0..world.plan.vcpus)
                            .filter(|vcpu| world.host.has_pending(self.ctx, *vcpu))
                            .map(|vcpu| format!("vcpu{vcpu} ({})", world.pulses[vcpu as usize].doing()))
                            .collect();
                        format!("lost wake-up: LPIs are pending, nobody sends, and these do not take them: {late:?}")
                    })
                },
            );
            stop |= !left_alone;
            world.vcpus.call();
            (0..world.plan.vcpus).for_each(|vcpu| world.host.interrupt(self.ctx, vcpu));
            stop |= !self.wait(|| world.vcpus.is_complete(), Duration::ZERO, &mut period);
            period.ran = start.elapsed();
            ran += length.max(Duration::from_millis(1));
            if world.findings.any_broken() {
                return false;
            }
            if stop && !(world.vcpus.is_complete() && world.actors.is_complete()) {
                return true;
            }
            let after = world.counts();
            period.counts = std::array::from_fn(|event| after[event] - counts[event]);
            let Looked { lpis, cached, migrated } = world.rendezvous(self.ctx, before, &mut actor);
            (period.lpis, period.cached, period.migrated) = (lpis, cached, migrated);
            let now = Runtime::global().rcu_stats();
            period.callbacks = now.callbacks_queued - rcu.callbacks_queued;
            period.stalls = now.stalls - rcu.stalls;
            period.commands = world.commands.load(Ordering::Relaxed) - commands;
            period.controls = world.controls.load(Ordering::Relaxed) - controls;
            period.elapsed = begin.elapsed();
            let go_on = (self.report)(Some(&period));
            if stop || !go_on {
                return true;
            }
            if world.findings.any_broken() {
                return false;
            }
        }
        false
    }

    /// Waits for something; false if somebody says stop. Ends early if a rule is broken.
    fn wait(&mut self, done: impl FnMut() -> bool, pause: Duration, period: &mut Period) -> bool {
        self.until(done, pause, period, |_| None)
    }

    fn until(
        &mut self,
        mut done: impl FnMut() -> bool,
        pause: Duration,
        period: &mut Period,
        late: impl Fn(&World) -> Option<String>,
    ) -> bool {
        let mut go_on = true;
        while !done() && !self.world.findings.any_broken() {
            std::thread::sleep(pause);
            period.look_at_callbacks();
            for wrong in [self.watchdog.check(&self.world.pulses), late(self.world)].into_iter().flatten() {
                self.world.findings.broken(wrong);
            }
            go_on &= (self.report)(None);
            if !go_on && !pause.is_zero() {
                break;
            }
        }
        go_on
    }

    /// Ends all threads; false if some do not.
    fn end(&self) -> bool {
        let world = self.world;
        world.stopping.store(true, Ordering::SeqCst);
        world.actors.dismiss();
        world.vcpus.dismiss();
        let patience = watch::patience(world.findings.any_broken());
        all_end(&world.pulses, patience, || (0..world.plan.vcpus).for_each(|vcpu| world.host.interrupt(self.ctx, vcpu)))
    }
}

/// A thread's life: what its number says, until it is told to end or panics.
fn thread(world: &World, number: usize) {
    let pulse = &world.pulses[number];
    let ctx = NativeCtx::new(&pulse.name);
    world.register(&ctx);
    let vcpus = world.plan.vcpus as usize;
    let senders = vcpus + world.plan.senders as usize;
    let commanders = senders + world.plan.its as usize;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let actor = Actor { world, ctx: &ctx, pulse, chance: Chance::new(world.plan.seed, number) };
        match number {
            n if n < vcpus => actor.vcpu(n as u32),
            n if n < senders => actor.sender(),
            n if n < commanders => actor.commander(n - senders),
            _ => actor.controller(),
        }
    }));
    if let Err(panic) = result {
        let what = text_of(&*panic);
        world.findings.broken(format!("thread {} panicked: {what} (did last: {})", pulse.name, pulse.doing()));
    }
    pulse.ended.store(true, Ordering::SeqCst);
}

/// What a panic says.
fn text_of(panic: &(dyn core::any::Any + Send)) -> &str {
    text_of_panic(panic).unwrap_or("it does not say why")
}
