//! Threads, waiting for one another, and warnings.

use crate::ctx::NativeCtx;
use crate::fork::OfProcess;
use crate::sync::Mutex;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// A thread that was started.
#[derive(Debug)]
pub struct Thread(JoinHandle<()>);

/// Starts a thread with a context of its own, in the RCU domains of `ctx`.
///
/// Boxed: what the standard library needs to start a thread is compiled once, not for each function.
pub(crate) fn spawn(ctx: &NativeCtx, name: &str, f: Box<dyn FnOnce(&NativeCtx) + Send>) -> Thread {
    let runtime = Arc::clone(ctx.runtime());
    let own_name = name.to_owned();
    let handle = thread::Builder::new()
        .name(own_name.clone())
        .spawn(move || f(&NativeCtx::with_runtime(&runtime, &own_name)))
        .unwrap_or_else(|error| panic!("cannot start thread `{name}`: {error}"));
    Thread(handle)
}

/// Waits for a thread; true unless it panicked.
pub(crate) fn join(thread: Thread) -> bool {
    thread.0.join().is_ok()
}

/// How often a waiting thread spins before it gives its CPU away.
const SPINS_BEFORE_YIELD: u32 = 64;

/// Lets others run.
#[inline]
pub(crate) fn relax(spins: u32) {
    if spins < SPINS_BEFORE_YIELD {
        core::hint::spin_loop();
    } else {
        thread::yield_now();
    }
}

static WARNINGS: AtomicU64 = AtomicU64::new(0);
static BY_TEXT: OfProcess<Mutex<BTreeMap<&'static str, u64>>> = OfProcess::new();

/// How many warnings there were in the process so far.
pub fn warnings() -> u64 {
    // Relaxed: a count that orders nothing.
    WARNINGS.load(Ordering::Relaxed)
}

/// The same by text.
pub fn warnings_by_text() -> BTreeMap<&'static str, u64> {
    BY_TEXT.get(Mutex::default).lock().clone()
}

/// Counts a warning; debug builds print each message once.
#[cold]
pub(crate) fn warn(what: &'static str) {
    // Relaxed: a count that orders nothing.
    WARNINGS.fetch_add(1, Ordering::Relaxed);
    let mut by_text = BY_TEXT.get(Mutex::default).lock();
    let count = by_text.entry(what).or_default();
    *count += 1;
    if *count == 1 && cfg!(debug_assertions) {
        eprintln!("vgic: warning: {what}");
    }
}
