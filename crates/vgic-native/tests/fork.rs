//! `fork` at any moment: the child works with what it makes, and never hangs. Alone in its file: the process forks.
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vgic_core::platform::{Layout, Parker as _, RawLock as _, RawRwLock as _};
use vgic_core::{Obj, Platform};
use vgic_native::{Native, NativeCtx, live_objects};

static RUN: AtomicU64 = AtomicU64::new(0);

/// Forks of the long test; more by hand: `VGIC_FORKS=100000`.
fn forks() -> u64 {
    std::env::var("VGIC_FORKS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

unsafe fn count(_: &NativeCtx, _: *mut ()) {
    RUN.fetch_add(1, Ordering::SeqCst);
}

fn defer(ctx: &NativeCtx) {
    // SAFETY: `count` only adds to a static atomic.
    unsafe { Native::call_rcu(ctx, count, core::ptr::null_mut()) }
}

/// Runs `f` in a child, which ends with its value; waits for it, minutes at most.
fn in_child(what: &str, f: impl FnOnce() -> u8) -> u8 {
    // SAFETY: the child calls only this crate and the allocator, which works there, then `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or(101);
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(status.into()) };
    }
    assert!(child > 0);
    let begin = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: `status` is valid for the call.
        let ended = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
        if ended == child {
            assert!(libc::WIFEXITED(status), "{what}: the child ended with {status:#x}");
            return libc::WEXITSTATUS(status) as u8;
        }
        if ended != 0 || begin.elapsed() > Duration::from_secs(300) {
            // SAFETY: the child's number, which is not waited for yet.
            unsafe { libc::kill(child, libc::SIGKILL) };
            panic!("{what}: the child hangs");
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// What two threads share.
struct Pair {
    lock: <Native as Platform>::Mutex,
    rwlock: <Native as Platform>::RwLock,
    /// Where each sleeps until the other has come as far.
    parkers: [<Native as Platform>::Parker; 2],
    rounds: [AtomicU32; 2],
}

fn pair(ctx: &NativeCtx) -> Obj<Pair> {
    let init = |l: &vgic_native::NativeLayout| Pair {
        lock: l.mutex("lock", 1),
        rwlock: l.rwlock("rwlock", 2),
        parkers: [l.parker("parkers[0]"), l.parker("parkers[1]")],
        rounds: [AtomicU32::new(0), AtomicU32::new(0)],
    };
    Native::alloc(ctx, "pair", init).expect("memory")
}

/// One of two threads beside each other: all that can wait, does.
fn work(ctx: &NativeCtx, pair: Obj<Pair>, me: usize, rounds: u32, stop: &AtomicBool) {
    let other = 1 - me;
    // A token may stand for two, so who sleeps looks whether it has to.
    let come_to = |round| {
        pair.rounds[me].store(round, Ordering::SeqCst);
        pair.parkers[other].unpark(ctx);
    };
    for round in 1..=rounds {
        pair.lock.lock(ctx, false);
        std::thread::yield_now();
        pair.lock.unlock(ctx);
        pair.rwlock.read_lock(ctx, false);
        pair.rwlock.read_unlock(ctx);
        pair.rwlock.write_lock(ctx, false);
        pair.rwlock.write_unlock(ctx);
        come_to(round);
        while pair.rounds[other].load(Ordering::SeqCst) < round {
            pair.parkers[me].park(ctx);
        }
        defer(ctx);
        let mine = Native::alloc(ctx, "mine", |_| 0_u64).expect("memory");
        // SAFETY: made above, and known to nobody else.
        unsafe { Native::free(ctx, mine) };
        if round % 8 == 0 {
            Native::synchronize_rcu(ctx);
        }
        drop(NativeCtx::new("guest"));
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    come_to(u32::MAX);
}

/// In a child: everything anew, on two threads. Its status: 7 if all is well.
fn new_life() -> u8 {
    let ctx = NativeCtx::new("child");
    if !live_objects().is_empty() {
        return 1;
    }
    let shared = pair(&ctx);
    let stop = AtomicBool::new(false);
    let before = RUN.load(Ordering::SeqCst);
    std::thread::scope(|scope| {
        scope.spawn(|| work(&NativeCtx::new("other"), shared, 1, 16, &stop));
        work(&ctx, shared, 0, 16, &stop);
    });
    Native::rcu_barrier(&ctx);
    // SAFETY: the other thread has ended.
    unsafe { Native::free(&ctx, shared) };
    if RUN.load(Ordering::SeqCst) != before + 32 {
        return 2;
    }
    if live_objects().values().any(|count| *count != 0) { 3 } else { 7 }
}

#[test]
fn a_child_works_whenever_the_fork_came() {
    let ctx = NativeCtx::new("main");
    let stop = Arc::new(AtomicBool::new(false));
    let pairs = [pair(&ctx), pair(&ctx)];
    let spawn = |number: usize| {
        let stop = Arc::clone(&stop);
        let pair = pairs[number / 2];
        std::thread::spawn(move || work(&NativeCtx::new("thread"), pair, number % 2, u32::MAX - 1, &stop))
    };
    let threads: Vec<_> = (0..4).map(spawn).collect();
    // The one moment that is left out: while a thread begins, Rust's library has a lock of its own, which a child would find
    // locked. All have begun when they have come to their first round, and the one that runs callbacks when it has run one.
    while pairs.iter().flat_map(|pair| &pair.rounds).any(|round| round.load(Ordering::SeqCst) == 0) {
        std::thread::yield_now();
    }
    defer(&ctx);
    Native::rcu_barrier(&ctx);
    for number in 0..forks() {
        // At some point of what the threads do.
        (0..number * 7919 % 1013).for_each(|_| std::hint::spin_loop());
        assert_eq!(in_child(&format!("fork {number}"), new_life), 7, "fork {number}");
    }
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));

    // A context of the parent's is not for the child: it says so, where it would wait.
    std::panic::set_hook(Box::new(|_| {}));
    let told = |f: &dyn Fn()| {
        in_child("told", || {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).expect_err("it is not for the child");
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            if text.contains("made before a fork, and used in the child") { 7 } else { 8 }
        })
    };
    assert_eq!(told(&|| Native::synchronize_rcu(&ctx)), 7);
    assert_eq!(told(&|| defer(&ctx)), 7);
    assert_eq!(told(&|| Native::rcu_barrier(&ctx)), 7);
    let _ = std::panic::take_hook();
    // A grandchild is a child.
    assert_eq!(in_child("grandchild", || if new_life() == 7 { in_child("grandchild", new_life) } else { 9 }), 7);
    Native::rcu_barrier(&ctx);
    // SAFETY: the threads have ended.
    pairs.into_iter().for_each(|pair| unsafe { Native::free(&ctx, pair) });
}
