//! EnableLPIs, the LPI configuration table, and the pending tables.

use super::{ENABLE_LPIS, RWP, Vcpu};
use crate::designs::{ConfigRead, Design, LoadPending, LpisOff, Save, TableBit};
use crate::guard::{Mutex, Rcu, Spin};
use crate::irq::{FIRST_LPI, INTID_LIMIT, Irq, NO_VCPU};
use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, PlainCell, Platform, Work};
use crate::tables::Fault;
use crate::vm::Vm;

/// Byte and bit of an LPI in a pending table.
fn pending_bit(intid: u32) -> (u32, u8) {
    (intid / 8, 1 << (intid % 8))
}

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
        let lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
        if only_target.is_none_or(|target| irq.target_vcpu.get(ctx) == target) {
            irq.priority.set(ctx, byte & 0xfc);
            irq.enabled.set(ctx, byte & 1 != 0);
            self.queue_irq_unlock(ctx, irq, lock);
        }
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
            let target = irq.target_vcpu.get(ctx);
            if target == NO_VCPU {
                return Ok(());
            }
            P::work(ctx, Work::GuestAccess);
            let byte = self.tables.pending_byte(target, offset)?;
            let lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
            if irq.target_vcpu.get(ctx) != target {
                continue;
            }
            let pending = byte & bit != 0;
            self.load_bit(ctx, irq, pending);
            self.queue_irq_unlock(ctx, irq, lock);
            if pending {
                P::work(ctx, Work::GuestAccess);
                self.tables.set_pending_byte(target, offset, byte & !bit)?;
            }
            return Ok(());
        }
    }

    /// Takes a bit of a pending table (`irq_lock` held).
    fn load_bit(&self, ctx: &P::Ctx, irq: Obj<Irq<P>>, pending: bool) {
        if pending || self.spec().table_bit == TableBit::Replaces {
            irq.load_pending(ctx, pending);
        }
    }

    /// Writes `GICR_CTLR.EnableLPIs` of a vCPU. `load_pending` is false with `GICR_PENDBASER.PTZ`.
    pub fn set_lpis_enabled(
        &self,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P>,
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
            if self.spec().lpis_off == LpisOff::ClearAndPrune {
                // Caches first, so that but for sends in flight nothing is queued behind the clearing.
                self.invalidate_switched_off(ctx);
                self.clear_pending_lpis(ctx, vcpu);
                self.prune_ap_list(ctx, vcpu);
            } else {
                self.flush_pending_lpis(ctx, vcpu);
                self.invalidate_switched_off(ctx);
            }
            // Release: who reads that RWP is clear finds nothing queued and nothing cached; pairs with the acquire in
            // gicr_ctlr (O-05).
            vcpu.ctlr.store(ctx, 0, Order::Release(Pair::EnableInvalidate));
            P::rcu_throttle(ctx);
        }
        Ok(())
    }

    /// `its_sync_lpi_pending_table`. From 6.10 it reads the byte of every LPI and queues every LPI, whoever it targets.
    fn load_pending_table(&self, ctx: &P::Ctx, vcpu: &Vcpu<P>) -> Result<(), Fault> {
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
            let lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
            if self.spec().load_pending == LoadPending::Walked || irq.target_vcpu.get(ctx) == vcpu.id {
                self.load_bit(ctx, irq, byte & bit != 0);
            }
            self.queue_irq_unlock(ctx, irq, lock);
        });
        result
    }

    /// `vgic_flush_pending_lpis`: everything leaves the `ap_list`.
    fn flush_pending_lpis(&self, ctx: &P::Ctx, vcpu: &Vcpu<P>) {
        let mut deleted = false;
        {
            let _lock = Spin::<P>::lock_irqsave(&vcpu.ap_list_lock, ctx);
            for irq in vcpu.ap_list.iter(ctx) {
                {
                    let _irq_lock = Spin::<P>::lock(&irq.irq_lock, ctx);
                    vcpu.ap_list.del(ctx, irq);
                    irq.vcpu.set(ctx, NO_VCPU);
                    if self.spec().lpis_off != LpisOff::Unqueue {
                        irq.drop_pending(ctx);
                    }
                }
                deleted |= self.put_irq_norelease(ctx, irq);
            }
        }
        if deleted {
            self.release_deleted_lpis(ctx);
        }
    }

    /// Every LPI that targets the vCPU loses its pending state, also one that is masked and therefore not queued: a bit
    /// of the pending table only ever adds.
    fn clear_pending_lpis(&self, ctx: &P::Ctx, vcpu: &Vcpu<P>) {
        self.for_each_lpi(ctx, vcpu.id, |irq| {
            let _lock = Spin::<P>::lock_irqsave(&irq.irq_lock, ctx);
            if irq.target_vcpu.get(ctx) == vcpu.id {
                irq.drop_pending(ctx);
            }
        });
    }

    /// Writes the pending states to the pending tables (`vgic_v3_save_pending_tables`). Waits until no vCPU runs; the
    /// caller excludes commands, since designs before 7.1.8 hold no references here.
    pub fn save_pending_tables(&self, ctx: &P::Ctx) -> Result<(), Fault> {
        let _stopped = self.run_all_vcpus(ctx);
        let mut last: Option<(u32, u32, u8)> = None;
        let mut save = |irq: Obj<Irq<P>>| {
            let target = irq.target_vcpu.get(ctx);
            if target == NO_VCPU {
                return Ok(());
            }
            let (offset, bit) = pending_bit(irq.intid.get(ctx));
            let stored = match last {
                Some((vcpu, at, byte)) if (vcpu, at) == (target, offset) => byte,
                _ => {
                    P::work(ctx, Work::GuestAccess);
                    self.tables.pending_byte(target, offset)?
                }
            };
            let wanted = if irq.is_pending(ctx) { stored | bit } else { stored & !bit };
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
                store.lpi_xa.find(ctx, &rcu, from, INTID_LIMIT - 1).map(|(intid, irq)| {
                    let held = self.spec().save != Save::XArrayReferenced || irq.refcount.get_unless_zero(ctx);
                    (intid, irq, held)
                })
            };
            let Some((intid, irq, held)) = found else { return Ok(()) };
            from = intid + 1;
            if held {
                let result = save(irq);
                if self.spec().save == Save::XArrayReferenced {
                    self.put_irq(ctx, irq);
                }
                result?;
            }
        }
    }
}
