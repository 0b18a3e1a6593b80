//! What looks from inside and outside tell of LPIs.

mod common;

use common::every_design;
use vgic_core::Command;
use vgic_core::irq::FIRST_LPI;
use vgic_count::life::DEVICE;

/// Event 0 was sent and taken, event 1 is pending, event 2 was never sent.
#[test]
fn an_lpi_is_told_with_everything_that_leads_to_it() {
    every_design(&[0x10, 0x20, 0x30], |name, guest| {
        let (vm, ctx) = (&guest.vm, guest.ctx);
        assert_eq!(guest.send(0, 0), Ok(true));
        guest.run(0);
        assert_eq!(guest.send(0, 1), Ok(true));
        let audit = vm.audit(ctx);
        let mut told: Vec<_> = audit
            .lpis
            .values()
            .map(|lpi| (lpi.intid - FIRST_LPI, lpi.indexed, lpi.mappings, lpi.cached, lpi.queues.clone()))
            .collect();
        told.sort();
        let expected = [(0, true, 1, 1, vec![]), (1, true, 1, 1, vec![0]), (2, true, 1, 0, vec![])];
        assert_eq!(told, expected, "{name}");
        assert_eq!((audit.mappings.len(), audit.cached.len()), (3, 2), "{name}");
        assert_eq!(vm.cached_translations(ctx), 2, "{name}");
        // From outside it is the same, without the look's own reference.
        let states = vm.lpis(ctx);
        assert_eq!(states.len(), 3, "{name}");
        for lpi in audit.lpis.values() {
            let state = vm.lpi(ctx, lpi.intid).expect("it is mapped");
            assert_eq!((state.view, state.references), (lpi.view, lpi.references), "{name}");
            assert!(states.contains(&state), "{name}");
        }
        assert!(vm.lpi(ctx, FIRST_LPI + 3).is_none(), "{name}");
        guest.run(0);
    });
}

/// An LPI that lost its mapping while it was queued is told until its vCPU has taken it.
#[test]
fn an_lpi_that_is_only_queued_is_told() {
    every_design(&[0x10], |name, guest| {
        let (vm, ctx) = (&guest.vm, guest.ctx);
        assert_eq!(guest.send(0, 0), Ok(true));
        assert_eq!(guest.command(0, Command::Discard { device_id: DEVICE, event_id: 0 }), Ok(()));
        let audit = vm.audit(ctx);
        if !vm.spec().queue_holds_lpis() {
            assert!(audit.lpis.is_empty() && vm.lpis(ctx).is_empty() && vm.pending_count(ctx) == 0, "{name}");
            return;
        }
        let told: Vec<_> = audit.lpis.values().map(|lpi| (lpi.mappings, lpi.cached, lpi.queues.clone())).collect();
        assert_eq!(told, [(0, 0, vec![0])], "{name}");
        assert_eq!(vm.pending_count(ctx), u64::from(vm.lpis(ctx)[0].view.pending), "{name}");
        guest.run(0);
        assert!(vm.audit(ctx).lpis.is_empty() && vm.lpis(ctx).is_empty(), "{name}");
    });
}
