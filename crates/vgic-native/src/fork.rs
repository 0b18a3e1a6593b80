//! What a child of `fork` can rely on.
//!
//! **Problem.** A child has one thread and a copy of the memory. A lock that another thread of the parent held at that
//! moment stays locked in it for ever, a reader that was in its section stays there, and a thread that ran callbacks is
//! gone. `fork` may come at any moment.
//!
//! **Rule.** What a process shares belongs to one process: [`OfProcess`] gives a child one of its own, and never looks
//! at what it inherited. What was made before a fork and is not shared by the process, a VM or a context, is not for the
//! child: [`born_here`] tells, and who would have to wait for what it may hold panics instead of hanging. No lock of
//! this crate has state outside itself (as a table of sleeping threads would be), so new ones always work.
//!
//! **What is not covered.** While a thread begins or ends, Rust's standard library (1.95) has a lock of its own, for the
//! message of a stack overflow. In a child of a fork at that moment it stays locked, and the next thread of that library
//! that begins there waits for ever.
//!
//! **Cost.** One relaxed load where something is made, or waits.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

/// How many forks led to this process from the first one that was watched.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The process, as far as forks tell: another number in a child.
#[inline]
pub fn process() -> u32 {
    // Relaxed: written by the only thread of a child, before it returns from fork.
    FORKS.load(Ordering::Relaxed)
}

/// Whether this is still the process that `process` was asked in.
#[inline]
pub fn born_here(born: u32) -> bool {
    born == process()
}

/// Has each child count; to be called before anything is made that a child must know from its own.
pub(crate) fn watch() {
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    static WATCHED: AtomicBool = AtomicBool::new(false);
    // Relaxed: two threads may both find it unset; a child then counts twice, and two is another number as well. (A
    // `Once` that a fork meets half-way would hang the child.)
    if !WATCHED.load(Ordering::Relaxed) {
        // SAFETY: N-08: the handler only touches a lock-free atomic, which is allowed after fork in any process.
        unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        }
        WATCHED.store(true, Ordering::Relaxed);
    }
}

/// Something that each process has one of, made when it is first asked for; a child makes its own.
pub(crate) struct OfProcess<T: 'static>(AtomicPtr<Born<T>>);

struct Born<T> {
    process: u32,
    value: T,
}

impl<T: Send + Sync> OfProcess<T> {
    pub(crate) const fn new() -> Self {
        OfProcess(AtomicPtr::new(ptr::null_mut()))
    }

    /// This process's.
    #[inline]
    pub(crate) fn get(&self, make: impl FnOnce() -> T) -> &'static T {
        // Acquire: pairs with the Release of the exchange in `make`, which published the value.
        let found = self.0.load(Ordering::Acquire);
        // SAFETY: N-10: what the word points to was leaked by `make` and is never freed.
        match unsafe { found.as_ref() } {
            Some(born) if born_here(born.process) => &born.value,
            _ => self.make(found, make()),
        }
    }

    /// Makes it, unless another thread was faster. What was there is an ancestor's, and stays as it is.
    #[cold]
    fn make(&self, found: *mut Born<T>, value: T) -> &'static T {
        watch();
        let mine = Box::into_raw(Box::new(Born { process: process(), value }));
        // Release: pairs with the Acquire in `get`, and here with that of the failed exchange.
        let now = match self.0.compare_exchange(found, mine, Ordering::Release, Ordering::Acquire) {
            Ok(_) => mine,
            Err(theirs) => {
                // SAFETY: N-10: ours, from `Box::into_raw` above, and nobody has seen it.
                drop(unsafe { Box::from_raw(mine) });
                theirs
            }
        };
        // SAFETY: N-10: as in `get`; not null, since it was stored.
        unsafe { &(*now).value }
    }
}
