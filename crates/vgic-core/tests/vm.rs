//! A VM and its ITSes, in every design.

use vgic_core::designs::Composed;
use vgic_core::designs::series::NAMES;
use vgic_core::{NoMemory, Vm};
use vgic_count::{Count, CountCtx, Kind, Tables};

fn every_design(test: impl Fn(&str, &CountCtx, &Vm<Count, Composed>)) {
    for name in NAMES {
        let ctx = CountCtx::new();
        let vm = Vm::new(Composed::named(name), &ctx, 2, 4, Box::new(Tables::new())).expect("memory");
        test(name, &ctx, &vm);
        vm.destroy(&ctx);
        assert_eq!(ctx.live_objects(), Vec::<String>::new(), "{name}");
    }
}

/// Whichever allocation fails: there is the ITS, or nothing but what the cache has already.
#[test]
fn an_its_without_memory_is_none() {
    let added = |fails: Option<u64>| {
        let failures = std::cell::Cell::new(0);
        every_design(|name, ctx, vm| {
            let kept =
                || ctx.live_objects().iter().filter(|label| !label.starts_with("vgic_translation_cache")).count();
            let before = kept();
            fails.inspect(|after| ctx.fail_allocation(*after));
            match vm.add_its(ctx, 0x0808_0000) {
                Ok(its) => assert_eq!(vm.its_list(ctx), [its], "{name}: {fails:?}"),
                Err(NoMemory) => {
                    failures.set(failures.get() + 1);
                    assert_eq!((vm.its_list(ctx), kept()), (vec![], before), "{name}: {fails:?}");
                }
            }
        });
        failures.get()
    };
    // The ITS and the bus, behind 32 entries of a cache at most.
    let failures: usize = (0..34).map(|after| added(Some(after))).sum();
    assert_eq!((failures, added(None)), (2 * NAMES.len(), 0));
}

/// ITSes are listed by their addresses, whichever came first, and who adds one waits for those who look at the bus.
#[test]
fn an_its_is_added_to_a_bus_that_others_look_at() {
    every_design(|name, ctx, vm| {
        for base in [0x0900_0000, 0x0808_0000] {
            let steps = ctx.record(|| assert!(vm.add_its(ctx, base).is_ok(), "{name}"));
            let waits = steps.iter().filter(|step| step.kind == Kind::SynchronizeSrcu).count();
            assert_eq!(waits, 1, "{name}");
        }
        let bases: Vec<_> = vm.its_list(ctx).iter().map(|its| its.base).collect();
        assert_eq!(bases, [0x0808_0000, 0x0900_0000], "{name}");
    });
}
