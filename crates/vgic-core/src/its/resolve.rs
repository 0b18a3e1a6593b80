//! `vgic_its_resolve_lpi`: the table walk (`its_lock` held).

use super::Its;
use crate::designs::Design;
use crate::irq::Irq;
use crate::obj::Obj;
use crate::platform::{Platform, PointerCell};
use crate::vm::Vm;

/// Why there is no LPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The ITS or the target's LPIs are disabled.
    Busy,
    /// No mapping, or its collection is not mapped.
    Unmapped,
}

impl<P: Platform, D: Design> Vm<P, D> {
    pub(crate) fn resolve_lpi(
        &self,
        ctx: &P::Ctx,
        its: &Its<P>,
        device_id: u32,
        event_id: u32,
    ) -> Result<Obj<Irq<P>>, Unresolved> {
        if !its.is_enabled(ctx) {
            return Err(Unresolved::Busy);
        }
        let ite = its.find_ite(ctx, device_id, event_id).ok_or(Unresolved::Unmapped)?;
        let target = ite.target(ctx).ok_or(Unresolved::Unmapped)?;
        let vcpu = self.vcpus.get(target as usize).ok_or(Unresolved::Unmapped)?;
        if !vcpu.lpis_enabled(ctx) {
            return Err(Unresolved::Busy);
        }
        ite.irq.get(ctx).ok_or(Unresolved::Unmapped)
    }
}
