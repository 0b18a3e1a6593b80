//! A look at every LPI from inside: who holds references on it, and what lists, index, tables and caches say of it. Looks
//! from outside, while others use the VM, are in [`look`].
//!
//! For a VM that nobody uses meanwhile: no lock is held from one step to the next. An LPI is told from another one by
//! the address of its object, since a design may have two of one INTID, or one that its index has lost.

pub mod look;

use crate::cache::{Cache, Key};
use crate::designs::{Design, Spec};
use crate::irq::Irq;
use crate::obj::Obj;
use crate::platform::{PlainCell, Platform, PointerCell};
use crate::queue::{LpiView, Queue};
use crate::vm::Vm;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// One LPI, and everything that leads to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LpiAudit {
    /// Its INTID.
    pub intid: u32,
    /// Its reference count.
    pub references: u32,
    /// The index of LPIs has it, under its own INTID.
    pub indexed: bool,
    /// How many events are mapped to it.
    pub mappings: u32,
    /// How many translations of it are cached.
    pub cached: u32,
    /// The vCPUs in whose queue it is.
    pub queues: Vec<u32>,
    /// Its state.
    pub view: LpiView,
    /// Its last reference went where it could not be released, and its release is still to come (`v6.17`).
    pub pending_release: bool,
}

/// An event that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingAudit {
    /// What a cached translation of it is found by.
    pub key: Key,
    /// The address of its LPI.
    pub lpi: usize,
}

/// All of a VM's LPIs.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// By the address of the object.
    pub lpis: BTreeMap<usize, LpiAudit>,
    /// Every event that is mapped to an LPI.
    pub mappings: Vec<MappingAudit>,
    /// Every cached translation: its key, and the address of the LPI that it leads to.
    pub cached: Vec<(Key, usize)>,
}

impl Audit {
    fn lpi<P: Platform, Q: Queue<P>>(&mut self, spec: &Spec, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> (usize, &mut LpiAudit) {
        let address = irq.as_ptr() as usize;
        let lpi = self.lpis.entry(address).or_insert_with(|| LpiAudit {
            intid: irq.intid.get(ctx),
            references: irq.refcount.read(ctx),
            view: Q::view(spec, ctx, &irq),
            pending_release: irq.pending_release.get(ctx),
            ..LpiAudit::default()
        });
        (address, lpi)
    }
}

impl<P: Platform, D: Design> Vm<P, D> {
    /// Looks at every LPI that anything leads to. Nobody else uses the VM meanwhile.
    pub fn audit(&self, ctx: &P::Ctx) -> Audit {
        let mut audit = Audit::default();
        let store = &self.dist.store;
        if self.spec().index.has_list() {
            for irq in store.lpi_list.iter(ctx) {
                audit.lpi::<P, D::Queue<P>>(self.spec(), ctx, irq).1.indexed = true;
            }
        } else {
            store.lpi_xa.for_each(ctx, 0, u32::MAX, |intid, irq| {
                let lpi = audit.lpi::<P, D::Queue<P>>(self.spec(), ctx, irq).1;
                lpi.indexed = lpi.intid == intid;
            });
        }
        for vcpu in &self.vcpus {
            <D::Queue<P>>::for_each(self, ctx, vcpu, |irq| {
                audit.lpi::<P, D::Queue<P>>(self.spec(), ctx, irq).1.queues.push(vcpu.id);
            });
        }
        for its in self.its_list(ctx) {
            for device in its.device_list.iter(ctx) {
                for ite in device.itt.iter(ctx) {
                    let Some(irq) = ite.irq.get(ctx) else { continue };
                    let (address, lpi) = audit.lpi::<P, D::Queue<P>>(self.spec(), ctx, irq);
                    lpi.mappings += 1;
                    let (device_id, event_id) = (device.device_id.get(ctx), ite.event_id.get(ctx));
                    let key = Key { doorbell: its.doorbell(), device_id, event_id };
                    audit.mappings.push(MappingAudit { key, lpi: address });
                }
            }
        }
        self.dist.cache.for_each(self, ctx, |key, irq| {
            let (address, lpi) = audit.lpi::<P, D::Queue<P>>(self.spec(), ctx, irq);
            lpi.cached += 1;
            audit.cached.push((key, address));
        });
        audit
    }
}
