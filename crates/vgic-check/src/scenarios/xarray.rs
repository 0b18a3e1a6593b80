//! The index alone: an index that grows and shrinks, and entries that come and go, beside readers.

use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::violation::Rule;
use std::sync::Arc;
use vgic_core::Platform;
use vgic_core::guard::Rcu;
use vgic_core::platform::{Layout, PlainCell};
use vgic_core::xarray::XArray;

/// See the module's text.
pub struct Xarray;

/// An index that stays, one in the same node, and one that needs two levels more.
const STAYS: u32 = 1;
const NEAR: u32 = 2;
const FAR: u32 = 40;

struct Entry<P: Platform> {
    index: P::Cell<u32>,
}

/// The tree as the threads use it.
struct Tree<P: Platform, S> {
    tree: XArray<P, Entry<P>>,
    stage: S,
}

impl<P: Platform, S: Stage<P>> Tree<P, S> {
    fn store(&self, ctx: &P::Ctx, index: u32) {
        let entry = P::alloc(ctx, "entry", |l| Entry { index: l.cell("index", index) }).expect("memory");
        self.stage.note(ctx, || format!("stores {index}"));
        self.tree.store(ctx, index, entry, true).expect("memory");
    }

    fn erase(&self, ctx: &P::Ctx, index: u32) {
        self.stage.note(ctx, || format!("erases {index}"));
        if let Some(entry) = self.tree.erase(ctx, index, true) {
            // SAFETY: K-04: erased, so only readers of now can reach it, and they are waited for.
            unsafe { P::free_rcu(ctx, entry) };
        }
    }

    fn load(&self, ctx: &P::Ctx, index: u32) {
        self.stage.note(ctx, || format!("loads {index}"));
        let rcu = Rcu::<P>::read_lock(ctx);
        let holds = self.tree.load(ctx, &rcu, index).map(|entry| entry.index.get(ctx));
        let right = holds.is_none_or(|holds| holds == index);
        self.stage.expect(ctx, right, || format!("index {index} holds the entry of {holds:?}"));
        let found = index != STAYS || holds.is_some();
        self.stage.expect(ctx, found, || "an entry that stays is not found".to_owned());
    }

    fn walk(&self, ctx: &P::Ctx) {
        self.stage.note(ctx, || "walks all".to_owned());
        let (mut from, mut stays) = (0, false);
        while let Some((index, _)) = self.tree.next(ctx, from, u32::MAX) {
            stays |= index == STAYS;
            from = index + 1;
        }
        self.stage.expect(ctx, stays, || "an iteration passes over an entry that stays".to_owned());
    }
}

impl Scenario for Xarray {
    const NAME: &'static str = "xarray";
    const ABOUT: &'static str = "store, erase, growth and shrinking of an xarray, against a load and an iteration";
    const BOUND: &'static str =
        "nodes of 4 slots, 3 indices on 1 to 3 levels; 2 stores, 2 erases, 2 loads, 1 iteration";

    fn run<P: Platform, S: Stage<P>>(ctx: &P::Ctx, stage: S) {
        let tree = P::embed("xarray", |l| XArray::new(l, "xa_lock", "xa_head", 10));
        let tree = Arc::new(Tree::<P, S> { tree, stage: stage.clone() });
        tree.store(ctx, STAYS);
        let writer = Arc::clone(&tree);
        stage.spawn(ctx, "writer", false, move |ctx| {
            writer.store(ctx, FAR);
            writer.store(ctx, NEAR);
            writer.erase(ctx, FAR);
            writer.erase(ctx, NEAR);
        });
        let reader = Arc::clone(&tree);
        stage.spawn(ctx, "reader", false, move |ctx| {
            reader.load(ctx, STAYS);
            reader.load(ctx, FAR);
            reader.walk(ctx);
        });
        stage.join(ctx);
        tree.erase(ctx, STAYS);
        tree.tree.destroy(ctx);
        let leaked = stage.close(ctx);
        if !leaked.is_empty() {
            stage.broken(ctx, Rule::Leak, format!("never freed: {}", leaked.join(", ")));
        }
    }
}
