//! [`hit_path`] and [`counts`]: one injection on a small VM, written down.
//!
//! The VM has one vCPU with four list registers, one ITS and one device. Its translation cache is warm: the LPI was
//! sent once before, taken and ended.

use crate::counts::Counts;
use crate::ctx::CountCtx;
use crate::step::Step;
use crate::tables::Tables;
use crate::{Count, rcu};
use vgic_core::designs::Composed;
use vgic_core::irq::FIRST_LPI;
use vgic_core::its::Its;
use vgic_core::vcpu::run::Running;
use vgic_core::{Command, Msi, Obj, Vm};

const ITS_BASE: u64 = 0x0808_0000;
const DEVICE: u32 = 1;
const COLLECTION: u32 = 0;
/// The event that is sent; others have higher numbers.
const EVENT: u32 = 0;

/// The steps of one injection that finds its translation in the cache and queues its LPI.
pub fn hit_path(design: Composed) -> Vec<Step> {
    let rig = Rig::new(design, 0);
    rig.ctx.record(|| rig.send())
}

/// What one injection that finds its translation in the cache costs.
///
/// With `deliver`, all of one interrupt: sent, taken and ended by the guest, retired at the exit. Without it, a send
/// of an LPI that is queued already. `mapped` other LPIs are mapped, before the one that is sent.
pub fn counts(design: Composed, deliver: bool, mapped: u32) -> Counts {
    let rig = Rig::new(design, mapped);
    let steps = if deliver {
        let mut running = rig.vm.run_vcpu(&rig.ctx, 0);
        rig.ctx.record(|| {
            rig.send();
            take_one(&mut running);
        })
    } else {
        rig.send();
        rig.ctx.record(|| rig.send())
    };
    Counts::of(&steps)
}

/// The VM.
struct Rig {
    ctx: CountCtx,
    vm: Vm<Count, Composed>,
    its: Obj<Its<Count>>,
}

impl Rig {
    fn new(design: Composed, mapped: u32) -> Self {
        let ctx = CountCtx::new();
        let vm = Vm::new(design, &ctx, 1, 4, Box::new(Tables::new())).expect("memory for a VM");
        let its = vm.add_its(&ctx, ITS_BASE).expect("memory for an ITS");
        let rig = Rig { ctx, vm, its };
        rig.map(mapped);
        rig.send();
        take_one(&mut rig.vm.run_vcpu(&rig.ctx, 0));
        rcu::barrier(&rig.ctx);
        rig
    }

    fn map(&self, mapped: u32) {
        let (ctx, vm, its) = (&self.ctx, &self.vm, &self.its);
        let command = |command| vm.command(ctx, its, command).expect("a valid command");
        command(Command::Mapc { collection_id: COLLECTION, vcpu: 0, valid: true });
        command(Command::Mapd { device_id: DEVICE, event_bits: 16, itt_addr: 0, valid: true });
        for event_id in (EVENT + 1..=EVENT + mapped).chain([EVENT]) {
            command(Command::Mapti {
                device_id: DEVICE,
                event_id,
                intid: FIRST_LPI + event_id,
                collection_id: COLLECTION,
            });
        }
        vm.set_lpis_enabled(ctx, &vm.vcpus[0], true, true).expect("readable tables");
        vm.set_its_enabled(ctx, its, true);
    }

    fn send(&self) {
        let msi = Msi { doorbell: self.its.doorbell(), device_id: DEVICE, event_id: EVENT, device_id_valid: true };
        assert_eq!(self.vm.inject_msi(&self.ctx, &msi), Ok(true), "it is mapped");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.vm.destroy(&self.ctx);
        rcu::barrier(&self.ctx);
    }
}

/// The guest takes one interrupt.
fn take_one(running: &mut Running<'_, Count, Composed>) {
    running.enter_always();
    let intid = running.acknowledge().expect("an LPI is pending");
    running.eoi(intid);
    running.exit();
}
