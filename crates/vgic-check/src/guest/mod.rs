//! [`Guest`]: a VM as scenarios drive it, and what must hold of it all the time and at the end.
//!
//! Device 0 of each ITS is mapped, with 32 events; collection c is vCPU c; LPIs and ITSes are enabled. The scenario maps
//! what it needs, starts its threads, and calls [`Guest::finish`].
//!
//! - `ledger`: what was done, and what follows from it for each send and each delivery
//! - `operation`: one thing that is done, as a value · `checks`: what must hold while the VM rests · `tables`: the LPI tables

mod checks;
mod ledger;
pub mod operation;
mod tables;

use crate::stage::Stage;
use crate::violation::Rule;
use ledger::{Ledger, Wrong};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tables::Tables;
use vgic_core::bus::ITS_SIZE;
use vgic_core::designs::Composed;
use vgic_core::irq::FIRST_LPI;
use vgic_core::its::Its;
use vgic_core::vcpu::run::Running;
use vgic_core::{Command, CommandError, Event, Msi, Obj, Platform, SendError, Vm};

pub use tables::DISABLED;

/// Guest physical base of the first ITS.
const ITS_BASE: u64 = 0x1000_0000;

/// Bits of an EventID of device 0.
const EVENT_BITS: u32 = 5;

/// Events of device 0.
const EVENTS: u32 = 1 << EVENT_BITS;

/// A VM with its threads.
pub struct Guest<P: Platform, S> {
    /// The VM.
    pub vm: Vm<P, Composed>,
    /// Its ITSes.
    pub its: Vec<Obj<Its<P>>>,
    /// Where it all happens.
    pub stage: S,
    tables: Tables,
    ledger: Mutex<Ledger>,
    overlooks: AtomicBool,
}

impl<P: Platform, S: Stage<P>> Guest<P, S> {
    /// A VM with so many vCPUs and ITSes.
    #[inline(never)]
    pub fn new(ctx: &P::Ctx, stage: S, vcpus: u32, its_count: u64) -> Arc<Self> {
        let tables = Tables::default();
        let vm = Vm::new(stage.design(), ctx, vcpus, 2, Box::new(tables.clone())).expect("memory");
        let its: Vec<_> = (0..its_count).map(|n| vm.add_its(ctx, ITS_BASE + n * ITS_SIZE).expect("memory")).collect();
        for vcpu in &vm.vcpus {
            vm.set_lpis_enabled(ctx, vcpu, true, false).expect("readable tables");
        }
        for its in &its {
            let mut commands = vec![mapd(true)];
            commands.extend((0..vcpus).map(|vcpu| Command::Mapc { collection_id: vcpu, vcpu, valid: true }));
            for command in commands {
                vm.command(ctx, its, command).expect("a valid command");
            }
            vm.set_its_enabled(ctx, its, true);
        }
        let ledger = Mutex::new(Ledger::new(its.len(), vcpus));
        Arc::new(Guest { vm, its, stage, tables, ledger, overlooks: AtomicBool::new(false) })
    }

    /// From now on, an MSI may be taken although the ITS or LPIs are off, and its translation may stay cached: for a
    /// scenario that looks for worse.
    pub fn overlook_the_open_window(&self) {
        self.overlooks.store(true, Relaxed);
    }

    fn overlooks(&self) -> bool {
        self.overlooks.load(Relaxed)
    }

    /// Held for a moment: no thread loses its turn meanwhile.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Maps an event of ITS 0 to LPI 8192 + `lpi` on a vCPU, before any thread runs.
    pub fn map(&self, ctx: &P::Ctx, event_id: u32, lpi: u32, vcpu: u32) {
        self.mapti(ctx, event_id, lpi, vcpu).expect("a valid command");
    }

    /// Sends each of these events once, so that it is cached, and lets vCPUs take it.
    pub fn warm(&self, ctx: &P::Ctx, events: &[u32]) {
        for event in events {
            self.send(ctx, *event).expect("a valid event");
        }
        self.drain(ctx);
    }

    /// The same for a range.
    pub fn cache(&self, ctx: &P::Ctx, events: core::ops::Range<u32>) {
        self.warm(ctx, &events.collect::<Vec<_>>());
    }

    /// Lets the vCPUs take all that is queued.
    #[inline(never)]
    pub fn drain(&self, ctx: &P::Ctx) {
        self.stage.note(ctx, || "lets all vCPUs take what there is".to_owned());
        for vcpu in 0..self.vm.vcpus.len() as u32 {
            while self.enter(ctx, vcpu) > 0 {}
        }
    }

    // What threads do.

    /// Starts a thread.
    pub fn spawn(self: &Arc<Self>, ctx: &P::Ctx, name: &str, f: impl FnOnce(&Self, &P::Ctx) + Send + 'static) {
        self.start(ctx, name, false, f);
    }

    /// Starts a thread that is an interrupt of the host: it must not sleep.
    pub fn interrupt(self: &Arc<Self>, ctx: &P::Ctx, name: &str, f: impl FnOnce(&Self, &P::Ctx) + Send + 'static) {
        self.start(ctx, name, true, f);
    }

    fn start(
        self: &Arc<Self>,
        ctx: &P::Ctx,
        name: &str,
        interrupt: bool,
        f: impl FnOnce(&Self, &P::Ctx) + Send + 'static,
    ) {
        let guest = Arc::clone(self);
        self.stage.spawn(ctx, name, interrupt, move |ctx| f(&guest, ctx));
    }

    fn msi(&self, its: usize, event_id: u32) -> Msi {
        Msi { doorbell: self.its[its].doorbell(), device_id: 0, event_id, device_id_valid: true }
    }

    /// Sends an event of ITS 0.
    pub fn send(&self, ctx: &P::Ctx, event_id: u32) -> Result<bool, SendError> {
        self.send_to(ctx, 0, event_id)
    }

    /// Sends an event of an ITS.
    #[inline(never)]
    pub fn send_to(&self, ctx: &P::Ctx, its: usize, event_id: u32) -> Result<bool, SendError> {
        self.stage.note(ctx, || format!("sends event {event_id}{}", self.of(its)));
        let begin = self.ledger().send_begins(its, event_id);
        let answer = self.vm.inject_msi(ctx, &self.msi(its, event_id));
        let wrong = self.ledger().send_ends(begin, answer == Ok(true), true);
        self.judge(ctx, wrong);
        answer
    }

    /// Sends an event of ITS 0 as an interrupt does: only if its translation is cached.
    pub fn send_cached(&self, ctx: &P::Ctx, event_id: u32) -> bool {
        self.send_cached_to(ctx, 0, event_id)
    }

    /// Sends an event of an ITS as an interrupt does.
    #[inline(never)]
    pub fn send_cached_to(&self, ctx: &P::Ctx, its: usize, event_id: u32) -> bool {
        self.stage.note(ctx, || format!("sends event {event_id}{} in an interrupt", self.of(its)));
        let begin = self.ledger().send_begins(its, event_id);
        let taken = self.vm.inject_cached(ctx, &self.msi(its, event_id));
        if !taken {
            // The kernel would go on in a thread; here that is the end of it.
            P::count(ctx, Event::Dropped);
        }
        let wrong = self.ledger().send_ends(begin, taken, false);
        self.judge(ctx, wrong);
        taken
    }

    /// Says what is wrong with the answer to a send.
    fn judge(&self, ctx: &P::Ctx, wrong: Option<Wrong>) {
        match wrong {
            None => {}
            Some(Wrong::Taken { off: true, .. }) if self.overlooks() => {}
            Some(Wrong::Taken { event, why, intid, .. }) => {
                let what = format!("an MSI to event {event} is taken, though {why} before it was sent");
                match intid {
                    Some(intid) => self.stage.broken_lpi(ctx, Rule::Unwanted, what, intid),
                    None => self.stage.broken(ctx, Rule::Unwanted, what),
                }
            }
            Some(Wrong::Refused { event, intid }) => {
                let what = format!("an MSI to event {event} is refused, though it is mapped and everything is on");
                self.stage.broken_lpi(ctx, Rule::Lost, what, intid);
            }
        }
    }

    fn of(&self, its: usize) -> String {
        if self.its.len() == 1 { String::new() } else { format!(" of ITS {its}") }
    }

    /// Executes a command on ITS 0.
    pub fn command(&self, ctx: &P::Ctx, command: Command) -> Result<(), CommandError> {
        self.command_to(ctx, 0, command)
    }

    /// Executes a command on an ITS.
    #[inline(never)]
    pub fn command_to(&self, ctx: &P::Ctx, its: usize, command: Command) -> Result<(), CommandError> {
        self.stage.note(ctx, || format!("{}{}", in_words(&command), self.of(its)));
        if let Command::Int { event_id, .. } = command {
            let begin = self.ledger().send_begins(its, event_id);
            let answer = self.vm.command(ctx, &self.its[its], command);
            let wrong = self.ledger().send_ends(begin, answer.is_ok(), true);
            self.judge(ctx, wrong);
            return answer;
        }
        let begin = self.ledger().command_begins(its, &command);
        let answer = self.vm.command(ctx, &self.its[its], command);
        self.ledger().command_ends(begin, its, &command, answer.is_ok());
        answer
    }

    /// MAPTI of an event to LPI 8192 + `lpi`.
    pub fn mapti(&self, ctx: &P::Ctx, event_id: u32, lpi: u32, vcpu: u32) -> Result<(), CommandError> {
        self.mapti_to(ctx, 0, event_id, lpi, vcpu)
    }

    /// MAPTI of an event of an ITS.
    pub fn mapti_to(&self, ctx: &P::Ctx, its: usize, event_id: u32, lpi: u32, vcpu: u32) -> Result<(), CommandError> {
        let intid = FIRST_LPI + lpi;
        self.command_to(ctx, its, Command::Mapti { device_id: 0, event_id, intid, collection_id: vcpu })
    }

    /// DISCARD of an event.
    pub fn discard(&self, ctx: &P::Ctx, event_id: u32) -> Result<(), CommandError> {
        self.command(ctx, Command::Discard { device_id: 0, event_id })
    }

    /// MOVI of an event to a vCPU.
    pub fn movi(&self, ctx: &P::Ctx, event_id: u32, vcpu: u32) -> Result<(), CommandError> {
        self.command(ctx, Command::Movi { device_id: 0, event_id, collection_id: vcpu })
    }

    /// Writes `GITS_CTLR.Enabled` of an ITS.
    #[inline(never)]
    pub fn set_its(&self, ctx: &P::Ctx, its: usize, enabled: bool) {
        self.stage.note(ctx, || format!("GITS_CTLR.Enabled = {}{}", u8::from(enabled), self.of(its)));
        let begin = self.ledger().its_begins(its, enabled);
        self.vm.set_its_enabled(ctx, &self.its[its], enabled);
        self.ledger().its_ends(begin, its);
    }

    /// Writes `GICR_CTLR.EnableLPIs` of a vCPU.
    #[inline(never)]
    pub fn set_lpis(&self, ctx: &P::Ctx, vcpu: u32, enabled: bool) {
        self.stage.note(ctx, || format!("GICR_CTLR.EnableLPIs = {} of vCPU {vcpu}", u8::from(enabled)));
        let begin = self.ledger().lpis_begins(vcpu, enabled);
        let _ = self.vm.set_lpis_enabled(ctx, &self.vm.vcpus[vcpu as usize], enabled, true);
        self.ledger().lpis_ends(begin, vcpu);
    }

    /// Writes the enable bit of LPI 8192 + `lpi` to the configuration table; INV or INVALL makes it count.
    pub fn configure(&self, ctx: &P::Ctx, lpi: u32, enabled: bool) {
        let (intid, word) = (FIRST_LPI + lpi, if enabled { "enables" } else { "disables" });
        self.stage.note(ctx, || format!("{word} LPI {intid} in the table"));
        self.ledger().configures(intid);
        self.tables.enable(intid, enabled);
    }

    /// Sets the bit of LPI 8192 + `lpi` in the pending table of a vCPU, which is read when its LPIs are turned on.
    pub fn set_pending_bit(&self, vcpu: u32, lpi: u32) {
        self.tables.set_pending(vcpu, FIRST_LPI + lpi);
    }

    /// Saves the pending states to the pending tables.
    #[inline(never)]
    pub fn save_pending(&self, ctx: &P::Ctx) {
        self.stage.note(ctx, || "saves the pending tables".to_owned());
        let _ = self.vm.save_pending_tables(ctx);
    }

    /// Enters the guest once; the vCPU takes all that it sees, and leaves. How many LPIs it took.
    #[inline(never)]
    pub fn run(&self, ctx: &P::Ctx, vcpu: u32) -> u32 {
        self.stage.note(ctx, || format!("runs vCPU {vcpu}"));
        self.enter(ctx, vcpu)
    }

    fn enter(&self, ctx: &P::Ctx, vcpu: u32) -> u32 {
        let mut running = self.vm.run_vcpu(ctx, vcpu);
        running.enter_always();
        let taken = self.take(ctx, &mut running);
        running.exit();
        taken
    }

    /// Enters the guest and leaves it; the vCPU takes nothing.
    pub fn pass(&self, ctx: &P::Ctx, vcpu: u32) {
        self.stage.note(ctx, || format!("enters and leaves the guest on vCPU {vcpu}, takes nothing"));
        let mut running = self.vm.run_vcpu(ctx, vcpu);
        running.enter();
        running.exit();
    }

    /// Starts a thread that runs a vCPU, and waits until that is in the guest and has done what it does there. It stays for
    /// a moment, and leaves.
    pub fn spawn_in_guest(
        self: &Arc<Self>,
        ctx: &P::Ctx,
        vcpu: u32,
        which: &'static str,
        does: impl FnOnce(&mut Running<'_, P, Composed>) + Send + 'static,
    ) {
        let inside = Arc::new(AtomicBool::new(false));
        let enters = Arc::clone(&inside);
        self.spawn(ctx, &format!("vcpu{vcpu}"), move |guest, ctx| {
            guest.stage.note(ctx, || format!("runs vCPU {vcpu}, which {which}"));
            let mut running = guest.vm.run_vcpu(ctx, vcpu);
            running.enter_always();
            does(&mut running);
            enters.store(true, Relaxed);
            P::relax(ctx, 1);
            running.exit();
        });
        self.stage.begin(ctx);
        while !inside.load(Relaxed) {
            P::relax(ctx, 1);
        }
    }

    /// Runs a vCPU until it has taken so many LPIs. It leaves the guest when it must, so it stays for good if nobody tells it.
    pub fn run_until_taken(&self, ctx: &P::Ctx, vcpu: u32, wanted: u32) {
        self.stage.note(ctx, || format!("runs vCPU {vcpu} until it has taken {wanted} LPIs"));
        let mut running = self.vm.run_vcpu(ctx, vcpu);
        let mut taken = 0;
        loop {
            running.enter_always();
            taken += self.take(ctx, &mut running);
            if taken >= wanted {
                return;
            }
            while !running.must_exit() {
                P::relax(ctx, 1);
            }
            running.exit();
        }
    }

    /// Takes all LPIs that a vCPU in the guest sees; how many.
    pub fn take(&self, ctx: &P::Ctx, running: &mut Running<'_, P, Composed>) -> u32 {
        let mut taken = 0;
        while let Some(intid) = running.acknowledge() {
            let loaded = self.stage.events(ctx, Event::PendingLoaded);
            let wrong = self.ledger().delivered(intid, loaded);
            if let Some((count, sent)) = wrong {
                let what = format!("delivery {count} of LPI {intid}, for {sent} that were sent to it");
                self.stage.broken_lpi(ctx, Rule::Unwanted, what, intid);
            }
            running.eoi(intid);
            taken += 1;
        }
        taken
    }

    // The end.

    /// Waits for the threads, and looks at what they have left.
    pub fn join(&self, ctx: &P::Ctx) {
        self.stage.join(ctx);
        // So that whatever leads to something dead is noticed.
        P::rcu_barrier(ctx);
        self.stage.note(ctx, || "checks what is left".to_owned());
        self.audit(ctx);
    }

    /// Waits for the threads, lets the vCPUs take what is left, checks the accounts, and gives everything back.
    #[inline(never)]
    pub fn finish(self: Arc<Self>, ctx: &P::Ctx) {
        self.join(ctx);
        // Twice, as what has to move is taken by its new vCPU.
        self.drain(ctx);
        self.drain(ctx);
        self.stage.note(ctx, || "checks what is left after all".to_owned());
        self.audit(ctx);
        self.check(ctx);
        self.stage.note(ctx, || "destroys the VM".to_owned());
        self.vm.destroy(ctx);
        let leaked = self.stage.close(ctx);
        if !leaked.is_empty() {
            let more = if leaked.len() > 4 { format!(" and {} more", leaked.len() - 4) } else { String::new() };
            let names = leaked[..leaked.len().min(4)].join(", ");
            self.stage.broken(ctx, Rule::Leak, format!("never freed: {names}{more}"));
        }
    }
}

/// MAPD of device 0.
pub fn mapd(valid: bool) -> Command {
    Command::Mapd { device_id: 0, event_bits: EVENT_BITS, itt_addr: 0, valid }
}

/// A command as the story tells it.
fn in_words(command: &Command) -> String {
    match command {
        Command::Mapd { valid, .. } => format!("MAPD V={}", u8::from(*valid)),
        Command::Mapc { collection_id, vcpu, valid: true } => format!("MAPC collection {collection_id} to vCPU {vcpu}"),
        Command::Mapc { collection_id, .. } => format!("MAPC V=0 of collection {collection_id}"),
        Command::Mapti { event_id, intid, .. } => format!("MAPTI event {event_id} to LPI {intid}"),
        Command::Mapi { event_id, .. } => format!("MAPI event {event_id}"),
        Command::Movi { event_id, collection_id, .. } => format!("MOVI event {event_id} to vCPU {collection_id}"),
        Command::Movall { from_vcpu, to_vcpu } => format!("MOVALL from vCPU {from_vcpu} to {to_vcpu}"),
        Command::Discard { event_id, .. } => format!("DISCARD event {event_id}"),
        Command::Clear { event_id, .. } => format!("CLEAR event {event_id}"),
        Command::Int { event_id, .. } => format!("INT event {event_id}"),
        Command::Inv { event_id, .. } => format!("INV event {event_id}"),
        Command::Invall { collection_id } => format!("INVALL collection {collection_id}"),
        Command::Sync { .. } => "SYNC".to_owned(),
    }
}
