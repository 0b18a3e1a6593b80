//! Reading: walks from the head, under RCU or under the lock.

use super::XArray;
use super::node::{Entry, Node};
use crate::guard::Rcu;
use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::Platform;

/// How readers load the head and the slots: O-01, the partner of the release stores in `write.rs`.
pub(super) const READER: Order = Order::Consume(Pair::XArrayPublish);

impl<P: Platform, T: Send + Sync + 'static> XArray<P, T> {
    /// The object at `index` (`xa_load`).
    #[inline]
    pub fn load(&self, ctx: &P::Ctx, _rcu: &Rcu<'_, P>, index: u32) -> Option<Obj<T>> {
        self.walk(ctx, index, READER).object()
    }

    /// The first object in `from..=max` (`xa_find`).
    pub fn find(&self, ctx: &P::Ctx, _rcu: &Rcu<'_, P>, from: u32, max: u32) -> Option<(u32, Obj<T>)> {
        self.search(ctx, from, max, READER)
    }

    /// Whether the tree has neither objects nor reservations (`xa_empty`).
    pub fn is_empty(&self, ctx: &P::Ctx) -> bool {
        // Relaxed: the word is looked at, not followed.
        self.xa_head.load(ctx, Order::Relaxed).is_empty()
    }

    /// One step of a walk over all objects in `from..=max` (`xa_for_each_range`), in an RCU section of its own.
    ///
    /// The section has ended when this returns: the caller knows another reason why the object is alive.
    pub fn next(&self, ctx: &P::Ctx, from: u32, max: u32) -> Option<(u32, Obj<T>)> {
        let rcu = Rcu::read_lock(ctx);
        self.find(ctx, &rcu, from, max)
    }

    /// Calls `f` for each object in `from..=max` (`xa_for_each_range`), with the steps and the duty of [`Self::next`].
    /// `f` may change the tree.
    pub fn for_each(&self, ctx: &P::Ctx, from: u32, max: u32, mut f: impl FnMut(u32, Obj<T>)) {
        let mut next = self.next(ctx, from, max);
        while let Some((index, obj)) = next {
            f(index, obj);
            next = index.checked_add(1).and_then(|after| self.next(ctx, after, max));
        }
    }

    /// The entry at `index`.
    #[inline(always)]
    pub(super) fn walk(&self, ctx: &P::Ctx, index: u32, order: Order) -> Entry<P, T> {
        let head = self.xa_head.load(ctx, order); // O-01 when a reader walks
        let Some(mut node) = head.node() else {
            return if index == 0 { head } else { Entry::EMPTY };
        };
        let mut shift = node.shift(ctx);
        if index >> shift > Node::<P, T>::MASK {
            return Entry::EMPTY;
        }
        loop {
            let entry = node.slot(Self::offset(index, shift)).load(ctx, order); // O-01 when a reader walks
            let Some(child) = entry.node() else {
                return entry;
            };
            node = child;
            shift = node.shift(ctx);
        }
    }

    /// The first object in `from..=max`.
    pub(super) fn search(&self, ctx: &P::Ctx, from: u32, max: u32, order: Order) -> Option<(u32, Obj<T>)> {
        let mut index = from;
        'head: while index <= max {
            let head = self.xa_head.load(ctx, order); // O-01 when a reader walks
            let Some(mut node) = head.node() else {
                return head.object().filter(|_| index == 0).map(|obj| (0, obj));
            };
            let mut shift = node.shift(ctx);
            if index >> shift > Node::<P, T>::MASK {
                return None;
            }
            loop {
                let Some((skipped, entry)) = Self::scan(ctx, &node, Self::offset(index, shift), order) else {
                    // Nothing in the rest of this node: go on behind it.
                    let covered = shift + Node::<P, T>::SHIFT;
                    let behind = (u64::from(index >> shift >> Node::<P, T>::SHIFT) + 1) << covered;
                    index = u32::try_from(behind).ok()?;
                    continue 'head;
                };
                if skipped > 0 {
                    index = ((index >> shift) + skipped) << shift;
                    if index > max {
                        return None;
                    }
                }
                if let Some(obj) = entry.object() {
                    return Some((index, obj));
                }
                node = entry.node()?;
                shift = node.shift(ctx);
            }
        }
        None
    }

    /// The first slot of `node` from `offset` on that has something, and how many slots before it have not.
    fn scan(ctx: &P::Ctx, node: &Node<P, T>, offset: usize, order: Order) -> Option<(u32, Entry<P, T>)> {
        (offset..=Node::<P, T>::MASK as usize)
            .map(|at| ((at - offset) as u32, node.slot(at).load(ctx, order))) // O-01 when a reader walks
            .find(|(_, entry)| !entry.is_absent())
    }

    /// The slot of `index` in a node with this `shift` that covers it.
    #[inline(always)]
    pub(super) fn offset(index: u32, shift: u32) -> usize {
        (index >> shift & Node::<P, T>::MASK) as usize
    }
}
