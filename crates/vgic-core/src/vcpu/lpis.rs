//! EnableLPIs, the LPI configuration table, and the pending tables.

use super::{ENABLE_LPIS, RWP, Vcpu};
use crate::designs::{ConfigRead, Design, LoadPending, LpisOff, Save};
use crate::guard::{Mutex, Rcu};
use crate::irq::{FIRST_LPI, Irq};
use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, PlainCell, Platform, Work};
use crate::queue::{Applies, Queue};
use crate::tables::{Fault, pending_bit};
use crate::vm::Vm;

impl<P: Platform, D: Design> Vm<P, D> {
    /// Reads an LPI's configuration byte and queues it if it has become deliverable (`update_lpi_config`); with
    /// `only_target`, applies it only if the LPI targets that vCPU.
    pub(crate) fn update_lpi_config(
        &self,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        only_target: Option<u32>,
    ) -> Result<(), Fault> {
        // So that of two at once, the one that read later applies later.
        let locked = self.spec().config_read == ConfigRead::Locked;
        let _config_lock = locked.then(|| Mutex::<P>::lock(&self.dist.lpi_config_lock, ctx));
        P::work(ctx, Work::GuestAccess);
        let byte = self.tables.config(irq.intid.get(ctx))?;
        D::Queue::configure(self, ctx, irq, byte, only_target);
        Ok(())
    }

    /// INVALL of a vCPU (`vgic_its_invall`, `GICR_INVALLR`). An LPI whose byte cannot be read keeps its configuration.
    pub fn reload_lpi_configs(&self, ctx: &P::Ctx, vcpu: u32) {
        self.for_each_lpi(ctx, vcpu, |irq| {
            let _ = self.update_lpi_config(ctx, irq, Some(vcpu));
        });
    }

    /// Reads one LPI's configuration again (`GICR_INVLPIR`).
    pub fn reload_lpi_config(&self, ctx: &P::Ctx, intid: u32) -> Result<(), Fault> {
        match self.get_irq(ctx, intid) {
            Some(irq) => {
                let result = self.update_lpi_config(ctx, irq, None);
                self.put_irq(ctx, irq);
                result
            }
            None => Ok(()),
        }
    }

    /// At map time: takes the LPI's bit from its target's pending table (`vgic_v3_lpi_sync_pending_status`).
    pub(crate) fn load_pending_status(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> Result<(), Fault> {
        let (offset, bit) = pending_bit(irq.intid.get(ctx));
        loop {
            let Some(target) = <D::Queue<P>>::target(self.spec(), ctx, &irq) else { return Ok(()) };
            P::work(ctx, Work::GuestAccess);
            let byte = self.tables.pending_byte(target, offset)?;
            let pending = byte & bit != 0;
            if !D::Queue::load(self, ctx, irq, target, pending, Applies::ToTarget) {
                continue;
            }
            if pending {
                P::work(ctx, Work::GuestAccess);
                self.tables.set_pending_byte(target, offset, byte & !bit)?;
            }
            return Ok(());
        }
    }

    /// Writes `GICR_CTLR.EnableLPIs` of a vCPU. `load_pending` is false with `GICR_PENDBASER.PTZ`.
    pub fn set_lpis_enabled(
        &self,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, D::Queue<P>>,
        enabled: bool,
        load_pending: bool,
    ) -> Result<(), Fault> {
        // SeqCst: value-returning exchanges, as in the kernel; before the invalidation or the load of pending bits (O-05).
        let order = Order::SeqCst(Pair::EnableInvalidate);
        if enabled {
            if vcpu.ctlr.compare_exchange(ctx, 0, ENABLE_LPIS, order).is_ok() && load_pending {
                return self.load_pending_table(ctx, vcpu);
            }
        } else if vcpu.ctlr.compare_exchange(ctx, ENABLE_LPIS, RWP, order).is_ok() {
            self.halted(ctx, || self.switch_lpis_off(ctx, vcpu));
            P::rcu_throttle(ctx);
        }
        Ok(())
    }

    fn switch_lpis_off(&self, ctx: &P::Ctx, vcpu: &Vcpu<P, D::Queue<P>>) {
        // Caches first, so that but for sends in flight nothing is queued behind the clearing.
        let caches_first = self.spec().lpis_off == LpisOff::ClearAndPrune;
        if caches_first {
            self.invalidate_switched_off(ctx);
        }
        D::Queue::switch_off(self, ctx, vcpu);
        if !caches_first {
            self.invalidate_switched_off(ctx);
        }
        // Release: who reads that RWP is clear finds nothing queued and nothing cached; pairs with the acquire in
        // gicr_ctlr (O-05).
        vcpu.ctlr.store(ctx, 0, Order::Release(Pair::EnableInvalidate));
    }

    /// `its_sync_lpi_pending_table`. From 6.10 it reads the byte of every LPI and queues every LPI, whoever it targets.
    fn load_pending_table(&self, ctx: &P::Ctx, vcpu: &Vcpu<P, D::Queue<P>>) -> Result<(), Fault> {
        let mut result = Ok(());
        let mut last: Option<(u32, u8)> = None;
        self.for_each_lpi(ctx, vcpu.id, |irq| {
            if result.is_err() {
                return;
            }
            let (offset, bit) = pending_bit(irq.intid.get(ctx));
            let byte = match last {
                Some((at, byte)) if at == offset => byte,
                _ => {
                    P::work(ctx, Work::GuestAccess);
                    match self.tables.pending_byte(vcpu.id, offset) {
                        Ok(byte) => byte,
                        Err(fault) => {
                            result = Err(fault);
                            return;
                        }
                    }
                }
            };
            last = Some((offset, byte));
            let applies = match self.spec().load_pending {
                LoadPending::Walked => Applies::ToAny,
                LoadPending::OfTarget => Applies::ToTargetQueueAny,
            };
            D::Queue::load(self, ctx, irq, vcpu.id, byte & bit != 0, applies);
        });
        result
    }

    /// Writes the pending states to the pending tables (`vgic_v3_save_pending_tables`). Waits until no vCPU runs; the
    /// caller excludes commands, since designs up to 7.1.8 hold no references here.
    pub fn save_pending_tables(&self, ctx: &P::Ctx) -> Result<(), Fault> {
        let _stopped = self.run_all_vcpus(ctx);
        let mut last: Option<(u32, u32, u8)> = None;
        let mut save = |irq: Obj<Irq<P>>| {
            let Some(target) = <D::Queue<P>>::target(self.spec(), ctx, &irq) else { return Ok(()) };
            let (offset, bit) = pending_bit(irq.intid.get(ctx));
            let stored = match last {
                Some((vcpu, at, byte)) if (vcpu, at) == (target, offset) => byte,
                _ => {
                    P::work(ctx, Work::GuestAccess);
                    self.tables.pending_byte(target, offset)?
                }
            };
            let wanted = if <D::Queue<P>>::is_pending(self.spec(), ctx, &irq) { stored | bit } else { stored & !bit };
            if wanted != stored {
                P::work(ctx, Work::GuestAccess);
                self.tables.set_pending_byte(target, offset, wanted)?;
            }
            last = Some((target, offset, wanted));
            Ok(())
        };
        let store = &self.dist.store;
        if self.spec().save == Save::List {
            return store.lpi_list.iter(ctx).try_for_each(save);
        }
        let mut from = FIRST_LPI;
        loop {
            let found = {
                let rcu = Rcu::<P>::read_lock(ctx);
                store.lpi_xa.find(ctx, &rcu, from, self.tables.last_intid()).map(|(intid, irq)| {
                    let held = self.spec().save != Save::XArrayReferenced || irq.refcount.get_unless_zero(ctx);
                    (intid, irq, held)
                })
            };
            let Some((intid, irq, held)) = found else { return Ok(()) };
            if held {
                let result = save(irq);
                if self.spec().save == Save::XArrayReferenced {
                    self.put_irq(ctx, irq);
                }
                result?;
            }
            let Some(next) = intid.checked_add(1) else { return Ok(()) };
            from = next;
        }
    }
}
