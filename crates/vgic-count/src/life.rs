//! [`Guest`]: a small guest with two vCPUs and two ITSes, and a script in which it does everything that a guest can do.
//!
//! Nothing in the script depends on the success of a step, so it also runs where memory or guest tables fail. From a whole
//! life comes what only a whole life shows: [`lock_order`].

use crate::{Count, CountCtx, Tables};
use std::collections::BTreeSet;
use vgic_core::designs::{Composed, Halt};
use vgic_core::irq::FIRST_LPI;
use vgic_core::its::Its;
use vgic_core::{Command, CommandError, Design, Event, Msi, Obj, Platform, SendError, Vm};

/// The device of each ITS.
pub const DEVICE: u32 = 1;

/// Which lock was taken while which was held, in a whole life of a guest: (outer, inner), by name.
pub fn lock_order(design: Composed) -> BTreeSet<(&'static str, &'static str)> {
    let ctx = CountCtx::new();
    let guest = Guest::new(design, &ctx, 2, Tables::new()).expect("memory");
    guest.boot();
    guest.work();
    guest.switch();
    guest.remap();
    guest.destroy();
    ctx.nestings()
}

/// The guest.
pub struct Guest<'a> {
    /// Its only thread.
    pub ctx: &'a CountCtx,
    /// Its VM.
    pub vm: Vm<Count, Composed>,
    /// Its ITSes.
    pub its: Vec<Obj<Its<Count>>>,
    /// Its LPI tables.
    pub tables: Tables,
}

impl<'a> Guest<'a> {
    /// A guest in a design; `None` where the VM itself finds no memory.
    pub fn new(design: Composed, ctx: &'a CountCtx, vcpus: u32, tables: Tables) -> Option<Self> {
        let vm = Vm::new(design, ctx, vcpus, 4, Box::new(tables.clone())).ok()?;
        let mut its = Vec::new();
        for base in [0x0808_0000, 0x0900_0000] {
            // Once more, as a caller would that was told that there is no memory.
            let new = vm.add_its(ctx, base).or_else(|_| vm.add_its(ctx, base));
            its.push(new.expect("only one allocation fails"));
        }
        Some(Guest { ctx, vm, its, tables })
    }

    /// Gives a command.
    pub fn command(&self, its: usize, command: Command) -> Result<(), CommandError> {
        self.vm.command(self.ctx, &self.its[its], command)
    }

    /// MAPD of its device.
    pub fn mapd(&self, its: usize, valid: bool) {
        let _ = self.command(its, Command::Mapd { device_id: DEVICE, event_bits: 16, itt_addr: 0, valid });
    }

    /// MAPC.
    pub fn mapc(&self, its: usize, collection_id: u32, vcpu: u32, valid: bool) {
        let _ = self.command(its, Command::Mapc { collection_id, vcpu, valid });
    }

    /// MAPTI of an event of its device.
    pub fn mapti(&self, its: usize, event_id: u32, intid: u32, collection_id: u32) {
        let _ = self.command(its, Command::Mapti { device_id: DEVICE, event_id, intid, collection_id });
    }

    /// Sends an event of its device.
    pub fn send(&self, its: usize, event_id: u32) -> Result<bool, SendError> {
        let doorbell = self.its[its].doorbell();
        let msi = Msi { doorbell, device_id: DEVICE, event_id, device_id_valid: true };
        self.vm.inject_msi(self.ctx, &msi)
    }

    /// Sends several.
    pub fn send_all(&self, its: usize, events: std::ops::Range<u32>) {
        for event in events {
            let _ = self.send(its, event);
        }
    }

    /// Runs a vCPU until nothing is pending for it; says what it took.
    pub fn run(&self, vcpu: u32) -> Vec<u32> {
        let mut taken = Vec::new();
        let mut running = self.vm.run_vcpu(self.ctx, vcpu);
        for _ in 0..100 {
            running.enter_always();
            while let Some(intid) = running.acknowledge() {
                taken.push(intid);
                running.eoi(intid);
            }
            running.exit();
            if !self.vm.vcpu_pending_irq(self.ctx, running.vcpu()) {
                return taken;
            }
        }
        panic!("vCPU {vcpu} never runs out of interrupts");
    }

    /// Switches the LPIs of a vCPU.
    pub fn lpis(&self, vcpu: u32, enabled: bool) {
        let _ = self.vm.set_lpis_enabled(self.ctx, &self.vm.vcpus[vcpu as usize], enabled, true);
    }

    /// Two collections, a device with eight events, LPIs and ITS enabled; one event of the second ITS shares an LPI.
    pub fn boot(&self) {
        for its in [0, 1] {
            self.mapc(its, 0, 0, true);
            self.mapc(its, 1, 1, true);
            self.mapd(its, true);
        }
        // Pending in the guest's table before it is mapped.
        self.tables.set_pending(0, (FIRST_LPI + 3) / 8, 1 << 3);
        for event in 0..8 {
            self.mapti(0, event, FIRST_LPI + event, 0);
        }
        self.mapti(1, 0, FIRST_LPI, 0);
        let _ = self.command(0, Command::Mapi { device_id: DEVICE, event_id: FIRST_LPI + 100, collection_id: 1 });
        for vcpu in [0, 1] {
            self.lpis(vcpu, true);
        }
        for its in &self.its {
            self.vm.set_its_enabled(self.ctx, its, true);
        }
    }

    /// Everything that a guest does while it runs.
    pub fn work(&self) {
        let device_id = DEVICE;
        // More than there are list registers: sorted, refilled; the second round coalesces.
        self.send_all(0, 0..8);
        self.send_all(0, 0..8);
        let _ = self.send(1, 0);
        let _ = self.send(0, FIRST_LPI + 100);
        self.run(0);
        self.run(1);

        // Configuration.
        self.tables.configure(FIRST_LPI + 1, 0x41);
        self.tables.configure(FIRST_LPI + 2, 0xa0);
        let _ = self.command(0, Command::Inv { device_id, event_id: 1 });
        let _ = self.vm.reload_lpi_config(self.ctx, FIRST_LPI + 2);
        self.send_all(0, 0..4);
        self.run(0);
        self.tables.configure(FIRST_LPI + 2, 0xa1);
        let _ = self.command(0, Command::Invall { collection_id: 0 });
        self.run(0);

        // Moves while queued: one event, all of a collection, all of a vCPU; and moves while in a list register.
        self.send_all(0, 0..3);
        let _ = self.command(0, Command::Movi { device_id, event_id: 0, collection_id: 1 });
        self.run(0);
        self.run(1);
        self.send_all(0, 0..3);
        self.mapc(0, 0, 1, true);
        self.run(0);
        self.run(1);
        self.send_all(0, 0..3);
        let _ = self.command(0, Command::Movall { from_vcpu: 1, to_vcpu: 0 });
        {
            let mut running = self.vm.run_vcpu(self.ctx, 1);
            running.enter_always();
            let active = running.acknowledge();
            self.mapc(0, 0, 0, true);
            let _ = self.send(0, 1);
            running.must_exit();
            running.exit();
            running.enter_always();
            if let Some(active) = active {
                running.eoi(active);
            }
        }
        self.run(1);
        self.run(0);

        // Pending states that go away or come from elsewhere.
        let _ = self.send(0, 4);
        let _ = self.command(0, Command::Clear { device_id, event_id: 4 });
        self.run(0);
        let _ = self.command(0, Command::Int { device_id, event_id: 4 });
        self.run(0);

        // Unmapped while queued, in a list register, active; and mapped again.
        self.send_all(0, 4..8);
        let _ = self.command(0, Command::Discard { device_id, event_id: 4 });
        {
            let mut running = self.vm.run_vcpu(self.ctx, 0);
            running.enter_always();
            let _ = self.command(0, Command::Discard { device_id, event_id: 5 });
            let active = running.acknowledge();
            let _ = self.command(0, Command::Discard { device_id, event_id: 6 });
            running.exit();
            running.enter_always();
            if let Some(active) = active {
                running.eoi(active);
            }
        }
        self.run(0);
        for event in 4..7 {
            self.mapti(0, event, FIRST_LPI + event, 1);
        }
        self.send_all(0, 4..7);
        self.mapti(0, 20, FIRST_LPI + 20, 9);
        let _ = self.send(0, 20);
        self.mapc(0, 9, 0, true);
        let _ = self.send(0, 20);
        self.mapc(0, 9, 0, false);
        let _ = self.send(0, 20);
        let _ = self.command(0, Command::Discard { device_id, event_id: 20 });
        self.run(0);
        self.run(1);
    }

    /// Switches off and on: the distributor, an ITS, the LPIs of a vCPU; then the tables are saved.
    pub fn switch(&self) {
        let (ctx, vm) = (self.ctx, &self.vm);
        self.send_all(0, 0..8);
        vm.set_distributor_enabled(ctx, false);
        self.send_all(0, 0..2);
        self.run(0);
        vm.set_distributor_enabled(ctx, true);
        let _ = self.send(0, 0);
        vm.block(ctx, &vm.vcpus[0], || true);
        vm.vcpus[0].interrupt(ctx);
        vm.set_its_enabled(ctx, &self.its[0], false);
        let _ = self.send(0, 1);
        let _ = self.command(0, Command::Int { device_id: DEVICE, event_id: 1 });
        vm.set_its_enabled(ctx, &self.its[0], true);
        let _ = vm.save_pending_tables(ctx);
        self.lpis(0, false);
        let _ = self.send(0, 2);
        self.run(0);
        self.lpis(0, true);
        self.send_all(0, 0..8);
        {
            let mut running = vm.run_vcpu(ctx, 0);
            running.enter_always();
            let active = running.acknowledge();
            // A kick, then everything is taken off the list while one is active.
            let _ = self.send(0, 1);
            running.must_exit();
            if vm.spec().halt == Halt::Everybody {
                // It would be waited for, and there is no other thread.
                running.exit();
            }
            self.lpis(0, false);
            running.exit();
            running.enter_always();
            if let Some(active) = active {
                running.eoi(active);
            }
        }
        self.lpis(0, true);
        self.run(0);
        self.run(1);
    }

    /// What the ITS must refuse.
    pub fn refused(&self) {
        let (device_id, event_id, collection_id, vcpu) = (DEVICE, 0, 0, 99);
        let far = 1 << 20;
        let refused = [
            Command::Mapd { device_id: far, event_bits: 4, itt_addr: 0, valid: true },
            Command::Mapd { device_id, event_bits: 17, itt_addr: 0, valid: true },
            Command::Mapc { collection_id: 7, vcpu, valid: true },
            Command::Mapc { collection_id: far, vcpu: 0, valid: true },
            Command::Mapti { device_id: 5, event_id, intid: FIRST_LPI, collection_id },
            Command::Mapti { device_id, event_id: far, intid: FIRST_LPI, collection_id },
            Command::Mapti { device_id, event_id: 99, intid: 5, collection_id },
            Command::Mapti { device_id, event_id: 99, intid: FIRST_LPI, collection_id: far },
            Command::Movi { device_id, event_id: 99, collection_id },
            Command::Movi { device_id, event_id, collection_id: 77 },
            Command::Movall { from_vcpu: 0, to_vcpu: vcpu },
            Command::Discard { device_id, event_id: 99 },
            Command::Clear { device_id, event_id: 99 },
            Command::Int { device_id, event_id: 99 },
            Command::Inv { device_id, event_id: 99 },
            Command::Invall { collection_id: 77 },
        ];
        for command in refused {
            assert!(self.command(0, command).is_err(), "{command:?}");
        }
        assert_eq!(self.command(0, Command::Sync { vcpu: 0 }), Ok(()));
    }

    /// Unmaps and maps a device whose LPIs are queued; leaves some queued.
    pub fn remap(&self) {
        self.send_all(0, 0..8);
        self.mapd(0, false);
        self.run(0);
        self.mapd(0, true);
        self.mapd(0, true);
        for event in 0..8 {
            self.mapti(0, event, FIRST_LPI + event, event % 2);
        }
        self.send_all(0, 0..8);
    }

    /// Every event that came in is somewhere.
    pub fn assert_balanced(&self, pending: u64) {
        let events = |event| self.ctx.events(event);
        let came = events(Event::Sent) + events(Event::PendingLoaded);
        let went = events(Event::Delivered) + events(Event::Coalesced) + events(Event::Dropped);
        assert_eq!(
            came,
            went + pending,
            "{}: sent and loaded against delivered, coalesced, dropped, pending",
            self.vm.design().name()
        );
    }

    /// Ends the VM.
    pub fn destroy(self) {
        self.vm.destroy(self.ctx);
        Count::rcu_barrier(self.ctx);
        // An LPI that a design has leaked takes its pending state with it.
        if self.ctx.live_objects().is_empty() {
            self.assert_balanced(0);
        }
    }
}
