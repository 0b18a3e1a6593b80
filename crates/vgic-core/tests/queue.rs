//! A vCPU's queue and its list registers, in every design.

use vgic_core::designs::Composed;
use vgic_core::designs::series::NAMES;
use vgic_core::irq::FIRST_LPI;
use vgic_core::{Command, Event};
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{CountCtx, Tables};

/// A vCPU of [`Guest`] has so many.
const LIST_REGISTERS: u32 = 4;

fn every_design(lpis: u32, test: impl Fn(&str, &Guest<'_>)) {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = Guest::new(Composed::named(name), &ctx, 2, Tables::new()).expect("memory");
        guest.mapc(0, 0, 0, true);
        guest.mapc(0, 1, 1, true);
        guest.mapd(0, true);
        for event in 0..lpis {
            guest.mapti(0, event, FIRST_LPI + event, 0);
        }
        guest.lpis(0, true);
        guest.lpis(1, true);
        guest.vm.set_its_enabled(&ctx, &guest.its[0], true);
        test(name, &guest);
        guest.destroy();
    }
}

/// More are pending than there are list registers: when all but one were ended, the guest is left for the rest
/// (`ICH_HCR_EL2.UIE`). Without it the rest would wait until somebody kicks.
#[test]
fn an_overflowing_queue_arms_the_underflow_interrupt() {
    every_design(LIST_REGISTERS + 2, |name, guest| {
        guest.send_all(0, 0..LIST_REGISTERS + 2);
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        for left in (0..LIST_REGISTERS).rev() {
            assert!(!running.must_exit(), "{name}: {} registers are left", left + 1);
            let intid = running.acknowledge().unwrap_or_else(|| panic!("{name}: a register is empty"));
            running.eoi(intid);
            if left <= 1 {
                break;
            }
        }
        assert!(running.runs_dry() && running.must_exit(), "{name}: one register is left, and more is pending");
        running.exit();
        running.enter_always();
        // What is left fits: one of the first four, and the two behind.
        for _ in 0..3 {
            assert!(!running.must_exit(), "{name}: nothing waits outside the registers");
            let intid = running.acknowledge().unwrap_or_else(|| panic!("{name}: the rest was not brought"));
            running.eoi(intid);
        }
        assert!(!running.must_exit() && running.acknowledge().is_none(), "{name}");
        drop(running);
        assert_eq!(guest.ctx.events(Event::Delivered), u64::from(LIST_REGISTERS + 2), "{name}");
    });
}

#[test]
fn a_queue_that_fits_does_not() {
    every_design(LIST_REGISTERS, |name, guest| {
        guest.send_all(0, 0..LIST_REGISTERS);
        let mut running = guest.vm.run_vcpu(guest.ctx, 0);
        running.enter_always();
        for _ in 0..LIST_REGISTERS {
            let intid = running.acknowledge().expect("it is pending");
            running.eoi(intid);
            assert!(!running.must_exit(), "{name}");
        }
    });
}

/// DISCARD empties the cache before it drops what the cache leads to, or a hit in between finds it: the ITE's reference on
/// the LPI goes last, and with it the ITE.
#[test]
fn discard_empties_the_cache_before_it_drops_the_ite() {
    every_design(2, |name, guest| {
        guest.send(0, 0).expect("it is mapped");
        guest.run(0);
        assert_eq!(guest.vm.cached_translations(guest.ctx), 1, "{name}");
        let command = Command::Discard { device_id: DEVICE, event_id: 0 };
        let steps = guest.ctx.record(|| assert_eq!(guest.command(0, command), Ok(())));
        assert_eq!(guest.vm.cached_translations(guest.ctx), 0, "{name}");

        let is_cache = |step: &vgic_count::Step| {
            step.class == "vgic_translation_cache_entry" || step.field.starts_with("translation_cache")
        };
        let emptied = steps.iter().rposition(is_cache);
        let unlinked = steps.iter().position(|step| {
            step.class == "its_device" && step.place().starts_with("its_device.itt") && step.kind.is_write()
        });
        let freed = steps.iter().position(|step| step.to_string().contains("free its_ite"));
        let dropped = steps.iter().rposition(|step| step.place() == "vgic_irq.refcount");
        let order = [emptied, unlinked, dropped, freed];
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{name}: {order:?}");
    });
}
