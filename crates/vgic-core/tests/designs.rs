//! Designs that are composed: what is one, and what is refused in which words.

use vgic_core::Design as _;
use vgic_core::designs::composed::ComposeError;
use vgic_core::designs::{AXES, Composed, ROWS};

fn refused(text: &str) -> String {
    match Composed::new(text) {
        Err(ComposeError::Wrong(why)) => why,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_shipped_design_is_itself_and_a_composed_one_is_not() {
    let shipped = Composed::new("v6.10").expect("a design");
    assert!(shipped.is_shipped() && std::ptr::eq(shipped.spec(), Composed::named("v6.10").spec()));
    let composed = Composed::new("v6.10+drain=put-erased").expect("a design");
    assert!(!composed.is_shipped());
    assert_eq!(composed.name(), "v6.10+drain=put-erased");
    assert_eq!(Composed::new("v6.11").err(), Some(ComposeError::UnknownDesign("v6.11".into())));
}

/// Kinds of cache and queue come first wherever they stand, as other axes depend on them.
#[test]
fn the_order_in_which_axes_are_written_does_not_matter() {
    let late = Composed::new("v6.8-rc1+drain=put-erased+cache=per-its").expect("a design");
    let early = Composed::new("v6.8-rc1+cache=per-its+drain=put-erased").expect("a design");
    for axis in AXES {
        assert_eq!(axis.of(late.spec()).map(|way| way.name), axis.of(early.spec()).map(|way| way.name));
    }
}

#[test]
fn what_is_no_design_is_told_in_a_sentence() {
    for (text, why) in [
        ("v6.10+drain", r#""drain" is not AXIS=VALUE; a design is written as v6.10+drain=put-erased"#),
        ("v6.10+depth=2", r#"v6.10+depth=2: there is no axis "depth""#),
        ("v6.10+drain=put-erased+drain=put-met", "v6.10+drain=put-erased+drain=put-met: drain is set twice"),
        ("v6.10+put=locked+cache=per-its+put=locked", "v6.10+put=locked+cache=per-its+put=locked: put is set twice"),
        ("v6.7+drain=put-met", "v6.7+drain=put-met: drain: this design has no such cache or queue"),
    ] {
        assert_eq!(refused(text), why);
    }
    let none = refused("v6.10+put=never");
    assert!(none.starts_with(r#"v6.10+put=never: put: "never" is none of "#) && none.contains("locked"), "{none}");
}

/// Each rule is broken by one design, and no other rule by that.
#[test]
fn each_nonsense_has_its_sentence() {
    for (text, why) in [
        ("v6.10+get=list-walk", "get=list-walk needs an index with a list"),
        ("v6.7+get=xarray-rcu", "get from the xarray needs an index with an xarray"),
        ("v6.10+walk=copy-list", "walk=copy-list needs an index with a list"),
        ("v6.7+walk=for-each", "a walk of the xarray needs an index with an xarray"),
        ("v6.10+save=list", "save=list needs an index with a list"),
        ("v6.7+save=xarray", "a save from the xarray needs an index with an xarray"),
        ("patch-01+add-lock=xarray", "add-lock=xarray needs index=xarray"),
        ("v6.10+store-error=never", "store-error=never goes with index=list, and only with it"),
        ("patch-04+put=erase", "a put without lpi_list_lock needs index=xarray"),
        ("v6.10+store-error=lock-held", "store-error=lock-held needs add-lock=lpi-list"),
        ("v6.9+store-error=release-under-lock", "store-error=release-under-lock needs add-lock=xarray"),
        ("v6.10+in-register=stays", "in-register=stays needs irq-bits=one-byte and lpis-off=clear-and-prune"),
        ("hardened+irq-bits=words", "in-register=stays needs irq-bits=one-byte and lpis-off=clear-and-prune"),
        ("hardened+lpis-off=unqueue", "in-register=stays needs irq-bits=one-byte and lpis-off=clear-and-prune"),
        ("v6.9+count=none", "a walk that copies needs a count"),
        ("v6.9+count=plain", "count=plain needs add-lock=lpi-list and put=locked"),
        ("v6.10+count=plain+put=locked", "count=plain needs add-lock=lpi-list and put=locked"),
    ] {
        match Composed::new(text) {
            Err(ComposeError::Wrong(told)) => assert_eq!(told, format!("{text}: {why}")),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn every_shipped_design_makes_sense() {
    for row in ROWS {
        assert_eq!(Composed::named(row.name).spec().nonsense(), None, "{}", row.name);
    }
}
