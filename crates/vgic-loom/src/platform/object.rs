//! [`Object`] and [`Field`]: every access knows which field of which object it touches, and whether it may.
//!
//! An object is a cell in the sense of loom: making and freeing it write the cell, each access to a field reads it. So
//! loom reports an access that its creation does not happen before (a weak publication), a free that an access does not
//! happen before (a weak reference count, a grace period that is too short), and an access after a free that it is not
//! ordered with. An access that comes after a free in every respect is found here.

use super::world::{self, Did};
use super::{Ctx, arena};
use loom::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use vgic_core::{NoMemory, Obj};

/// What only ever is reached from one thread of the machine, since the threads of an execution take turns there.
#[derive(Debug, Default)]
pub(crate) struct TakesTurns<T>(pub(crate) T);

// SAFETY: M-01: loom runs all threads of an execution on one thread of the machine, and panics on any other.
unsafe impl<T> Send for TakesTurns<T> {}
// SAFETY: M-01: as above; nothing is borrowed across a place where they switch.
unsafe impl<T> Sync for TakesTurns<T> {}

/// An object as its fields know it.
#[derive(Debug)]
pub(crate) struct Object {
    class: &'static str,
    serial: u32,
    life: TakesTurns<UnsafeCell<()>>,
    /// A shadow, which orders nothing.
    dead: AtomicBool,
}

impl Object {
    #[inline(never)]
    pub(crate) fn new(class: &'static str) -> Arc<Self> {
        let serial = world::with(|world| world.next_serial(class));
        Arc::new(Object { class, serial, life: TakesTurns(UnsafeCell::new(())), dead: AtomicBool::new(false) })
    }

    /// Whether it was freed.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Relaxed)
    }

    fn name(&self) -> (&'static str, u32) {
        (self.class, self.serial)
    }

    pub(crate) fn label(&self) -> String {
        label(self.name())
    }
}

/// An object as a reader knows it.
pub(crate) fn label((class, serial): (&'static str, u32)) -> String {
    format!("{class}#{serial}")
}

/// A field of an object.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) object: Arc<Object>,
    pub(crate) name: &'static str,
}

impl Field {
    /// Before an access: whether the object may be touched. False if the execution is over.
    #[inline(never)]
    pub(crate) fn touch(&self, ctx: &Ctx, verb: &'static str) -> bool {
        if world::stopped() {
            return false;
        }
        self.log(ctx, verb, None);
        if self.object.is_dead() {
            let who = ctx.name();
            world::violation(&format!("use after free: {who} {verb} {} of {}", self.name, self.object.label()));
        }
        self.object.life.0.with(|_| ());
        true
    }

    /// After an access: what was read or written.
    #[inline(never)]
    pub(crate) fn done(&self, ctx: &Ctx, verb: &'static str, value: u64) {
        self.log(ctx, verb, Some(value));
    }

    fn log(&self, ctx: &Ctx, verb: &'static str, value: Option<u64>) {
        world::log(ctx.id, Did::Access { object: self.object.name(), field: self.name, verb, value });
    }
}

pub(crate) fn alloc<T: Send + Sync + 'static>(
    ctx: &Ctx,
    class: &'static str,
    init: impl FnOnce(&super::layout::LoomLayout) -> T,
) -> Result<Obj<T>, NoMemory> {
    if world::with(super::world::World::allocation_fails) {
        return Err(NoMemory);
    }
    let object = Object::new(class);
    world::log(ctx.id, Did::Object("makes", object.name()));
    let (pointer, memory) = arena::put(init(&super::layout::LoomLayout::new(&object)));
    world::with(|world| world.keep(pointer.as_ptr().addr(), object, memory));
    // SAFETY: M-02: the world keeps what owns the object until the execution is over. Nobody has more than shared access
    // to it.
    Ok(unsafe { Obj::from_raw(pointer) })
}

/// Frees the object at an address.
#[inline(never)]
pub(crate) fn free(ctx: &Ctx, address: usize) {
    if world::stopped() {
        return;
    }
    let Some(object) = world::with(|world| world.find(address)) else {
        world::violation("free of what was not allocated");
    };
    world::log(ctx.id, Did::Object("frees", object.name()));
    if object.is_dead() {
        world::violation(&format!("double free: {} frees {}", ctx.name(), object.label()));
    }
    object.life.0.with_mut(|_| ());
    object.dead.store(true, Relaxed);
}
