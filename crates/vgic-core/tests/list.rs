//! Lists whose links live in the elements, against a vector.

use vgic_core::list::{Link, Linked, List, RcuList};
use vgic_core::{Obj, Platform};
use vgic_count::{Count, CountCtx};

struct Tag;

struct Element {
    link: Link<Count, Element, Tag>,
    key: u32,
}

impl Linked<Count, Tag> for Element {
    fn link(&self) -> &Link<Count, Element, Tag> {
        &self.link
    }
}

type Elements = List<Count, Element, Tag>;

/// Elements with these keys, on no list.
fn elements(ctx: &CountCtx, keys: &[u32]) -> Vec<Obj<Element>> {
    let new = |key: &u32| Count::alloc(ctx, "element", |l| Element { link: Link::new(l, "next", "prev"), key: *key });
    keys.iter().map(|key| new(key).expect("memory")).collect()
}

fn list() -> Elements {
    Count::embed("list", |l| List::new(l, "first", "last"))
}

/// The list has these elements, forwards and, as they are taken off, backwards.
#[track_caller]
fn empty(ctx: &CountCtx, list: &Elements, expected: &[Obj<Element>]) {
    assert_eq!(list.iter(ctx).collect::<Vec<_>>(), expected);
    for (left, element) in expected.iter().enumerate().rev() {
        assert!(!list.is_empty(ctx));
        assert_eq!((list.first(ctx), list.last(ctx)), (Some(expected[0]), Some(*element)));
        list.del(ctx, *element);
        assert_eq!(list.iter(ctx).collect::<Vec<_>>(), expected[..left]);
    }
    assert!(list.is_empty(ctx));
    assert_eq!((list.first(ctx), list.last(ctx)), (None, None));
}

#[test]
fn elements_come_and_go_at_both_ends_and_in_the_middle() {
    let ctx = CountCtx::new();
    let list = list();
    let all = elements(&ctx, &[0, 1, 2, 3]);
    let [a, b, c, d] = all[..] else { unreachable!() };
    empty(&ctx, &list, &[]);
    // The same elements again and again: what a link was before does not matter.
    for _ in 0..2 {
        all.iter().for_each(|element| list.add_tail(&ctx, *element));
        assert_eq!(list.next(&ctx, b), Some(c));
        assert_eq!(list.next(&ctx, d), None);
        empty(&ctx, &list, &[a, b, c, d]);
        all.iter().for_each(|element| list.add_head(&ctx, *element));
        empty(&ctx, &list, &[d, c, b, a]);
    }
    for (gone, left) in [(a, [b, c, d]), (c, [a, b, d]), (d, [a, b, c])] {
        all.iter().for_each(|element| list.add_tail(&ctx, *element));
        list.del(&ctx, gone);
        empty(&ctx, &list, &left);
    }
}

#[test]
fn an_element_moves_to_the_front() {
    let ctx = CountCtx::new();
    let list = list();
    let all = elements(&ctx, &[0, 1, 2]);
    let [a, b, c] = all[..] else { unreachable!() };
    for (moved, expected) in [(a, [a, b, c]), (b, [b, a, c]), (c, [c, a, b])] {
        all.iter().for_each(|element| list.add_tail(&ctx, *element));
        list.move_head(&ctx, moved);
        empty(&ctx, &list, &expected);
    }
}

/// Who walks may take off the element that it was given.
#[test]
fn a_walk_survives_the_end_of_its_element() {
    let ctx = CountCtx::new();
    let list = list();
    let all = elements(&ctx, &[0, 1, 2]);
    all.iter().for_each(|element| list.add_tail(&ctx, *element));
    let walked: Vec<_> = list.iter(&ctx).inspect(|element| list.del(&ctx, *element)).collect();
    assert_eq!(walked, all);
    empty(&ctx, &list, &[]);
}

/// Sorted, equal ones in the order in which they were, and whole in both directions.
#[test]
fn sorting_is_stable() {
    let ctx = CountCtx::new();
    let list = list();
    for length in (0..=17).chain([32, 33]) {
        let keys: [&dyn Fn(u32) -> u32; 5] =
            [&|_| 7, &|at| at, &|at| length - at, &|at| at * 37 % 5, &|at| at * 0x9e37 / 7 % 64];
        for key in keys {
            let mut all = elements(&ctx, &(0..length).map(key).collect::<Vec<_>>());
            all.iter().for_each(|element| list.add_tail(&ctx, *element));
            list.sort(&ctx, |a, b| a.key > b.key);
            all.sort_by_key(|element| element.key);
            empty(&ctx, &list, &all);
        }
    }
}

/// A reader that stands on an element that was taken off finds the way out, and one that comes later does not find it.
#[test]
fn a_reader_walks_over_what_was_taken_off() {
    let ctx = CountCtx::new();
    let list: RcuList<Count, Element, Tag> = Count::embed("list", |l| RcuList::new(l, "first", "last"));
    let all = elements(&ctx, &[0, 1, 2]);
    all.iter().for_each(|element| list.locked().add_tail(&ctx, *element));
    let mut reader = list.iter_rcu(&ctx);
    assert_eq!(reader.next(), Some(all[0]));
    // It has the link to the second one already.
    list.locked().del(&ctx, all[1]);
    assert_eq!(reader.collect::<Vec<_>>(), all[1..]);
    assert_eq!(list.iter_rcu(&ctx).collect::<Vec<_>>(), [all[0], all[2]]);
}
