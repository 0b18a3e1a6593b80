//! Why something is refused before it is begun.

use crate::memory::ADDRESS_LIMIT;
use vgic_core::designs::composed::ComposeError;
use vgic_core::designs::{Composed, row};
use vgic_core::{Design, NoMemory};

/// Why a VM could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No design has this name.
    UnknownDesign(String),
    /// It is measured, for which the engine must be compiled for the design, and this one is composed.
    NotCompiled(String),
    /// No such design can be composed; why, in a sentence.
    Composition(String),
    /// No scenario has this name.
    UnknownScenario(String),
    /// Scenarios do not run in this design on real threads: its name, and those of the designs in which they do.
    NoScenarios(String, String),
    /// The design is unsound; the text is its defect.
    Unsound(&'static str, &'static str),
    /// A number is out of range: what, the value, the least, the most.
    OutOfRange(&'static str, u64, u64, u64),
    /// A frame is not aligned: what, where, and to which size it has to be.
    Unaligned(&'static str, u64, u64),
    /// The regions have too few redistributors: how many, and for how many vCPUs.
    NoRoom(u32, u32),
    /// A frame ends beyond guest physical memory: what, and where.
    TooHigh(&'static str, u64),
    /// Two frames overlap: what and where, each.
    Overlap(&'static str, u64, &'static str, u64),
    /// An event's collection is not known.
    UnknownCollection(u32),
    /// No memory.
    NoMemory,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::UnknownDesign(name) => write!(f, "unknown design {name:?}"),
            Refused::NotCompiled(name) => write!(
                f,
                "{name} is composed, and here every branch would be measured: only a shipped design is compiled; prove, \
                 replay and predict take composed ones"
            ),
            Refused::Composition(why) => write!(f, "{why}"),
            Refused::UnknownScenario(name) => write!(f, "unknown scenario {name:?}; 'vgic prove --list' shows them"),
            Refused::NoScenarios(name, others) => write!(
                f,
                "scenarios would use freed memory in {name}, whose defects 'vgic prove --history' shows; on real threads \
                 they run in {others}"
            ),
            Refused::Unsound(name, defect) => {
                write!(f, "design {name} is unsound ({defect}); allow_unsound runs it all the same")
            }
            Refused::OutOfRange(what, value, least, most) => write!(f, "{what} must be {least} to {most}, not {value}"),
            Refused::Unaligned(what, base, alignment) => {
                write!(f, "{what}: {base:#x} is not a multiple of {} KiB", alignment >> 10)
            }
            Refused::NoRoom(room, vcpus) => {
                write!(f, "redistributors: the regions have room for {room}, the VM for {vcpus} vCPUs")
            }
            Refused::TooHigh(what, base) => write!(f, "{what}: no room at {base:#x} below {ADDRESS_LIMIT:#x}"),
            Refused::Overlap(what, base, other, other_base) => {
                write!(f, "{what} at {base:#x} and {other} at {other_base:#x} overlap; one of them has to go elsewhere")
            }
            Refused::UnknownCollection(id) => write!(f, "collection {id} is not known"),
            Refused::NoMemory => write!(f, "out of memory"),
        }
    }
}

impl From<ComposeError> for Refused {
    fn from(error: ComposeError) -> Self {
        match error {
            ComposeError::UnknownDesign(name) => Refused::UnknownDesign(name),
            ComposeError::Wrong(why) => Refused::Composition(why),
        }
    }
}

impl From<NoMemory> for Refused {
    fn from(NoMemory: NoMemory) -> Self {
        Refused::NoMemory
    }
}

/// Checks a range.
pub fn in_range(what: &'static str, value: u64, least: u64, most: u64) -> Result<(), Refused> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(Refused::OutOfRange(what, value, least, most)) }
}

/// The same for what is measured: a composed design is refused.
pub fn check_compiled(name: &str, allow_unsound: bool) -> Result<Composed, Refused> {
    let design = check_design(name, allow_unsound)?;
    if design.is_shipped() { Ok(design) } else { Err(Refused::NotCompiled(name.to_owned())) }
}

/// The design of a name, shipped or composed, if it may run on real threads.
pub fn check_design(name: &str, allow_unsound: bool) -> Result<Composed, Refused> {
    let design = Composed::new(name)?;
    if design.spec().is_unsound() && !allow_unsound {
        let defect = row(design.name()).map_or("ordinary traffic may use freed memory", |row| row.defect);
        return Err(Refused::Unsound(design.name(), defect));
    }
    Ok(design)
}
