//! Panics of the code under test are findings: the hook hands them to the execution instead of printing them.

use crate::platform::world::World;
use crate::violation::Rule;
use core::any::Any;
use core::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Installs the hook, once. It takes the place of shuttle's own, which is installed by its first run and would have a say
/// in every panic of the process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        shuttle::Runner::new(shuttle::scheduler::RoundRobinScheduler::new(1), shuttle::Config::new()).run(|| {});
        drop(panic::take_hook());
        panic::set_hook(Box::new(move |info| {
            let Some(world) = World::try_current() else {
                return before(info);
            };
            let text = text_of_panic(info.payload()).unwrap_or_default();
            let place = info.location().map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
            PANICKED.set(true);
            world.fail(Rule::Panic, format!("panic: {text}{place}"), Vec::new());
        }));
    });
}

/// What a panic says, if it says anything.
pub fn text_of_panic(payload: &dyn Any) -> Option<&str> {
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Whether this is a panic of the code under test, and not the end that shuttle puts to a stack.
pub(crate) fn was_panic(_payload: &(dyn Any + Send)) -> bool {
    PANICKED.replace(false)
}
