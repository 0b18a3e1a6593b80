//! The rules that each step is checked against. A rule that is broken is a panic that names what was touched.

use crate::ctx::CountCtx;
use crate::field::{Field, Object};
use crate::locks::LockField;
use crate::recorder::Place;
use crate::step::Kind;
use std::sync::Arc;

/// A lock that is held.
#[derive(Debug)]
pub(crate) struct Held {
    lock: LockField,
    /// The step that releases it.
    ends: Kind,
    /// Whether taking it masked interrupts.
    irqs_off: bool,
}

impl Held {
    fn label(&self) -> String {
        format!("{} (rank {})", self.lock.field.label(), self.lock.rank)
    }
}

impl CountCtx {
    /// Stops: a rule was broken. While a panic unwinds already, goes on, so that guards can be dropped.
    #[track_caller]
    pub(crate) fn fail(&self, what: String) {
        if !std::thread::panicking() {
            panic!("{what}");
        }
    }

    /// How many locks are held, and whether interrupts are masked.
    pub(crate) fn place(&self) -> Place {
        let held = self.held.borrow();
        Place { depth: held.len(), irqs_off: held.iter().any(|held| held.irqs_off) }
    }

    /// A lock of this object that is held.
    pub(crate) fn held_of(&self, object: &Arc<Object>) -> Option<String> {
        let held = self.held.borrow();
        let of = held.iter().find(|held| Arc::ptr_eq(&held.lock.field.object, object))?;
        Some(of.label())
    }

    /// Checks that the thread may sleep now.
    pub(crate) fn may_sleep(&self, what: &str) {
        let spin = {
            let held = self.held.borrow();
            held.iter().find(|held| !held.lock.sleeps).map(Held::label)
        };
        if let Some(spin) = spin {
            self.fail(format!("sleeping in atomic context: {what} under {spin}"));
        }
        if self.rcu.get() > 0 {
            self.fail(format!("sleeping in atomic context: {what} in an RCU read section"));
        }
    }

    /// Takes a lock; `nested` allows one of the same class to be held.
    pub(crate) fn take(&self, lock: &LockField, kind: Kind, irqs_off: bool, nested: bool) {
        if lock.sleeps {
            self.may_sleep(&format!("taking {}", lock.field.label()));
        }
        self.check_order(lock, nested);
        for held in self.held.borrow().iter().filter(|held| held.lock.field.name != lock.field.name) {
            self.note_nesting(held.lock.field.name, lock.field.name);
        }
        let already = self.place().irqs_off;
        lock.field.touch_with(self, kind, irqs_off || already);
        let ends = match kind {
            Kind::ReadLock => Kind::ReadUnlock,
            Kind::WriteLock => Kind::WriteUnlock,
            _ => Kind::Unlock,
        };
        self.held.borrow_mut().push(Held { lock: lock.clone(), ends, irqs_off });
    }

    fn check_order(&self, lock: &LockField, nested: bool) {
        let same = |held: &&Held| held.lock.field.is(&lock.field);
        if let Some(held) = self.held.borrow().iter().find(same).map(Held::label) {
            self.fail(format!("self-deadlock: takes {held}, which it holds"));
        }
        let top = {
            let held = self.held.borrow();
            let top = held.iter().max_by_key(|held| held.lock.rank);
            top.map(|top| (top.lock.rank, top.lock.field.clone(), top.label()))
        };
        let Some((rank, field, label)) = top else {
            return;
        };
        let same_class = |a: &Field, b: &Field| a.object.class == b.object.class && a.name == b.name;
        let sibling = nested && rank == lock.rank && same_class(&field, &lock.field);
        if rank >= lock.rank && !sibling {
            let taken = lock.field.label();
            self.fail(format!("lock order: takes {taken} (rank {}) while it holds {label}", lock.rank));
        }
    }

    /// Releases a lock.
    pub(crate) fn release(&self, lock: &LockField, kind: Kind) {
        let at = {
            let held = self.held.borrow();
            held.iter().rposition(|held| held.ends == kind && held.lock.field.is(&lock.field))
        };
        let Some(at) = at else {
            return self.fail(format!("{} of {}, which is not held", kind.verb(), lock.field.label()));
        };
        let irqs_off = self.place().irqs_off;
        let released = self.held.borrow_mut().remove(at);
        lock.field.touch_with(self, kind, irqs_off);
        drop(released);
    }

    /// The locks that are held, in the order in which they were taken.
    pub fn held(&self) -> Vec<String> {
        self.held.borrow().iter().map(Held::label).collect()
    }
}
