//! What the tree is made of: nodes, their slots, and the tagged word in a slot.
//!
//! A slot is one pointer-sized word, so one load tells a reader all that it needs:
//!
//! | low bits | meaning | where |
//! |---|---|---|
//! | null | nothing | anywhere |
//! | `00` | an object | the head, slots of a leaf |
//! | `01` | reserved: the path exists, readers see nothing | the head, slots of a leaf |
//! | `10` | a node | the head, slots of an inner node |
//!
//! Words are made and taken apart only here, and are written only through [`Slot`]. So a word with the tag of an
//! object is an object of type `T`, and a word with the tag of a node is a node of this tree: the two `unsafe`
//! blocks below rest on nothing else than that and the life times that `mod.rs` argues for.

use crate::obj::Obj;
use crate::order::Order;
use crate::platform::{Atomic, Layout, NoMemory, PlainCell, Platform, PointerCell, Slots};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

const TAG_MASK: usize = 3;
const TAG_OBJECT: usize = 0;
const TAG_RESERVED: usize = 1;
const TAG_NODE: usize = 2;

/// The word in a slot.
pub(super) struct Entry<P, T>(*mut (), PhantomData<(P, T)>);

impl<P, T> Clone for Entry<P, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<P, T> Copy for Entry<P, T> {}

impl<P: Platform, T: Send + Sync + 'static> Entry<P, T> {
    /// Nothing.
    pub(super) const EMPTY: Self = Entry(ptr::null_mut(), PhantomData);
    /// A place that is kept for a later store.
    pub(super) const RESERVED: Self = Entry(ptr::without_provenance_mut(TAG_RESERVED), PhantomData);

    #[inline(always)]
    pub(super) fn of_object(obj: Obj<T>) -> Self {
        const { assert!(align_of::<T>() > TAG_MASK, "the low bits of an object's address hold the tag") }
        Entry(obj.as_ptr().cast(), PhantomData)
    }

    #[inline(always)]
    pub(super) fn of_node(node: Obj<Node<P, T>>) -> Self {
        Entry(node.as_ptr().cast::<()>().wrapping_byte_add(TAG_NODE), PhantomData)
    }

    #[inline(always)]
    fn tag(self) -> usize {
        self.0.addr() & TAG_MASK
    }

    #[inline(always)]
    pub(super) fn is_empty(self) -> bool {
        self.0.is_null()
    }

    #[inline(always)]
    pub(super) fn is_reserved(self) -> bool {
        self.tag() == TAG_RESERVED
    }

    /// Nothing that a reader would return or follow.
    #[inline(always)]
    pub(super) fn is_absent(self) -> bool {
        self.is_empty() || self.is_reserved()
    }

    /// The node, if it is one.
    #[inline(always)]
    pub(super) fn node(self) -> Option<Obj<Node<P, T>>> {
        if self.tag() != TAG_NODE {
            return None;
        }
        let node = self.0.wrapping_byte_sub(TAG_NODE).cast();
        // SAFETY: S-10: the tag says that `of_node` made the word, so without it this is a node of this tree (and not
        // null); the caller found it in the RCU section or under the lock that keeps the node from being freed.
        Some(unsafe { Obj::from_raw(NonNull::new_unchecked(node)) })
    }

    /// The object, if it is one.
    #[inline(always)]
    pub(super) fn object(self) -> Option<Obj<T>> {
        if self.tag() != TAG_OBJECT {
            return None;
        }
        // SAFETY: S-11: null, or the tag says that the word was made from a handle; who frees the object has erased it
        // here before and has let the readers of that time finish.
        unsafe { Obj::from_ptr(self.0.cast()) }
    }
}

/// A word that readers load and the holder of the lock stores.
pub(super) struct Slot<P: Platform, T>(P::AtomicPtr<()>, PhantomData<Obj<T>>);

impl<P: Platform, T: Send + Sync + 'static> Slot<P, T> {
    pub(super) fn new(l: &P::Layout, name: &'static str) -> Self {
        Slot(l.ptr(name), PhantomData)
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn load(&self, ctx: &P::Ctx, order: Order) -> Entry<P, T> {
        Entry(self.0.load(ctx, order), PhantomData)
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn store(&self, ctx: &P::Ctx, entry: Entry<P, T>, order: Order) {
        self.0.store(ctx, entry.0, order);
    }
}

/// A node of the tree (`struct xa_node`): the slots of the indices that agree in all bits above `shift + SHIFT`.
///
/// Readers use `shift` and `slots`; the rest belongs to the holder of the lock.
#[repr(C, align(8))]
pub(super) struct Node<P: Platform, T: Send + Sync + 'static> {
    /// How many bits of the index the levels below consume; 0 in a leaf. Never changes.
    shift: P::Cell<u8>,
    /// Slot of the parent that holds this node. Never changes: a node gets a parent above it only when it covers
    /// index 0, and such a node has had offset 0 since it was made.
    offset: P::Cell<u8>,
    /// Slots that are not empty (reserved ones count).
    count: P::Cell<u8>,
    /// The node above; none at the top.
    parent: P::PtrCell<Node<P, T>>,
    slots: P::Slots<Slot<P, T>>,
    /// The kernel's first word of marks, one bit a slot. Nothing is marked, but looking costs (see `mod.rs`).
    marks: P::AtomicU64,
}

impl<P: Platform, T: Send + Sync + 'static> Node<P, T> {
    /// Bits of the index that one level consumes.
    pub(super) const SHIFT: u32 = {
        let shift = <P::Slots<Slot<P, T>> as Slots<Slot<P, T>>>::SHIFT;
        assert!(shift >= 1 && shift <= 6, "the marks of a node fit 64 bits");
        shift
    };
    /// Largest offset within a node.
    pub(super) const MASK: u32 = (1 << Self::SHIFT) - 1;

    /// An empty node that nobody can see yet.
    pub(super) fn alloc(
        ctx: &P::Ctx,
        shift: u32,
        offset: usize,
        parent: Option<Obj<Self>>,
    ) -> Result<Obj<Self>, NoMemory> {
        let node: Obj<Self> = P::alloc(ctx, "xa_node", |l| {
            let shift = l.cell("shift", shift as u8);
            let offset = l.cell("offset", offset as u8);
            let count = l.cell("count", 0u8);
            l.skip(1); // nr_values
            let parent = l.ptr_cell("parent");
            l.skip(24); // array, private_list
            let slots = P::Slots::from_fn(|_| Slot::new(l, "slots"));
            let marks = l.u64("marks", 0);
            l.skip(16); // marks 1 and 2
            Node { shift, offset, count, parent, slots, marks }
        })?;
        if parent.is_some() {
            node.parent.set(ctx, parent);
        }
        Ok(node)
    }

    #[inline(always)]
    pub(super) fn shift(&self, ctx: &P::Ctx) -> u32 {
        // The mask tells the compiler that shifting an index by it cannot overflow.
        u32::from(self.shift.get(ctx)) & 31
    }

    #[inline(always)]
    pub(super) fn slot(&self, offset: usize) -> &Slot<P, T> {
        self.slots.slot(offset)
    }

    pub(super) fn offset(&self, ctx: &P::Ctx) -> usize {
        usize::from(self.offset.get(ctx))
    }

    pub(super) fn parent(&self, ctx: &P::Ctx) -> Option<Obj<Self>> {
        self.parent.get(ctx)
    }

    pub(super) fn set_parent(&self, ctx: &P::Ctx, parent: Option<Obj<Self>>) {
        self.parent.set(ctx, parent);
    }

    pub(super) fn count(&self, ctx: &P::Ctx) -> u8 {
        self.count.get(ctx)
    }

    pub(super) fn set_count(&self, ctx: &P::Ctx, count: u8) {
        self.count.set(ctx, count);
    }

    /// Looks whether anything is marked, which nothing is.
    pub(super) fn look_at_marks(&self, ctx: &P::Ctx) {
        // Relaxed: the holder of the lock looks at what nobody else touches.
        self.marks.load(ctx, Order::Relaxed);
    }

    /// Writes the marks of a node that nobody sees yet.
    pub(super) fn init_marks(&self, ctx: &P::Ctx) {
        // Relaxed: as above.
        self.marks.store(ctx, 0, Order::Relaxed);
    }
}
