//! The nodes: how the tree gets them and how it loses them.
//!
//! A change stores to one slot that readers follow. What it leaves behind is tidied up: nodes that became empty are
//! unlinked upwards from the leaf ([`Locked::prune`]), and a top with nothing but slot 0 gives way to what is in it
//! ([`Locked::shrink`]). An allocation that fails half-way uses the same two to take back what was made.

use super::XArray;
use super::node::{Entry, Node};
use super::write::{HELD, Locked, PUBLISH, Place};
use crate::obj::Obj;
use crate::order::Order;
use crate::platform::{NoMemory, Platform};

impl<P: Platform, T: Send + Sync + 'static> Locked<'_, P, T> {
    /// The place of `index`, whose path is made where it is missing. On failure the tree is what it was before.
    pub(super) fn create(&self, index: u32, may_alloc: bool) -> Result<Place<P, T>, NoMemory> {
        let Some(mut node) = self.grow(index, may_alloc)? else {
            return Ok(Place { leaf: None, offset: 0 });
        };
        loop {
            let shift = node.shift(self.ctx);
            let offset = XArray::<P, T>::offset(index, shift);
            if shift == 0 {
                return Ok(Place { leaf: Some(node), offset });
            }
            node = match node.slot(offset).load(self.ctx, HELD).node() {
                Some(child) => child,
                None => match self.alloc(may_alloc, shift - Node::<P, T>::SHIFT, offset, Some(node)) {
                    Ok(child) => {
                        // O-01: the child's fields were written before; partner: the loads of `walk` and `search`.
                        node.slot(offset).store(self.ctx, Entry::of_node(child), PUBLISH);
                        node.set_count(self.ctx, node.count(self.ctx) + 1);
                        child
                    }
                    Err(NoMemory) => {
                        self.prune(node);
                        return Err(NoMemory);
                    }
                },
            };
        }
    }

    /// Makes the tree high enough for `index`. Returns the top, or none where the head itself is the place.
    fn grow(&self, index: u32, may_alloc: bool) -> Result<Option<Obj<Node<P, T>>>, NoMemory> {
        let mut head = self.xa.xa_head.load(self.ctx, HELD);
        if head.is_empty() && index > 0 {
            let mut shift = 0;
            while index >> shift > Node::<P, T>::MASK {
                shift += Node::<P, T>::SHIFT;
            }
            let top = self.alloc(may_alloc, shift, 0, None)?;
            // O-01: the node's fields were written before; partner: the loads of `walk` and `search`.
            self.xa.xa_head.store(self.ctx, Entry::of_node(top), PUBLISH);
            return Ok(Some(top));
        }
        loop {
            let below = head.node();
            let shift = match below {
                None if index == 0 => return Ok(None),
                None => 0,
                Some(top) if self.covers(top, index) => return Ok(Some(top)),
                Some(top) => top.shift(self.ctx) + Node::<P, T>::SHIFT,
            };
            let Ok(top) = self.alloc(may_alloc, shift, 0, None) else {
                self.shrink();
                return Err(NoMemory);
            };
            if let Some(node) = below {
                node.look_at_marks(self.ctx);
            }
            // Relaxed: nobody sees the node yet; the store to the head below publishes it (O-01).
            top.slot(0).store(self.ctx, head, Order::Relaxed);
            top.set_count(self.ctx, 1);
            top.init_marks(self.ctx);
            if let Some(node) = below {
                node.set_parent(self.ctx, Some(top));
            }
            head = Entry::of_node(top);
            // O-01: the node's fields and slot 0 were written before; partner: the loads of `walk` and `search`.
            self.xa.xa_head.store(self.ctx, head, PUBLISH);
        }
    }

    pub(super) fn covers(&self, top: Obj<Node<P, T>>, index: u32) -> bool {
        index >> top.shift(self.ctx) <= Node::<P, T>::MASK
    }

    /// Unlinks `node` if it is empty, then its parents if that made them empty; keeps the tree as low as can be.
    pub(super) fn prune(&self, mut node: Obj<Node<P, T>>) {
        while node.count(self.ctx) == 0 {
            let parent = node.parent(self.ctx);
            match parent {
                Some(parent) => {
                    // Relaxed: an erase publishes nothing (O-01).
                    parent.slot(node.offset(self.ctx)).store(self.ctx, Entry::EMPTY, Order::Relaxed);
                    parent.set_count(self.ctx, parent.count(self.ctx) - 1);
                }
                // Relaxed: as above.
                None => self.xa.xa_head.store(self.ctx, Entry::EMPTY, Order::Relaxed),
            }
            self.free(node);
            match parent {
                Some(parent) => node = parent,
                None => return,
            }
        }
        if node.parent(self.ctx).is_none() {
            self.shrink();
        }
    }

    /// Takes away the top while it holds nothing but slot 0.
    fn shrink(&self) {
        while let Some(top) = self.xa.xa_head.load(self.ctx, HELD).node() {
            let only = top.slot(0).load(self.ctx, HELD);
            if top.count(self.ctx) != 1 || only.is_empty() {
                return;
            }
            if let Some(child) = only.node() {
                child.set_parent(self.ctx, None);
            }
            top.look_at_marks(self.ctx);
            // O-01: another thread may have filled what is in slot 0; partner: the loads of `walk` and `search`.
            self.xa.xa_head.store(self.ctx, only, PUBLISH);
            self.free(top);
        }
    }

    fn alloc(
        &self,
        may_alloc: bool,
        shift: u32,
        offset: usize,
        parent: Option<Obj<Node<P, T>>>,
    ) -> Result<Obj<Node<P, T>>, NoMemory> {
        if may_alloc { Node::alloc(self.ctx, shift, offset, parent) } else { Err(NoMemory) }
    }

    /// Frees a node that was unlinked.
    fn free(&self, node: Obj<Node<P, T>>) {
        // SAFETY: S-12: the node came from `Node::alloc`; the holder of the lock has unlinked it, once, and keeps no
        // handle to it. Only readers that run now can still be in it.
        unsafe { P::free_rcu(self.ctx, node) }
    }

    /// Empties the tree.
    pub(super) fn clear(&self) {
        let head = self.xa.xa_head.load(self.ctx, HELD);
        // Relaxed: an erase publishes nothing (O-01).
        self.xa.xa_head.store(self.ctx, Entry::EMPTY, Order::Relaxed);
        if let Some(top) = head.node() {
            self.free_all(top);
        }
    }

    fn free_all(&self, node: Obj<Node<P, T>>) {
        for offset in 0..=Node::<P, T>::MASK as usize {
            if let Some(child) = node.slot(offset).load(self.ctx, HELD).node() {
                self.free_all(child);
            }
        }
        self.free(node);
    }
}
