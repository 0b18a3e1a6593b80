//! The index alone: an index that grows and shrinks, and entries that come and go, beside readers.

use crate::platform::ctx::Ctx;
use crate::platform::{Shuttle, rcu, spawn};
use crate::scenario::Scenario;
use std::sync::Arc;
use vgic_core::guard::Rcu;
use vgic_core::platform::{Layout, PlainCell};
use vgic_core::xarray::XArray;
use vgic_core::{Design, Obj, Platform};

/// See the module's text.
pub struct Xarray;

/// An index that stays, one in the same node, and one that needs two levels more.
const STAYS: u32 = 1;
const NEAR: u32 = 2;
const FAR: u32 = 40;

struct Entry {
    index: <Shuttle as Platform>::Cell<u32>,
}

type Tree = XArray<Shuttle, Entry>;

fn store(ctx: &Ctx, tree: &Tree, index: u32) {
    let entry = Shuttle::alloc(ctx, "entry", |l| Entry { index: l.cell("index", index) }).expect("memory");
    ctx.note(|| format!("stores {index}"));
    tree.store(ctx, index, entry, true).expect("memory");
}

fn erase(ctx: &Ctx, tree: &Tree, index: u32) {
    ctx.note(|| format!("erases {index}"));
    if let Some(entry) = tree.erase(ctx, index, true) {
        // SAFETY: K-04: erased, so only readers of now can reach it, and they are waited for.
        unsafe { Shuttle::free_rcu(ctx, entry) };
    }
}

fn look(ctx: &Ctx, index: u32, found: Option<Obj<Entry>>) {
    let holds = found.map(|entry| entry.index.get(ctx));
    ctx.expect(holds.is_none_or(|holds| holds == index), || format!("index {index} holds the entry of {holds:?}"));
    ctx.expect(index != STAYS || holds.is_some(), || "an entry that stays is not found".to_owned());
}

impl Scenario for Xarray {
    const NAME: &'static str = "xarray";
    const ABOUT: &'static str = "store, erase, growth and shrinking of an xarray, against a load and an iteration";
    const BOUND: &'static str =
        "nodes of 4 slots, 3 indices on 1 to 3 levels; 2 stores, 2 erases, 2 loads, 1 iteration";

    fn run<D: Design>(ctx: &Ctx) {
        let tree = Arc::new(Shuttle::embed("xarray", |l| Tree::new(l, "xa_lock", "xa_head", 10)));
        store(ctx, &tree, STAYS);
        let writer = {
            let tree = Arc::clone(&tree);
            spawn(ctx, "writer", false, move |ctx| {
                store(ctx, &tree, FAR);
                store(ctx, &tree, NEAR);
                erase(ctx, &tree, FAR);
                erase(ctx, &tree, NEAR);
            })
        };
        let reader = {
            let tree = Arc::clone(&tree);
            spawn(ctx, "reader", false, move |ctx| {
                for index in [STAYS, FAR] {
                    ctx.note(|| format!("loads {index}"));
                    let rcu = Rcu::<Shuttle>::read_lock(ctx);
                    look(ctx, index, tree.load(ctx, &rcu, index));
                }
                ctx.note(|| "walks all".to_owned());
                let (mut from, mut stays) = (0, false);
                while let Some((index, _)) = tree.next(ctx, from, u32::MAX) {
                    stays |= index == STAYS;
                    from = index + 1;
                }
                ctx.expect(stays, || "an iteration passes over an entry that stays".to_owned());
            })
        };
        for thread in [writer, reader] {
            Shuttle::join(ctx, crate::platform::Thread(thread));
        }
        erase(ctx, &tree, STAYS);
        tree.destroy(ctx);
        rcu::close(ctx);
        let live = ctx.world.objects.borrow().live().len();
        ctx.expect(live == 0, || format!("{live} objects were not freed"));
    }
}
