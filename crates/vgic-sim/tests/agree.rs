//! In virtual time the engine does what it does on paper: the same accesses to the same fields, the same locks.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use vgic_core::designs::{Composed, ROWS};
use vgic_core::irq::FIRST_LPI;
use vgic_core::its::Its;
use vgic_core::{Command, Design, Msi, Obj, Platform, Vm};
use vgic_count::Tables;
use vgic_sim::report::Tally;
use vgic_sim::{Machine, Sim, SimCtx, World};

/// Reads, writes (read-modify-writes among them) and acquisitions, by name.
type Counts = [BTreeMap<String, u64>; 3];

fn rig<D: Design>(design: D, ctx: &SimCtx, mapped: u32) -> (Vm<Sim, D>, Obj<Its<Sim>>) {
    let vm: Vm<Sim, D> = Vm::new(design, ctx, 1, 4, Box::new(Tables::new())).expect("memory");
    let its = vm.add_its(ctx, 0x0808_0000).expect("memory");
    let command = |command| vm.command(ctx, &its, command).expect("a valid command");
    command(Command::Mapc { collection_id: 0, vcpu: 0, valid: true });
    command(Command::Mapd { device_id: 1, event_bits: 16, itt_addr: 0, valid: true });
    for event_id in (1..=mapped).chain([0]) {
        command(Command::Mapti { device_id: 1, event_id, intid: FIRST_LPI + event_id, collection_id: 0 });
    }
    vm.set_lpis_enabled(ctx, &vm.vcpus[0], true, true).expect("readable tables");
    vm.set_its_enabled(ctx, &its, true);
    (vm, its)
}

fn simulated<D: Design>(design: D, deliver: bool, mapped: u32) -> Counts {
    let world = World::new(Machine::flat(2), 1, BTreeSet::new(), 0);
    let set_up = SimCtx::set_up(&world);
    let (vm, its) = rig(design, &set_up, mapped);
    let vm = Rc::new(vm);
    let tallies: Rc<RefCell<Vec<Tally>>> = Rc::default();
    let (out, used) = (Rc::clone(&tallies), Rc::clone(&vm));
    world.spawn("sender0", move |ctx| {
        let msi = Msi { doorbell: its.doorbell(), device_id: 1, event_id: 0, device_id_valid: true };
        let send = || assert_eq!(used.inject_msi(ctx, &msi), Ok(true));
        let note = || out.borrow_mut().push(ctx.world().tally());
        let take_one = |running: &mut vgic_core::vcpu::run::Running<'_, Sim, D>| {
            running.enter_always();
            let intid = running.acknowledge().expect("an LPI is pending");
            running.eoi(intid);
            running.exit();
        };
        send();
        take_one(&mut used.run_vcpu(ctx, 0));
        if deliver {
            let mut running = used.run_vcpu(ctx, 0);
            note();
            send();
            take_one(&mut running);
        } else {
            send();
            note();
            send();
        }
        note();
    });
    world.run(|| ()).expect("an end");
    vm.destroy(&set_up);
    Sim::rcu_barrier(&set_up);
    let tallies = tallies.borrow();
    let [before, after] = &tallies[..] else { panic!("two tallies") };
    let locks: BTreeSet<_> = after.locks().iter().map(|lock| lock.name).collect();
    let mut counts = Counts::default();
    for (at, field) in after.fields().iter().enumerate().filter(|(_, field)| !locks.contains(field.name)) {
        let (earlier, later) = (before.accesses(at), after.accesses(at));
        for which in 0..2 {
            let count = later[which] - earlier[which];
            if count > 0 && field.class != "srcu_data" {
                *counts[which].entry(format!("{}.{}", field.class, field.name)).or_default() += count;
            }
        }
    }
    for (at, lock) in after.locks().iter().enumerate() {
        let count = lock.taken - before.locks().get(at).map_or(0, |lock| lock.taken);
        if count > 0 {
            *counts[2].entry(lock.name.to_owned()).or_default() += count;
        }
    }
    counts
}

fn on_paper(design: &str, deliver: bool, mapped: u32) -> Counts {
    let counted = vgic_count::counts(Composed::named(design), deliver, mapped);
    let mut counts = Counts::default();
    counts[0] = counted.reads;
    counts[1] = counted.writes;
    for (name, count) in counted.rmws {
        *counts[1].entry(name).or_default() += count;
    }
    for (name, count) in counted.locks {
        *counts[2].entry(name.split(' ').next().unwrap_or_default().to_owned()).or_default() += count;
    }
    counts
}

#[test]
fn virtual_time_and_paper_agree_on_reads_writes_and_locks_of_every_design() {
    for row in ROWS {
        for (deliver, mapped) in [(false, 0), (true, 0), (true, 20)] {
            let simulated = simulated(Composed::named(row.name), deliver, mapped);
            assert_eq!(
                simulated,
                on_paper(row.name, deliver, mapped),
                "{} (deliver {deliver}, mapped {mapped})",
                row.name
            );
        }
    }
}
