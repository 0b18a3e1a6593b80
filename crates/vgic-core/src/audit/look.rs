//! Looks from outside that others may meet: each takes the locks that it needs.

use crate::cache::Cache;
use crate::designs::Design;
use crate::guard::{Mutex, Spin};
use crate::irq::Irq;
use crate::obj::Obj;
use crate::platform::{PlainCell, Platform, PointerCell};
use crate::queue::{LpiView, Queue};
use crate::vcpu::Vcpu;
use crate::vcpu::list_register::{LR_PENDING, LR_STALE};
use crate::vm::Vm;
use alloc::vec::Vec;

/// What is known of one LPI, for a look from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LpiState {
    /// Its INTID.
    pub intid: u32,
    /// Its state.
    pub view: LpiView,
    /// Its reference count, without the look's own.
    pub references: u32,
}

impl<P: Platform, D: Design> Vm<P, D> {
    /// How many translations are cached.
    pub fn cached_translations(&self, ctx: &P::Ctx) -> usize {
        self.dist.cache.len(self, ctx)
    }

    /// The state of one LPI.
    pub fn lpi(&self, ctx: &P::Ctx, intid: u32) -> Option<LpiState> {
        let irq = self.get_irq(ctx, intid)?;
        let state = self.lpi_state(ctx, irq);
        self.put_irq(ctx, irq);
        Some(LpiState { references: state.references - 1, ..state })
    }

    /// The state of every LPI that is mapped or queued, by INTID. Others may change the VM meanwhile; each state is one
    /// that the LPI had.
    pub fn lpis(&self, ctx: &P::Ctx) -> Vec<LpiState> {
        let mut intids = Vec::new();
        for its in self.its_list(ctx) {
            let (devices, _) = its.snapshot(ctx);
            intids.extend(devices.iter().flat_map(|device| device.events.iter().map(|event| event.intid)));
        }
        for vcpu in &self.vcpus {
            let _held = vcpu.queue.hold(ctx, true);
            vcpu.queue.for_each_kept(ctx, |irq| intids.push(irq.intid.get(ctx)));
        }
        intids.sort_unstable();
        intids.dedup();
        intids.into_iter().filter_map(|intid| self.lpi(ctx, intid)).collect()
    }

    fn lpi_state(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> LpiState {
        let view = <D::Queue<P>>::view(self.spec(), ctx, &irq);
        LpiState { intid: irq.intid.get(ctx), view, references: irq.refcount.read(ctx) }
    }

    /// How many sends are still pending: in LPIs, and in list registers. Exact while nothing else happens to the VM.
    pub fn pending_count(&self, ctx: &P::Ctx) -> u64 {
        self.latched_count(ctx) + self.vcpus.iter().map(|vcpu| self.pending_in_registers(ctx, vcpu)).sum::<u64>()
    }

    /// How many list registers of a vCPU hold a pending LPI; for a vCPU that does not run.
    pub fn pending_in_registers(&self, ctx: &P::Ctx, vcpu: &Vcpu<P, D::Queue<P>>) -> u64 {
        let used = vcpu.used_list_registers.get(ctx) as usize;
        vcpu.list_registers[..used].iter().filter(|lr| lr.get(ctx) & (LR_PENDING | LR_STALE) == LR_PENDING).count()
            as u64
    }

    /// How many LPIs are pending outside list registers, of all that are indexed, mapped or queued. (A design whose
    /// erase takes out the wrong one may have LPIs that the index does not know.) All locks that keep them alive are
    /// held meanwhile, in the design's order.
    fn latched_count(&self, ctx: &P::Ctx) -> u64 {
        let (store, spec) = (&self.dist.store, self.spec());
        let all_its = self.its_list(ctx);
        // Several locks of one class: ascending addresses of ITSes, ascending ids of vCPUs.
        let its_locks = all_its.iter().enumerate();
        let _its_locks: Vec<_> = its_locks
            .map(
                |(n, its)| {
                    if n == 0 { Mutex::<P>::lock(&its.its_lock, ctx) } else { Mutex::lock_nested(&its.its_lock, ctx) }
                },
            )
            .collect();
        let index_locks = || {
            let list = spec.has_lpi_list_lock().then(|| Spin::<P>::lock_irqsave(&store.lpi_list_lock, ctx));
            let xa = spec.index.has_xarray().then(|| store.lpi_xa.lock_irqsave(ctx));
            (xa, list) // In the order in which they are dropped.
        };
        let index_first = spec.releases_outside_raw_locks();
        let _index_before = index_first.then(index_locks);
        let _queues: Vec<_> = self.vcpus.iter().map(|vcpu| vcpu.queue.hold(ctx, vcpu.id == 0)).collect();
        let _index_after = (!index_first).then(index_locks);

        let mut all = Vec::new();
        if spec.index.has_list() {
            all.extend(store.lpi_list.iter(ctx));
        } else {
            store.lpi_xa.for_each(ctx, 0, u32::MAX, |_, irq| all.push(irq));
        }
        self.vcpus.iter().for_each(|vcpu| vcpu.queue.for_each_kept(ctx, |irq| all.push(irq)));
        for its in &all_its {
            for device in its.device_list.iter(ctx) {
                all.extend(device.itt.iter(ctx).filter_map(|ite| ite.irq.get(ctx)));
            }
        }
        each_once(&mut all);
        all.iter().filter(|irq| <D::Queue<P>>::is_pending(spec, ctx, irq)).count() as u64
    }
}

/// Not of the VM, so that it is compiled once, not once a design.
fn each_once<P: Platform>(all: &mut Vec<Obj<Irq<P>>>) {
    all.sort_by_key(|irq| irq.as_ptr() as usize);
    all.dedup();
}
