//! A panic is found without the process's panic hook, too: it belongs to whoever set it last.

use vgic_check::{Ctx, Options, Rule, Shuttle, check_function};
use vgic_core::Platform;

#[test]
fn a_panic_is_found_without_the_hook() {
    let panics = |ctx: &Ctx| {
        let thread = Shuttle::spawn(ctx, "thread", |_| panic!("on purpose"));
        Shuttle::join(ctx, thread);
    };
    for hooked in [true, false] {
        if !hooked {
            std::panic::set_hook(Box::new(|_| {}));
        }
        let report =
            check_function("test", "none", panics, &Options::default(), &|| false).expect("nothing to look up");
        let story = report.story().expect("something is wrong");
        assert_eq!(story.rule, Rule::Panic);
        assert!(story.what.starts_with("panic: on purpose"), "{}", story.what);
        assert_eq!(story.what.contains("no_hook.rs"), hooked, "{}", story.what);
    }
}
