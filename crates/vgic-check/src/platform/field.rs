//! [`Field`] and [`Object`]: every access knows which field of which object it touches.
//!
//! Numbers are given in the order of creation, so the same schedule gives the same names.

use super::world::{World, WorldCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// Threads of one execution, the first one and the one of RCU included.
pub(crate) const MAX_THREADS: usize = 10;

// Relaxed everywhere: all threads of an execution run on one thread of the machine; the types are atomics since the
// platform's traits ask for `Sync`.

/// What is done to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// Of plain data.
    PlainRead,
    PlainWrite,
    /// A lock is taken, or a sleeper's place is used.
    Take,
}

impl Access {
    pub(crate) fn writes(self) -> bool {
        !matches!(self, Access::Read | Access::PlainRead)
    }

    pub(crate) fn is_plain(self) -> bool {
        matches!(self, Access::PlainRead | Access::PlainWrite)
    }

    pub(crate) fn verb(self) -> &'static str {
        match self {
            Access::Read | Access::PlainRead => "reads",
            Access::Write | Access::PlainWrite => "writes",
            Access::Take => "takes",
        }
    }
}

/// An object as its fields know it.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) class: &'static str,
    pub(crate) serial: u32,
    /// Its number in what was learnt.
    pub(crate) known: u32,
    /// Whether it lives as long as the VM.
    pub(crate) embedded: bool,
    /// Names of which it has several fields.
    pub(crate) arrays: WorldCell<Vec<&'static str>>,
    /// Of an LPI, its INTID.
    pub(crate) intid: WorldCell<Option<u64>>,
    dead: AtomicBool,
    /// Who made and freed it, at which step.
    pub(crate) made: (usize, u32),
    pub(crate) freed: WorldCell<Option<(usize, u32)>>,
    /// It was freed beside other threads in some execution before.
    pub(crate) mortal: bool,
    /// In which stretch without a release each thread has touched it last.
    touched: [AtomicU32; MAX_THREADS],
}

impl Object {
    pub(crate) fn new(world: &World, class: &'static str, embedded: bool) -> Arc<Self> {
        let serial = world.next_serial(class);
        let (known, mortal) = world.knowledge().meet(class, serial);
        Arc::new(Object {
            class,
            serial,
            known,
            embedded,
            arrays: WorldCell::new(Vec::new()),
            intid: WorldCell::new(None),
            dead: AtomicBool::new(false),
            made: (world.running(), world.step()),
            freed: WorldCell::new(None),
            mortal: !embedded && mortal,
            touched: Default::default(),
        })
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Relaxed)
    }

    pub(crate) fn kill(&self, thread: usize, step: u32) {
        self.dead.store(true, Relaxed);
        self.freed.set(Some((thread, step)));
    }

    /// Whether this is the thread's first touch since it let go of something that may have kept the object alive.
    pub(crate) fn first_touch(&self, thread: usize, stretch: u32) -> bool {
        self.touched[thread].swap(stretch, Relaxed) != stretch
    }

    /// As a reader knows it: `irq#2`; what is there once needs no number.
    pub(crate) fn label(&self) -> String {
        match (self.embedded, self.class) {
            (true, "kvm_vcpu") => format!("vCPU {}", self.serial),
            (true, class) => class.to_owned(),
            (false, class) => format!("{}#{}", short(class), self.serial),
        }
    }
}

/// A kernel type as one says it.
fn short(class: &'static str) -> &'static str {
    match class {
        "vgic_irq" => "irq",
        "vgic_its" => "its",
        "its_ite" => "ite",
        "its_device" => "device",
        "its_collection" => "collection",
        "vgic_translation_cache_entry" => "entry",
        other => other,
    }
}

/// A field of an object.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) object: Arc<Object>,
    pub(crate) name: &'static str,
    /// Which field of the object it is, and which one of those with its name.
    pub(crate) ordinal: u16,
    pub(crate) occurrence: u16,
}

impl Field {
    /// `refcount of irq#2`, `ap_list_lock of vCPU 1`, `lpi_list_lock`.
    pub(crate) fn label(&self) -> String {
        let name = self.short();
        match self.object.embedded && self.object.class != "kvm_vcpu" {
            true => name,
            false => format!("{name} of {}", self.object.label()),
        }
    }

    /// The name alone.
    pub(crate) fn short(&self) -> String {
        match self.object.arrays.with(|arrays| arrays.contains(&self.name)) {
            true => format!("{}[{}]", self.name, self.occurrence),
            false => self.name.to_owned(),
        }
    }
}
