//! [`Recorder`]: what was written down.

use crate::field::{Field, Object};
use crate::step::{Kind, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vgic_core::Order;

/// What became of one field, over all objects of its class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Loads, and reads of plain data.
    pub reads: u64,
    /// Stores, and writes of plain data.
    pub writes: u64,
    /// Atomic read-modify-writes.
    pub rmws: u64,
    /// How often the lock was taken with interrupts enabled.
    pub taken_irqs_on: u64,
    /// How often it was taken with interrupts masked.
    pub taken_irqs_off: u64,
    /// Sleeps and wake-ups.
    pub parks: u64,
}

impl Uses {
    /// Nothing was done to it.
    pub fn is_unused(&self) -> bool {
        *self == Uses::default()
    }

    fn add(&mut self, kind: Kind, irqs_off: bool) {
        *match kind {
            Kind::Rmw => &mut self.rmws,
            Kind::Park | Kind::Unpark => &mut self.parks,
            _ if kind.is_read() => &mut self.reads,
            _ if kind.is_write() => &mut self.writes,
            _ if kind.takes_lock() && irqs_off => &mut self.taken_irqs_off,
            _ if kind.takes_lock() => &mut self.taken_irqs_on,
            _ => return,
        } += 1;
    }
}

/// Where a thread is: what a step says beside what was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) depth: usize,
    pub(crate) irqs_off: bool,
}

/// What was written down.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// The steps, while recording.
    pub(crate) steps: Option<Vec<Step>>,
    pub(crate) fields: BTreeMap<(&'static str, &'static str), Uses>,
    /// Which lock was taken while which was held.
    pub(crate) nestings: BTreeSet<(&'static str, &'static str)>,
    pub(crate) warnings: Vec<&'static str>,
    serials: BTreeMap<&'static str, u32>,
}

impl Recorder {
    /// Meets an object: it gets its number, and its fields are known.
    fn meet(&mut self, object: &Arc<Object>) -> u32 {
        if let Some(serial) = object.serial() {
            return serial;
        }
        let next = self.serials.entry(object.class).or_default();
        let serial = *next;
        *next += 1;
        object.set_serial(serial);
        for (name, _) in object.names() {
            self.fields.entry((object.class, name)).or_default();
        }
        serial
    }

    /// Notes a step that is about no object.
    pub(crate) fn step(&mut self, kind: Kind, order: Option<Order>, place: Place) {
        self.push(Step {
            kind,
            class: "",
            object: 0,
            field: "",
            index: None,
            order,
            depth: place.depth,
            irqs_off: place.irqs_off,
        });
    }

    /// Notes a step that is about an object as a whole.
    pub(crate) fn object(&mut self, object: &Arc<Object>, kind: Kind, place: Place) {
        let serial = self.meet(object);
        self.push(Step {
            kind,
            class: object.class,
            object: serial,
            field: "",
            index: None,
            order: None,
            depth: place.depth,
            irqs_off: place.irqs_off,
        });
    }

    /// Notes a step that is about a field.
    pub(crate) fn field(&mut self, field: &Field, kind: Kind, order: Option<Order>, place: Place) {
        let serial = self.meet(&field.object);
        let class = field.object.class;
        self.fields.entry((class, field.name)).or_default().add(kind, place.irqs_off);
        if self.steps.is_some() {
            self.push(Step {
                kind,
                class,
                object: serial,
                field: field.name,
                index: field.index(),
                order,
                depth: place.depth,
                irqs_off: place.irqs_off,
            });
        }
    }

    fn push(&mut self, step: Step) {
        if let Some(steps) = &mut self.steps {
            steps.push(step);
        }
    }
}
