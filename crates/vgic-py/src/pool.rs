//! Thread contexts of one VM: a Python thread may come and go at any call, so each call borrows one.
//!
//! The one used last waits in a slot that an exchange empties and fills, which is all that a call costs while threads
//! take turns. The counters of all contexts together are the VM's.

use pyo3::PyErr;
use pyo3::exceptions::PyRuntimeError;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use vgic_core::Event;
use vgic_native::{Counters, NativeCtx, fork};

pub struct Pool {
    /// The process that it is for.
    process: u32,
    last: AtomicPtr<NativeCtx>,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    // Boxed as in the slot, where a pointer has to do.
    #[allow(clippy::vec_box)]
    idle: Vec<Box<NativeCtx>>,
    counters: Vec<Arc<Counters>>,
}

/// A child of `fork` uses what its parent had made.
#[derive(Debug)]
pub struct Forked;

impl From<Forked> for PyErr {
    fn from(Forked: Forked) -> Self {
        PyRuntimeError::new_err(
            "this VM was made before a fork, and threads that the child has not may hold its locks: make a new one in \
             the child",
        )
    }
}

impl Pool {
    pub fn new() -> Self {
        Pool { process: fork::process(), last: AtomicPtr::default(), rest: Mutex::default() }
    }

    /// Whether this is the process that it was made in.
    #[inline]
    pub fn check(&self) -> Result<(), Forked> {
        if fork::born_here(self.process) { Ok(()) } else { Err(Forked) }
    }

    /// Runs `f` with a context that nobody else uses meanwhile.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&NativeCtx) -> R) -> Result<R, Forked> {
        self.check()?;
        // Acquire: pairs with the release in the drop below; whoever used the context before has left it.
        let last = self.last.swap(ptr::null_mut(), Ordering::Acquire);
        let ctx = if last.is_null() {
            self.take()
        } else {
            // SAFETY: P-01: the slot holds a context from `Box::into_raw`, and the exchange gave it to us alone.
            unsafe { Box::from_raw(last) }
        };
        let borrowed = Borrowed { pool: self, ctx: Some(ctx) };
        match &borrowed.ctx {
            Some(ctx) => Ok(f(ctx)),
            None => unreachable!("the context is there until the drop"),
        }
    }

    #[cold]
    fn take(&self) -> Box<NativeCtx> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.idle.pop().unwrap_or_else(|| {
            let ctx = Box::new(NativeCtx::new("python"));
            rest.counters.push(ctx.shared_counters());
            ctx
        })
    }

    /// Events counted by every context.
    pub fn counts(&self) -> Result<[u64; Event::COUNT], Forked> {
        self.check()?;
        let mut sum = [0; Event::COUNT];
        for counters in &self.rest.lock().unwrap_or_else(PoisonError::into_inner).counters {
            sum.iter_mut().zip(counters.read()).for_each(|(sum, count)| *sum += count);
        }
        Ok(sum)
    }
}

struct Borrowed<'a> {
    pool: &'a Pool,
    ctx: Option<Box<NativeCtx>>,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let Some(ctx) = self.ctx.take() else { return };
        // Release: pairs with the acquire in `with`. Acquire: another thread may have put its context back before.
        let before = self.pool.last.swap(Box::into_raw(ctx), Ordering::AcqRel);
        if !before.is_null() {
            // SAFETY: P-01: as above.
            let ctx = unsafe { Box::from_raw(before) };
            self.pool.rest.lock().unwrap_or_else(PoisonError::into_inner).idle.push(ctx);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let last = *self.last.get_mut();
        if !last.is_null() {
            // SAFETY: P-01: as above; nobody else has the pool any more.
            drop(unsafe { Box::from_raw(last) });
        }
    }
}
