//! Pending tables: what is saved into them, and what is loaded from them, in every design.

use vgic_core::Command;
use vgic_core::designs::series::NAMES;
use vgic_core::designs::{Composed, Walk};
use vgic_core::irq::FIRST_LPI;
use vgic_core::tables::Fault;
use vgic_count::life::{DEVICE, Guest};
use vgic_count::{CountCtx, Tables};

/// Last INTID that the tables have room for.
const LAST_LPI: u32 = 0xffff;
const OFFSET: u32 = FIRST_LPI / 8;

/// Events 0 to 3 and 8 go to vCPU 0, 4 and the last LPI to vCPU 1; event 16 is in a collection of no vCPU.
fn every_design(test: impl Fn(&str, &CountCtx, &Guest<'_>)) {
    for name in NAMES {
        let ctx = CountCtx::new();
        let guest = Guest::new(Composed::named(name), &ctx, 2, Tables::new()).expect("memory");
        guest.mapc(0, 0, 0, true);
        guest.mapc(0, 1, 1, true);
        guest.mapd(0, true);
        for (event, collection) in [(0, 0), (1, 0), (2, 0), (3, 0), (8, 0), (4, 1), (16, 2)] {
            guest.mapti(0, event, FIRST_LPI + event, collection);
        }
        guest.mapti(0, 99, LAST_LPI, 1);
        guest.lpis(0, true);
        guest.lpis(1, true);
        guest.vm.set_its_enabled(&ctx, &guest.its[0], true);
        test(name, &ctx, &guest);
        guest.destroy();
    }
}

/// The defect of v2: its walk of all LPIs finds none.
fn walks(guest: &Guest<'_>) -> bool {
    guest.vm.spec().walk != Walk::CopyXArrayEmpty
}

fn pending(guest: &Guest<'_>) -> Vec<u32> {
    guest.vm.lpis(guest.ctx).iter().filter(|lpi| lpi.view.pending).map(|lpi| lpi.intid).collect()
}

#[test]
fn a_save_writes_the_bits_of_what_is_mapped_and_no_others() {
    every_design(|name, ctx, guest| {
        for event in [1, 3, 8, 4, 99] {
            assert_eq!(guest.send(0, event), Ok(true), "{name}");
        }
        // Of vCPU 0 bits 4 to 7 are nobody's or another one's; bits 0 and 2 are of LPIs that are not pending.
        guest.tables.set_pending(0, OFFSET, 0b1010_0101);
        guest.tables.set_pending(0, OFFSET + 1, 0b1000_0000);
        let before = guest.tables.accesses();
        assert_eq!(guest.vm.save_pending_tables(ctx), Ok(()), "{name}");
        let bytes = [(0, OFFSET), (0, OFFSET + 1), (0, OFFSET + 2), (1, OFFSET), (1, OFFSET + 1), (1, LAST_LPI / 8)]
            .map(|(vcpu, offset)| guest.tables.pending(vcpu, offset));
        assert_eq!(bytes, [0b1010_1010, 0b1000_0001, 0, 0b0001_0000, 0, 0b1000_0000], "{name}");
        // Four bytes are read, each once for the LPIs of one vCPU in a row, and seven bits differ.
        assert_eq!(guest.tables.accesses() - before, 4 + 7, "{name}");
        // Saved is not taken.
        assert_eq!(pending(guest), [1, 3, 4, 8, LAST_LPI - FIRST_LPI].map(|event| FIRST_LPI + event), "{name}");
        // Again: everything is as it should be, so nothing is written.
        let reads = guest.tables.accesses();
        assert_eq!(guest.vm.save_pending_tables(ctx), Ok(()), "{name}");
        assert_eq!(guest.tables.accesses() - reads, 4, "{name}");
    });
}

#[test]
fn a_save_stops_at_what_it_cannot_reach() {
    every_design(|name, ctx, guest| {
        for event in [1, 8, 4] {
            assert_eq!(guest.send(0, event), Ok(true), "{name}");
        }
        let mut failures = 0;
        loop {
            guest.tables.fail_access(failures);
            match guest.vm.save_pending_tables(ctx) {
                Err(Fault) => failures += 1,
                Ok(()) => break,
            }
        }
        assert!(failures >= 3, "{name}: {failures}");
        let bytes = [(0, OFFSET), (0, OFFSET + 1), (1, OFFSET)].map(|(vcpu, at)| guest.tables.pending(vcpu, at));
        assert_eq!(bytes, [0b10, 0b1, 0b1_0000], "{name}");
        // Nothing is held any more.
        assert_eq!((guest.run(0).len(), guest.run(1).len()), (2, 1), "{name}");
    });
}

#[test]
fn what_is_pending_in_the_table_is_loaded_for_whom_it_targets() {
    every_design(|name, _, guest| {
        guest.lpis(0, false);
        guest.tables.set_pending(0, OFFSET, 0b0001_0110);
        guest.tables.set_pending(0, OFFSET + 1, 1);
        guest.tables.set_pending(0, LAST_LPI / 8, 0x80);
        guest.lpis(0, true);
        let loaded = if walks(guest) { vec![1, 2, 8] } else { vec![] };
        assert_eq!(guest.run(0), loaded.iter().map(|event| FIRST_LPI + event).collect::<Vec<_>>(), "{name}");
        assert_eq!(guest.run(1), Vec::<u32>::new(), "{name}: the table is that of vCPU 0");
        // On is on: no second look.
        guest.lpis(0, true);
        assert_eq!(guest.run(0), Vec::<u32>::new(), "{name}");
    });
}

/// `GICR_PENDBASER.PTZ`: the table is said to be zero.
#[test]
fn a_table_of_zeroes_is_not_read() {
    every_design(|name, ctx, guest| {
        guest.lpis(0, false);
        guest.tables.set_pending(0, OFFSET, 0xff);
        let before = guest.tables.accesses();
        assert_eq!(guest.vm.set_lpis_enabled(ctx, &guest.vm.vcpus[0], true, false), Ok(()), "{name}");
        assert_eq!((guest.tables.accesses(), guest.run(0)), (before, vec![]), "{name}");
    });
}

/// What was read before the fault is loaded, and nothing that comes behind.
#[test]
fn a_table_that_cannot_be_read_is_a_fault_and_lpis_are_on() {
    every_design(|name, ctx, guest| {
        if !walks(guest) {
            return;
        }
        for (readable, loaded) in [(0, vec![]), (1, vec![FIRST_LPI])] {
            guest.lpis(0, false);
            guest.tables.set_pending(0, OFFSET, 1);
            guest.tables.set_pending(0, OFFSET + 1, 1);
            guest.tables.fail_access(readable);
            assert_eq!(guest.vm.set_lpis_enabled(ctx, &guest.vm.vcpus[0], true, true), Err(Fault), "{name}");
            assert!(guest.vm.vcpus[0].lpis_enabled(ctx), "{name}");
            assert_eq!(guest.run(0), loaded, "{name}");
        }
    });
}

/// At MAPTI: the bit is taken from the table of the vCPU that the collection is mapped to, and cleared there.
#[test]
fn a_mapping_takes_its_bit() {
    every_design(|name, _, guest| {
        for vcpu in [0, 1] {
            guest.tables.set_pending(vcpu, OFFSET + 4, 0b111);
        }
        guest.mapti(0, 33, FIRST_LPI + 33, 1);
        assert_eq!([0, 1].map(|vcpu| guest.tables.pending(vcpu, OFFSET + 4)), [0b111, 0b101], "{name}");
        assert_eq!((guest.run(0), guest.run(1)), (vec![], vec![FIRST_LPI + 33]), "{name}");
        // In a collection of no vCPU there is no table to look at.
        guest.mapti(0, 34, FIRST_LPI + 34, 2);
        assert_eq!([0, 1].map(|vcpu| guest.tables.pending(vcpu, OFFSET + 4)), [0b111, 0b101], "{name}");
        assert_eq!(guest.command(0, Command::Clear { device_id: DEVICE, event_id: 34 }), Ok(()), "{name}");
    });
}
