//! Shared objects: boxes that know their class, so that a test can say what was leaked.
//!
//! Each class (`"vgic_irq"`) has one counter of live objects in the process, touched once by an allocation and once
//! by a release and by nothing else. A context remembers the classes that it used last; the table of classes is
//! locked only on first use. In debug builds, and while the [quarantine](crate::quarantine) is on, the memory of a freed
//! object is filled with [`POISON`](crate::POISON) before it goes back to the allocator, so that a use after free reads
//! nonsense instead of what was there.

use crate::ctx::NativeCtx;
use crate::fork::OfProcess;
use crate::layout::NativeLayout;
use crate::quarantine;
use crate::sync::Mutex;
use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicI64, Ordering};
use std::collections::BTreeMap;
use vgic_core::{NoMemory, Obj};

/// The live objects of one class, on a cache line of its own.
#[repr(align(128))]
struct Class {
    name: &'static str,
    live: AtomicI64,
}

static CLASSES: OfProcess<Mutex<Vec<&'static Class>>> = OfProcess::new();

impl Class {
    /// The class of that name; made on first use, and never freed.
    fn find(name: &'static str) -> &'static Class {
        let mut classes = CLASSES.get(Mutex::default).lock();
        if let Some(class) = classes.iter().find(|class| class.name == name) {
            return class;
        }
        let class: &'static Class = Box::leak(Box::new(Class { name, live: AtomicI64::new(0) }));
        classes.push(class);
        class
    }
}

/// How many objects of each class that was ever used are alive in the process; in a child of `fork`, of its own.
pub fn live_objects() -> BTreeMap<&'static str, i64> {
    let classes = CLASSES.get(Mutex::default).lock();
    // Relaxed: a sum that is exact once the threads that allocate have been joined, which orders it.
    classes.iter().map(|class| (class.name, class.live.load(Ordering::Relaxed))).collect()
}

/// The classes that a context used last, found by the address of their name.
#[derive(Default)]
pub(crate) struct ClassCache([Cell<Option<(&'static str, &'static Class)>>; 8]);

impl ClassCache {
    #[inline]
    fn find(&self, name: &'static str) -> &'static Class {
        let address = name.as_ptr().addr();
        let slot = &self.0[(address ^ (address >> 3)) & 7];
        match slot.get() {
            Some((key, class)) if core::ptr::eq(key, name) => class,
            _ => {
                let class = Class::find(name);
                slot.set(Some((name, class)));
                class
            }
        }
    }
}

/// What an allocation is: the object, then its class. The address of the object is that of the allocation.
#[repr(C)]
struct Boxed<T> {
    value: T,
    class: &'static Class,
}

/// Allocates an object.
#[inline]
pub(crate) fn alloc<T>(
    ctx: &NativeCtx,
    class: &'static str,
    init: impl FnOnce(&NativeLayout) -> T,
) -> Result<Obj<T>, NoMemory> {
    match ctx.fail_allocs.get() {
        0 => {}
        n => {
            ctx.fail_allocs.set(n - 1);
            if n == 1 {
                return Err(NoMemory);
            }
        }
    }
    let class = ctx.classes.find(class);
    let boxed = Box::new(Boxed { value: init(&NativeLayout), class });
    // Relaxed: a count that orders nothing.
    class.live.fetch_add(1, Ordering::Relaxed);
    let ptr = NonNull::from(Box::leak(boxed)).cast::<T>();
    // SAFETY: N-03: `value` is the first field of a `repr(C)` structure that was just initialised and is freed by
    // nobody but `free`, whose caller upholds the invariant of `Obj`.
    Ok(unsafe { Obj::from_raw(ptr) })
}

/// Frees an object.
///
/// # Safety
/// As [`Platform::free`](vgic_core::Platform::free).
#[inline]
pub(crate) unsafe fn free<T>(obj: Obj<T>) {
    let ptr = obj.as_ptr().cast::<Boxed<T>>();
    // SAFETY: N-04: `obj` came from `alloc`, so it is the start of a leaked `Box<Boxed<T>>`, and nobody uses it any
    // more; the caller promises both.
    let boxed = unsafe { Box::from_raw(ptr) };
    // Relaxed: a count that orders nothing.
    boxed.class.live.fetch_sub(1, Ordering::Relaxed);
    release(boxed);
}

/// Gives the memory back; poisoned in debug builds, and by way of the quarantine if that is on.
#[inline(always)]
fn release<T>(boxed: Box<Boxed<T>>) {
    if quarantine::is_on() || cfg!(debug_assertions) {
        release_poisoned(boxed);
    } else {
        drop(boxed);
    }
}

#[cold]
fn release_poisoned<T>(boxed: Box<Boxed<T>>) {
    let class = boxed.class.name;
    let ptr = Box::into_raw(boxed);
    let layout = Layout::new::<Boxed<T>>();
    // SAFETY: N-04: the box was owned, so `ptr` is valid and nobody else uses it; its content is dropped once, and any
    // bytes are a valid `MaybeUninit`, which drops nothing.
    unsafe {
        ptr.drop_in_place();
        if quarantine::is_on() {
            quarantine::keep(ptr.cast(), layout, class);
        } else {
            quarantine::fill(ptr.cast(), layout.size());
            drop(Box::from_raw(ptr.cast::<core::mem::MaybeUninit<Boxed<T>>>()));
        }
    }
}
