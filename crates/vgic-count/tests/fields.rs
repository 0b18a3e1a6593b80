//! Every field that the engine declares is used through the platform, and only by the designs that have it.

use std::collections::BTreeMap;
use vgic_core::designs::series::{NAMES, spec};
use vgic_core::designs::{Composed, XArrayIrqs};
use vgic_count::life::Guest;
use vgic_count::{CountCtx, Tables, Uses};

/// What was done to each field in a guest's life, without and with the end of its VM.
fn life(name: &str) -> [BTreeMap<String, Uses>; 2] {
    let ctx = CountCtx::new();
    {
        let guest = Guest::new(Composed::named(name), &ctx, 2, Tables::new()).expect("memory");
        guest.boot();
        guest.work();
        guest.switch();
        guest.remap();
        guest.its[0].snapshot(&ctx);
        let fields = ctx.fields();
        guest.destroy();
        [fields, ctx.fields()]
    }
}

#[test]
fn every_field_is_used_by_the_designs_that_have_it() {
    for name in NAMES {
        let [fields, _] = life(name);
        // What a design has not is made off to the side, and never touched.
        for (field, uses) in &fields {
            assert_eq!(uses.is_unused(), field.starts_with("absent."), "{name}: {field}");
        }
        for class in ["kvm", "kvm_vcpu", "vgic_dist", "vgic_irq", "vgic_its", "its_device", "its_ite", "its_collection"]
        {
            let of_class = |field: &String| field.split('.').next() == Some(class);
            assert!(fields.keys().any(of_class), "{name}: no {class}");
        }
    }
}

/// What was written after it was made is read somewhere: nothing is kept that nobody asks for.
#[test]
fn what_is_written_is_read() {
    for name in NAMES {
        let write_only = |uses: &Uses| uses.writes > 0 && uses.reads + uses.rmws == 0;
        let [_, fields] = life(name);
        let found: Vec<_> = fields.iter().filter(|(_, uses)| write_only(uses)).map(|(f, _)| f.as_str()).collect();
        // A cache that evicts by usage looks at its list from the front; one without a limit never evicts.
        let lazy = ["patch-11", "patch-12", "patch-13", "patch-14", "patch-15", "v2", "call-rcu"].contains(name);
        let expected: &[&str] = if lazy { &["vgic_dist.lpi_translation_cache.prev"] } else { &[] };
        assert_eq!(found, expected, "{name}");
    }
}

/// An MSI may come in a hard interrupt (irqfd), so whoever takes one of its locks masks interrupts.
#[test]
fn locks_of_hard_interrupts_are_taken_with_interrupts_masked() {
    for name in NAMES {
        let [fields, _] = life(name);
        let taken_on = |lock: &str| fields.get(lock).is_some_and(|uses| uses.taken_irqs_on > 0);
        for lock in ["vgic_dist.lpi_list_lock", "kvm_vcpu.ap_list_lock", "vgic_irq.irq_lock"] {
            assert!(!taken_on(lock), "{name}: {lock}");
        }
        // The defect of patch 10 (xa_erase) until v6.9; and v6.17 again, which counts on LPIs not ending there.
        let defect = spec(name).expect("a design").1.xarray_irqs != XArrayIrqs::Off;
        assert_eq!(taken_on("vgic_dist.lpi_xa.xa_lock"), defect, "{name}");
    }
}
