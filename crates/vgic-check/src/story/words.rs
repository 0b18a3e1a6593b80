//! What a step is called: the engine does not say which function it is in, but what it touches says enough.

use crate::platform::field::{Field, Object};
use crate::platform::log::{Did, Line};
use crate::platform::objects::Objects;
use crate::platform::world::Wait;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use vgic_core::irq::{Bit, NO_VCPU};

/// Goes through the log, line by line.
pub(super) struct Words<'a> {
    objects: &'a Objects,
    names: Vec<String>,
    /// Locks that each thread holds.
    held: Vec<Vec<Field>>,
    /// Tree of each node.
    trees: HashMap<u32, &'static str>,
    /// Classes of which there is one object: their fields need no "of".
    single: Vec<&'static str>,
}

impl<'a> Words<'a> {
    pub(super) fn new(objects: &'a Objects, names: Vec<String>, log: &[Line]) -> Self {
        let mut classes = BTreeMap::new();
        for line in log {
            if let Did::Alloc(object) = &line.did {
                *classes.entry(object.class).or_insert(0) += 1;
            }
        }
        let once = classes.into_iter().filter(|(class, count)| *count == 1 && *class != "vgic_irq");
        let single = once.map(|(class, _)| class).collect();
        let held = vec![Vec::new(); names.len()];
        Words { objects, names, held, trees: HashMap::new(), single }
    }

    /// A line in words. Lines come in the order of the log.
    pub(super) fn of(&mut self, line: &Line) -> String {
        let thread = line.thread;
        match &line.did {
            Did::Note(text) | Did::Broke(text) => text.clone(),
            Did::Read(field, bits) => self.read(thread, field, *bits),
            Did::Write(field, old, new) => self.change(field, *old, *new, "="),
            Did::Exchange(field, old, new) => self.change(field, *old, *new, "cmpxchg"),
            Did::Add(field, old, new) => self.change(field, *old, *new, "add"),
            Did::Lock(field) => {
                self.held[thread].push(field.clone());
                format!("lock({})", self.name(field))
            }
            Did::Unlock(field) => {
                let is = |held: &Field| held.label() == field.label();
                if let Some(at) = self.held[thread].iter().rposition(is) {
                    self.held[thread].remove(at);
                }
                format!("unlock({})", self.name(field))
            }
            Did::Event(what) => (*what).to_owned(),
            Did::Section(what) => format!("{what}()"),
            Did::Alloc(object) => {
                if object.class == "xa_node" {
                    let tree = self.held[thread].iter().rev().find_map(|field| field.name.strip_suffix(".xa_lock"));
                    if let Some(tree) = tree {
                        self.trees.insert(object.serial, tree);
                    }
                }
                match object.intid.with(|intid| *intid) {
                    Some(intid) => format!("kzalloc() -> {}, for LPI {intid}", object.label()),
                    None => format!("kzalloc() -> {}", object.label()),
                }
            }
            Did::Free(object) if self.names[thread] == "rcu" => {
                format!("a grace period is over: kfree({})", object.label())
            }
            Did::Free(object) => format!("kfree({})", object.label()),
            Did::CallRcu(Some(object)) => format!("kfree_rcu({})", object.label()),
            Did::CallRcu(None) => "call_rcu()".to_owned(),
            Did::Grace(what) => format!("{what}()"),
            Did::Park(_) => "sleeps".to_owned(),
            Did::Unpark(field) => format!("wakes {}", field.object.label()),
            Did::Wait(Wait::Lock(lock, _)) => {
                let has = |held: &Vec<Field>| held.iter().any(|field| field.label() == lock.field.label());
                let holder = self.held.iter().position(has).map(|holder| format!(", which {} has", self.names[holder]));
                format!("waits for {}{}", self.name(&lock.field), holder.unwrap_or_default())
            }
            Did::Wait(other) => format!("waits for {}", other.describe()),
            Did::Switch { to, .. } => format!("{} goes on", self.names[*to]),
        }
    }

    fn name(&self, field: &Field) -> String {
        if self.single.contains(&field.object.class) { field.short() } else { field.label() }
    }

    fn object(&self, bits: u64) -> Option<Arc<Object>> {
        self.objects.find(bits).filter(|_| bits > 0xffff)
    }

    fn value(&self, field: &Field, bits: u64) -> String {
        let pointer = matches!(field.name, "irq" | "collection" | "slots" | "parent");
        let pointer = pointer || [".next", ".prev", ".xa_head"].iter().any(|end| field.name.ends_with(end));
        match self.object(bits) {
            Some(object) => object.label(),
            None if pointer && bits == 0 => "NULL".to_owned(),
            None if bits == u64::from(NO_VCPU) => "none".to_owned(),
            None if bits > 0xffff => format!("{bits:#x}"),
            None => bits.to_string(),
        }
    }

    /// The tree that a slot or a head belongs to.
    fn tree(&self, field: &Field) -> Option<&'static str> {
        match field.name {
            "slots" => self.trees.get(&field.object.serial).copied(),
            name => name.strip_suffix(".xa_head"),
        }
    }

    /// `lpi_xa, 8192`: the tree, and the index where it is known.
    fn place(tree: &'static str, object: &Object) -> String {
        match object.intid.with(|intid| *intid) {
            Some(intid) if tree == "lpi_xa" => format!("{tree}, {intid}"),
            _ => tree.to_owned(),
        }
    }

    /// Whether a step reads a tree whose lock the thread has: what it does there says enough.
    pub(super) fn is_inside(&self, line: &Line) -> bool {
        let Did::Read(field, _) = &line.did else { return false };
        self.tree(field).is_some_and(|tree| {
            self.held[line.thread].iter().any(|held| held.name.strip_suffix(".xa_lock") == Some(tree))
        })
    }

    fn holds(&self, thread: usize, name: &str) -> bool {
        self.held[thread].iter().any(|field| field.name == name)
    }

    fn read(&self, thread: usize, field: &Field, bits: u64) -> String {
        let of = field.object.label();
        match (field.name, self.tree(field), self.object(bits)) {
            // The sweep of dead LPIs, and a store, look at it under the lock of the index.
            ("refcount", ..) if bits == 0 && !self.holds(thread, "lpi_xa.xa_lock") => {
                format!("inc_not_zero({of}) failed: refcount is 0")
            }
            ("refcount", ..) => format!("{of}: refcount is {bits}"),
            (_, Some("translation_cache"), None) if bits == 0 && field.name != "slots" => {
                "the translation_cache is empty".to_owned()
            }
            (_, Some(tree), Some(object)) => format!("xa_load({}) -> {}", Self::place(tree, &object), object.label()),
            ("irq", _, Some(object)) => format!("{of} -> {}", object.label()),
            ("enabled", ..) if field.object.class == "vgic_its" => {
                format!("{of} is {}", if bits == 0 { "off" } else { "on" })
            }
            ("ctlr", ..) => format!("LPIs of {of} are {}", if bits == 1 { "on" } else { "off" }),
            ("bits", ..) => format!("{of}: {}", bits_in_words(bits)),
            _ => format!("reads {}: {}", self.name(field), self.value(field, bits)),
        }
    }

    fn change(&self, field: &Field, old: u64, new: u64, how: &str) -> String {
        let of = field.object.label();
        if field.name == "refcount" {
            let function = match (new == old.wrapping_add(1), how) {
                (true, "add") => "kref_get",
                (true, _) => "inc_not_zero",
                (false, "=") => return format!("{of}: refcount is saturated"),
                (false, _) => "put_irq",
            };
            return format!("{function}({of}): refcount {old} -> {new}");
        }
        if let Some(tree) = self.tree(field) {
            return match (self.object(old), self.object(new)) {
                (Some(old), Some(new)) if old.class == "vgic_irq" && new.class == "vgic_irq" => {
                    let place = Self::place(tree, &new);
                    format!("xa_store({place}): {} in the place of {}", new.label(), old.label())
                }
                (_, Some(new)) if new.class == "vgic_irq" => {
                    format!("xa_store({}): {}", Self::place(tree, &new), new.label())
                }
                (Some(old), None) if old.class == "vgic_irq" => {
                    format!("xa_erase({}): {}", Self::place(tree, &old), old.label())
                }
                (None, None) if new == 1 => format!("xa_reserve({tree})"),
                (None, None) if old == 1 => format!("xa_erase({tree}): the reserved slot"),
                _ => format!("{}: {} -> {}", self.name(field), self.value(field, old), self.value(field, new)),
            };
        }
        match field.name {
            "vcpu" if new == u64::from(NO_VCPU) => format!("{of} leaves the ap_list of vCPU {old}"),
            "vcpu" if old == u64::from(NO_VCPU) => format!("{of} goes to the ap_list of vCPU {new}"),
            "vcpu" => format!("{of} moves from the ap_list of vCPU {old} to that of vCPU {new}"),
            "enabled" if field.object.class == "vgic_its" => {
                format!("{of} goes {}", if new == 0 { "off" } else { "on" })
            }
            "ctlr" => format!("LPIs of {of} go {}", if new == 1 { "on" } else { "off" }),
            "bits" => format!("{of}: {} -> {}", bits_in_words(old), bits_in_words(new)),
            "irq" => format!("{of}: {} -> {}", self.value(field, old), self.value(field, new)),
            "pending_latch" | "target_vcpu" | "pending_release" => {
                format!("{of}: {} {} -> {}", field.name, self.value(field, old), self.value(field, new))
            }
            _ => format!("{}: {} -> {}", self.name(field), self.value(field, old), self.value(field, new)),
        }
    }
}

/// The bits of an LPI's byte that are set.
fn bits_in_words(bits: u64) -> String {
    const NAMES: [(Bit, &str); 4] = [
        (Bit::PendingLatch, "pending_latch"),
        (Bit::Enabled, "enabled"),
        (Bit::Active, "active"),
        (Bit::OnLr, "on_lr"),
    ];
    let set = NAMES.iter().filter(|(bit, _)| bits & u64::from(*bit as u32) != 0);
    let names: Vec<_> = set.map(|(_, name)| *name).collect();
    if names.is_empty() { "no bit".to_owned() } else { names.join("+") }
}
