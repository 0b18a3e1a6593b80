//! Two vCPUs ask for an LPI's configuration to be read again, one after it has changed the byte, the other (for other LPIs)
//! at any time. The one that read before the change must not apply after it.

use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::stage::Stage;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use vgic_core::irq::FIRST_LPI;
use vgic_core::tables::{Fault, GuestTables};
use vgic_core::{Command, Design, Platform, Vm};

/// See the module's text.
pub struct InvVsInvall;

/// One configuration byte for all LPIs.
struct Byte(Arc<AtomicU8>);

impl GuestTables for Byte {
    fn config(&self, _intid: u32) -> Result<u8, Fault> {
        Ok(self.0.load(Relaxed))
    }
    fn pending_byte(&self, _vcpu: u32, _offset: u32) -> Result<u8, Fault> {
        Ok(0)
    }
    fn set_pending_byte(&self, _vcpu: u32, _offset: u32, _value: u8) -> Result<(), Fault> {
        Ok(())
    }
}

impl Scenario for InvVsInvall {
    const NAME: &'static str = "inv_vs_invall";
    const ABOUT: &'static str =
        "an LPI is enabled and INV sent, while another vCPU writes GICR_INVALLR: it must be enabled";
    const BOUND: &'static str = "1 vCPU, 1 disabled LPI, 1 change of its configuration with INV, 1 GICR_INVALLR";

    fn run<P: Platform, S: Stage<P>, D: Design>(ctx: &P::Ctx, stage: S) {
        let byte = Arc::new(AtomicU8::new(0xa0));
        let vm = Vm::new(ctx, 1, 2, Box::new(Byte(Arc::clone(&byte)))).expect("memory");
        let its = vec![vm.add_its(ctx, 0x1000_0000).expect("memory")];
        let guest: Arc<Guest<P, S, D>> = Arc::new(Guest { vm, its, stage });
        let _ = guest.command(ctx, Command::Mapd { device_id: 0, event_bits: 5, itt_addr: 0, valid: true });
        let _ = guest.command(ctx, Command::Mapc { collection_id: 0, vcpu: 0, valid: true });
        guest.map(ctx, 0, 0, 0);
        guest.spawn(ctx, "vcpu1", |guest, ctx| {
            guest.stage.note(ctx, || "GICR_INVALLR".to_owned());
            guest.vm.reload_lpi_configs(ctx, 0);
        });
        guest.spawn(ctx, "guest", move |guest, ctx| {
            guest.stage.note(ctx, || "enables the LPI in the table".to_owned());
            byte.store(0xa1, Relaxed);
            let _ = guest.command(ctx, Command::Inv { device_id: 0, event_id: 0 });
        });
        guest.join(ctx);
        let enabled = guest.vm.lpi(ctx, FIRST_LPI).is_some_and(|lpi| lpi.enabled);
        guest.stage.expect(ctx, enabled, || "the LPI is disabled although the table and INV say otherwise".to_owned());
        guest.finish(ctx);
    }
}
