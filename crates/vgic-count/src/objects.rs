//! Objects: freed ones are kept, marked as dead, until the context is dropped.
//!
//! So a handle that outlives its object still points to memory of the right type, and the access is reported by
//! name instead of reading something else.

use crate::ctx::CountCtx;
use crate::field::Object;
use crate::layout::CountLayout;
use crate::step::Kind;
use core::any::Any;
use core::ptr::NonNull;
use std::collections::BTreeMap;
use std::sync::Arc;
use vgic_core::{NoMemory, Obj};

/// What a context has allocated, by address.
#[derive(Debug, Default)]
pub(crate) struct Objects(BTreeMap<usize, Allocation>);

#[derive(Debug)]
struct Allocation {
    object: Arc<Object>,
    memory: Arc<dyn Any + Send + Sync>,
}

impl Objects {
    /// What is not freed yet, in the order of classes and numbers.
    pub(crate) fn live(&self) -> Vec<String> {
        let live = self.0.values().map(|a| &a.object).filter(|o| !o.is_dead());
        let mut live: Vec<_> = live.map(|o| (o.class, o.serial(), o.label())).collect();
        live.sort();
        live.into_iter().map(|(.., label)| label).collect()
    }
}

impl Drop for Objects {
    /// Dead objects go. Live ones stay for ever: someone may hold a handle, and nobody has promised not to use it.
    fn drop(&mut self) {
        for (_, allocation) in core::mem::take(&mut self.0) {
            if !allocation.object.is_dead() {
                core::mem::forget(allocation.memory);
            }
        }
    }
}

pub(crate) fn alloc<T: Send + Sync + 'static>(
    ctx: &CountCtx,
    class: &'static str,
    init: impl FnOnce(&CountLayout) -> T,
) -> Result<Obj<T>, NoMemory> {
    if ctx.allocation_fails() {
        return Err(NoMemory);
    }
    let layout = CountLayout::new(class);
    let memory = Arc::new(init(&layout));
    let pointer = NonNull::from(&*memory);
    ctx.note_object(&layout.0, Kind::Alloc);
    let allocation = Allocation { object: layout.0, memory };
    ctx.with_objects(|objects| objects.0.insert(pointer.as_ptr().addr(), allocation));
    // SAFETY: C-01: the context keeps the `Arc` that owns the object: until it is dropped, if the object was freed by
    // then; for ever otherwise. Nobody has more than shared access to it.
    Ok(unsafe { Obj::from_raw(pointer) })
}

pub(crate) fn free<T>(ctx: &CountCtx, obj: Obj<T>) {
    let find = |objects: &mut Objects| objects.0.get(&obj.as_ptr().addr()).map(|a| Arc::clone(&a.object));
    let Some(object) = ctx.with_objects(find) else {
        return ctx.fail("free of an object that this context has not allocated".to_owned());
    };
    if object.is_dead() {
        return ctx.fail(format!("double free of {}", object.label()));
    }
    if let Some(lock) = ctx.held_of(&object) {
        ctx.fail(format!("free of {} while {lock} is held", object.label()));
    }
    ctx.note_object(&object, Kind::Free);
    object.kill();
}
