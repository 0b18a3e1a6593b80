//! [`Entry`]: how an MSI comes into the kernel, and what that costs beside the engine.
//!
//! - *direct*: a call of the library.
//! - *ioctl* (`KVM_SIGNAL_MSI`): a system call, a copy of `struct kvm_msi`, and a reference on the VM's file taken and
//!   dropped, which is one line shared by all senders. No kernel has one for several MSIs, or one on a registered file
//!   (as io_uring's are): a call takes the MSIs that are due when it begins, copies and injects one after the other, and
//!   pays the system call and the reference once.
//! - *irqfd* (vhost, VFIO): a signalled eventfd, an SRCU section, a look at the irqfd's routing entry under its sequence
//!   counter; a miss of the translation cache costs a hop to a workqueue.

use vgic_core::designs::Composed;
use vgic_core::platform::{Atomic, AtomicInt, Layout, PlainCell};
use vgic_core::{Msi, Order, Pair, Platform, Vm};
use vgic_host::{Refused, in_range};
use vgic_sim::{AtomicU64, Cell, Cost, Ps, Sim, SimCtx};

/// How an MSI comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A call.
    Direct,
    /// A system call for all MSIs that are due, `msis` at most.
    Ioctl {
        /// How it counts its reference.
        reference: FileReference,
        /// 1 is `KVM_SIGNAL_MSI`.
        msis: u32,
    },
    /// An eventfd.
    Irqfd,
}

impl Entry {
    /// Says what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        in_range("msis_per_call", u64::from(self.msis()), 1, 1024)
    }

    /// MSIs that come in with one call, at most.
    pub(crate) fn msis(&self) -> u32 {
        if let Entry::Ioctl { msis, .. } = *self { msis } else { 1 }
    }
}

/// How the reference on the VM's file is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileReference {
    /// A load and a compare-and-swap until it works, to take it, and an atomic add to drop it: up to 6.12.
    CompareAndSwap,
    /// An atomic add each: from 6.13 on.
    Add,
    /// Not at all: a process with one thread, or a registered file, whose reference is kept.
    None,
}

/// A call, and how many of its MSIs are still to come.
#[derive(Default)]
pub(crate) struct Call {
    /// When it began: with it, all its MSIs.
    pub(crate) begin: Ps,
    msis: u32,
    left: u32,
}

/// Where an MSI stands in its call.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    first: bool,
    last: bool,
}

impl Call {
    pub(crate) fn new(begin: Ps, msis: u32) -> Self {
        Call { begin, msis, left: msis }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// The next MSI's place; the call is not over.
    pub(crate) fn next(&mut self) -> Place {
        let first = self.left == self.msis;
        self.left -= 1;
        Place { first, last: self.left == 0 }
    }
}

/// What senders share on their way in.
pub(crate) struct Door {
    entry: Entry,
    f_count: AtomicU64,
    /// The routing entry of each device's irqfd.
    routes: Box<[Cell<u64>]>,
}

impl Door {
    pub(crate) fn new(entry: Entry, devices: u32) -> Self {
        let route = |_| Sim::embed("kvm_kernel_irqfd", |l| l.cell("irq_entry", 0_u64));
        Door { entry, f_count: Sim::embed("file", |l| l.u64("f_count", 1)), routes: (0..devices).map(route).collect() }
    }

    /// Sends; true if it was taken.
    pub(crate) fn send(&self, vm: &Vm<Sim, Composed>, ctx: &SimCtx, msi: &Msi, device: u32, place: Place) -> bool {
        let cost = |cost| ctx.cost(cost);
        match self.entry {
            Entry::Direct => vm.inject_msi(ctx, msi) == Ok(true),
            Entry::Ioctl { reference, .. } => {
                let syscall = ctx.costs().syscall;
                if place.first {
                    ctx.work(cost(Cost::syscall) / 2);
                    self.count_file(ctx, reference, 1);
                }
                ctx.work(cost(Cost::copy));
                let taken = vm.inject_msi(ctx, msi) == Ok(true);
                if place.last {
                    self.count_file(ctx, reference, u64::MAX);
                    ctx.work(syscall - syscall / 2);
                }
                taken
            }
            Entry::Irqfd => {
                ctx.work(cost(Cost::irqfd));
                Sim::srcu_read_lock(ctx);
                self.routes[device as usize].get(ctx);
                let hit = vm.inject_cached(ctx, msi);
                Sim::srcu_read_unlock(ctx);
                hit || {
                    ctx.work(cost(Cost::workqueue_hop));
                    vm.inject_uncached(ctx, msi) == Ok(true)
                }
            }
        }
    }

    /// Takes a reference on the file, or drops one (`delta` is minus one, wrapping).
    fn count_file(&self, ctx: &SimCtx, how: FileReference, delta: u64) {
        let order = Order::SeqCst(Pair::RefDrop);
        match how {
            FileReference::None => {}
            FileReference::CompareAndSwap if delta == 1 => {
                let mut seen = self.f_count.load(ctx, Order::Relaxed);
                while let Err(found) = self.f_count.compare_exchange(ctx, seen, seen.wrapping_add(delta), order) {
                    seen = found;
                }
            }
            FileReference::Add | FileReference::CompareAndSwap => {
                self.f_count.fetch_add(ctx, delta, order);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::rc::Rc;
    use vgic_host::check_design;
    use vgic_lab::bench::{Guest, Load, message};
    use vgic_sim::{Machine, World};

    /// What `msis` sends of a pending LPI cost a core that has all lines, in one call if that takes so many.
    fn cost(entry: Entry, msis: u32) -> Ps {
        let world = World::new(Machine::flat(1), 1, BTreeSet::new(), 0);
        let load = Load { vcpus: 1, devices: 1, events: 1, guest: Guest::AsPublished, list_registers: 4, mapped: 0 };
        let set_up = SimCtx::set_up(&world);
        let bench = Rc::new(load.bench::<Sim, Composed>(check_design("v6.10", false).unwrap(), &set_up).unwrap());
        let time = Rc::new(std::cell::Cell::new(0));
        let (shared, last) = (Rc::clone(&bench), Rc::clone(&time));
        let takes_reference = !matches!(entry, Entry::Direct | Entry::Ioctl { reference: FileReference::None, .. });
        world.spawn("sender0", move |ctx| {
            let door = Door::new(entry, 1);
            // The first ones miss the translation cache, then lines.
            for _ in 0..4 {
                let begin = ctx.now();
                let mut call = Call::default();
                for sent in 0..msis {
                    if call.is_over() {
                        call = Call::new(begin, entry.msis().min(msis - sent));
                    }
                    assert!(door.send(&shared.vm, ctx, &message(0, 0), 0, call.next()));
                    let held = !call.is_over() && takes_reference;
                    assert_eq!(
                        door.f_count.load(ctx, Order::Relaxed),
                        1 + u64::from(held),
                        "held by a call, then dropped"
                    );
                }
                last.set(ctx.now() - begin);
            }
        });
        world.run(|| ()).expect("nobody waits");
        bench.vm.destroy(&set_up);
        Sim::rcu_barrier(&set_up);
        time.get()
    }

    #[test]
    fn a_call_pays_its_system_call_and_its_reference_once_and_a_copy_for_each_msi() {
        let Machine { syscall, copy, .. } = Machine::flat(1);
        for (reference, counted) in
            [(FileReference::CompareAndSwap, true), (FileReference::Add, true), (FileReference::None, false)]
        {
            let more = |msis, most| cost(Entry::Ioctl { reference, msis: most }, msis) - cost(Entry::Direct, msis);
            let reference = more(1, 1) - syscall - copy;
            assert_eq!(reference > 0, counted);
            for msis in [2, 5, 16] {
                let calls = |many| Ps::from(many) * (syscall + reference) + Ps::from(msis) * copy;
                assert_eq!(more(msis, 1), calls(msis), "{msis} calls");
                assert_eq!(more(msis, msis), calls(1), "one call for {msis}");
                assert_eq!(more(msis, 1024), calls(1), "one call for {msis}, and more could come");
                assert_eq!(more(msis, 3), calls(msis.div_ceil(3)), "{msis} in calls of three");
            }
        }
    }
}
