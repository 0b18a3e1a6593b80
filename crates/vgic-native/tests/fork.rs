//! A child of fork() has no thread `vgic-rcu`, and starts its own. Alone in its file: the process forks.
#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicU64, Ordering};
use vgic_core::Platform;
use vgic_native::{Native, NativeCtx};

static RUN: AtomicU64 = AtomicU64::new(0);

unsafe fn count(_: &NativeCtx, _: *mut ()) {
    RUN.fetch_add(1, Ordering::SeqCst);
}

fn defer(ctx: &NativeCtx) {
    // SAFETY: `count` only adds to a static atomic.
    unsafe { Native::call_rcu(ctx, count, core::ptr::null_mut()) }
}

#[test]
fn callbacks_run_in_a_child_of_fork() {
    let ctx = NativeCtx::new("main");
    defer(&ctx);
    Native::rcu_barrier(&ctx);
    assert_eq!(RUN.load(Ordering::SeqCst), 1);
    // SAFETY: the child calls only this crate, whose locks no other thread holds, then `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        defer(&ctx);
        Native::rcu_barrier(&ctx);
        Native::synchronize_rcu(&ctx);
        let ok = RUN.load(Ordering::SeqCst) == 2;
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(if ok { 7 } else { 1 }) };
    }
    assert!(child > 0);
    let mut status = 0;
    // SAFETY: `status` is valid for the call.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7, "the child ended with {status:#x}");
    defer(&ctx);
    Native::rcu_barrier(&ctx);
    assert_eq!(RUN.load(Ordering::SeqCst), 2);
}
