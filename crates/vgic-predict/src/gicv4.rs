//! Direct injection (GICv4): the bound that software injection is compared with.
//!
//! The ITS translates one LPI after the other, each in a fixed time, and delivers it to a resident vCPU without the host. A
//! vCPU that does not run is woken by a doorbell interrupt. Three parameters of the machine say all: `gicv4_translate`,
//! `gicv4_deliver`, `gicv4_doorbell`. A device's write is posted: it waits only while the ITS is busy with earlier ones.

use crate::Setting;
use crate::entry::Entry;
use crate::flood::Flood;
use crate::guest::{handle, usual_time};
use crate::outcome::Outcome;
use crate::run::{Run, world};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Event, Platform};
use vgic_lab::bench::Guest;
use vgic_lab::sample::Poll;
use vgic_lab::stress::Failure;
use vgic_sim::report::Spending;
use vgic_sim::{Cost, Ps, Sim, SimCtx};

/// What is pending for a vCPU, by the time from which on it can be taken.
type Pending = BTreeSet<(Ps, u32)>;

/// The ITS and the vCPUs' pending tables, in hardware.
pub(crate) struct Hardware {
    free_at: Cell<Ps>,
    /// Of each vCPU.
    pending: Box<[RefCell<Pending>]>,
    /// Whether each LPI is pending.
    is_pending: RefCell<BTreeSet<u32>>,
    /// The core of each vCPU that waits.
    waiting: Box<[Cell<Option<u32>>]>,
}

impl Hardware {
    pub(crate) fn new(vcpus: u32) -> Self {
        Hardware {
            free_at: Cell::new(0),
            pending: (0..vcpus).map(|_| RefCell::default()).collect(),
            is_pending: RefCell::default(),
            waiting: (0..vcpus).map(|_| Cell::new(None)).collect(),
        }
    }

    /// A device's write.
    pub(crate) fn send(&self, ctx: &SimCtx, intid: u32, vcpu: u32) {
        Sim::count(ctx, Event::Sent);
        ctx.in_order();
        let begin = ctx.now().max(self.free_at.get());
        ctx.spend(Spending::Queueing, begin - ctx.now());
        self.free_at.set(begin + ctx.cost(Cost::gicv4_translate));
        if !self.is_pending.borrow_mut().insert(intid) {
            return Sim::count(ctx, Event::Coalesced);
        }
        let at = self.free_at.get() + ctx.cost(Cost::gicv4_deliver);
        self.pending[vcpu as usize].borrow_mut().insert((at, intid));
        if let Some(core) = self.waiting[vcpu as usize].get() {
            ctx.wake(core, at);
        }
    }

    /// A vCPU takes what has come; `None` if nothing has yet.
    pub(crate) fn take(&self, ctx: &SimCtx, vcpu: u32) -> Option<u32> {
        ctx.in_order();
        let mut pending = self.pending[vcpu as usize].borrow_mut();
        let first = *pending.first()?;
        if first.0 > ctx.now() {
            return None;
        }
        pending.pop_first();
        self.is_pending.borrow_mut().remove(&first.1);
        Sim::count(ctx, Event::Delivered);
        Some(first.1)
    }

    /// The vCPU's core waits until something comes, or `stop` is true: who makes it so calls [`Hardware::wake_all`]. Its time
    /// goes to `on`.
    pub(crate) fn wait(&self, ctx: &SimCtx, vcpu: u32, on: Spending, stop: impl Fn() -> bool) {
        // Whoever comes before has come: from here to the block nobody else runs.
        ctx.in_order();
        let next = self.pending[vcpu as usize].borrow().first().map(|(at, _)| *at);
        match next {
            _ if stop() => {}
            Some(at) => ctx.sleep_until(at, on),
            None => {
                self.waiting[vcpu as usize].set(Some(ctx.number()));
                ctx.block("in the guest", on);
                self.waiting[vcpu as usize].set(None);
            }
        }
    }

    /// That vCPU goes on, if it waits.
    pub(crate) fn wake(&self, ctx: &SimCtx, vcpu: u32) {
        ctx.in_order();
        if let Some(core) = self.waiting[vcpu as usize].get() {
            ctx.wake(core, ctx.now() + ctx.cost(Cost::wake_latency));
        }
    }

    /// Everybody who waits goes on.
    pub(crate) fn wake_all(&self, ctx: &SimCtx) {
        self.waiting.iter().filter_map(Cell::get).for_each(|core| ctx.wake(core, ctx.now()));
    }

    pub(crate) fn pending(&self) -> u64 {
        self.is_pending.borrow().len() as u64
    }
}

/// How often a guest that takes nothing looks whether it is over: 100 us.
const MASKED: Ps = 100_000_000;

/// A vCPU that is in its guest until the run stops; otherwise as [`crate::guest::run_vcpu`].
pub(crate) fn run_vcpu(
    ctx: &SimCtx,
    hardware: &Hardware,
    run: &Run,
    id: u32,
    takes: bool,
    time: impl Fn(u32) -> Ps,
    ended: impl Fn(u32),
) {
    while !run.stop.get() {
        match if takes { hardware.take(ctx, id) } else { None } {
            Some(intid) => {
                handle(ctx, run, intid, time(intid), || ());
                ended(intid);
            }
            None if takes => hardware.wait(ctx, id, Spending::Guest, || run.stop.get()),
            // It takes nothing: what is pending for it does not wake it.
            None => ctx.sleep_until(ctx.now() + MASKED, Spending::Guest),
        }
    }
}

pub(crate) fn flood(flood: &Flood, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure> {
    let flood = Flood { entry: Entry::Direct, ..*flood };
    let world = world(setting);
    let run = flood.new_run();
    let hardware = Rc::new(Hardware::new(flood.load.vcpus));
    for id in 0..flood.load.vcpus {
        let (run, hardware) = (Rc::clone(&run), Rc::clone(&hardware));
        world.spawn(&format!("vcpu{id}"), move |ctx| {
            let takes = flood.load.guest == Guest::Fixed;
            run_vcpu(ctx, &hardware, &run, id, takes, |_| usual_time(ctx), |_| ());
        });
    }
    for device in 0..flood.load.devices {
        let (run, hardware) = (Rc::clone(&run), Rc::clone(&hardware));
        world.spawn(&format!("sender{device}"), move |ctx| {
            let send = |_, intid, _| {
                let target = if flood.load.guest == Guest::Fixed { (intid - FIRST_LPI) % flood.load.vcpus } else { 0 };
                hardware.send(ctx, intid, target);
                true
            };
            if flood.send_all(ctx, &run, device, send) {
                hardware.wake_all(ctx);
            }
        });
    }
    run.drive(&world, poll)?;
    Ok(run.outcome(&world, hardware.pending()))
}
