//! Objects: freed ones are kept, marked as dead, until the execution is over.
//!
//! So a handle that outlives its object still points to memory of the right type, and the access is reported by name
//! instead of reading something else.

use super::ctx::Ctx;
use super::field::Object;
use super::layout::ShuttleLayout;
use super::log::Did;
use crate::violation::Rule;
use core::any::Any;
use core::ptr::NonNull;
use std::collections::HashMap;
use std::sync::Arc;
use vgic_core::{NoMemory, Obj};

/// What an execution has allocated, by address.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    at: HashMap<usize, usize>,
    all: Vec<(Arc<Object>, Arc<dyn Any + Send + Sync>)>,
}

impl Objects {
    /// What is not freed, in the order of allocation.
    pub(crate) fn live(&self) -> Vec<Arc<Object>> {
        self.all.iter().map(|(object, _)| object).filter(|object| !object.is_dead()).cloned().collect()
    }

    /// The LPIs of an INTID, dead or alive, in the order of allocation.
    pub(crate) fn of_intid(&self, intid: u32) -> Vec<Arc<Object>> {
        let is = |object: &&Arc<Object>| object.intid.with(|of| *of == Some(u64::from(intid)));
        self.all.iter().map(|(object, _)| object).filter(is).cloned().collect()
    }

    /// The object at an address; the low bits may be a tag.
    pub(crate) fn find(&self, address: u64) -> Option<Arc<Object>> {
        let at = self.at.get(&(address as usize & !7))?;
        Some(Arc::clone(&self.all[*at].0))
    }
}

pub(crate) fn alloc<T: Send + Sync + 'static>(
    ctx: &Ctx,
    class: &'static str,
    init: impl FnOnce(&ShuttleLayout) -> T,
) -> Result<Obj<T>, NoMemory> {
    let world = &ctx.world;
    if world.stopped() {
        ctx.over();
    }
    if world.allocation_fails() {
        return Err(NoMemory);
    }
    let object = Object::new(world, class, false);
    let memory = Arc::new(init(&ShuttleLayout::new(Arc::clone(&object))));
    let pointer = NonNull::from(&*memory);
    ctx.log(|| Did::Alloc(Arc::clone(&object)));
    let mut objects = world.objects.borrow_mut();
    let at = objects.all.len();
    objects.at.insert(pointer.as_ptr().addr(), at);
    objects.all.push((object, memory));
    // SAFETY: K-01: the execution keeps the `Arc` that owns the object until all its threads are gone. Nobody has more
    // than shared access to it.
    Ok(unsafe { Obj::from_raw(pointer) })
}

pub(crate) fn free<T>(ctx: &Ctx, obj: Obj<T>) {
    let world = &ctx.world;
    if !world.tick() {
        return ctx.over();
    }
    let Some(object) = world.objects.borrow().find(obj.as_ptr().addr() as u64) else {
        return ctx.fail(Rule::UseAfterFree, "free of what was not allocated".to_owned());
    };
    let held = world.thread(ctx.id, |thread| {
        let of = thread.held.iter().find(|held| Arc::ptr_eq(&held.lock.field.object, &object));
        of.map(|held| held.lock.field.label())
    });
    let name = world.name(ctx.id);
    if object.is_dead() {
        let first = object.freed.with(|freed| *freed).map_or_else(String::new, |(who, _)| world.name(who));
        let what = format!("double free: {name} frees {}, which {first} has freed", object.label());
        world.fail(Rule::DoubleFree, what, vec![Arc::clone(&object)]);
        return ctx.over();
    }
    if let Some(lock) = held {
        world.fail(Rule::UseAfterFree, format!("{name} frees {} while it holds {lock}", object.label()), vec![object]);
        return ctx.over();
    }
    world.freed_beside_others(&object);
    ctx.log(|| Did::Free(Arc::clone(&object)));
    object.kill(ctx.id, world.step());
}
