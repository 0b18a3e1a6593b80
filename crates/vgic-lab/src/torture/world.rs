//! [`World`]: the VM that is tortured, its ids, and what all threads share.
//!
//! Three kinds of events, which differ in who may do what with them:
//!
//! - *stable*: one LPI each, mapped before a period begins and until it ends. They are moved, disabled, enabled, sent
//!   by anybody; what is taken must arrive.
//! - *private*: one LPI each, mapped, discarded and sent by the commander of their ITS alone, who knows at any time what
//!   the answer to a send must be.
//! - *wild*: everybody does everything, the LPIs are few and shared by all events of all ITSes. Here references, lists
//!   and caches are strained; what becomes of a single send cannot be said.
//!
//! The last vCPU is wild as well: its LPIs are switched off and on. Stable and private events never go there.

use super::Torture;
use super::findings::Findings;
use super::ledger::Ledger;
use super::watch::{Meeting, Pulse};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use vgic_core::bus::Frames;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Event, Msi};
use vgic_host::{Host, Plan, Refused, its_base};
use vgic_native::sync::{Mutex, RwLock};
use vgic_native::{Counters, NativeCtx};

pub(super) const PRIVATE_DEVICE: u32 = 0x100;
pub(super) const PRIVATE_EVENTS: u32 = 8;
pub(super) const WILD_DEVICES: Range<u32> = 0x200..0x204;
pub(super) const WILD_EVENTS: u32 = 8;
pub(super) const WILD_LPIS: u32 = 24;
pub(super) const WILD_COLLECTIONS: Range<u32> = 0x40..0x44;
/// Configuration bytes of an enabled LPI, at four priorities.
pub(super) const ENABLED: [u8; 4] = [0xa1, 0x81, 0x41, 0xe1];

/// A stable event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stable {
    pub(super) its: usize,
    pub(super) device_id: u32,
    pub(super) event_id: u32,
    pub(super) intid: u32,
}

/// What the threads of a run share.
pub(super) struct World {
    pub(super) plan: Torture,
    pub(super) host: Host,
    pub(super) stable: Vec<Stable>,
    ledgers: Vec<Ledger>,
    pub(super) findings: Findings,
    pub(super) pulses: Vec<Pulse>,
    /// Where senders, commanders and the controller rest.
    pub(super) actors: Meeting,
    /// Where vCPUs rest.
    pub(super) vcpus: Meeting,
    /// For each vCPU, how many threads want it to stand still.
    wanted: Vec<AtomicU32>,
    pub(super) stopping: AtomicBool,
    /// Held by a save of the pending tables; shared by who clears bits there and then maps.
    pub(super) saving: RwLock,
    /// The distributor was switched off in this period: what it took off the queues nobody puts back.
    pub(super) distributor_was_off: AtomicBool,
    pub(super) commands: AtomicU64,
    pub(super) controls: AtomicU64,
    counters: Mutex<Vec<Arc<Counters>>>,
}

fn up_to_byte(lpis: u32) -> u32 {
    lpis.next_multiple_of(8)
}

impl World {
    /// The VM with its tables on, and its stable events mapped.
    pub(super) fn new(ctx: &NativeCtx, design: &str, plan: &Torture, findings: Findings) -> Result<Self, Refused> {
        let bases: Vec<_> = (0..plan.its as usize).map(|its| its_base(its, plan.vcpus)).collect();
        let host = Plan {
            design,
            vcpus: plan.vcpus,
            list_registers: plan.list_registers as usize,
            frames: Frames::default(),
            its: &bases,
            memory: None,
            allow_unsound: plan.allow_unsound,
        };
        let block = plan.stable_block();
        let stable = (0..plan.its).flat_map(|its| {
            (0..plan.devices).flat_map(move |device_id| {
                (0..plan.events).map(move |event_id| {
                    let intid = FIRST_LPI + its * block + device_id * plan.events + event_id;
                    Stable { its: its as usize, device_id, event_id, intid }
                })
            })
        });
        let vcpus = (0..plan.vcpus).map(|vcpu| format!("vcpu{vcpu}"));
        let senders = (0..plan.senders).map(|sender| format!("sender{sender}"));
        let commanders = (0..plan.its).map(|its| format!("commander{its}"));
        let names = vcpus.chain(senders).chain(commanders).chain(["controller".to_owned()]);
        let pulses: Vec<_> = names.map(Pulse::new).collect();
        let lpis = plan.its * (block + PRIVATE_EVENTS);
        let world = World {
            host: host.host(ctx)?,
            stable: stable.collect(),
            ledgers: (0..lpis).map(|_| Ledger::default()).collect(),
            findings,
            actors: Meeting::new(pulses.len() - plan.vcpus as usize),
            vcpus: Meeting::new(plan.vcpus as usize),
            pulses,
            wanted: (0..plan.vcpus).map(|_| AtomicU32::new(0)).collect(),
            stopping: AtomicBool::new(false),
            saving: RwLock::new(),
            distributor_was_off: AtomicBool::new(false),
            commands: AtomicU64::new(0),
            controls: AtomicU64::new(0),
            counters: Mutex::default(),
            plan: plan.clone(),
        };
        world.boot(ctx);
        Ok(world)
    }

    fn boot(&self, ctx: &NativeCtx) {
        self.register(ctx);
        for vcpu in 0..self.plan.vcpus {
            let enabled = self.host.set_lpis_enabled(ctx, vcpu, true, false);
            self.must(enabled.is_ok(), || format!("LPIs of vCPU {vcpu} cannot be enabled"));
        }
        for its in 0..self.its_count() {
            for collection_id in 0..self.tame() {
                self.must_command(ctx, its, Command::Mapc { collection_id, vcpu: collection_id, valid: true });
            }
            for device_id in (0..self.plan.devices).chain([PRIVATE_DEVICE]) {
                self.must_command(ctx, its, Command::Mapd { device_id, event_bits: 16, itt_addr: 0, valid: true });
            }
            self.host.set_its_enabled(ctx, its, true);
        }
        for &Stable { its, device_id, event_id, intid } in &self.stable {
            let collection_id = intid % self.tame();
            self.must_command(ctx, its, Command::Mapti { device_id, event_id, intid, collection_id });
        }
    }

    pub(super) fn its_count(&self) -> usize {
        self.plan.its as usize
    }

    /// The vCPUs below this one are tame, and collections of the same numbers go to them.
    pub(super) fn tame(&self) -> u32 {
        self.plan.vcpus - 1
    }

    /// The vCPU whose LPIs are switched off and on.
    pub(super) fn wild_vcpu(&self) -> u32 {
        self.plan.vcpus - 1
    }

    /// The LPI of a private event.
    pub(super) fn private_lpi(&self, its: usize, event_id: u32) -> u32 {
        FIRST_LPI + self.plan.its * self.plan.stable_block() + its as u32 * PRIVATE_EVENTS + event_id
    }

    /// The first of the shared LPIs.
    pub(super) fn first_wild_lpi(&self) -> u32 {
        self.private_lpi(self.its_count(), 0)
    }

    pub(super) fn is_stable(&self, intid: u32) -> bool {
        intid < self.private_lpi(0, 0)
    }

    /// The account of an LPI that is stable or private.
    pub(super) fn ledger(&self, intid: u32) -> Option<&Ledger> {
        self.ledgers.get(intid.checked_sub(FIRST_LPI)? as usize)
    }

    pub(super) fn msi(&self, its: usize, device_id: u32, event_id: u32) -> Msi {
        Msi { doorbell: self.host.doorbell(its), device_id, event_id, device_id_valid: true }
    }

    /// A rule: it is broken if it does not hold.
    pub(super) fn must(&self, holds: bool, rule: impl FnOnce() -> String) {
        if !holds {
            self.findings.broken(rule());
        }
    }

    /// A command that nothing can refuse.
    pub(super) fn must_command(&self, ctx: &NativeCtx, its: usize, command: Command) {
        let answer = self.host.command(ctx, its, command);
        self.commands.fetch_add(1, Ordering::Relaxed);
        self.must(answer.is_ok(), || format!("ITS {its} refused {command:?}: {answer:?}"));
    }

    /// The thread's counts belong to the run.
    pub(super) fn register(&self, ctx: &NativeCtx) {
        self.counters.lock().push(ctx.shared_counters());
    }

    /// What all threads have counted; exact while they rest.
    pub(super) fn counts(&self) -> [u64; Event::COUNT] {
        let mut sum = [0; Event::COUNT];
        for counters in self.counters.lock().iter() {
            sum.iter_mut().zip(counters.read()).for_each(|(sum, count)| *sum += count);
        }
        sum
    }

    /// Whether a vCPU is to stand still.
    pub(super) fn is_wanted(&self, vcpu: u32) -> bool {
        // SeqCst: as in `Meeting::is_called`.
        self.wanted[vcpu as usize].load(Ordering::SeqCst) != 0
            || self.vcpus.is_called()
            || self.stopping.load(Ordering::SeqCst)
    }

    /// Has a vCPU stand still until the guard is dropped.
    pub(super) fn want(&self, ctx: &NativeCtx, vcpu: u32) -> impl Drop + '_ {
        struct Wanted<'a>(&'a AtomicU32);
        impl Drop for Wanted<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let wanted = &self.wanted[vcpu as usize];
        wanted.fetch_add(1, Ordering::SeqCst);
        self.host.interrupt(ctx, vcpu);
        Wanted(wanted)
    }
}

impl Torture {
    /// INTIDs of the stable events of an ITS: whole bytes of the pending tables, which have one writer each.
    pub(super) fn stable_block(&self) -> u32 {
        up_to_byte(self.devices * self.events)
    }
}
