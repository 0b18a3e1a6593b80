//! The scenarios of the model checker on real threads, over and over: each execution has a new VM, and the seed says which
//! scenario it is and how long each thread hesitates before each operation.
//!
//! A scenario drives the engine directly, without the care that [`Host`](vgic_host::Host) takes of designs that need it, so
//! only designs that need none may run: what a checker reports by name would be freed memory here.

use super::chance::Chance;
use super::findings::Findings;
use super::watch::{Pulse, Watchdog, all_end, patience};
use super::{LOOK, Period, Torture, Verdict, text_of};
use crate::stress::Failure;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use vgic_check::stage::Stage;
use vgic_check::{Rule, SCENARIOS, Scenario, with_scenario};
use vgic_core::designs::Composed;
use vgic_core::designs::series::DESIGNS;
use vgic_core::{Design, Event, Platform};
use vgic_host::Refused;
use vgic_native::sync::Mutex;
use vgic_native::{
    Counters, Native, NativeCtx, Runtime, Thread, live_objects, set_quarantine, warnings, warnings_by_text,
};

type Report<'a> = &'a mut dyn FnMut(Option<&Period>) -> bool;

/// One execution of a scenario on real threads.
#[derive(Clone)]
struct OnThreads(Arc<Execution>);

struct Execution {
    design: Composed,
    seed: u64,
    /// Threads begin together, when the first one waits for them or for something that one of them does.
    gate: AtomicBool,
    threads: Mutex<Vec<Thread>>,
    counters: Mutex<Vec<Arc<Counters>>>,
    /// Objects that were there before.
    objects: i64,
    broken: Mutex<Vec<(Rule, String)>>,
    hesitations: AtomicU64,
}

/// Live objects of all classes.
fn objects() -> i64 {
    live_objects().values().sum()
}

impl OnThreads {
    fn new(ctx: &NativeCtx, design: Composed, seed: u64) -> Self {
        OnThreads(Arc::new(Execution {
            design,
            seed,
            gate: AtomicBool::new(false),
            threads: Mutex::default(),
            counters: Mutex::new(vec![ctx.shared_counters()]),
            objects: objects(),
            broken: Mutex::default(),
            hesitations: AtomicU64::new(0),
        }))
    }
}

impl Stage<Native> for OnThreads {
    fn design(&self) -> Composed {
        self.0.design
    }

    /// Nobody reads it here: a thread hesitates instead, so that operations meet in many ways.
    fn note(&self, _ctx: &NativeCtx, _what: impl FnOnce() -> String) {
        // Relaxed: any number will do.
        let number = self.0.hesitations.fetch_add(1, Ordering::Relaxed);
        let mut chance = Chance::new(self.0.seed, number as usize);
        let most = 1 << chance.below(11);
        for _ in 0..chance.below(most) {
            core::hint::spin_loop();
        }
    }

    fn broken(&self, _ctx: &NativeCtx, rule: Rule, what: String) {
        self.0.broken.lock().push((rule, what));
    }

    fn seed(&self, _ctx: &NativeCtx) -> u64 {
        self.0.seed
    }

    fn events(&self, _ctx: &NativeCtx, event: Event) -> u64 {
        self.0.counters.lock().iter().map(|counters| counters.read()[event as usize]).sum()
    }

    fn fail_allocation(&self, ctx: &NativeCtx, after: u64) {
        ctx.fail_allocs.set(after as u32 + 1);
    }

    fn spawn(&self, ctx: &NativeCtx, name: &str, _interrupt: bool, f: impl FnOnce(&NativeCtx) + Send + 'static) {
        let stage = self.clone();
        let named = name.to_owned();
        let thread = Native::spawn(ctx, name, move |ctx| {
            stage.0.counters.lock().push(ctx.shared_counters());
            // Acquire: pairs with the Release of `begin`.
            while !stage.0.gate.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| f(ctx))) {
                stage.broken(ctx, Rule::Panic, format!("{named} panicked: {}", text_of(&*panic)));
            }
        });
        self.0.threads.lock().push(thread);
    }

    fn begin(&self, _ctx: &NativeCtx) {
        self.0.gate.store(true, Ordering::Release);
    }

    fn join(&self, ctx: &NativeCtx) {
        self.begin(ctx);
        let threads = core::mem::take(&mut *self.0.threads.lock());
        for thread in threads {
            Native::join(ctx, thread);
        }
    }

    fn close(&self, ctx: &NativeCtx) -> Vec<String> {
        Native::rcu_barrier(ctx);
        let left = objects() - self.0.objects;
        if left == 0 { Vec::new() } else { vec![format!("{left} objects more than before")] }
    }
}

/// Executes a scenario once.
fn execute(scenario: &str, design: Composed, seed: u64, findings: &Findings) {
    let ctx = NativeCtx::new("main");
    let stage = OnThreads::new(&ctx, design, seed);
    let before = warnings();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| on_threads(scenario, &ctx, stage.clone()))) {
        stage.broken(&ctx, Rule::Panic, text_of(&*panic).to_owned());
    }
    if warnings() > before {
        stage.broken(&ctx, Rule::Warning, format!("warnings: {:?}", warnings_by_text().keys()));
    }
    let broken = core::mem::take(&mut *stage.0.broken.lock());
    for (rule, what) in broken {
        findings.broken(format!("{scenario}: {what} ({})", rule.text()));
    }
}

fn on_threads(scenario: &str, ctx: &NativeCtx, stage: OnThreads) {
    with_scenario!(scenario, S => S::run::<Native, OnThreads>(ctx, stage));
}

/// Runs scenarios until the time is over, a rule is broken, or somebody says stop (then true).
pub(super) fn run(plan: &Torture, design: Composed, report: Report<'_>) -> Result<Verdict, Failure> {
    let known = |name: &String| {
        let entry = SCENARIOS.iter().find(|entry| entry.name == name);
        entry.map(|entry| entry.name).ok_or_else(|| Refused::UnknownScenario(name.clone()))
    };
    let scenarios = plan.scenarios.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    if design.spec().has_control_races() {
        let others = DESIGNS.iter().filter(|(_, spec)| !spec.has_control_races()).map(|(name, _)| *name);
        return Err(Refused::NoScenarios(design.name().to_owned(), others.collect::<Vec<_>>().join(", ")).into());
    }
    let ctx = NativeCtx::new("torture");
    set_quarantine(plan.poison);
    let shared = Arc::new(Shared {
        plan: plan.clone(),
        scenarios,
        design,
        findings: Findings::new(plan.strict),
        pulse: [Pulse::new("scenarios".to_owned())],
        executions: AtomicU64::new(0),
        stopping: AtomicBool::new(false),
    });
    let worker = Arc::clone(&shared);
    let worker = std::thread::Builder::new().name("scenarios".to_owned()).spawn(move || worker.execute_all());
    let worker = worker.map_err(|error| Failure::Broken(format!("cannot start a thread: {error}")))?;
    let stopped = shared.watch(report);
    shared.stopping.store(true, Ordering::SeqCst);
    if all_end(&shared.pulse, patience(shared.findings.any_broken()), || {}) {
        let _ = worker.join();
        Native::rcu_barrier(&ctx);
        set_quarantine(false);
    } else {
        // Its thread has the VM, and stays.
        shared.findings.broken(format!("{} does not end", shared.pulse[0].doing()));
    }
    Ok(Verdict { broken: shared.findings.all_broken(), known: shared.findings.all_known(), stopped })
}

/// What both threads of a run use.
struct Shared {
    plan: Torture,
    scenarios: Vec<&'static str>,
    design: Composed,
    findings: Findings,
    pulse: [Pulse; 1],
    executions: AtomicU64,
    stopping: AtomicBool,
}

impl Shared {
    /// The thread that executes.
    fn execute_all(&self) {
        let mut chance = Chance::new(self.plan.seed, 0);
        let [pulse] = &self.pulse;
        while !self.stopping.load(Ordering::SeqCst) && !self.findings.any_broken() {
            let scenario = chance.pick(&self.scenarios);
            pulse.begin(scenario);
            execute(scenario, self.design, chance.seed(), &self.findings);
            // Relaxed: a count that orders nothing.
            self.executions.fetch_add(1, Ordering::Relaxed);
        }
        pulse.ended.store(true, Ordering::SeqCst);
    }

    /// The thread that tells, until the end; true if it was told to stop.
    fn watch(&self, report: Report<'_>) -> bool {
        let mut watchdog = Watchdog::new(self.plan.watchdog, 1);
        let begin = Instant::now();
        let mut executions = 0;
        let mut callbacks = Runtime::global().rcu_stats().callbacks_queued;
        for number in 1.. {
            let start = Instant::now();
            let mut period = Period { number, ..Period::default() };
            let left = self.plan.time.saturating_sub(begin.elapsed());
            while start.elapsed() < self.plan.period.min(left) {
                std::thread::sleep(LOOK.min(left));
                period.look_at_callbacks();
                if let Some(stuck) = watchdog.check(&self.pulse) {
                    self.findings.broken(stuck);
                }
                if self.findings.any_broken() {
                    return false;
                }
                if !report(None) {
                    return true;
                }
            }
            let callbacks_now = Runtime::global().rcu_stats().callbacks_queued;
            (period.callbacks, callbacks) = (callbacks_now - callbacks, callbacks_now);
            period.ran = start.elapsed();
            period.elapsed = begin.elapsed();
            let now = self.executions.load(Ordering::Relaxed);
            (period.executions, executions) = (now - executions, now);
            if !report(Some(&period)) {
                return true;
            }
            if begin.elapsed() >= self.plan.time {
                break;
            }
        }
        false
    }
}
