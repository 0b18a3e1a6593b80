//! [`Bench`]: a VM set up as the kernel's `vgic_lpi_stress` sets up its guest, on any platform.

use crate::stress::Failure;
use vgic_core::irq::FIRST_LPI;
use vgic_core::its::Its;
use vgic_core::{Command, CommandError, Design, Msi, Obj, Platform, Vm};
use vgic_host::ITS_BASE;
use vgic_host::tables::{FlatTables, Shared};

/// What the guest does with LPIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// Collections are spread over the vCPUs, which acknowledge.
    Fixed,
    /// As in the kernel's test up to 6.17: every collection maps to vCPU 0, and interrupts stay masked.
    AsPublished,
}

/// What is mapped, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Devices that send.
    pub devices: u32,
    /// Events of each.
    pub events: u32,
    /// Who takes.
    pub guest: Guest,
    /// List registers of the GIC.
    pub list_registers: u32,
    /// LPIs that are mapped before and never sent.
    pub mapped: u32,
}

/// The MSI of an event.
pub fn message(device_id: u32, event_id: u32) -> Msi {
    Msi { doorbell: ITS_BASE + vgic_core::its::TRANSLATER, device_id, event_id, device_id_valid: true }
}

/// A VM with its ITS. Whoever makes one destroys it.
pub struct Bench<P: Platform, D: Design> {
    /// The VM.
    pub vm: Vm<P, D>,
    /// Its ITS.
    pub its: Obj<Its<P>>,
}

impl Load {
    /// INTID of an event.
    pub fn intid(&self, device_id: u32, event_id: u32) -> u32 {
        FIRST_LPI + self.mapped + device_id * self.events + event_id
    }

    /// Makes the VM: collections over the vCPUs, LPIs over the collections in turn, everything enabled.
    pub fn bench<P: Platform, D: Design>(&self, design: D, ctx: &P::Ctx) -> Result<Bench<P, D>, Failure> {
        let tables = FlatTables::new(self.vcpus);
        let vm = Vm::new(design, ctx, self.vcpus, self.list_registers as usize, Box::new(Shared(tables)))?;
        let its = vm.add_its(ctx, ITS_BASE)?;
        let bench = Bench { vm, its };
        for vcpu in &bench.vm.vcpus {
            let enabled = bench.vm.set_lpis_enabled(ctx, vcpu, true, false);
            enabled.map_err(|fault| Failure::Broken(format!("the guest's set-up failed: {fault:?}")))?;
        }
        let command = |command| bench.vm.command(ctx, &bench.its, command);
        for collection_id in 0..self.vcpus {
            let vcpu = if self.guest == Guest::Fixed { collection_id } else { 0 };
            command(Command::Mapc { collection_id, vcpu, valid: true })?;
        }
        let mut intid = FIRST_LPI;
        let mut map_device = |device_id: u32, events: u32| -> Result<(), CommandError> {
            command(Command::Mapd { device_id, event_bits: 16, itt_addr: 0, valid: true })?;
            for event_id in 0..events {
                let collection_id = (intid - FIRST_LPI) % self.vcpus;
                command(Command::Mapti { device_id, event_id, intid, collection_id })?;
                intid += 1;
            }
            Ok(())
        };
        // The LPIs that nobody sends come first, 32 a device, so that a walk of all meets them first.
        let mut left = self.mapped;
        let mut device_id = self.devices;
        while left > 0 {
            let events = left.min(32);
            map_device(device_id, events)?;
            left -= events;
            device_id += 1;
        }
        for device_id in 0..self.devices {
            map_device(device_id, self.events)?;
        }
        bench.vm.set_its_enabled(ctx, &bench.its, true);
        Ok(bench)
    }
}
