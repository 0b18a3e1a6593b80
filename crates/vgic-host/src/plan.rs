//! [`Plan`]: what VM to make, and whether there is room for its frames.

use crate::guest_tables::GuestLpiTables;
use crate::host::{Host, Tables};
use crate::memory::{ADDRESS_LIMIT, GuestMemory};
use crate::refused::{Refused, check_design, in_range};
use crate::tables::{FlatTables, Shared};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, RwLock};
use vgic_core::bus::{DISTRIBUTOR_SIZE, Frames, ITS_SIZE, MAX_ITS, REDISTRIBUTOR_SIZE, REDISTRIBUTORS};
use vgic_core::tables::GuestTables;
use vgic_core::vcpu::MAX_LIST_REGISTERS;
use vgic_core::vm::MAX_VCPUS;
use vgic_core::{Design, Vm};
use vgic_native::{NativeCtx, fork};

/// Guest physical base of the first ITS, as in QEMU's `virt` machine.
pub const ITS_BASE: u64 = 0x0808_0000;

/// Distributor and redistributors are aligned to this.
const FRAME_ALIGNMENT: u64 = 64 << 10;
/// An ITS may be at any page: QEMU's `sbsa-ref` has its own at 0x44081000.
const ITS_ALIGNMENT: u64 = 4 << 10;

/// The usual base of ITS `index` in a VM of `vcpus` vCPUs; further ones lie behind the redistributors.
pub fn its_base(index: usize, vcpus: u32) -> u64 {
    match index as u64 {
        0 => ITS_BASE,
        n => REDISTRIBUTORS + u64::from(vcpus) * REDISTRIBUTOR_SIZE + (n - 1) * ITS_SIZE,
    }
}

/// What VM to make.
#[derive(Clone)]
pub struct Plan<'a> {
    /// Name of the design.
    pub design: &'a str,
    /// Number of vCPUs.
    pub vcpus: u32,
    /// List registers of each.
    pub list_registers: usize,
    /// Where distributor and redistributors are.
    pub frames: Frames,
    /// Where the ITSes are.
    pub its: &'a [u64],
    /// Where the LPI tables are; without it, in tables of the host's own.
    pub memory: Option<Arc<GuestMemory>>,
    /// Run an unsound design, and no design with care.
    pub allow_unsound: bool,
}

impl Plan<'_> {
    /// Makes a VM with its distributor on, ITSes and LPIs off.
    pub fn host(&self, ctx: &NativeCtx) -> Result<Host, Refused> {
        let design = check_design(self.design, self.allow_unsound)?;
        in_range("vcpus", u64::from(self.vcpus), 1, u64::from(MAX_VCPUS))?;
        in_range("list_registers", self.list_registers as u64, 1, MAX_LIST_REGISTERS as u64)?;
        in_range("its", self.its.len() as u64, 0, MAX_ITS as u64)?;
        check_frames(self)?;
        let (tables, handle): (_, Box<dyn GuestTables>) = match &self.memory {
            None => {
                let tables = FlatTables::new(self.vcpus);
                (Tables::Flat(Arc::clone(&tables)), Box::new(Shared(tables)))
            }
            Some(memory) => {
                let tables = GuestLpiTables::new(Arc::clone(memory), self.vcpus, self.its.len());
                (Tables::Guest(Arc::clone(&tables)), Box::new(Shared(tables)))
            }
        };
        let careful = design.spec().has_control_races() && !self.allow_unsound;
        let control = careful.then(|| RwLock::new(()));
        let vm = Vm::with_frames(design, ctx, self.vcpus, self.list_registers, self.frames.clone(), handle)?;
        let present = (0..self.vcpus).map(|_| AtomicBool::new(true)).collect();
        let mut host =
            Host { vm, its: Vec::new(), tables, control, present, process: fork::process(), told: OnceLock::new() };
        for base in self.its {
            host.its.push(host.vm.add_its(ctx, *base)?);
        }
        Ok(host)
    }
}

/// Makes a VM with its distributor on, ITSes and LPIs off; everything is at its usual place.
pub fn new_host(
    ctx: &NativeCtx,
    design: &str,
    vcpus: u32,
    list_registers: usize,
    its_count: usize,
    allow_unsound: bool,
) -> Result<Host, Refused> {
    let its: Vec<_> = (0..its_count).map(|index| its_base(index, vcpus)).collect();
    let frames = Frames::default();
    Plan { design, vcpus, list_registers, frames, its: &its, memory: None, allow_unsound }.host(ctx)
}

/// Checks that frames are aligned, below the highest address, and apart, from each other and from guest memory. (Memory
/// that is mapped later is its owner's business.)
fn check_frames(plan: &Plan<'_>) -> Result<(), Refused> {
    let mut frames = vec![("distributor", plan.frames.distributor, DISTRIBUTOR_SIZE)];
    let mut left = plan.vcpus;
    for region in &plan.frames.redistributors {
        let taken = region.count.min(left);
        left -= taken;
        if taken > 0 {
            frames.push(("redistributors", region.base, u64::from(taken) * REDISTRIBUTOR_SIZE));
        }
    }
    if left > 0 {
        return Err(Refused::NoRoom(plan.vcpus - left, plan.vcpus));
    }
    frames.extend(plan.its.iter().map(|base| ("its", *base, ITS_SIZE)));
    for &(what, base, size) in &frames {
        let alignment = if what == "its" { ITS_ALIGNMENT } else { FRAME_ALIGNMENT };
        if base % alignment != 0 {
            return Err(Refused::Unaligned(what, base, alignment));
        }
        if base.checked_add(size).is_none_or(|end| end > ADDRESS_LIMIT) {
            return Err(Refused::TooHigh(what, base));
        }
    }
    if let Some(memory) = &plan.memory {
        frames.extend(memory.regions().iter().map(|region| ("guest memory", region.address, region.size)));
    }
    frames.sort_by_key(|(_, base, _)| *base);
    for pair in frames.windows(2) {
        let [(what, base, size), (other, other_base, _)] = [pair[0], pair[1]];
        if base + size > other_base {
            return Err(Refused::Overlap(what, base, other, other_base));
        }
    }
    Ok(())
}
