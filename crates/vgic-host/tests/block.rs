//! A vCPU that sleeps is woken by what is sent to it: no wake-up is lost, whatever the moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use vgic_core::designs::Composed;
use vgic_core::{Command, Design, Msi, Platform, Vm};
use vgic_host::tables::{FlatTables, Shared};
use vgic_native::{Native, NativeCtx};

const BASE: u64 = 0x0808_0000;
const ROUNDS: u64 = 2_000;

/// One thread sends an LPI and waits until it was taken, then the next; the vCPU sleeps in between. A lost wake-up
/// ends in neither of them going on.
fn ping_pong(design: Composed) {
    let ctx = NativeCtx::new("main");
    let vm = Vm::<Native, _>::new(design, &ctx, 1, 4, Box::new(Shared(FlatTables::new(1)))).expect("memory");
    let its = vm.add_its(&ctx, BASE).expect("memory");
    for command in [
        Command::Mapc { collection_id: 0, vcpu: 0, valid: true },
        Command::Mapd { device_id: 0, event_bits: 4, itt_addr: 0, valid: true },
        Command::Mapti { device_id: 0, event_id: 0, intid: 8192, collection_id: 0 },
    ] {
        vm.command(&ctx, &its, command).expect("valid");
    }
    vm.set_lpis_enabled(&ctx, &vm.vcpus[0], true, false).expect("readable");
    vm.set_its_enabled(&ctx, &its, true);
    let doorbell = its.doorbell();
    let vm = Arc::new(vm);
    let taken = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let vcpu = {
        let (vm, taken, stop) = (Arc::clone(&vm), Arc::clone(&taken), Arc::clone(&stop));
        Native::spawn(&ctx, "vcpu0", move |ctx| {
            let mut running = vm.run_vcpu(ctx, 0);
            while !stop.load(Ordering::Relaxed) {
                vm.block(ctx, running.vcpu(), || stop.load(Ordering::Relaxed));
                running.enter_always();
                while let Some(intid) = running.acknowledge() {
                    running.eoi(intid);
                    taken.fetch_add(1, Ordering::Release);
                }
                running.exit();
            }
        })
    };
    for round in 0..ROUNDS {
        let msi = Msi { doorbell, device_id: 0, event_id: 0, device_id_valid: true };
        assert_eq!(vm.inject_msi(&ctx, &msi), Ok(true));
        let mut spins = 0;
        while taken.load(Ordering::Acquire) == round {
            spins += 1;
            Native::relax(&ctx, spins);
        }
        assert_eq!(taken.load(Ordering::Acquire), round + 1, "{}: taken once", design.name());
    }
    stop.store(true, Ordering::Relaxed);
    vm.vcpus[0].interrupt(&ctx);
    assert!(Native::join(&ctx, vcpu));
    vm.destroy(&ctx);
}

#[test]
fn a_sleeping_vcpu_is_woken_by_every_send() {
    for name in ["v6.8-rc1", "patch-15", "v6.10", "v7.1.8", "hardened"] {
        ping_pong(Composed::named(name));
    }
}
