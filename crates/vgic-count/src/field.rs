//! [`Field`]: which field of which object, so that an access knows its name.
//!
//! Objects get their numbers when a context first meets them, since an embedded object is made without a context.

use crate::ctx::CountCtx;
use crate::recorder::Place;
use crate::step::Kind;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use vgic_core::Order;

/// An object as its fields know it.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) class: &'static str,
    /// Its number plus one; 0 until a context meets it.
    serial: AtomicU32,
    dead: AtomicBool,
    /// Its fields: names, and how many there are of each.
    names: Mutex<Vec<(&'static str, u16)>>,
}

// Relaxed everywhere: one thread uses the platform; the types are atomics since its trait asks for `Sync`.
impl Object {
    pub(crate) fn new(class: &'static str) -> Arc<Self> {
        Arc::new(Object {
            class,
            serial: AtomicU32::new(0),
            dead: AtomicBool::new(false),
            names: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn serial(&self) -> Option<u32> {
        self.serial.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(crate) fn set_serial(&self, serial: u32) {
        self.serial.store(serial + 1, Ordering::Relaxed);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    pub(crate) fn label(&self) -> String {
        match self.serial() {
            Some(serial) => format!("{}#{serial}", self.class),
            None => self.class.to_owned(),
        }
    }

    pub(crate) fn names(&self) -> Vec<(&'static str, u16)> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a field of that name.
    pub(crate) fn field(self: &Arc<Self>, name: &'static str) -> Field {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let occurrence = match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => {
                *count += 1;
                *count - 1
            }
            None => {
                names.push((name, 1));
                0
            }
        };
        Field { object: Arc::clone(self), name, occurrence }
    }
}

/// A field of an object.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) object: Arc<Object>,
    pub(crate) name: &'static str,
    occurrence: u16,
}

impl Field {
    /// Writes an access down, and checks that the object is still there.
    pub(crate) fn touch(&self, ctx: &CountCtx, kind: Kind, order: Option<Order>) {
        self.check_alive(ctx, kind);
        ctx.note_field(self, kind, order, ctx.place());
    }

    /// The same for a step of a lock, which itself changes whether interrupts are masked.
    pub(crate) fn touch_with(&self, ctx: &CountCtx, kind: Kind, irqs_off: bool) {
        self.check_alive(ctx, kind);
        ctx.note_field(self, kind, None, Place { irqs_off, ..ctx.place() });
    }

    fn check_alive(&self, ctx: &CountCtx, kind: Kind) {
        if self.object.is_dead() {
            ctx.fail(format!("use after free: {} of {}", kind.verb(), self.label()));
        }
    }

    /// Which one of several fields of the same name it is.
    pub(crate) fn index(&self) -> Option<u16> {
        let several = |&(name, count): &(&str, u16)| name == self.name && count > 1;
        let names = self.object.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().any(several).then_some(self.occurrence)
    }

    pub(crate) fn label(&self) -> String {
        let label = format!("{}.{}", self.object.label(), self.name);
        match self.index() {
            Some(index) => format!("{label}[{index}]"),
            None => label,
        }
    }

    pub(crate) fn is(&self, other: &Field) -> bool {
        Arc::ptr_eq(&self.object, &other.object) && self.name == other.name && self.occurrence == other.occurrence
    }
}
