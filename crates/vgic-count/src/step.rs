//! [`Step`]: one thing that the engine did.

use core::fmt;
use vgic_core::{Order, Work};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A spin lock or mutex was taken.
    Lock,
    /// It was released.
    Unlock,
    /// A reader-writer lock was taken for reading.
    ReadLock,
    /// It was released after reading.
    ReadUnlock,
    /// A reader-writer lock was taken for writing.
    WriteLock,
    /// It was released after writing.
    WriteUnlock,
    /// An atomic was loaded.
    Read,
    /// An atomic was stored.
    Write,
    /// An atomic was read, changed and written by one access; also a compare-exchange that found another value, which
    /// takes the cache line away from others just the same.
    Rmw,
    /// Plain data was read.
    CellRead,
    /// Plain data was written.
    CellWrite,
    /// An RCU section began.
    RcuLock,
    /// It ended.
    RcuUnlock,
    /// An SRCU section began.
    SrcuLock,
    /// It ended.
    SrcuUnlock,
    /// An object was allocated.
    Alloc,
    /// An object was freed.
    Free,
    /// A fence; the order says which.
    Fence,
    /// A grace period was waited for.
    SynchronizeRcu,
    /// An SRCU grace period was waited for.
    SynchronizeSrcu,
    /// Every queued callback was waited for.
    RcuBarrier,
    /// A callback was queued.
    CallRcu,
    /// Work around the engine.
    Work(Work),
    /// The thread would have slept.
    Park,
    /// A sleeper was woken.
    Unpark,
}

impl Kind {
    /// A lock is taken.
    pub fn takes_lock(self) -> bool {
        matches!(self, Kind::Lock | Kind::ReadLock | Kind::WriteLock)
    }

    /// A lock is released.
    pub fn releases_lock(self) -> bool {
        matches!(self, Kind::Unlock | Kind::ReadUnlock | Kind::WriteUnlock)
    }

    /// Looks at shared memory and leaves it as it is.
    pub fn is_read(self) -> bool {
        matches!(self, Kind::Read | Kind::CellRead)
    }

    /// Writes shared memory without reading it.
    pub fn is_write(self) -> bool {
        matches!(self, Kind::Write | Kind::CellWrite)
    }

    /// In words, as in "`lock` vgic_irq#0.irq_lock".
    pub fn verb(self) -> &'static str {
        match self {
            Kind::Lock => "lock",
            Kind::Unlock => "unlock",
            Kind::ReadLock => "read_lock",
            Kind::ReadUnlock => "read_unlock",
            Kind::WriteLock => "write_lock",
            Kind::WriteUnlock => "write_unlock",
            Kind::Read | Kind::CellRead => "read",
            Kind::Write | Kind::CellWrite => "write",
            Kind::Rmw => "rmw",
            Kind::RcuLock => "rcu_read_lock",
            Kind::RcuUnlock => "rcu_read_unlock",
            Kind::SrcuLock => "srcu_read_lock",
            Kind::SrcuUnlock => "srcu_read_unlock",
            Kind::Alloc => "alloc",
            Kind::Free => "free",
            Kind::Fence => "fence",
            Kind::SynchronizeRcu => "synchronize_rcu",
            Kind::SynchronizeSrcu => "synchronize_srcu",
            Kind::RcuBarrier => "rcu_barrier",
            Kind::CallRcu => "call_rcu",
            Kind::Work(_) => "work",
            Kind::Park => "park",
            Kind::Unpark => "unpark",
        }
    }
}

/// One thing that the engine did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub kind: Kind,
    /// Class of the object that it was done to (`vgic_irq`); empty where it was done to none.
    pub class: &'static str,
    /// Which object of the class, in the order in which they came up.
    pub object: u32,
    /// Name of the field; empty where the step is about none.
    pub field: &'static str,
    /// Which one of the fields of that name, if there are several (slots, list registers).
    pub index: Option<u16>,
    /// Order of an atomic access or a fence.
    pub order: Option<Order>,
    /// How many locks were held: before a lock is taken, after one is released.
    pub depth: usize,
    /// Whether interrupts are masked while it is done; a lock that masks them says so at its own step.
    pub irqs_off: bool,
}

impl Step {
    /// The field without the object's number, as in `vgic_irq.refcount`; the class alone if the step is about no field.
    pub fn place(&self) -> String {
        match self.field {
            "" => self.class.to_owned(),
            field => format!("{}.{field}", self.class),
        }
    }

    /// The field with the object's number, as in `vgic_irq#2.refcount`; empty where the step is about no object.
    pub fn label(&self) -> String {
        let mut label = String::new();
        if !self.class.is_empty() {
            label = format!("{}#{}", self.class, self.object);
        }
        if !self.field.is_empty() {
            label += &format!(".{}", self.field);
        }
        if let Some(index) = self.index {
            label += &format!("[{index}]");
        }
        label
    }
}

impl fmt::Display for Step {
    /// One line, indented by the locks held.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:indent$}{}", "", self.kind.verb(), indent = 2 * self.depth)?;
        match self.kind {
            Kind::Work(work) => write!(f, " {work:?}")?,
            _ if !self.class.is_empty() => write!(f, " {}", self.label())?,
            _ => {}
        }
        match self.order {
            None | Some(Order::Relaxed) => Ok(()),
            Some(Order::Consume(pair)) => write!(f, " (consume {})", pair.code()),
            Some(Order::Acquire(pair)) => write!(f, " (acquire {})", pair.code()),
            Some(Order::Release(pair)) => write!(f, " (release {})", pair.code()),
            Some(Order::AcqRel(pair)) => write!(f, " (acq_rel {})", pair.code()),
            Some(Order::SeqCst(pair)) => write!(f, " (full {})", pair.code()),
        }
    }
}
