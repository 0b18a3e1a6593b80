//! [`XArray`]: a radix tree from a 32-bit index to an object, read under RCU and written under its own lock.
//!
//! **The problem.** An interrupt is looked up by its INTID on every injection, from all senders at once, while a
//! guest maps and unmaps others. A reader must find what is there without writing to shared memory; a writer must
//! be able to take nodes away while readers stand in them.
//!
//! **The shape.** Each node resolves `SHIFT` bits of the index (6 natively: 64 slots). The tree is as high as its
//! largest index needs: `xa_head` points to the top node, whose `shift` says which indices the tree covers. A
//! larger index puts nodes on top, with the former top in slot 0; when only slot 0 of the top is used, the top
//! goes away again. A single entry at index 0 sits in the head without any node. A node without entries is
//! unlinked. So the same set of indices always has the same tree, whatever led to it.
//!
//! **Who may write.** The holder of `xa_lock`, nobody else; in code, [`Locked`]. Readers are in an RCU section and
//! use `xa_head`, and of a node its `shift` and slots. `count`, `offset` and `parent` are the writer's.
//!
//! **Why a reader is right.** Three facts:
//!
//! 1. *What a node covers never changes.* `shift` is written before the node is published, and a node that gets
//!    parents put above it covers the indices from 0 on, with or without them.
//! 2. *A node that was unlinked is frozen.* Nobody writes its slots any more: an empty node stays empty, and a top
//!    that collapsed still holds its only entry in slot 0. It is freed after a grace period, so whoever found it
//!    may finish in it.
//! 3. *What is stored with release carries its content.* That includes the head at a collapse: the child was
//!    published before, perhaps by another thread, and a reader may meet it first through the new head.
//!
//! By induction over its steps, a reader that holds a node covering its index holds one that was in the tree at
//! some moment since its load began: if the node still is, its slot is what the tree says now; if it was unlinked at
//! a moment *t*, its slot is what the tree said at *t*. So a load returns what the index held at *some* moment during
//! the load. An entry that is present all the time is therefore never missed:
//!
//! - *Collapse while the reader is in the old top.* Only slot 0 was used, so the entry is below slot 0, which still
//!   points there. If the entry itself moved to the head, the dead leaf holds it too.
//! - *Collapse before the reader loads the head.* The new head covers all that is in the tree; an index beyond it is
//!   absent, and rightly so.
//! - *Growth after the reader loaded the head.* The old head covers the entry, and is still where it was.
//! - *Growth before.* The new top is complete (its slot 0) before the head points to it.
//! - *The removal of an empty node* touches no path of a present entry: a node with an entry below it is not empty.
//!
//! Each operation begins at the head. Nothing here remembers a node from one operation to the next, which is why a dead
//! leaf can keep its entry where the kernel, whose cursors do remember, leaves a note to retry.
//! [`XArray::find`] begins again at the head when it has walked to the end of a node; as its index only grows, and no walk
//! misses a present entry, it cannot pass over an entry that stays.
//!
//! **No marks.** KVM marks none of its entries, so there is no way to mark one. But the kernel's tree looks whether there
//! are marks to clear or to pass up when it erases and when it grows, and that look is an access like any other: a node
//! keeps its word of marks, which stays zero, and the writer looks at it where the kernel does.
//!
//! **Objects.** The tree does not own them. Who frees one erases it first and waits for the readers (or has some
//! other reason, by the rules of the design, why none is left): this is part of the promise in [`Obj`].
//!
//! **The cost.** A load in a tree of `n` levels reads the head and, for each level, `shift` and one slot: no writes, no
//! fences, `1 + 2n` loads on `1 + 2n` cache lines at most. `shift` shares its line with `count`, as in the kernel, so a
//! store or erase of another index in a node makes its readers miss once.
//!
//! **Lock order.** `xa_lock` has the rank that the owner gives it; nodes are allocated and queued for freeing under it.

mod audit;
mod node;
mod read;
mod shape;
mod write;

pub use write::Locked;

use crate::obj::Obj;
use crate::platform::{Layout, NoMemory, Platform};
use node::Slot;

/// A radix tree from index to object. See the module's text.
pub struct XArray<P: Platform, T: Send + Sync + 'static> {
    xa_lock: P::SpinLock,
    xa_head: Slot<P, T>,
}

impl<P: Platform, T: Send + Sync + 'static> XArray<P, T> {
    /// Makes an empty tree (`xa_init`), as fields of the object that `l` lays out.
    pub fn new(l: &P::Layout, lock_name: &'static str, head_name: &'static str, lock_rank: u8) -> Self {
        let xa_lock = l.spin(lock_name, lock_rank);
        l.skip(4); // xa_flags
        XArray { xa_lock, xa_head: Slot::new(l, head_name) }
    }

    /// Takes the lock (`xa_lock`).
    #[inline]
    pub fn lock<'a>(&'a self, ctx: &'a P::Ctx) -> Locked<'a, P, T> {
        Locked::new(self, ctx, false)
    }

    /// Takes the lock with interrupts masked (`xa_lock_irqsave`).
    #[inline]
    pub fn lock_irqsave<'a>(&'a self, ctx: &'a P::Ctx) -> Locked<'a, P, T> {
        Locked::new(self, ctx, true)
    }

    /// [`Locked::store`] under the lock (`xa_store`, `xa_store_irq`).
    pub fn store(&self, ctx: &P::Ctx, index: u32, obj: Obj<T>, irqs_off: bool) -> Result<Option<Obj<T>>, NoMemory> {
        Locked::new(self, ctx, irqs_off).store(index, obj, true)
    }

    /// [`Locked::erase`] under the lock (`xa_erase`, `xa_erase_irq`).
    pub fn erase(&self, ctx: &P::Ctx, index: u32, irqs_off: bool) -> Option<Obj<T>> {
        Locked::new(self, ctx, irqs_off).erase(index)
    }

    /// [`Locked::reserve`] under the lock (`xa_reserve`, `xa_reserve_irq`).
    pub fn reserve(&self, ctx: &P::Ctx, index: u32, irqs_off: bool) -> Result<(), NoMemory> {
        Locked::new(self, ctx, irqs_off).reserve(index)
    }

    /// [`Locked::release`] under the lock (`xa_release`).
    pub fn release(&self, ctx: &P::Ctx, index: u32, irqs_off: bool) {
        Locked::new(self, ctx, irqs_off).release(index);
    }

    /// Empties the tree (`xa_destroy`). The nodes are freed after a grace period; the objects are the caller's.
    pub fn destroy(&self, ctx: &P::Ctx) {
        self.lock_irqsave(ctx).clear();
    }
}
