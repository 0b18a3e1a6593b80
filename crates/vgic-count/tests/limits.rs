//! Guests at the edges of what the tables allow.

use vgic_core::designs::Composed;
use vgic_core::tables::{Fault, GuestTables};
use vgic_core::{Command, ItsError, Platform, Vm};
use vgic_count::{Count, CountCtx, Tables};

/// Tables whose device table has room for any DeviceID.
struct Wide(Tables);

impl GuestTables for Wide {
    fn config(&self, intid: u32) -> Result<u8, Fault> {
        self.0.config(intid)
    }
    fn pending_byte(&self, vcpu: u32, offset: u32) -> Result<u8, Fault> {
        self.0.pending_byte(vcpu, offset)
    }
    fn set_pending_byte(&self, vcpu: u32, offset: u32, value: u8) -> Result<(), Fault> {
        self.0.set_pending_byte(vcpu, offset, value)
    }
    fn device_id_valid(&self, _its: usize, _device_id: u32) -> bool {
        true
    }
}

/// The cache key of a per-ITS cache has 16 bits for the device: a wider DeviceID must not stand for another device.
#[test]
fn a_device_id_of_more_than_16_bits_is_rejected() {
    for name in vgic_core::designs::series::NAMES {
        let ctx = CountCtx::new();
        {
            let vm =
                Vm::<Count, _>::new(Composed::named(name), &ctx, 1, 4, Box::new(Wide(Tables::new()))).expect("memory");
            let its = vm.add_its(&ctx, 0x0808_0000).expect("memory");
            let mapd = |device_id| Command::Mapd { device_id, event_bits: 4, itt_addr: 0, valid: true };
            assert_eq!(vm.command(&ctx, &its, mapd(0xffff)), Ok(()), "{name}");
            assert_eq!(vm.command(&ctx, &its, mapd(0x1_0000)), Err(ItsError::MapdDeviceOor.into()), "{name}");
            vm.destroy(&ctx);
            Count::rcu_barrier(&ctx);
        }
    }
}
