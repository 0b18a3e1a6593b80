//! In which function of the kernel a step is, as far as the log tells.
//!
//! The engine has the kernel's functions, in the kernel's order, but a log has only what they touch. It is enough: a
//! function begins with a step that the one before it does not make, so what an operation has done so far says where it
//! is. A step that calls another function counts as the caller's where that says more: a put is a line of its own
//! anyway. Names are those of 6.12; what only `hardened` does is in the function that it does it in.

use crate::platform::field::Field;
use crate::platform::log::{Did, Line};

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    /// A send, or INT.
    Send,
    Map,
    /// DISCARD, MAPD.
    Unmap,
    /// MOVI, MOVALL, MAPC.
    Move,
    /// INV, INVALL, and the registers that do the same.
    Configure,
    LpisOn,
    LpisOff,
    ItsSwitch,
    Run,
    /// All of it is one function, or none of the kernel's.
    Other,
}

/// How an operation begins in a story, and where it comes into the kernel's code.
const OPERATIONS: &[(&str, Operation, &str)] = &[
    ("sends event ", Operation::Send, "vgic_its_inject_msi"),
    ("INT ", Operation::Send, "vgic_its_cmd_handle_int"),
    ("MAPTI ", Operation::Map, "vgic_its_cmd_handle_mapi"),
    ("MAPI ", Operation::Map, "vgic_its_cmd_handle_mapi"),
    ("MAPD ", Operation::Unmap, "vgic_its_cmd_handle_mapd"),
    ("DISCARD ", Operation::Unmap, "vgic_its_cmd_handle_discard"),
    ("MAPC ", Operation::Move, "vgic_its_cmd_handle_mapc"),
    ("MOVI ", Operation::Move, "vgic_its_cmd_handle_movi"),
    ("MOVALL ", Operation::Move, "vgic_its_cmd_handle_movall"),
    ("CLEAR ", Operation::Other, "vgic_its_cmd_handle_clear"),
    ("INV ", Operation::Configure, "vgic_its_cmd_handle_inv"),
    ("INVALL ", Operation::Configure, "vgic_its_cmd_handle_invall"),
    ("GICR_INVALLR", Operation::Configure, "vgic_mmio_write_invall"),
    ("GICR_INVLPIR", Operation::Configure, "vgic_mmio_write_invlpi"),
    ("GICR_CTLR.EnableLPIs = 1", Operation::LpisOn, "vgic_mmio_write_v3r_ctlr"),
    ("GICR_CTLR.EnableLPIs = 0", Operation::LpisOff, "vgic_mmio_write_v3r_ctlr"),
    ("GITS_CTLR.Enabled", Operation::ItsSwitch, "vgic_mmio_write_its_ctlr"),
    ("GICD_CTLR.EnableGrp1", Operation::Other, "vgic_mmio_write_v3_misc"),
    ("saves the pending tables", Operation::Other, "vgic_v3_save_pending_tables"),
    ("runs ", Operation::Run, "kvm_arch_vcpu_ioctl_run"),
    ("enters and leaves the guest ", Operation::Run, "kvm_arch_vcpu_ioctl_run"),
    ("lets all vCPUs take ", Operation::Run, "kvm_arch_vcpu_ioctl_run"),
    ("blocks", Operation::Other, "kvm_vcpu_block"),
];

const CHECK: &str = "vgic_its_check_cache";
const HIT: &str = "vgic_its_inject_cached_translation";
const TO_ITS: &str = "vgic_msi_to_its";
const RESOLVE: &str = "vgic_its_resolve_lpi";
const INSERT: &str = "vgic_its_cache_translation";
const TRIGGER: &str = "vgic_its_trigger_msi";
const QUEUE: &str = "vgic_queue_irq_unlock";
const ADD: &str = "vgic_add_lpi";
const CONFIG: &str = "update_lpi_config";
const PENDING: &str = "vgic_v3_lpi_sync_pending_status";
const FREE_ITE: &str = "its_free_ite";
const INVALIDATE: &str = "vgic_its_invalidate_cache";
const AFFINITY: &str = "update_affinity";
const SYNC_TABLE: &str = "its_sync_lpi_pending_table";
const FLUSH_PENDING: &str = "vgic_flush_pending_lpis";
const FLUSH: &str = "vgic_flush_lr_state";
const FOLD: &str = "vgic_v3_fold_lr_state";
const PRUNE: &str = "vgic_prune_ap_list";

/// The functions of the lines of a log, one for each; empty where there is none.
pub(super) fn functions(log: &[Line], threads: usize) -> Vec<&'static str> {
    let mut places = vec![Place { operation: Operation::Other, entry: "", now: "", cached: false }; threads];
    let mut found: Vec<_> = log
        .iter()
        .map(|line| {
            let before = places[line.thread].now;
            places[line.thread].step(&line.did);
            // What came of a look at the cache is known where it was looked.
            if matches!(line.did, Did::Event(_)) { before } else { places[line.thread].now }
        })
        .collect();
    // A lock belongs to what is done under it.
    for at in (0..log.len()).rev() {
        if matches!(log[at].did, Did::Lock(_) | Did::Section(_)) {
            let next = (at + 1..log.len()).find(|next| log[*next].thread == log[at].thread);
            if let Some(next) = next.filter(|next| !matches!(log[*next].did, Did::Note(_))) {
                found[at] = found[next];
            }
        }
    }
    found
}

/// Where a thread is.
#[derive(Clone, Copy, Debug)]
struct Place {
    operation: Operation,
    entry: &'static str,
    now: &'static str,
    /// Whether the operation has looked at a translation cache.
    cached: bool,
}

impl Place {
    fn step(&mut self, did: &Did) {
        if let Did::Note(what) = did {
            let known = OPERATIONS.iter().find(|(begins, ..)| what.starts_with(begins));
            let (operation, entry) = known.map_or((Operation::Other, ""), |(_, operation, entry)| (*operation, *entry));
            *self = Place { operation, entry, now: entry, cached: false };
            return;
        }
        let returns = matches!(did, Did::Unlock(field) if ["mutex", "cmd_lock", "its_lock"].contains(&field.name));
        let to = match self.operation {
            _ if returns => Some(self.entry),
            Operation::Send => self.sends(did),
            Operation::Map => self.maps(did),
            Operation::Unmap => self.unmaps(did),
            Operation::Move => self.moves(did),
            Operation::Configure => self.configures(did),
            Operation::LpisOn => self.switches_on(did),
            Operation::LpisOff => self.switches_off(did),
            Operation::ItsSwitch => touches_cache(did).then_some(INVALIDATE),
            Operation::Run => self.runs(did),
            Operation::Other => None,
        };
        self.cached |= touches_cache(did) || matches!(did, Did::Event("the cache hits" | "the cache misses"));
        self.now = to.unwrap_or(self.now);
    }

    fn sends(&self, did: &Did) -> Option<&'static str> {
        let inserts = touches_cache(did) || takes_reference(did) || locks(did, "lpi_list_lock");
        match self.now {
            "vgic_its_cmd_handle_int" if reads(did, "enabled") => Some(RESOLVE),
            CHECK if matches!(did, Did::Event("the cache hits")) => Some(HIT),
            CHECK if matches!(did, Did::Event("the cache misses")) => Some(TO_ITS),
            "vgic_its_inject_msi" if !self.cached => Some(CHECK),
            TO_ITS if locks(did, "its_lock") => Some(RESOLVE),
            RESOLVE if inserts => Some(INSERT),
            RESOLVE | INSERT if locks(did, "irq_lock") => Some(TRIGGER),
            HIT | TRIGGER if reads(did, "active") => Some(QUEUE),
            QUEUE if drops_reference(did) || locks(did, "lpi_list_lock") => Some(HIT),
            _ => None,
        }
    }

    fn maps(&self, did: &Did) -> Option<&'static str> {
        match self.now {
            _ if changes_irq_of_ite(did) => Some(self.entry),
            _ if self.now == self.entry && touches_index(did) => Some(ADD),
            ADD if locks(did, "irq_lock") => Some(CONFIG),
            CONFIG | PENDING if reads(did, "active") => Some(QUEUE),
            CONFIG | QUEUE if reads(did, "intid") => Some(PENDING),
            CONFIG | QUEUE | PENDING if drops_reference(did) => Some(ADD),
            _ => None,
        }
    }

    fn unmaps(&self, did: &Did) -> Option<&'static str> {
        let frees = matches!(did, Did::Read(field, _) if is_irq_of_ite(field));
        if touches_cache(did) { Some(INVALIDATE) } else { frees.then_some(FREE_ITE) }
    }

    fn moves(&self, did: &Did) -> Option<&'static str> {
        if touches_cache(did) {
            return Some(INVALIDATE);
        }
        let walks = matches!(did, Did::Read(field, _) if is_irq_of_ite(field));
        match self.now {
            _ if locks(did, "irq_lock") => Some(AFFINITY),
            AFFINITY | INVALIDATE if walks => Some(self.entry),
            AFFINITY if drops_reference(did) || locks(did, "lpi_list_lock") => Some(self.entry),
            _ => None,
        }
    }

    fn configures(&self, did: &Did) -> Option<&'static str> {
        match self.now {
            CONFIG if reads(did, "active") => Some(QUEUE),
            CONFIG | QUEUE if drops_reference(did) || locks(did, "lpi_list_lock") => Some(self.entry),
            _ if self.now == self.entry && (locks(did, "irq_lock") || locks(did, "lpi_config_lock")) => Some(CONFIG),
            _ => None,
        }
    }

    fn switches_on(&self, did: &Did) -> Option<&'static str> {
        match self.now {
            _ if self.now == self.entry && touches_index(did) => Some(SYNC_TABLE),
            SYNC_TABLE if reads(did, "active") => Some(QUEUE),
            QUEUE if drops_reference(did) || locks(did, "lpi_list_lock") => Some(SYNC_TABLE),
            _ => None,
        }
    }

    fn switches_off(&self, did: &Did) -> Option<&'static str> {
        match did {
            Did::Write(field, ..) if field.name == "ctlr" => Some(self.entry),
            _ if touches_cache(did) => Some(INVALIDATE),
            // `hardened` has emptied the caches by now.
            _ if locks(did, "ap_list_lock") => Some(if self.cached { PRUNE } else { FLUSH_PENDING }),
            _ if self.now == INVALIDATE && locks(did, "irq_lock") => Some(self.entry),
            _ => None,
        }
    }

    fn runs(&self, did: &Did) -> Option<&'static str> {
        match did {
            Did::Write(field, _, 0) if field.name == "mode" => return Some("kvm_vgic_sync_hwstate"),
            Did::Write(field, ..) if field.name == "mode" => return Some(self.entry),
            _ => {}
        }
        let looks = matches!(did, Did::Read(field, _) if field.name.starts_with("ap_list_head."));
        match self.now {
            _ if self.now == self.entry && (looks || locks(did, "ap_list_lock")) => Some(FLUSH),
            "kvm_vgic_sync_hwstate" | FOLD if locks(did, "ap_list_lock") => Some(PRUNE),
            "kvm_vgic_sync_hwstate" if changes(did, "vgic_hcr") => Some(FOLD),
            // Only `hardened` looks here whether an LPI has to be queued.
            FOLD if reads(did, "active") => Some(QUEUE),
            QUEUE if drops_reference(did) => Some(FOLD),
            _ if changes(did, "requests") && self.now == PRUNE => None,
            PRUNE | FLUSH if reads(did, "requests") => Some(self.entry),
            _ => None,
        }
    }
}

fn reads(did: &Did, name: &str) -> bool {
    matches!(did, Did::Read(field, _) if field.name == name)
}

fn changes(did: &Did, name: &str) -> bool {
    matches!(did, Did::Write(field, ..) | Did::Exchange(field, ..) | Did::Add(field, ..) if field.name == name)
}

fn locks(did: &Did, name: &str) -> bool {
    matches!(did, Did::Lock(field) if field.name == name)
}

fn takes_reference(did: &Did) -> bool {
    matches!(did, Did::Add(field, old, new) | Did::Exchange(field, old, new) if field.name == "refcount" && new > old)
}

fn drops_reference(did: &Did) -> bool {
    matches!(did, Did::Add(field, old, new) | Did::Exchange(field, old, new) if field.name == "refcount" && new < old)
}

fn is_irq_of_ite(field: &Field) -> bool {
    field.object.class == "its_ite" && field.name == "irq"
}

fn changes_irq_of_ite(did: &Did) -> bool {
    matches!(did, Did::Write(field, ..) if is_irq_of_ite(field))
}

fn touches_cache(did: &Did) -> bool {
    match did {
        Did::Alloc(object) => object.class == "vgic_translation_cache_entry",
        _ => did.field().is_some_and(|field| {
            field.object.class == "vgic_translation_cache_entry"
                || ["translation_cache", "lpi_translation_cache"].iter().any(|cache| field.name.starts_with(cache))
        }),
    }
}

/// The list or the xarray of all LPIs, and what protects it.
fn touches_index(did: &Did) -> bool {
    let of_index = |field: &Field| field.name.starts_with("lpi_list") || field.name.starts_with("lpi_xa.");
    did.field().is_some_and(of_index)
}
