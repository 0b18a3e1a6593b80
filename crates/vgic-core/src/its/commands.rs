//! The ITS commands (Arm IHI 0069, 5.3), as KVM executes them: under `cmd_lock`, each under `its_lock`.
//!
//! The order of the steps is the kernel's, also where it matters only to who looks without the lock: DISCARD empties
//! the cache before it drops the ITE's reference, MOVI after it has changed the ITE.

use super::Its;
use super::error::{CommandError, ItsError};
use super::resolve::Unresolved;
use crate::cache::Cache;
use crate::designs::{Design, Forgets, Mapc, MapcOff, Movall};
use crate::irq::{FIRST_LPI, NO_VCPU};
use crate::platform::{Event, PlainCell, Platform, PointerCell};
use crate::queue::Queue;
use crate::vm::Vm;

/// Most EventID bits of a device (`GITS_TYPER.ID_bits` + 1).
pub const MAX_EVENT_BITS: u32 = 16;

/// DeviceID bits (`GITS_TYPER.Devbits` + 1).
pub const DEVICE_BITS: u32 = 16;

/// A command with its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    /// Map or unmap a device; `event_bits` is 1 to 32 as the size field holds one less.
    Mapd { device_id: u32, event_bits: u32, itt_addr: u64, valid: bool },
    /// Map or unmap a collection.
    Mapc { collection_id: u32, vcpu: u32, valid: bool },
    /// Map an event to an LPI.
    Mapti { device_id: u32, event_id: u32, intid: u32, collection_id: u32 },
    /// Map an event to the LPI of the same number.
    Mapi { device_id: u32, event_id: u32, collection_id: u32 },
    /// Move an event to another collection.
    Movi { device_id: u32, event_id: u32, collection_id: u32 },
    /// Move all LPIs of a vCPU.
    Movall { from_vcpu: u32, to_vcpu: u32 },
    /// Unmap an event.
    Discard { device_id: u32, event_id: u32 },
    /// Clear the pending state.
    Clear { device_id: u32, event_id: u32 },
    /// Send the event.
    Int { device_id: u32, event_id: u32 },
    /// Read an LPI's configuration again.
    Inv { device_id: u32, event_id: u32 },
    /// Read the configuration of a collection's LPIs again.
    Invall { collection_id: u32 },
    /// Wait for earlier commands; each is done when it returns.
    Sync { vcpu: u32 },
}

impl<P: Platform, D: Design> Vm<P, D> {
    /// Executes a command.
    pub fn command(&self, ctx: &P::Ctx, its: &Its<P>, command: Command) -> Result<(), CommandError> {
        self.as_command(ctx, its, || self.command_locked(ctx, its, command))
    }

    fn command_locked(&self, ctx: &P::Ctx, its: &Its<P>, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Mapd { device_id, event_bits, itt_addr, valid } => {
                self.mapd(ctx, its, device_id, event_bits, itt_addr, valid)
            }
            Command::Mapc { collection_id, vcpu, valid } => self.mapc(ctx, its, collection_id, vcpu, valid),
            Command::Mapti { device_id, event_id, intid, collection_id } => {
                self.mapti(ctx, its, device_id, event_id, intid, collection_id)
            }
            Command::Mapi { device_id, event_id, collection_id } => {
                self.mapti(ctx, its, device_id, event_id, event_id, collection_id)
            }
            Command::Movi { device_id, event_id, collection_id } => {
                self.movi(ctx, its, device_id, event_id, collection_id)
            }
            Command::Movall { from_vcpu, to_vcpu } => self.movall(ctx, its, from_vcpu, to_vcpu),
            Command::Discard { device_id, event_id } => self.discard(ctx, its, device_id, event_id),
            Command::Clear { device_id, event_id } => self.clear(ctx, its, device_id, event_id),
            Command::Int { device_id, event_id } => self.int(ctx, its, device_id, event_id),
            Command::Inv { device_id, event_id } => self.inv(ctx, its, device_id, event_id),
            Command::Invall { collection_id } => self.invall(ctx, its, collection_id),
            Command::Sync { vcpu: _ } => Ok(()),
        }
    }

    fn mapd(
        &self,
        ctx: &P::Ctx,
        its: &Its<P>,
        device_id: u32,
        event_bits: u32,
        itt_addr: u64,
        valid: bool,
    ) -> Result<(), CommandError> {
        if device_id >> DEVICE_BITS != 0 || !self.tables.device_id_valid(its.index, device_id) {
            return Err(ItsError::MapdDeviceOor.into());
        }
        if valid && event_bits > MAX_EVENT_BITS {
            return Err(ItsError::MapdIttsizeOor.into());
        }
        // Mapping a device again unmaps it first.
        if let Some(device) = its.find_device(ctx, device_id) {
            self.free_device(ctx, its, device);
        }
        if valid {
            its.alloc_device(ctx, device_id, itt_addr, event_bits)?;
        }
        Ok(())
    }

    fn mapc(&self, ctx: &P::Ctx, its: &Its<P>, collection_id: u32, vcpu: u32, valid: bool) -> Result<(), CommandError> {
        if (valid || self.spec().mapc_off == MapcOff::ChecksVcpu) && vcpu as usize >= self.vcpus.len() {
            return Err(ItsError::MapcProcnumOor.into());
        }
        if !valid {
            self.free_collection(ctx, its, collection_id);
            self.dist.cache.invalidate(self, ctx, its);
            return Ok(());
        }
        match its.find_collection(ctx, collection_id) {
            None => {
                if !self.tables.collection_id_valid(its.index, collection_id) {
                    return Err(ItsError::MapcCollectionOor.into());
                }
                its.alloc_collection(ctx, collection_id)?.target_addr.set(ctx, vcpu);
            }
            Some(collection) => {
                collection.target_addr.set(ctx, vcpu);
                // The target is in the LPI, so cached translations stay right, unless the new vCPU has its LPIs off.
                for device in its.device_list.iter(ctx) {
                    for ite in device.itt.iter(ctx).filter(|ite| ite.collection.get(ctx) == Some(collection)) {
                        if let Some(irq) = ite.irq.get(ctx) {
                            D::Queue::retarget(self, ctx, irq, None, vcpu);
                        }
                    }
                }
                if self.spec().mapc == Mapc::EmptiesCache && !self.vcpus[vcpu as usize].lpis_enabled(ctx) {
                    self.dist.cache.invalidate(self, ctx, its);
                }
            }
        }
        Ok(())
    }

    fn mapti(
        &self,
        ctx: &P::Ctx,
        its: &Its<P>,
        device_id: u32,
        event_id: u32,
        intid: u32,
        collection_id: u32,
    ) -> Result<(), CommandError> {
        let device = its.find_device(ctx, device_id).ok_or(ItsError::MaptiUnmappedDevice)?;
        if !self.event_id_valid(ctx, device, event_id) {
            return Err(ItsError::MaptiIdOor.into());
        }
        if intid < FIRST_LPI || intid >= self.tables.intid_limit() {
            return Err(ItsError::MaptiPhysicalidOor.into());
        }
        // An event that is mapped keeps its mapping.
        if its.find_ite(ctx, device_id, event_id).is_some() {
            return Ok(());
        }
        let (collection, is_new) = match its.find_collection(ctx, collection_id) {
            Some(collection) => (collection, false),
            None if !self.tables.collection_id_valid(its.index, collection_id) => {
                return Err(ItsError::MapcCollectionOor.into());
            }
            None => (its.alloc_collection(ctx, collection_id)?, true),
        };
        let undo = |error: CommandError| {
            if is_new {
                its.free_unused_collection(ctx, collection);
            }
            error
        };
        let ite = self.alloc_ite(ctx, device, Some(collection), event_id).map_err(|error| undo(error.into()))?;
        match self.add_lpi(ctx, intid, collection.target(ctx).unwrap_or(NO_VCPU)) {
            Ok(irq) => {
                ite.irq.set(ctx, Some(irq));
                Ok(())
            }
            Err(error) => {
                self.free_ite(ctx, device, ite);
                Err(undo(error.into()))
            }
        }
    }

    fn movi(
        &self,
        ctx: &P::Ctx,
        its: &Its<P>,
        device_id: u32,
        event_id: u32,
        collection_id: u32,
    ) -> Result<(), CommandError> {
        let ite = its.find_ite(ctx, device_id, event_id).ok_or(ItsError::MoviUnmappedInterrupt)?;
        if ite.target(ctx).is_none() {
            return Err(ItsError::MoviUnmappedCollection.into());
        }
        let collection = its.find_collection(ctx, collection_id).ok_or(ItsError::MoviUnmappedCollection)?;
        let vcpu = collection.target(ctx).ok_or(ItsError::MoviUnmappedCollection)?;
        ite.collection.set(ctx, Some(collection));
        if self.moves_make_stale(ctx, vcpu) {
            self.dist.cache.forget(self, ctx, its, device_id, Some(event_id));
        }
        if let Some(irq) = ite.irq.get(ctx) {
            D::Queue::retarget(self, ctx, irq, None, vcpu);
        }
        Ok(())
    }

    /// Whether translations are thrown out that now lead to an LPI of `vcpu`. They are right, as the target is in the LPI, but
    /// a hit does not look whether LPIs are off. (Who turns them off empties the caches behind it, under `its_lock`.)
    fn moves_make_stale(&self, ctx: &P::Ctx, vcpu: u32) -> bool {
        self.spec().per_its().forgets == Forgets::Everything || !self.vcpus[vcpu as usize].lpis_enabled(ctx)
    }

    fn movall(&self, ctx: &P::Ctx, its: &Its<P>, from_vcpu: u32, to_vcpu: u32) -> Result<(), CommandError> {
        if from_vcpu as usize >= self.vcpus.len() || to_vcpu as usize >= self.vcpus.len() {
            return Err(ItsError::MovallProcnumOor.into());
        }
        if from_vcpu == to_vcpu {
            return Ok(());
        }
        let only_from = (self.spec().movall == Movall::OfSource).then_some(from_vcpu);
        self.halted(ctx, || {
            self.for_each_lpi(ctx, from_vcpu, |irq| D::Queue::retarget(self, ctx, irq, only_from, to_vcpu));
            if self.moves_make_stale(ctx, to_vcpu) {
                self.dist.cache.invalidate(self, ctx, its);
            }
        });
        Ok(())
    }

    fn discard(&self, ctx: &P::Ctx, its: &Its<P>, device_id: u32, event_id: u32) -> Result<(), CommandError> {
        let device = its.find_device(ctx, device_id).ok_or(ItsError::DiscardUnmappedInterrupt)?;
        let ite = its.find_ite(ctx, device_id, event_id).ok_or(ItsError::DiscardUnmappedInterrupt)?;
        if ite.target(ctx).is_none() {
            return Err(ItsError::DiscardUnmappedInterrupt.into());
        }
        self.dist.cache.forget(self, ctx, its, device_id, Some(event_id));
        self.free_ite(ctx, device, ite);
        Ok(())
    }

    fn clear(&self, ctx: &P::Ctx, its: &Its<P>, device_id: u32, event_id: u32) -> Result<(), CommandError> {
        let ite = its.find_ite(ctx, device_id, event_id).ok_or(ItsError::ClearUnmappedInterrupt)?;
        if let Some(irq) = ite.irq.get(ctx) {
            D::Queue::clear(self, ctx, irq);
        }
        Ok(())
    }

    fn int(&self, ctx: &P::Ctx, its: &Its<P>, device_id: u32, event_id: u32) -> Result<(), CommandError> {
        P::count(ctx, Event::Sent);
        self.trigger_msi(ctx, its, device_id, event_id).map_err(|unresolved| {
            P::count(ctx, Event::Dropped);
            match unresolved {
                Unresolved::Unmapped => ItsError::IntUnmappedInterrupt.into(),
                Unresolved::Busy => CommandError::Busy,
            }
        })
    }

    fn inv(&self, ctx: &P::Ctx, its: &Its<P>, device_id: u32, event_id: u32) -> Result<(), CommandError> {
        let ite = its.find_ite(ctx, device_id, event_id).ok_or(ItsError::InvUnmappedInterrupt)?;
        match ite.irq.get(ctx) {
            Some(irq) => Ok(self.update_lpi_config(ctx, irq, None)?),
            None => Ok(()),
        }
    }

    fn invall(&self, ctx: &P::Ctx, its: &Its<P>, collection_id: u32) -> Result<(), CommandError> {
        let collection = its.find_collection(ctx, collection_id);
        let vcpu = collection.and_then(|c| c.target(ctx)).ok_or(ItsError::InvallUnmappedCollection)?;
        self.reload_lpi_configs(ctx, vcpu);
        Ok(())
    }
}
