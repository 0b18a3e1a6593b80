//! A check of the whole tree, for tests and for the checkers' scenarios.

use super::node::{Entry, Node};
use super::write::{HELD, Locked};
use crate::obj::Obj;
use crate::platform::Platform;

impl<P: Platform, T: Send + Sync + 'static> Locked<'_, P, T> {
    /// Checks each node's count, marks, offset and parent, and that the tree has no node too many.
    /// Returns the number of nodes, or what is wrong.
    pub fn audit(&self) -> Result<usize, &'static str> {
        let head = self.xa.xa_head.load(self.ctx, HELD);
        let Some(top) = head.node() else {
            return Ok(0);
        };
        if top.parent(self.ctx).is_some() {
            return Err("the top has a parent");
        }
        if top.count(self.ctx) == 1 && !top.slot(0).load(self.ctx, HELD).is_empty() {
            return Err("the top holds only slot 0");
        }
        self.audit_node(top)
    }

    fn audit_node(&self, node: Obj<Node<P, T>>) -> Result<usize, &'static str> {
        let (mut nodes, mut count) = (1, 0);
        let marks = node.marks(self.ctx);
        for offset in 0..=Node::<P, T>::MASK as usize {
            let entry = node.slot(offset).load(self.ctx, HELD);
            let marked = marks >> offset & 1 != 0;
            count += u8::from(!entry.is_empty());
            match entry.node() {
                Some(child) => {
                    if child.parent(self.ctx) != Some(node) || child.offset(self.ctx) != offset {
                        return Err("a node does not know its place");
                    }
                    if child.shift(self.ctx) + Node::<P, T>::SHIFT != node.shift(self.ctx) {
                        return Err("a node is at the wrong level");
                    }
                    if marked != (child.marks(self.ctx) != 0) {
                        return Err("a mark was not passed up");
                    }
                    nodes += self.audit_node(child)?;
                }
                None => self.audit_entry(&node, entry, marked)?,
            }
        }
        if count == 0 || count != node.count(self.ctx) {
            return Err("a count is wrong, or an empty node was left");
        }
        Ok(nodes)
    }

    fn audit_entry(&self, node: &Node<P, T>, entry: Entry<P, T>, marked: bool) -> Result<(), &'static str> {
        if !entry.is_empty() && node.shift(self.ctx) != 0 {
            return Err("an object is in an inner node");
        }
        if entry.is_marked() || (marked && entry.object().is_none()) {
            return Err("a mark without an object, or in the wrong place");
        }
        Ok(())
    }
}
