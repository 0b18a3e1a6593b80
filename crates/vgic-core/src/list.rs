//! Doubly linked lists whose links live in the elements (`struct list_head`), and the same list read under RCU.
//!
//! One lock protects a list; who holds it may do anything. Without the lock, [`List::is_empty`] may be asked (a
//! hint), and the elements of an [`RcuList`] may be walked inside an RCU section: an element is published with its
//! content by one release store, and an unlinked element keeps its `next`, so a reader that stands on it finds the
//! way out. It must then not be freed before a grace period has passed.

use crate::obj::Obj;
use crate::order::{Order, Pair};
use crate::platform::{Atomic, Layout, Platform, PointerCell};
use core::marker::PhantomData;

/// The links of one element, for one of the lists (`Tag`) that it can be on.
pub struct Link<P: Platform, T: 'static, Tag> {
    next: P::AtomicPtr<T>,
    prev: P::PtrCell<T>,
    tag: PhantomData<fn() -> Tag>,
}

impl<P: Platform, T: 'static, Tag> Link<P, T, Tag> {
    /// Links of an element that is on no list. `next` and `prev` name the two fields.
    pub fn new(l: &P::Layout, next: &'static str, prev: &'static str) -> Self {
        Link { next: l.ptr(next), prev: l.ptr_cell(prev), tag: PhantomData }
    }
}

/// An element that can be on the list `Tag`.
pub trait Linked<P: Platform, Tag>: Sized + Send + Sync + 'static {
    /// Its links.
    fn link(&self) -> &Link<P, Self, Tag>;
}

/// A list whose elements are of type `T`.
pub struct List<P: Platform, T: 'static, Tag> {
    first: P::AtomicPtr<T>,
    last: P::PtrCell<T>,
    tag: PhantomData<fn() -> Tag>,
}

#[inline(always)]
fn raw<T>(element: Option<Obj<T>>) -> *mut T {
    element.map_or(core::ptr::null_mut(), Obj::as_ptr)
}

#[inline(always)]
fn handle<T>(ptr: *mut T) -> Option<Obj<T>> {
    // SAFETY: S-03: links hold null or an element on the list (or, for an RCU reader, one that has just left it);
    // elements are freed only when unlinked, and after a grace period where readers may stand on them.
    unsafe { Obj::from_ptr(ptr) }
}

impl<P: Platform, T: Linked<P, Tag>, Tag> List<P, T, Tag> {
    /// An empty list. `first` and `last` name its two fields.
    pub fn new(l: &P::Layout, first: &'static str, last: &'static str) -> Self {
        List { first: l.ptr(first), last: l.ptr_cell(last), tag: PhantomData }
    }

    /// Whether the list is empty; a hint without the lock.
    #[inline(always)]
    pub fn is_empty(&self, ctx: &P::Ctx) -> bool {
        // Relaxed: the pointer is looked at, not followed.
        self.first.load(ctx, Order::Relaxed).is_null()
    }

    /// The first element.
    #[inline(always)]
    pub fn first(&self, ctx: &P::Ctx) -> Option<Obj<T>> {
        // Relaxed: the caller holds the lock of the list.
        handle(self.first.load(ctx, Order::Relaxed))
    }

    /// The last element.
    pub fn last(&self, ctx: &P::Ctx) -> Option<Obj<T>> {
        self.last.get(ctx)
    }

    /// The element behind `element`.
    #[inline(always)]
    pub fn next(&self, ctx: &P::Ctx, element: Obj<T>) -> Option<Obj<T>> {
        // Relaxed: as above.
        handle(element.link().next.load(ctx, Order::Relaxed))
    }

    /// Walks the list. The walk reads the link of an element before it hands the element out, so the body may
    /// unlink it (`list_for_each_entry_safe`).
    #[inline(always)]
    pub fn iter<'a>(&'a self, ctx: &'a P::Ctx) -> impl Iterator<Item = Obj<T>> + 'a {
        let mut next = self.first(ctx);
        core::iter::from_fn(move || {
            let element = next?;
            next = self.next(ctx, element);
            Some(element)
        })
    }

    /// Puts `element` in front.
    pub fn add_head(&self, ctx: &P::Ctx, element: Obj<T>) {
        let old = self.first(ctx);
        let link = element.link();
        link.prev.set(ctx, None);
        // Relaxed: published by the store to `first` below (O-02).
        link.next.store(ctx, raw(old), Order::Relaxed);
        match old {
            Some(old) => old.link().prev.set(ctx, Some(element)),
            None => self.last.set(ctx, Some(element)),
        }
        // Release: publishes the element's content; pairs with the acquire loads of RCU readers (O-02).
        self.first.store(ctx, raw(Some(element)), Order::Release(Pair::RcuListPublish));
    }

    /// Puts `element` at the end.
    pub fn add_tail(&self, ctx: &P::Ctx, element: Obj<T>) {
        let old = self.last.get(ctx);
        let link = element.link();
        link.prev.set(ctx, old);
        // Relaxed: published by the store below (O-02).
        link.next.store(ctx, core::ptr::null_mut(), Order::Relaxed);
        self.last.set(ctx, Some(element));
        // Release: as in add_head (O-02).
        match old {
            Some(old) => old.link().next.store(ctx, raw(Some(element)), Order::Release(Pair::RcuListPublish)),
            None => self.first.store(ctx, raw(Some(element)), Order::Release(Pair::RcuListPublish)),
        }
    }

    /// Takes `element`, which is on this list, off it. Its own `next` stays for readers that stand on it.
    pub fn del(&self, ctx: &P::Ctx, element: Obj<T>) {
        let link = element.link();
        let (next, prev) = (self.next(ctx, element), link.prev.get(ctx));
        match next {
            Some(next) => next.link().prev.set(ctx, prev),
            None => self.last.set(ctx, prev),
        }
        // Release: a reader that takes this way must see what lies behind as published (O-02).
        match prev {
            Some(prev) => prev.link().next.store(ctx, raw(next), Order::Release(Pair::RcuListPublish)),
            None => self.first.store(ctx, raw(next), Order::Release(Pair::RcuListPublish)),
        }
    }

    /// Moves `element` to the front (`list_move`). Not for lists with RCU readers.
    pub fn move_head(&self, ctx: &P::Ctx, element: Obj<T>) {
        self.del(ctx, element);
        self.add_head(ctx, element);
    }

    /// Sorts the list, stable, by a comparison that says whether the second argument must come before the first.
    ///
    /// The comparison may look at data that changes while the sort runs (it takes locks, one pair at a time): the
    /// result is then some order of the same elements, as with the kernel's `list_sort`.
    pub fn sort(&self, ctx: &P::Ctx, mut after: impl FnMut(Obj<T>, Obj<T>) -> bool) {
        // Bottom-up merge sort: runs[i] is a sorted chain of 2^i elements, earlier elements in higher runs.
        let mut runs: [Option<Obj<T>>; 32] = [None; 32];
        let mut rest = self.first(ctx);
        while let Some(element) = rest {
            rest = self.next(ctx, element);
            // Relaxed, here and in merge: lists with RCU readers are not sorted.
            element.link().next.store(ctx, core::ptr::null_mut(), Order::Relaxed);
            let mut chain = Some(element);
            let mut level = 0;
            while let Some(earlier) = runs[level].take() {
                chain = self.merge(ctx, Some(earlier), chain, &mut after);
                level += 1;
            }
            runs[level] = chain;
        }
        let mut sorted = None;
        for run in runs {
            sorted = self.merge(ctx, run, sorted, &mut after);
        }
        let mut prev = None;
        let mut next = sorted;
        while let Some(element) = next {
            element.link().prev.set(ctx, prev);
            prev = next;
            next = self.next(ctx, element);
        }
        // Relaxed: as above.
        self.first.store(ctx, raw(sorted), Order::Relaxed);
        self.last.set(ctx, prev);
    }

    fn merge(
        &self,
        ctx: &P::Ctx,
        mut a: Option<Obj<T>>,
        mut b: Option<Obj<T>>,
        after: &mut impl FnMut(Obj<T>, Obj<T>) -> bool,
    ) -> Option<Obj<T>> {
        let mut head = None;
        let mut tail: Option<Obj<T>> = None;
        loop {
            let take = match (a, b) {
                (Some(x), Some(y)) if after(x, y) => {
                    b = self.next(ctx, y);
                    y
                }
                (Some(x), _) => {
                    a = self.next(ctx, x);
                    x
                }
                (None, Some(y)) => {
                    b = self.next(ctx, y);
                    y
                }
                (None, None) => return head,
            };
            match tail {
                // Relaxed: as in sort.
                Some(tail) => tail.link().next.store(ctx, raw(Some(take)), Order::Relaxed),
                None => head = Some(take),
            }
            tail = Some(take);
        }
    }
}

/// A list that RCU readers walk without its lock (`rculist`).
pub struct RcuList<P: Platform, T: 'static, Tag>(List<P, T, Tag>);

impl<P: Platform, T: Linked<P, Tag>, Tag> RcuList<P, T, Tag> {
    /// An empty list. `first` and `last` name its two fields.
    pub fn new(l: &P::Layout, first: &'static str, last: &'static str) -> Self {
        RcuList(List::new(l, first, last))
    }

    /// The same list for who holds its lock.
    #[inline(always)]
    pub fn locked(&self) -> &List<P, T, Tag> {
        &self.0
    }

    /// Walks the list inside an RCU section (`list_for_each_entry_rcu`).
    #[inline(always)]
    pub fn iter_rcu<'a>(&'a self, ctx: &'a P::Ctx) -> impl Iterator<Item = Obj<T>> + 'a {
        // Consume: pairs with the release stores of add and del (O-02).
        let mut next = handle(self.0.first.load(ctx, Order::Consume(Pair::RcuListPublish)));
        core::iter::from_fn(move || {
            let element = next?;
            next = handle(element.link().next.load(ctx, Order::Consume(Pair::RcuListPublish)));
            Some(element)
        })
    }
}
