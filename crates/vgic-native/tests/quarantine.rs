//! Freed memory is poisoned and kept back, and who writes to it is noticed. One test: the quarantine is the process's.

use vgic_core::platform::{Atomic, Layout};
use vgic_core::{Order, Platform};
use vgic_native::{Native, NativeCtx, POISON, check_quarantine, set_quarantine, warnings_by_text};

#[test]
fn a_write_to_freed_memory_is_noticed() {
    const TEXT: &str = "freed memory was written to";
    let ctx = NativeCtx::new("main");
    let seen = || warnings_by_text().get(TEXT).copied().unwrap_or(0);
    set_quarantine(true);
    let objects: Vec<_> = (0..3).map(|_| Native::alloc(&ctx, "victim", |l| l.u64("value", 7)).unwrap()).collect();
    for object in &objects {
        // SAFETY: made above. The test does use it afterwards: the quarantine has the memory then, and keeps it.
        unsafe { Native::free(&ctx, *object) };
    }
    assert_eq!(objects[0].load(&ctx, Order::Relaxed), u64::from_ne_bytes([POISON; 8]));
    assert_eq!(seen(), 0);
    objects[1].store(&ctx, 8, Order::Relaxed);
    check_quarantine();
    assert_eq!(seen(), 1);
    // More than it keeps: the oldest go back, untouched.
    for _ in 0..20_000 {
        let object = Native::alloc(&ctx, "passer-by", |l| l.u64("value", 7)).unwrap();
        // SAFETY: made above, and used no more.
        unsafe { Native::free(&ctx, object) };
    }
    set_quarantine(false);
    assert_eq!(seen(), 1);
}
