//! What breaks a rule is found without the process's panic hook, too: it belongs to whoever set it last.

use vgic_loom::{Options, explore};

#[test]
fn a_panic_is_found_without_the_hook() {
    assert!(explore(&Options::default(), |_| ()).complete);
    std::panic::set_hook(Box::new(|_| {}));
    let report = explore(&Options::default(), |_| panic!("on purpose"));
    let story = report.violation.expect("something is wrong");
    assert!(story.text(100).contains("on purpose"), "{}", story.text(100));
    assert!(!report.complete);
    let report = explore(&Options::default(), |_| assert_eq!(1, 2));
    assert!(!report.complete && (report.gave_up.is_some() || report.violation.is_some()));
}
