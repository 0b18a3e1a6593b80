//! Writing: what the holder of the lock may do to entries. How nodes come and go is in `shape.rs`.

use super::XArray;
use super::node::{Entry, Node, Slot};
use crate::guard::Spin;
use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::{NoMemory, Platform};
use core::marker::PhantomData;

/// How an entry is stored that readers may follow: O-01, the partner of the acquire loads in `read.rs`.
pub(super) const PUBLISH: Order = Order::Release(Pair::XArrayPublish);
/// How the holder of the lock reads: the lock orders it after the stores of the holders before.
pub(super) const HELD: Order = Order::Relaxed;

/// An [`XArray`] whose lock is held; lets go when dropped. Belongs to one thread: two that share it could both write.
#[must_use]
pub struct Locked<'a, P: Platform, T: Send + Sync + 'static> {
    pub(super) xa: &'a XArray<P, T>,
    pub(super) ctx: &'a P::Ctx,
    _guard: Spin<'a, P>,
    _one_thread: PhantomData<*mut ()>,
}

/// A slot that can hold an object: one of a leaf's, or the head (`leaf` is none) for index 0 in a tree without nodes.
pub(super) struct Place<P: Platform, T: Send + Sync + 'static> {
    pub(super) leaf: Option<Obj<Node<P, T>>>,
    pub(super) offset: usize,
}

impl<P: Platform, T: Send + Sync + 'static> Place<P, T> {
    fn slot<'s>(&'s self, xa: &'s XArray<P, T>) -> &'s Slot<P, T> {
        match &self.leaf {
            Some(leaf) => leaf.slot(self.offset),
            None => &xa.xa_head,
        }
    }
}

impl<'a, P: Platform, T: Send + Sync + 'static> Locked<'a, P, T> {
    #[inline]
    pub(super) fn new(xa: &'a XArray<P, T>, ctx: &'a P::Ctx, irqs_off: bool) -> Self {
        let _guard = match irqs_off {
            true => Spin::lock_irqsave(&xa.xa_lock, ctx),
            false => Spin::lock(&xa.xa_lock, ctx),
        };
        Locked { xa, ctx, _guard, _one_thread: PhantomData }
    }

    /// The object at `index`.
    pub fn load(&self, index: u32) -> Option<Obj<T>> {
        self.xa.walk(self.ctx, index, HELD).object()
    }

    /// The first object in `from..=max`.
    pub fn find(&self, from: u32, max: u32) -> Option<(u32, Obj<T>)> {
        self.xa.search(self.ctx, from, max, HELD)
    }

    /// Puts `obj` at `index` and returns what it displaces (`__xa_store`).
    ///
    /// Without `may_alloc` (the kernel's `gfp` 0) it succeeds only where no node is missing: that is sure if the index
    /// was reserved or holds an object.
    pub fn store(&self, index: u32, obj: Obj<T>, may_alloc: bool) -> Result<Option<Obj<T>>, NoMemory> {
        let place = self.create(index, may_alloc)?;
        Ok(self.replace(&place, Entry::of_object(obj)).object())
    }

    /// Makes sure that [`Self::store`] at `index` will need no memory (`xa_reserve`). Readers still see nothing there.
    /// No effect where there is an object.
    pub fn reserve(&self, index: u32) -> Result<(), NoMemory> {
        let place = self.create(index, true)?;
        if self.entry(&place).is_empty() {
            self.replace(&place, Entry::RESERVED);
        }
        Ok(())
    }

    /// Takes back a reservation that was not used (`xa_release`). No effect on an object.
    pub fn release(&self, index: u32) {
        self.erase_if(index, Entry::is_reserved);
    }

    /// Takes the object or the reservation at `index` away; returns the object (`__xa_erase`).
    pub fn erase(&self, index: u32) -> Option<Obj<T>> {
        self.erase_if(index, |_| true)
    }

    fn erase_if(&self, index: u32, condition: impl FnOnce(Entry<P, T>) -> bool) -> Option<Obj<T>> {
        let place = self.place(index)?;
        let old = self.entry(&place);
        if old.is_empty() || !condition(old) {
            return None;
        }
        self.look_at_marks(&place);
        // Relaxed: an erase publishes nothing (O-01).
        place.slot(self.xa).store(self.ctx, Entry::EMPTY, Order::Relaxed);
        if let Some(leaf) = place.leaf {
            leaf.set_count(self.ctx, leaf.count(self.ctx) - 1);
            self.prune(leaf);
        }
        old.object()
    }

    fn entry(&self, place: &Place<P, T>) -> Entry<P, T> {
        place.slot(self.xa).load(self.ctx, HELD)
    }

    /// Puts `new`, which is not empty, into a place; returns what was there.
    fn replace(&self, place: &Place<P, T>, new: Entry<P, T>) -> Entry<P, T> {
        let old = self.entry(place);
        // O-01: the object was filled before; partner: the loads of `walk` and `search`.
        place.slot(self.xa).store(self.ctx, new, PUBLISH);
        if let Some(leaf) = place.leaf.filter(|_| old.is_empty()) {
            leaf.set_count(self.ctx, leaf.count(self.ctx) + 1);
        }
        old
    }

    /// The place of `index`, if its path exists.
    fn place(&self, index: u32) -> Option<Place<P, T>> {
        let Some(mut node) = self.xa.xa_head.load(self.ctx, HELD).node() else {
            return (index == 0).then_some(Place { leaf: None, offset: 0 });
        };
        if !self.covers(node, index) {
            return None;
        }
        loop {
            let shift = node.shift(self.ctx);
            let offset = XArray::<P, T>::offset(index, shift);
            if shift == 0 {
                return Some(Place { leaf: Some(node), offset });
            }
            node = node.slot(offset).load(self.ctx, HELD).node()?;
        }
    }

    /// What the kernel looks at for marks to clear (`xas_init_marks`): the node's word, or `xa_flags` beside the head.
    fn look_at_marks(&self, place: &Place<P, T>) {
        match &place.leaf {
            Some(leaf) => leaf.look_at_marks(self.ctx),
            None => {
                self.entry(place);
            }
        }
    }
}
