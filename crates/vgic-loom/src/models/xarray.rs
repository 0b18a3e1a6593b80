//! O-01: who finds a node or an object in an index under RCU sees what it holds.
//!
//! Nodes have four slots here: index 5 needs two levels.

use crate::platform::{Ctx, Loom};
use std::sync::Arc;
use vgic_core::guard::Rcu;
use vgic_core::platform::{Layout, PlainCell};
use vgic_core::xarray::XArray;
use vgic_core::{Obj, Platform};

#[repr(align(8))]
struct Thing {
    index: <Loom as Platform>::Cell<u32>,
}

struct Tree(XArray<Loom, Thing>);

fn tree() -> Arc<Tree> {
    Arc::new(Tree(Loom::embed("xarray", |l| XArray::new(l, "xa_lock", "xa_head", 1))))
}

impl Tree {
    fn store(&self, ctx: &Ctx, index: u32) {
        let thing = Loom::alloc(ctx, "thing", |l| Thing { index: l.cell("index", index) }).expect("memory");
        self.0.store(ctx, index, thing, true).expect("memory");
    }

    fn erase(&self, ctx: &Ctx, index: u32) {
        if let Some(thing) = self.0.erase(ctx, index, true) {
            // SAFETY: M-06: erased, so only readers of now can reach it.
            unsafe { Loom::free_rcu(ctx, thing) };
        }
    }

    fn look(ctx: &Ctx, index: u32, found: Option<Obj<Thing>>) -> bool {
        found
            .inspect(|thing| ctx.expect(thing.index.get(ctx) == index, "an index holds what belongs to another"))
            .is_some()
    }

    /// Whether there is something at an index.
    fn load(&self, ctx: &Ctx, index: u32) -> bool {
        let rcu = Rcu::<Loom>::read_lock(ctx);
        Self::look(ctx, index, self.0.load(ctx, &rcu, index))
    }

    /// The first index that has something.
    fn find(&self, ctx: &Ctx) -> Option<u32> {
        let rcu = Rcu::<Loom>::read_lock(ctx);
        let (index, thing) = self.0.find(ctx, &rcu, 0, u32::MAX)?;
        Self::look(ctx, index, Some(thing));
        Some(index)
    }
}

pub(super) fn store_in_a_new_leaf(ctx: &Ctx) {
    let tree = tree();
    let writer = Arc::clone(&tree);
    let writer = Loom::spawn(ctx, "writer", move |ctx| writer.store(ctx, 5));
    tree.load(ctx, 5);
    Loom::join(ctx, writer);
}

pub(super) fn walk_beside_a_store(ctx: &Ctx) {
    let tree = tree();
    let writer = Arc::clone(&tree);
    let writer = Loom::spawn(ctx, "writer", move |ctx| writer.store(ctx, 5));
    tree.find(ctx);
    Loom::join(ctx, writer);
}

pub(super) fn growth_beside_a_load(ctx: &Ctx) {
    let tree = tree();
    tree.store(ctx, 0);
    let writer = Arc::clone(&tree);
    let writer = Loom::spawn(ctx, "writer", move |ctx| writer.store(ctx, 2));
    ctx.expect(tree.load(ctx, 0), "an entry that stays is not found");
    Loom::join(ctx, writer);
}

pub(super) fn collapse_beside_a_load(ctx: &Ctx) {
    let tree = tree();
    tree.store(ctx, 1);
    let (stores, erases) = (Arc::clone(&tree), Arc::clone(&tree));
    let stores = Loom::spawn(ctx, "stores", move |ctx| stores.store(ctx, 0));
    let erases = Loom::spawn(ctx, "erases", move |ctx| erases.erase(ctx, 1));
    tree.load(ctx, 0);
    Loom::join(ctx, stores);
    Loom::join(ctx, erases);
}
