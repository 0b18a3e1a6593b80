//! O-02: who meets an element on a list under RCU sees what it holds.

use crate::platform::{Ctx, Loom};
use std::sync::Arc;
use vgic_core::guard::{Rcu, Spin};
use vgic_core::list::{Link, Linked, RcuList};
use vgic_core::platform::{Layout, PlainCell};
use vgic_core::{Obj, Platform};

struct Tag;

struct Element {
    link: Link<Loom, Element, Tag>,
    value: <Loom as Platform>::Cell<u32>,
}

impl Linked<Loom, Tag> for Element {
    fn link(&self) -> &Link<Loom, Self, Tag> {
        &self.link
    }
}

struct Shared {
    lock: <Loom as Platform>::SpinLock,
    list: RcuList<Loom, Element, Tag>,
}

fn shared() -> Arc<Shared> {
    Arc::new(Loom::embed("list", |l| Shared { lock: l.spin("lock", 1), list: RcuList::new(l, "first", "last") }))
}

fn element(ctx: &Ctx, value: u32) -> Obj<Element> {
    let make =
        |l: &<Loom as Platform>::Layout| Element { link: Link::new(l, "next", "prev"), value: l.cell("value", value) };
    Loom::alloc(ctx, "element", make).expect("memory")
}

impl Shared {
    fn add_head(&self, ctx: &Ctx, element: Obj<Element>) {
        let _lock = Spin::<Loom>::lock(&self.lock, ctx);
        self.list.locked().add_head(ctx, element);
    }

    fn add_tail(&self, ctx: &Ctx, element: Obj<Element>) {
        let _lock = Spin::<Loom>::lock(&self.lock, ctx);
        self.list.locked().add_tail(ctx, element);
    }

    fn del(&self, ctx: &Ctx, element: Obj<Element>) {
        {
            let _lock = Spin::<Loom>::lock(&self.lock, ctx);
            self.list.locked().del(ctx, element);
        }
        // SAFETY: M-06: unlinked, so only readers of now can stand on it.
        unsafe { Loom::free_rcu(ctx, element) };
    }

    /// Looks at what each element holds, as a cache hit does.
    fn walk(&self, ctx: &Ctx) {
        let _rcu = Rcu::<Loom>::read_lock(ctx);
        for element in self.list.iter_rcu(ctx) {
            element.value.get(ctx);
        }
    }
}

pub(super) fn add_to_either_end(ctx: &Ctx) {
    let shared = shared();
    let writer = Arc::clone(&shared);
    let writer = Loom::spawn(ctx, "writer", move |ctx| {
        writer.add_tail(ctx, element(ctx, 1)); // to an empty list
        writer.add_tail(ctx, element(ctx, 2));
        writer.add_head(ctx, element(ctx, 0));
    });
    shared.walk(ctx);
    Loom::join(ctx, writer);
}

/// With an element in front of the one that goes, and without.
fn del(ctx: &Ctx, in_front: bool) {
    let shared = shared();
    if in_front {
        shared.add_tail(ctx, element(ctx, 0));
    }
    let goes = element(ctx, 1);
    shared.add_tail(ctx, goes);
    let (adds, removes) = (Arc::clone(&shared), Arc::clone(&shared));
    let adds = Loom::spawn(ctx, "adds", move |ctx| adds.add_tail(ctx, element(ctx, 2)));
    let removes = Loom::spawn(ctx, "removes", move |ctx| removes.del(ctx, goes));
    shared.walk(ctx);
    Loom::join(ctx, adds);
    Loom::join(ctx, removes);
}

pub(super) fn del_before_a_newcomer(ctx: &Ctx) {
    del(ctx, false);
}

pub(super) fn del_between_two(ctx: &Ctx) {
    del(ctx, true);
}
