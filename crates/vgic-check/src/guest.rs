//! [`Guest`]: a VM as scenarios drive it, and what must hold of it at the end.
//!
//! Device 0 of each ITS is mapped, with 32 events; collection c is vCPU c; LPIs and ITSes are enabled. The scenario maps
//! what it needs, starts its threads, and calls [`Guest::finish`].

use crate::stage::Stage;
use crate::violation::Rule;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use vgic_core::bus::ITS_SIZE;
use vgic_core::irq::FIRST_LPI;
use vgic_core::its::Its;
use vgic_core::tables::{Fault, GuestTables};
use vgic_core::{Command, CommandError, Design, Event, Msi, Obj, Platform, SendError, Vm};

/// Guest physical base of the first ITS.
const ITS_BASE: u64 = 0x1000_0000;

/// The LPI, counted from 8192, that the tables disable: it is never queued.
pub const DISABLED: u32 = 31;

/// The LPI tables.
#[derive(Clone, Debug, Default)]
struct Tables(Arc<Mutex<BTreeMap<(u32, u32), u8>>>);

impl GuestTables for Tables {
    fn config(&self, intid: u32) -> Result<u8, Fault> {
        Ok(if intid == FIRST_LPI + DISABLED { 0xa0 } else { 0xa1 })
    }
    fn pending_byte(&self, vcpu: u32, offset: u32) -> Result<u8, Fault> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(bytes.get(&(vcpu, offset)).copied().unwrap_or(0))
    }
    fn set_pending_byte(&self, vcpu: u32, offset: u32, value: u8) -> Result<(), Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((vcpu, offset), value);
        Ok(())
    }
}

/// A VM with its threads.
pub struct Guest<P: Platform, S, D: Design> {
    /// The VM.
    pub vm: Vm<P, D>,
    /// Its ITSes.
    pub its: Vec<Obj<Its<P>>>,
    /// Where it all happens.
    pub stage: S,
}

impl<P: Platform, S: Stage<P>, D: Design> Guest<P, S, D> {
    /// A VM with so many vCPUs and ITSes.
    #[inline(never)]
    pub fn new(ctx: &P::Ctx, stage: S, vcpus: u32, its_count: u64) -> Arc<Self> {
        let vm = Vm::new(ctx, vcpus, 2, Box::new(Tables::default())).expect("memory");
        let its: Vec<_> = (0..its_count).map(|n| vm.add_its(ctx, ITS_BASE + n * ITS_SIZE).expect("memory")).collect();
        for vcpu in &vm.vcpus {
            vm.set_lpis_enabled(ctx, vcpu, true, false).expect("readable tables");
        }
        for its in &its {
            let mut commands = vec![Command::Mapd { device_id: 0, event_bits: 5, itt_addr: 0, valid: true }];
            commands.extend((0..vcpus).map(|vcpu| Command::Mapc { collection_id: vcpu, vcpu, valid: true }));
            for command in commands {
                vm.command(ctx, its, command).expect("a valid command");
            }
            vm.set_its_enabled(ctx, its, true);
        }
        Arc::new(Guest { vm, its, stage })
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

    /// Sends these events, so that they are cached; a vCPU that runs takes them later.
    pub fn cache(&self, ctx: &P::Ctx, events: core::ops::Range<u32>) {
        for event in events {
            self.send(ctx, event).expect("a valid event");
        }
        self.drain(ctx);
    }

    /// Lets the vCPUs take all that is queued.
    #[inline(never)]
    fn drain(&self, ctx: &P::Ctx) {
        for vcpu in 0..self.vm.vcpus.len() as u32 {
            while self.run(ctx, vcpu) > 0 {}
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
        self.vm.inject_msi(ctx, &self.msi(its, event_id))
    }

    /// Sends an event as an interrupt does: only if its translation is cached.
    #[inline(never)]
    pub fn send_cached(&self, ctx: &P::Ctx, event_id: u32) -> bool {
        self.stage.note(ctx, || format!("sends event {event_id} in an interrupt"));
        let taken = self.vm.inject_cached(ctx, &self.msi(0, event_id));
        if !taken {
            // The kernel would go on in a thread; here that is the end of it.
            P::count(ctx, Event::Dropped);
        }
        taken
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
        self.vm.command(ctx, &self.its[its], command)
    }

    /// MAPTI of an event to LPI 8192 + `lpi`.
    pub fn mapti(&self, ctx: &P::Ctx, event_id: u32, lpi: u32, vcpu: u32) -> Result<(), CommandError> {
        let intid = FIRST_LPI + lpi;
        self.command(ctx, Command::Mapti { device_id: 0, event_id, intid, collection_id: vcpu })
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
        self.vm.set_its_enabled(ctx, &self.its[its], enabled);
    }

    /// Writes `GICR_CTLR.EnableLPIs` of a vCPU.
    #[inline(never)]
    pub fn set_lpis(&self, ctx: &P::Ctx, vcpu: u32, enabled: bool) {
        self.stage.note(ctx, || format!("GICR_CTLR.EnableLPIs = {} of vCPU {vcpu}", u8::from(enabled)));
        let _ = self.vm.set_lpis_enabled(ctx, &self.vm.vcpus[vcpu as usize], enabled, true);
    }

    /// Enters the guest once; the vCPU takes all that it sees, and leaves. How many LPIs it took.
    #[inline(never)]
    pub fn run(&self, ctx: &P::Ctx, vcpu: u32) -> u32 {
        self.stage.note(ctx, || format!("runs vCPU {vcpu}"));
        let mut running = self.vm.run_vcpu(ctx, vcpu);
        running.enter_always();
        let mut taken = 0;
        while let Some(intid) = running.acknowledge() {
            running.eoi(intid);
            taken += 1;
        }
        running.exit();
        taken
    }

    // The end.

    /// Waits for the threads.
    pub fn join(&self, ctx: &P::Ctx) {
        self.stage.join(ctx);
    }

    /// Waits for the threads, lets the vCPUs take what is left, checks the accounts, and gives everything back.
    #[inline(never)]
    pub fn finish(self: Arc<Self>, ctx: &P::Ctx) {
        self.join(ctx);
        self.stage.note(ctx, || "checks what is left".to_owned());
        // Twice, as what has to move is taken by its new vCPU.
        self.drain(ctx);
        self.drain(ctx);
        self.check(ctx);
        self.vm.destroy(ctx);
        let leaked = self.stage.close(ctx);
        if !leaked.is_empty() {
            let more = if leaked.len() > 4 { format!(" and {} more", leaked.len() - 4) } else { String::new() };
            let names = leaked[..leaked.len().min(4)].join(", ");
            self.stage.broken(ctx, Rule::Leak, format!("never freed: {names}{more}"));
        }
    }

    #[inline(never)]
    fn check(&self, ctx: &P::Ctx) {
        let wrong = |what: String| self.stage.broken(ctx, Rule::Accounts, what);
        for lpi in self.vm.lpis(ctx) {
            let target = lpi.target_vcpu.and_then(|vcpu| self.vm.vcpus.get(vcpu as usize));
            let deliverable = lpi.enabled && target.is_some_and(|vcpu| vcpu.lpis_enabled(ctx));
            if lpi.pending && deliverable && self.vm.distributor_enabled(ctx) {
                wrong(format!("LPI {} is pending and deliverable, but was not delivered", lpi.intid));
            }
            if let Some(vcpu) = lpi.queued_on
                && !self.vm.run_vcpu(ctx, vcpu).has_queued()
            {
                wrong(format!("LPI {} says that vCPU {vcpu} queues it, but its ap_list is empty", lpi.intid));
            }
        }
        let (count, pending) = (|event| self.stage.events(ctx, event), self.vm.pending_count(ctx));
        let came = count(Event::Sent) + count(Event::PendingLoaded);
        let went = count(Event::Delivered) + count(Event::Coalesced) + count(Event::Dropped) + pending;
        if came != went {
            let [delivered, coalesced, dropped] = [Event::Delivered, Event::Coalesced, Event::Dropped].map(count);
            let ends = format!("{delivered} delivered, {coalesced} coalesced, {dropped} dropped, {pending} pending");
            wrong(format!("{came} came, {went} went: {ends}"));
        }
    }
}

/// A command as the story tells it.
fn in_words(command: &Command) -> String {
    match command {
        Command::Mapd { valid, .. } => format!("MAPD V={}", u8::from(*valid)),
        Command::Mapc { vcpu, valid: true, .. } => format!("MAPC to vCPU {vcpu}"),
        Command::Mapc { collection_id, .. } => format!("MAPC V=0 of collection {collection_id}"),
        Command::Mapti { event_id, intid, .. } => format!("MAPTI event {event_id} to LPI {intid}"),
        Command::Mapi { event_id, .. } => format!("MAPI event {event_id}"),
        Command::Movi { event_id, collection_id, .. } => format!("MOVI event {event_id} to vCPU {collection_id}"),
        Command::Movall { from_vcpu, to_vcpu } => format!("MOVALL from vCPU {from_vcpu} to {to_vcpu}"),
        Command::Discard { event_id, .. } => format!("DISCARD event {event_id}"),
        Command::Clear { event_id, .. } => format!("CLEAR event {event_id}"),
        Command::Int { event_id, .. } => format!("INT event {event_id}"),
        Command::Inv { event_id, .. } => format!("INV event {event_id}"),
        Command::Invall { .. } => "INVALL".to_owned(),
        Command::Sync { .. } => "SYNC".to_owned(),
    }
}
