//! [`State`]: what each LPI, and each list register, is at a line of a story; for whoever compares it with another machine.
//!
//! The log tells every store with its old and its new value, so each value is known from then on, and before from what
//! was read or overwritten first. What nothing ever looks at is not known. No step is made for it.

use crate::platform::field::{Field, Object};
use crate::platform::log::{Did, Line};
use crate::platform::objects::Objects;
use std::collections::HashMap;
use std::sync::Arc;
use vgic_core::irq::{Bit, NO_VCPU};
use vgic_core::vcpu::list_register::{LR_ACTIVE, LR_PENDING};

/// An LPI that something of the VM leads to: its index, a mapping, a queue or a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LpiAt {
    /// Its INTID.
    pub intid: u32,
    /// The object's name.
    pub name: String,
    /// Its reference count.
    pub references: Option<u32>,
    /// The vCPU on whose queue it is.
    pub vcpu: Option<u32>,
    /// The vCPU that it should go to; of what is known.
    pub target: Option<Option<u32>>,
    /// Pending outside list registers.
    pub pending: Option<bool>,
    /// As its configuration was last read.
    pub enabled: Option<bool>,
    /// Acknowledged and not deactivated.
    pub active: Option<bool>,
    /// The index of LPIs has it.
    pub indexed: bool,
    /// How many events are mapped to it.
    pub mapped: u32,
    /// How many cached translations lead to it.
    pub cached: u32,
}

/// A list register in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterAt {
    /// Its vCPU.
    pub vcpu: u32,
    /// Its INTID.
    pub intid: u32,
    /// Whether it is pending, and active.
    pub pending: bool,
    /// See `pending`.
    pub active: bool,
}

/// What there is behind a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// By INTID.
    pub lpis: Vec<LpiAt>,
    /// By vCPU and register.
    pub registers: Vec<RegisterAt>,
}

/// Which field: object, name, and which one of that name.
type Key = (&'static str, u32, &'static str, u16);

fn key(field: &Field) -> Key {
    (field.object.class, field.object.serial, field.name, field.occurrence)
}

/// The states of a log: behind which line each one begins, where it is another one than before.
pub(super) fn states(log: &[Line], objects: &Objects) -> Vec<(usize, State)> {
    let mut mirror = Mirror::new(log, objects);
    let mut found: Vec<(usize, State)> = Vec::new();
    for (at, line) in log.iter().enumerate() {
        if !mirror.follow(&line.did) {
            continue;
        }
        let state = mirror.state();
        if found.last().map(|(_, last)| last) != Some(&state) {
            found.push((at, state));
        }
    }
    found
}

/// Every value, as the log goes on.
struct Mirror<'a> {
    objects: &'a Objects,
    values: HashMap<Key, u64>,
    /// Allocated and not freed.
    live: Vec<Arc<Object>>,
    /// Which fields of a name there are, in the order in which the log comes to them.
    named: HashMap<&'static str, Vec<Key>>,
}

impl<'a> Mirror<'a> {
    /// What everything is before the first line.
    fn new(log: &[Line], objects: &'a Objects) -> Self {
        let mut mirror = Mirror { objects, values: HashMap::new(), live: Vec::new(), named: HashMap::new() };
        for line in log {
            let (field, first) = match &line.did {
                Did::Read(field, bits) => (field, *bits),
                Did::Write(field, old, _) | Did::Exchange(field, old, _) | Did::Add(field, old, _) => (field, *old),
                _ => continue,
            };
            mirror.values.entry(key(field)).or_insert_with(|| {
                mirror.named.entry(field.name).or_default().push(key(field));
                first
            });
        }
        mirror
    }

    /// Whether something has changed.
    fn follow(&mut self, did: &Did) -> bool {
        match did {
            Did::Write(field, _, new) | Did::Exchange(field, _, new) | Did::Add(field, _, new) => {
                self.values.insert(key(field), *new) != Some(*new)
            }
            Did::Alloc(object) => {
                self.live.push(Arc::clone(object));
                true
            }
            Did::Free(object) => {
                self.live.retain(|one| !Arc::ptr_eq(one, object));
                true
            }
            _ => false,
        }
    }

    fn value(&self, object: &Object, name: &'static str) -> Option<u64> {
        self.values.get(&(object.class, object.serial, name, 0)).copied()
    }

    fn is_live(&self, class: &str, serial: u32) -> bool {
        self.live.iter().any(|object| object.class == class && object.serial == serial)
    }

    /// The fields of this name, of objects that are there.
    fn all(&self, name: &'static str) -> impl Iterator<Item = (Key, u64)> {
        let keys = self.named.get(name).into_iter().flatten();
        keys.filter(|key| !matches!(key.0, "xa_node" | "its_ite" | "vgic_irq") || self.is_live(key.0, key.1))
            .map(|key| (*key, self.values[key]))
    }

    /// The LPIs that a pointer of an xarray leads to.
    fn tree(&self, bits: u64, found: &mut Vec<u32>) {
        let Some(object) = self.objects.find(bits).filter(|_| bits > 0xffff) else { return };
        match object.class {
            "vgic_irq" => found.push(object.serial),
            "xa_node" => {
                let of_node = self.all("slots").filter(|(key, _)| key.1 == object.serial);
                of_node.for_each(|(_, slot)| self.tree(slot, found));
            }
            _ => {}
        }
    }

    fn trees(&self, head: &'static str) -> Vec<u32> {
        let mut found = Vec::new();
        self.all(head).for_each(|(_, bits)| self.tree(bits, &mut found));
        found
    }

    /// The objects on a list: the first one, and how each leads to the next.
    fn list(&self, mut next: u64, link: &'static str) -> Vec<Arc<Object>> {
        let mut found: Vec<Arc<Object>> = Vec::new();
        let seen = |found: &[Arc<Object>], one: &Object| found.iter().any(|other| other.serial == one.serial);
        while let Some(object) = self.objects.find(next).filter(|one| next > 0xffff && !seen(&found, one)) {
            next = self.value(&object, link).unwrap_or(0);
            found.push(object);
        }
        found
    }

    /// The LPIs on the list of all.
    fn listed(&self) -> Vec<u32> {
        let first = self.all("lpi_list_head.next").next().map_or(0, |(_, bits)| bits);
        self.list(first, "lpi_list.next").iter().map(|irq| irq.serial).collect()
    }

    /// The LPIs of the ITEs of all devices, which are on lists.
    fn mapped(&self) -> Vec<u32> {
        let all = self.all("itt_head.next").flat_map(|(_, first)| self.list(first, "ite_list.next"));
        let irqs =
            all.filter_map(|ite| self.objects.find(self.value(&ite, "irq")?).filter(|irq| irq.class == "vgic_irq"));
        irqs.map(|irq| irq.serial).collect()
    }

    fn state(&self) -> State {
        let mut indexed = self.trees("lpi_xa.xa_head");
        indexed.extend(self.listed());
        let mapped = self.mapped();
        let mut cached = self.trees("translation_cache.xa_head");
        let entries = self.all("irq").filter(|(key, bits)| key.0 != "its_ite" && *bits > 0xffff);
        cached.extend(entries.filter_map(|(_, bits)| self.objects.find(bits)).map(|irq| irq.serial));
        let count = |all: &[u32], serial| all.iter().filter(|one| **one == serial).count() as u32;
        let flag = |irq: &Object, word: &'static str, bit: Bit| {
            let bits = self.value(irq, "bits").map(|bits| bits & u64::from(bit as u32) != 0);
            bits.or_else(|| self.value(irq, word).map(|value| value != 0))
        };
        let vcpu = |bits: u64| (bits != u64::from(NO_VCPU)).then_some(bits as u32);
        let irqs = self.live.iter().filter(|object| object.class == "vgic_irq");
        let mut lpis: Vec<_> = irqs
            .map(|irq| LpiAt {
                intid: irq.intid.with(|intid| intid.unwrap_or(0)) as u32,
                name: irq.label(),
                references: self.value(irq, "refcount").map(|count| count as u32),
                vcpu: self.value(irq, "vcpu").and_then(vcpu),
                target: self.value(irq, "target_vcpu").map(vcpu),
                pending: flag(irq, "pending_latch", Bit::PendingLatch),
                enabled: flag(irq, "enabled", Bit::Enabled),
                active: flag(irq, "active", Bit::Active),
                indexed: indexed.contains(&irq.serial),
                mapped: count(&mapped, irq.serial),
                cached: count(&cached, irq.serial),
            })
            .filter(|lpi| lpi.indexed || lpi.mapped > 0 || lpi.cached > 0 || lpi.vcpu.is_some())
            .collect();
        lpis.sort();
        State { lpis, registers: self.registers() }
    }

    fn registers(&self) -> Vec<RegisterAt> {
        let mut found: Vec<_> = self.all("vgic_lr").collect();
        found.sort_by_key(|(key, _)| (key.1, key.3));
        let used = |serial| self.values.get(&("kvm_vcpu", serial, "used_lrs", 0)).copied().unwrap_or(0);
        found.retain(|(key, _)| u64::from(key.3) < used(key.1));
        let register = |(key, bits): &(Key, u64)| RegisterAt {
            vcpu: key.1,
            intid: *bits as u32,
            pending: bits & LR_PENDING != 0,
            active: bits & LR_ACTIVE != 0,
        };
        found.iter().map(register).collect()
    }
}
