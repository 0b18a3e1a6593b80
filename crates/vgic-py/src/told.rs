//! Whom a VM tells that a vCPU may have something: a Python function, and eventfds.
//!
//! The engine tells in the middle of an operation, with mutexes held. An eventfd is written to at once. The function is
//! called at the end of the operation, when nothing is held, so it may use the VM.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use rustix::event::{EventfdFlags, eventfd};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const BITS: usize = u64::BITS as usize;

pub struct ToldVcpus {
    /// One bit a vCPU: it is to be told at the end of the operation.
    waiting: Vec<AtomicU64>,
    /// Of vCPUs that have one.
    eventfds: Vec<OnceLock<File>>,
    /// Called with the number of a vCPU.
    function: OnceLock<Py<PyAny>>,
}

impl ToldVcpus {
    pub fn new(vcpus: u32) -> Self {
        let words = (vcpus as usize).div_ceil(BITS);
        ToldVcpus {
            waiting: (0..words).map(|_| AtomicU64::new(0)).collect(),
            eventfds: (0..vcpus).map(|_| OnceLock::new()).collect(),
            function: OnceLock::new(),
        }
    }

    /// Of the engine: a vCPU may have something.
    pub fn note(&self, vcpu: u32) {
        let vcpu = vcpu as usize;
        if let Some(mut eventfd) = self.eventfds[vcpu].get() {
            // A counter that is full, or that nobody reads any more, has told already.
            let _ = eventfd.write(&1_u64.to_ne_bytes());
        }
        if self.function.get().is_some() {
            // Release: pairs with the acquire in `tell` : whoever calls the function sees what is pending.
            self.waiting[vcpu / BITS].fetch_or(1 << (vcpu % BITS), Ordering::Release);
        }
    }

    /// The function, from now on; it stays.
    pub fn set_function(&self, function: Py<PyAny>) {
        // Python sets it once.
        let _ = self.function.set(function);
    }

    pub fn function(&self) -> Option<&Py<PyAny>> {
        self.function.get()
    }

    /// A duplicate of a vCPU's eventfd, which is made the first time and closed with the VM.
    pub fn eventfd(&self, vcpu: u32) -> io::Result<OwnedFd> {
        let mine = &self.eventfds[vcpu as usize];
        if mine.get().is_none() {
            // Of two threads that are the first the second's is closed again.
            let _ = mine.set(File::from(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?));
        }
        match mine.get() {
            Some(eventfd) => eventfd.try_clone().map(OwnedFd::from),
            None => unreachable!("it was set"),
        }
    }

    /// At the end of an operation: calls the function for each vCPU that was noted. What it raises goes to
    /// `sys.unraisablehook`, since the operation is done, but for Ctrl-C and the like, which the caller gets.
    #[inline]
    pub fn tell(&self, py: Python<'_>) -> PyResult<()> {
        match self.function.get() {
            None => Ok(()),
            Some(function) => self.call(py, function),
        }
    }

    #[cold]
    fn call(&self, py: Python<'_>, function: &Py<PyAny>) -> PyResult<()> {
        let mut result = Ok(());
        for (number, word) in self.waiting.iter().enumerate() {
            // Relaxed: a bit that is set meanwhile is for whoever set it to see.
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            // Acquire: pairs with the release in `note`.
            let mut vcpus = word.swap(0, Ordering::Acquire);
            while vcpus != 0 {
                let vcpu = number * BITS + vcpus.trailing_zeros() as usize;
                vcpus &= vcpus - 1;
                match function.call1(py, (vcpu,)) {
                    Err(error) if error.is_instance_of::<PyException>(py) => {
                        error.write_unraisable(py, Some(function.bind(py)));
                    }
                    Err(error) => result = Err(error),
                    Ok(_) => {}
                }
            }
        }
        result
    }
}
