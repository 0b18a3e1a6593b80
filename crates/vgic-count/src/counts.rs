//! [`Counts`]: steps, summed up.

use crate::step::{Kind, Step};
use std::collections::BTreeMap;
use vgic_core::Work;

/// How often what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Acquisitions of locks by name (`lpi_list_lock`); of a reader-writer lock with how it was taken
    /// (`lpi_translation_cache_lock (read)`).
    pub locks: BTreeMap<String, u64>,
    /// Atomic read-modify-writes by field (`vgic_irq.refcount`).
    pub rmws: BTreeMap<String, u64>,
    /// Stores, and writes of plain data, by field.
    pub writes: BTreeMap<String, u64>,
    /// Loads, and reads of plain data, by field.
    pub reads: BTreeMap<String, u64>,
    /// What is about no field: `rcu_read_lock`, `srcu_read_lock`, `fence`, `synchronize_rcu`, `call_rcu`, `alloc its_ite`,
    /// `work SendIpi`.
    pub others: BTreeMap<String, u64>,
}

impl Counts {
    /// Sums up.
    pub fn of(steps: &[Step]) -> Self {
        let mut counts = Counts::default();
        for step in steps {
            let (map, name) = match step.kind {
                Kind::Lock => (&mut counts.locks, step.field.to_owned()),
                Kind::ReadLock => (&mut counts.locks, format!("{} (read)", step.field)),
                Kind::WriteLock => (&mut counts.locks, format!("{} (write)", step.field)),
                Kind::Rmw => (&mut counts.rmws, step.place()),
                kind if kind.is_read() => (&mut counts.reads, step.place()),
                kind if kind.is_write() => (&mut counts.writes, step.place()),
                kind if kind.releases_lock() => continue,
                Kind::RcuUnlock | Kind::SrcuUnlock => continue,
                Kind::Work(Work::SendIpi(_)) => (&mut counts.others, "work SendIpi".to_owned()),
                Kind::Work(work) => (&mut counts.others, format!("work {work:?}")),
                kind => {
                    let name = format!("{} {}", kind.verb(), step.place());
                    (&mut counts.others, name.trim_end().to_owned())
                }
            };
            *map.entry(name).or_default() += 1;
        }
        counts
    }

    /// Acquisitions of the lock of that name, however taken.
    pub fn lock(&self, name: &str) -> u64 {
        let is = |lock: &str| lock.split(' ').next() == Some(name);
        let of = self.locks.iter().filter(|(lock, _)| is(lock));
        of.map(|(_, count)| count).sum()
    }

    /// Acquisitions of all locks.
    pub fn all_locks(&self) -> u64 {
        self.locks.values().sum()
    }

    /// Read-modify-writes of all fields; those of locks are not among them.
    pub fn all_rmws(&self) -> u64 {
        self.rmws.values().sum()
    }

    /// Plain writes of all fields.
    pub fn all_writes(&self) -> u64 {
        self.writes.values().sum()
    }

    /// Reads of all fields.
    pub fn all_reads(&self) -> u64 {
        self.reads.values().sum()
    }
}
