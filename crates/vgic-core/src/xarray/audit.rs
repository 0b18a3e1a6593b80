//! A check of the whole tree, for tests and for the checkers' scenarios.

use super::node::Node;
use super::write::{HELD, Locked};
use crate::obj::Obj;
use crate::platform::Platform;

impl<P: Platform, T: Send + Sync + 'static> Locked<'_, P, T> {
    /// Checks each node's count, offset and parent, and that the tree has no node too many.
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
        for offset in 0..=Node::<P, T>::MASK as usize {
            let entry = node.slot(offset).load(self.ctx, HELD);
            count += u8::from(!entry.is_empty());
            match entry.node() {
                Some(child) => {
                    if child.parent(self.ctx) != Some(node) || child.offset(self.ctx) != offset {
                        return Err("a node does not know its place");
                    }
                    if child.shift(self.ctx) + Node::<P, T>::SHIFT != node.shift(self.ctx) {
                        return Err("a node is at the wrong level");
                    }
                    nodes += self.audit_node(child)?;
                }
                None if !entry.is_empty() && node.shift(self.ctx) != 0 => return Err("an object is in an inner node"),
                None => {}
            }
        }
        if count == 0 || count != node.count(self.ctx) {
            return Err("a count is wrong, or an empty node was left");
        }
        Ok(nodes)
    }
}
