//! The threads: senders, vCPUs, a commander for each ITS, and the controller, who has the registers.

use super::Break;
use super::chance::Chance;
use super::findings::{WINDOW, is_known};
use super::watch::Pulse;
use super::world::{
    ENABLED, PRIVATE_DEVICE, PRIVATE_EVENTS, Stable, WILD_COLLECTIONS, WILD_DEVICES, WILD_EVENTS, WILD_LPIS, World,
};
use crate::sample::Stopped;
use std::sync::atomic::Ordering;
use vgic_core::{Command, Platform, SendError};
use vgic_host::host::Cpu;
use vgic_native::{Native, NativeCtx};

/// One thread of a run: its place in the VM, its random numbers.
pub(super) struct Actor<'a> {
    pub(super) world: &'a World,
    pub(super) ctx: &'a NativeCtx,
    pub(super) pulse: &'a Pulse,
    pub(super) chance: Chance,
}

impl Actor<'_> {
    /// Rests if called; an error if the run ends.
    fn go_on(&self) -> Result<(), Stopped> {
        if self.world.actors.is_called() {
            self.world.actors.rest(self.pulse);
        }
        if self.world.stopping.load(Ordering::SeqCst) { Err(Stopped) } else { Ok(()) }
    }

    fn a_stable(&mut self) -> Stable {
        let stable = &self.world.stable;
        stable[self.chance.below(stable.len() as u32) as usize]
    }

    fn a_wild(&mut self) -> (u32, u32) {
        (WILD_DEVICES.start + self.chance.below(WILD_DEVICES.len() as u32), self.chance.below(WILD_EVENTS))
    }

    /// Sends events, its own share of chance.
    pub(super) fn sender(mut self) -> Result<(), Stopped> {
        loop {
            self.go_on()?;
            self.pulse.begin("sends");
            let burst = 1 + self.chance.below(32);
            for _ in 0..burst {
                if self.chance.one_in(4) {
                    let its = self.chance.below(self.world.plan.its) as usize;
                    let (device_id, event_id) = self.a_wild();
                    // Mapped or not, it may be refused.
                    let _ = self.world.host.signal(self.ctx, &self.world.msi(its, device_id, event_id));
                } else {
                    let stable = self.a_stable();
                    self.send(stable);
                }
            }
            Native::relax(self.ctx, 64 + burst);
        }
    }

    /// Sends a stable event: taken, or the ITS is off.
    fn send(&mut self, stable: Stable) {
        let Stable { its, device_id, event_id, intid } = stable;
        let Some(ledger) = self.world.ledger(intid) else { return };
        let number = ledger.begin();
        let lose = self.world.plan.break_rule == Some(Break::Lose) && self.chance.one_in(64);
        let answer =
            if lose { Ok(true) } else { self.world.host.signal(self.ctx, &self.world.msi(its, device_id, event_id)) };
        match answer {
            Ok(true) => ledger.took(number),
            Err(SendError::Busy) => {}
            other => self.world.findings.broken(format!("a send of mapped {stable:?} was answered {other:?}")),
        }
    }

    /// Runs a vCPU: enters, takes and ends LPIs, leaves, sleeps when there are none.
    pub(super) fn vcpu(mut self, id: u32) -> Result<(), Stopped> {
        let world = self.world;
        let most_active = if id == world.wild_vcpu() { 1 } else { world.plan.list_registers.min(3) as usize };
        loop {
            if world.vcpus.is_called() {
                world.vcpus.rest(self.pulse);
            }
            if world.stopping.load(Ordering::SeqCst) {
                return Err(Stopped);
            }
            if world.is_wanted(id) {
                self.pulse.begin("stands still");
                std::thread::yield_now();
                continue;
            }
            self.pulse.begin("takes its own lock");
            world.host.run(self.ctx, id, &mut |cpu| self.run(id, cpu, most_active));
        }
    }

    /// Enters and leaves the guest some times.
    fn run(&mut self, id: u32, cpu: &mut dyn Cpu, most_active: usize) {
        let world = self.world;
        let mut active = Vec::new();
        let mut took = false;
        for _ in 0..1 + self.chance.below(32) {
            self.pulse.begin("enters the guest");
            if !cpu.enter() {
                continue;
            }
            self.pulse.begin("is in the guest");
            for spins in 0..self.chance.below(100) {
                while active.len() < most_active {
                    let Some(intid) = cpu.acknowledge() else { break };
                    took = true;
                    self.acknowledged(intid);
                    active.push(intid);
                    if !self.chance.one_in(8) {
                        active.pop();
                        cpu.eoi(intid);
                    }
                }
                if cpu.must_exit() {
                    break;
                }
                Native::relax(self.ctx, spins);
            }
            // The wild one keeps nothing active: switching its LPIs off would leave it active for ever.
            if id == world.wild_vcpu() || self.chance.one_in(4) {
                active.drain(..).rev().for_each(|intid| cpu.eoi(intid));
            }
            self.pulse.begin("leaves the guest");
            cpu.exit();
            if world.is_wanted(id) {
                break;
            }
        }
        if !active.is_empty() {
            self.pulse.begin("ends what is active");
            while !cpu.enter() {
                Native::relax(self.ctx, 1);
            }
            active.drain(..).rev().for_each(|intid| cpu.eoi(intid));
            cpu.exit();
        }
        if !took && !self.chance.one_in(4) {
            let _excused = self.pulse.excused("sleeps");
            cpu.block(&|| world.is_wanted(id));
        }
    }

    /// A vCPU has acknowledged.
    pub(super) fn acknowledged(&self, intid: u32) {
        if let Some(wrong) = self.world.ledger(intid).and_then(|ledger| ledger.acknowledged()) {
            self.world.findings.broken(format!("LPI {intid} {wrong}"));
        }
    }

    fn command(&mut self, its: usize, command: Command) -> bool {
        self.world.commands.fetch_add(1, Ordering::Relaxed);
        self.world.host.command(self.ctx, its, command).is_ok()
    }

    /// Gives commands to one ITS.
    pub(super) fn commander(mut self, its: usize) -> Result<(), Stopped> {
        let mut mapped = [false; PRIVATE_EVENTS as usize];
        loop {
            self.go_on()?;
            match self.chance.below(8) {
                0..2 => self.stable_command(its),
                2..4 => self.private_command(its, &mut mapped),
                _ => self.wild_command(its),
            }
            // Commands are cheap: without a pause they would leave nothing of few CPUs to the others.
            if self.chance.one_in(4) {
                std::thread::yield_now();
            }
            if self.world.plan.break_rule == Some(Break::Stick) {
                self.pulse.begin("does as it was told: nothing");
                while !self.world.stopping.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            }
        }
    }

    /// What loses no LPI, for stable events. Nothing can refuse it.
    fn stable_command(&mut self, its: usize) {
        let (world, tame) = (self.world, self.world.tame());
        let (device_id, event_id) = (self.chance.below(world.plan.devices), self.chance.below(world.plan.events));
        let collection_id = self.chance.below(tame);
        let (vcpu, from_vcpu) = (self.chance.below(tame), self.chance.below(world.plan.vcpus));
        let command = match self.chance.below(8) {
            0 | 1 => Command::Movi { device_id, event_id, collection_id },
            2 => Command::Inv { device_id, event_id },
            3 => Command::Invall { collection_id },
            4 => Command::Mapc { collection_id, vcpu, valid: true },
            5 => Command::Movall { from_vcpu, to_vcpu: vcpu },
            6 => {
                let at = (device_id * world.plan.events + event_id) as usize;
                let stable = world.stable[its * (world.plan.devices * world.plan.events) as usize + at];
                self.configure(stable.intid);
                Command::Inv { device_id, event_id }
            }
            _ => return self.int(its, device_id, event_id),
        };
        self.pulse.begin("gives a command about a stable event");
        world.must_command(self.ctx, its, command);
    }

    /// Enables or disables an LPI in its table.
    fn configure(&mut self, intid: u32) {
        let byte = self.chance.pick(&ENABLED) & if self.chance.one_in(3) { 0xfe } else { 0xff };
        let written = self.world.host.tables().write_config(intid, byte);
        self.world.must(written.is_ok(), || format!("LPI {intid} cannot be configured"));
    }

    /// Sends a stable event by command.
    fn int(&mut self, its: usize, device_id: u32, event_id: u32) {
        let world = self.world;
        let per_its = world.plan.devices * world.plan.events;
        let intid = world.stable[(its as u32 * per_its + device_id * world.plan.events + event_id) as usize].intid;
        let Some(ledger) = world.ledger(intid) else { return };
        self.pulse.begin("sends by INT");
        let number = ledger.begin();
        match world.host.command(self.ctx, its, Command::Int { device_id, event_id }) {
            Ok(()) => ledger.took(number),
            Err(vgic_core::CommandError::Busy) => {}
            Err(other) => world.findings.broken(format!("INT of a mapped event was answered {other:?}")),
        }
    }

    /// Maps, discards and sends a private event, and knows the answers.
    fn private_command(&mut self, its: usize, mapped: &mut [bool; PRIVATE_EVENTS as usize]) {
        let (world, device_id) = (self.world, PRIVATE_DEVICE);
        let event_id = self.chance.below(PRIVATE_EVENTS);
        let is_mapped = mapped[event_id as usize];
        let intid = world.private_lpi(its, event_id);
        match self.chance.below(8) {
            0 | 1 if is_mapped => {
                self.pulse.begin("discards a private event");
                world.must_command(self.ctx, its, Command::Discard { device_id, event_id });
                mapped[event_id as usize] = false;
            }
            0..3 if !is_mapped => {
                self.pulse.begin("maps a private event");
                // A bit that a save has left would be one more delivery.
                let _no_save = world.saving.read();
                for vcpu in 0..world.plan.vcpus {
                    let _ = world.host.tables().write_pending(vcpu, intid, false);
                }
                let collection_id = self.chance.below(world.tame());
                world.must_command(self.ctx, its, Command::Mapti { device_id, event_id, intid, collection_id });
                mapped[event_id as usize] = true;
            }
            3 if self.chance.one_in(8) => {
                self.pulse.begin("maps the private device again");
                let itt_addr = 0;
                world.must_command(self.ctx, its, Command::Mapd { device_id, event_bits: 16, itt_addr, valid: true });
                mapped.fill(false);
            }
            _ => {
                self.pulse.begin("sends a private event");
                let Some(ledger) = world.ledger(intid) else { return };
                let number = ledger.begin();
                match world.host.signal(self.ctx, &world.msi(its, device_id, event_id)) {
                    Ok(true) if is_mapped => ledger.took(number),
                    Ok(true) => world.findings.broken(format!(
                        "LPI {intid}: ITS {its} took event {event_id} of device {device_id:#x} after its DISCARD had \
                         returned"
                    )),
                    Ok(false) if is_mapped => world.findings.broken(format!(
                        "LPI {intid}: ITS {its} does not know event {event_id} of device {device_id:#x}, which is mapped"
                    )),
                    Ok(false) | Err(SendError::Busy) => {}
                    Err(other) => world.findings.broken(format!("a send was answered {other:?}")),
                }
            }
        }
    }

    /// Anything, for wild events.
    fn wild_command(&mut self, its: usize) {
        self.pulse.begin("gives a wild command");
        let (device_id, event_id) = self.a_wild();
        let collection_id = WILD_COLLECTIONS.start + self.chance.below(WILD_COLLECTIONS.len() as u32);
        let vcpu = self.chance.below(self.world.plan.vcpus);
        let intid = self.world.first_wild_lpi() + self.chance.below(WILD_LPIS);
        let command = match self.chance.below(24) {
            0..7 => Command::Mapti { device_id, event_id, intid, collection_id },
            7..12 => Command::Discard { device_id, event_id },
            12..14 => Command::Movi { device_id, event_id, collection_id },
            // Where a CLEAR may undo what others store, LPIs would stay disabled, and counts would be wrong.
            14 if self.world.host.spec().clear_may_miscount() => Command::Inv { device_id, event_id },
            14 => Command::Clear { device_id, event_id },
            15..17 => Command::Int { device_id, event_id },
            17 => {
                self.configure(intid);
                Command::Inv { device_id, event_id }
            }
            18 => Command::Invall { collection_id },
            19 | 20 => Command::Mapc { collection_id, vcpu, valid: self.chance.below(4) != 0 },
            21 => Command::Mapd { device_id, event_bits: 4, itt_addr: 0, valid: self.chance.below(4) != 0 },
            22 => Command::Mapi { device_id, event_id: intid, collection_id },
            _ => Command::Sync { vcpu },
        };
        // Much of it names what is not mapped now.
        self.command(its, command);
    }

    /// Writes registers, and looks at the VM.
    pub(super) fn controller(mut self) -> Result<(), Stopped> {
        let world = self.world;
        loop {
            self.go_on()?;
            self.control();
            world.controls.fetch_add(1, Ordering::Relaxed);
            if self.chance.one_in(2) {
                std::thread::sleep(std::time::Duration::from_micros(u64::from(self.chance.below(300))));
            }
        }
    }

    fn control(&mut self) {
        let (world, ctx, pulse) = (self.world, self.ctx, self.pulse);
        let its = self.chance.below(world.plan.its) as usize;
        let vcpu = self.chance.below(world.plan.vcpus);
        let stable = self.a_stable();
        match self.chance.below(16) {
            0 | 1 => {
                pulse.begin("switches an ITS off");
                world.host.set_its_enabled(ctx, its, false);
                if let Some(ledger) = world.ledger(stable.intid).filter(|_| stable.its == its) {
                    let number = ledger.begin();
                    let msi = world.msi(its, stable.device_id, stable.event_id);
                    if world.host.signal(ctx, &msi) == Ok(true) {
                        ledger.took(number);
                        world.findings.found(WINDOW, 1, is_known(world.host.spec(), WINDOW));
                    }
                }
                self.pause();
                pulse.begin("switches an ITS on");
                world.host.set_its_enabled(ctx, its, true);
            }
            2 | 3 => {
                let wild = world.wild_vcpu();
                // Designs that need care do not bear the write beside the running vCPU.
                let _still = world.host.is_careful().then(|| world.want(ctx, wild));
                pulse.begin("switches EnableLPIs off");
                let off = world.host.set_lpis_enabled(ctx, wild, false, false);
                self.pause();
                pulse.begin("switches EnableLPIs on");
                let on = world.host.set_lpis_enabled(ctx, wild, true, self.chance.one_in(2));
                world.must(off.is_ok() && on.is_ok(), || "EnableLPIs cannot be written".to_owned());
            }
            4 => {
                pulse.begin("writes GICR_INVALLR");
                world.host.reload_lpi_configs(ctx, vcpu);
            }
            5 | 6 => {
                pulse.begin("writes GICR_INVLPIR");
                self.configure(stable.intid);
                world.host.reload_lpi_config(ctx, stable.intid);
            }
            7 => {
                pulse.begin("reads the tables of an ITS");
                world.host.snapshot(ctx, its);
            }
            8 => {
                pulse.begin("looks at all LPIs");
                world.host.lpis(ctx);
            }
            9 => {
                pulse.begin("counts what is cached and what is pending");
                world.host.cached_translations(ctx);
                world.host.pending_count(ctx);
            }
            // Designs that need care hold no reference on what they save, while a sender may drop the last one.
            10 if !world.host.is_careful() => {
                let _save = world.saving.write();
                let _still: Vec<_> = (0..world.plan.vcpus).map(|vcpu| world.want(ctx, vcpu)).collect();
                pulse.begin("saves the pending tables");
                let saved = world.host.save_pending_tables(ctx);
                world.must(saved.is_ok(), || "the pending tables cannot be saved".to_owned());
            }
            11 if self.chance.one_in(64) => {
                world.distributor_was_off.store(true, Ordering::SeqCst);
                pulse.begin("switches the distributor off");
                world.host.set_distributor_enabled(ctx, false);
                self.pause();
                pulse.begin("switches the distributor on");
                world.host.set_distributor_enabled(ctx, true);
            }
            12 | 13 => {
                pulse.begin("interrupts a vCPU");
                world.host.interrupt(ctx, vcpu);
            }
            14 => {
                pulse.begin("asks whether something is pending");
                world.host.has_pending(ctx, vcpu);
            }
            _ => {
                pulse.begin("has a vCPU stand still");
                let _still = world.want(ctx, vcpu);
                self.pause();
            }
        }
    }

    fn pause(&mut self) {
        for spins in 0..self.chance.below(200) {
            Native::relax(self.ctx, spins);
        }
    }
}
