//! The asymmetric barrier below RCU: readers pay for a light half, writers for a heavy one.
//!
//! Together the halves act as two full barriers. With [`Strategy::Membarrier`] the light half is a compiler
//! barrier, free at run time, and the heavy half asks the kernel to run a full barrier on each CPU that runs a thread
//! of this process. With [`Strategy::Fences`] both are sequentially consistent fences.

use core::sync::atomic::{Ordering, compiler_fence, fence};

/// How readers and writers of RCU are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// A system call by the writer; nothing by readers.
    Membarrier,
    /// A full fence by each reader and by the writer.
    Fences,
}

impl Strategy {
    /// The best strategy of this machine. Found out once.
    pub fn best() -> Strategy {
        if Strategy::Membarrier.available() { Strategy::Membarrier } else { Strategy::Fences }
    }

    /// Whether this machine has it.
    pub fn available(self) -> bool {
        match self {
            Strategy::Membarrier => membarrier::ready(),
            Strategy::Fences => true,
        }
    }

    /// The reader's half.
    #[inline(always)]
    pub(crate) fn light(self) {
        match self {
            // keeps the compiler's order; the CPU's order is made by the writer's system call.
            Strategy::Membarrier => compiler_fence(Ordering::SeqCst),
            // SeqCst: pairs with the fence in `heavy`.
            Strategy::Fences => fence(Ordering::SeqCst),
        }
    }

    /// The writer's half.
    pub(crate) fn heavy(self) {
        match self {
            Strategy::Membarrier => membarrier::run(),
            // SeqCst: pairs with the fence in `light`.
            Strategy::Fences => fence(Ordering::SeqCst),
        }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod membarrier {
    use std::sync::OnceLock;

    /// Runs one command; false if the kernel refuses.
    fn command(command: libc::c_int) -> Option<libc::c_long> {
        // SAFETY: N-07: membarrier(2) takes two integers (the third is ignored without flags) and touches no memory.
        let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
        (result >= 0).then_some(result)
    }

    fn register() -> bool {
        command(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED).is_some()
    }

    /// Whether the kernel has the command; registers the process on the first call.
    pub(super) fn ready() -> bool {
        static READY: OnceLock<bool> = OnceLock::new();
        *READY.get_or_init(|| {
            let wanted = libc::c_long::from(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
            command(libc::MEMBARRIER_CMD_QUERY).is_some_and(|commands| commands & wanted != 0) && register()
        })
    }

    /// A full barrier on each CPU that runs a thread of this process, and on this one.
    pub(super) fn run() {
        if command(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED).is_some() {
            return;
        }
        // A child of fork() may have to register anew. Readers rely on the barrier: no way on without it.
        let done = register() && command(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED).is_some();
        assert!(done, "membarrier(2) was there at start and fails now: {}", std::io::Error::last_os_error());
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod membarrier {
    pub(super) fn ready() -> bool {
        false
    }
    pub(super) fn run() {
        unreachable!("the constructor of a domain refuses a strategy that is not available");
    }
}
