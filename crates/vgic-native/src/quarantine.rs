//! Freed memory, kept back for a while to see whether somebody still writes to it.
//!
//! **Problem.** Poison shows a read after the free, if what is read is then used. A write after the free goes unseen,
//! and so does the read once the allocator has given the memory to somebody else.
//!
//! **Protocol.** While the quarantine is on, memory is filled with [`POISON`] when it is freed and goes into a queue.
//! What comes out at the other end must still be poison; otherwise that is a warning which names the class. Then it
//! goes back to the allocator.
//!
//! **Cost.** Off: one relaxed load for each free, and nothing on any other path. On: the queue's lock for each free.

use crate::fork::OfProcess;
use crate::sync::Mutex;
use core::alloc::Layout;
use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::VecDeque;

/// What freed memory is filled with.
pub const POISON: u8 = 0xDE;

/// How many blocks are kept back.
const LENGTH: usize = 8192;

/// A block that was freed, full of poison.
struct Block {
    start: *mut u8,
    layout: Layout,
    class: &'static str,
}

// SAFETY: N-09: the block belongs to the quarantine alone, whichever thread holds its lock.
unsafe impl Send for Block {}

static ON: AtomicBool = AtomicBool::new(false);
static QUEUE: OfProcess<Mutex<VecDeque<Block>>> = OfProcess::new();

/// Whether freed memory is poisoned and kept back.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    // Relaxed: a setting that orders nothing.
    ON.load(Ordering::Relaxed)
}

/// Switches the quarantine on or off, for the whole process; off also looks at all that is in it and gives it back.
pub fn set_quarantine(on: bool) {
    ON.store(on, Ordering::Relaxed);
    if !on {
        check_quarantine();
    }
}

/// Looks at all that is in the quarantine and gives it back. What was written to after its free is a warning.
pub fn check_quarantine() {
    let blocks = core::mem::take(&mut *QUEUE.get(Mutex::default).lock());
    blocks.into_iter().for_each(give_back);
}

/// Takes memory that was freed.
///
/// # Safety
/// The block is the caller's, is used by nobody any more, and came from the allocator with this layout.
pub(crate) unsafe fn keep(start: *mut u8, layout: Layout, class: &'static str) {
    // SAFETY: N-09: the caller's promise.
    unsafe { fill(start, layout.size()) };
    let mut queue = QUEUE.get(Mutex::default).lock();
    queue.push_back(Block { start, layout, class });
    let oldest = if queue.len() > LENGTH { queue.pop_front() } else { None };
    drop(queue);
    if let Some(oldest) = oldest {
        give_back(oldest);
    }
}

/// Fills memory with poison. The writes are volatile, since the compiler may leave out plain ones to memory that is
/// freed next.
///
/// # Safety
/// The caller owns the memory, and nobody uses it any more.
pub(crate) unsafe fn fill(start: *mut u8, size: usize) {
    for at in 0..size {
        // SAFETY: N-09: the caller's promise.
        unsafe { start.add(at).write_volatile(POISON) };
    }
}

fn give_back(block: Block) {
    let Block { start, layout, class } = block;
    // SAFETY: N-09: the block is the quarantine's own, all of it was written, and it is given back once. Volatile, as
    // a faulty design may write to it at any time.
    let changed = (0..layout.size()).find(|at| unsafe { start.add(*at).read_volatile() } != POISON);
    if let Some(at) = changed {
        eprintln!("vgic: a freed {class} was written to, {at} bytes from its start");
        crate::threads::warn("freed memory was written to");
    }
    // SAFETY: N-09: as above.
    unsafe { std::alloc::dealloc(start, layout) };
}
