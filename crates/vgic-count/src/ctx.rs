//! [`CountCtx`]: the one thread, what it holds, and what is known of it afterwards.

use crate::check::Held;
use crate::field::{Field, Object};
use crate::objects::Objects;
use crate::recorder::{Place, Recorder, Uses};
use crate::step::{Kind, Step};
use core::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use vgic_core::{Callback, Event, Order};

/// When callbacks run. Both are what real threads could meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grace {
    /// When somebody waits for them: what is freed late hides nothing that is forgotten.
    #[default]
    Late,
    /// As soon as this thread is in no read section: a use that counts on a delay is found.
    Early,
}

/// The one thread of [`Count`](crate::Count).
#[derive(Debug, Default)]
pub struct CountCtx {
    pub(crate) grace: Grace,
    /// Depth of nested RCU and SRCU sections.
    pub(crate) rcu: Cell<u32>,
    pub(crate) srcu: Cell<u32>,
    pub(crate) held: RefCell<Vec<Held>>,
    recorder: RefCell<Recorder>,
    objects: RefCell<Objects>,
    callbacks: RefCell<VecDeque<Callback<CountCtx>>>,
    events: RefCell<[u64; Event::COUNT]>,
    allocations: Cell<u64>,
    failing: Cell<Option<u64>>,
}

impl CountCtx {
    /// A thread that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with a choice of when callbacks run.
    pub fn with_grace(grace: Grace) -> Self {
        CountCtx { grace, ..Self::default() }
    }

    /// Writes down what `f` does. Calls do not nest.
    pub fn record(&self, f: impl FnOnce()) -> Vec<Step> {
        let before = self.recorder.borrow_mut().steps.replace(Vec::new());
        assert!(before.is_none(), "recording already");
        f();
        self.recorder.borrow_mut().steps.take().unwrap_or_default()
    }

    /// Objects that were not freed, such as `vgic_irq#2`.
    pub fn live_objects(&self) -> Vec<String> {
        self.objects.borrow().live()
    }

    /// What the engine warned about.
    pub fn warnings(&self) -> Vec<&'static str> {
        self.recorder.borrow().warnings.clone()
    }

    /// How often an event was counted.
    pub fn events(&self, event: Event) -> u64 {
        self.events.borrow()[event as usize]
    }

    /// Every field of every class that was met (`vgic_irq.refcount`), and what was done to it so far, recorded or not.
    pub fn fields(&self) -> BTreeMap<String, Uses> {
        let recorder = self.recorder.borrow();
        let uses = recorder.fields.iter();
        uses.map(|((class, name), uses)| (format!("{class}.{name}"), *uses)).collect()
    }

    /// Which lock was taken while which was held: (outer, inner), by name.
    pub fn nestings(&self) -> BTreeSet<(&'static str, &'static str)> {
        self.recorder.borrow().nestings.clone()
    }

    /// How many callbacks wait for a grace period.
    pub fn pending_callbacks(&self) -> usize {
        self.callbacks.borrow().len()
    }

    /// How many allocations were tried.
    pub fn allocations(&self) -> u64 {
        self.allocations.get()
    }

    /// Makes one allocation fail: the first from now on if `after` is 0.
    pub fn fail_allocation(&self, after: u64) {
        self.failing.set(Some(self.allocations.get() + after));
    }

    pub(crate) fn allocation_fails(&self) -> bool {
        let this = self.allocations.get();
        self.allocations.set(this + 1);
        self.failing.get() == Some(this)
    }

    pub(crate) fn note_nesting(&self, outer: &'static str, inner: &'static str) {
        self.recorder.borrow_mut().nestings.insert((outer, inner));
    }

    pub(crate) fn count_event(&self, event: Event) {
        self.events.borrow_mut()[event as usize] += 1;
    }

    pub(crate) fn note_warning(&self, what: &'static str) {
        self.recorder.borrow_mut().warnings.push(what);
    }

    pub(crate) fn note(&self, kind: Kind) {
        self.recorder.borrow_mut().step(kind, None, self.place());
    }

    pub(crate) fn note_ordered(&self, kind: Kind, order: Order) {
        self.recorder.borrow_mut().step(kind, Some(order), self.place());
    }

    pub(crate) fn note_field(&self, field: &Field, kind: Kind, order: Option<Order>, place: Place) {
        self.recorder.borrow_mut().field(field, kind, order, place);
    }

    pub(crate) fn note_object(&self, object: &Arc<Object>, kind: Kind) {
        self.recorder.borrow_mut().object(object, kind, self.place());
    }

    pub(crate) fn with_objects<R>(&self, f: impl FnOnce(&mut Objects) -> R) -> R {
        f(&mut self.objects.borrow_mut())
    }

    pub(crate) fn push_callback(&self, callback: Callback<CountCtx>) {
        self.callbacks.borrow_mut().push_back(callback);
    }

    pub(crate) fn pop_callback(&self) -> Option<Callback<CountCtx>> {
        self.callbacks.borrow_mut().pop_front()
    }

    /// Does `f` as another thread would: without the locks of this one, and not written down.
    pub(crate) fn apart(&self, f: impl FnOnce()) {
        let held = self.held.take();
        let steps = self.recorder.borrow_mut().steps.take();
        f();
        self.recorder.borrow_mut().steps = steps;
        self.held.replace(held);
    }
}
