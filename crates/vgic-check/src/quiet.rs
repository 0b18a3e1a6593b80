//! Panics of the code under test are findings: they are caught where a thread's body ends, and the hook only notes where
//! they came from instead of printing them.
//!
//! The hook may be missing for a moment, or for good: the library of the stacks exchanges the process's hook around each
//! stack it takes away, and two threads that do so at a time leave either's. So nothing but the place depends on it.

use crate::platform::world::World;
use core::any::Any;
use core::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
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
            if World::try_current().is_none() {
                return before(info);
            }
            let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line()));
            PLACE.with(|of| *of.borrow_mut() = place);
        }));
    });
}

/// What a panic says, if it says anything.
pub fn text_of_panic(payload: &dyn Any) -> Option<&str> {
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// What a panic of the code under test was and where, if it was one, and not the end that shuttle puts to a stack.
pub(crate) fn finding(payload: &dyn Any) -> Option<String> {
    let place = PLACE.take().unwrap_or_default();
    text_of_panic(payload).map(|text| format!("panic: {text}{place}"))
}
