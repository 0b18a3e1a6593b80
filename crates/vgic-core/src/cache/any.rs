//! The cache that a spec names, where the design is a value: every call looks which it is.

use super::eager_lru::EagerLru;
use super::lazy::LazyList;
use super::per_its::PerItsCache;
use super::read_write::ReadWrite;
use super::{Cache, Key};
use crate::designs::{CacheKind, Design, Spec};
use crate::guard::Rcu;
use crate::irq::Irq;
use crate::its::Its;
use crate::obj::Obj;
use crate::platform::Platform;
use crate::vm::Vm;

/// A cache of any kind.
#[allow(missing_docs)] // Each is told where it is defined.
pub enum AnyCache<P: Platform> {
    EagerLru(EagerLru<P>),
    Lazy(LazyList<P>),
    ReadWrite(ReadWrite<P>),
    PerIts(PerItsCache<P>),
}

macro_rules! each {
    ($cache:expr, $inner:ident => $call:expr) => {
        match $cache {
            AnyCache::EagerLru($inner) => $call,
            AnyCache::Lazy($inner) => $call,
            AnyCache::ReadWrite($inner) => $call,
            AnyCache::PerIts($inner) => $call,
        }
    };
}

impl<P: Platform> Cache<P> for AnyCache<P> {
    fn new(l: &P::Layout, spec: &Spec) -> Self {
        match spec.cache {
            CacheKind::EagerLru => AnyCache::EagerLru(Cache::new(l, spec)),
            CacheKind::Lazy(_) => AnyCache::Lazy(Cache::new(l, spec)),
            CacheKind::ReadWrite => AnyCache::ReadWrite(Cache::new(l, spec)),
            CacheKind::PerIts(_) => AnyCache::PerIts(Cache::new(l, spec)),
        }
    }

    fn init<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        each!(self, cache => cache.init(vm, ctx));
    }

    fn check<D: Design>(
        &self,
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        section: Option<&Rcu<'_, P>>,
        key: &Key,
    ) -> Option<Obj<Irq<P>>> {
        each!(self, cache => cache.check(vm, ctx, section, key))
    }

    fn insert<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>, key: Key, irq: Obj<Irq<P>>) {
        each!(self, cache => cache.insert(vm, ctx, its, key, irq));
    }

    fn invalidate<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>) {
        each!(self, cache => cache.invalidate(vm, ctx, its));
    }

    fn forget<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, its: &Its<P>, device_id: u32, event_id: Option<u32>) {
        each!(self, cache => cache.forget(vm, ctx, its, device_id, event_id));
    }

    fn invalidate_all<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        each!(self, cache => cache.invalidate_all(vm, ctx));
    }

    fn destroy<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        each!(self, cache => cache.destroy(vm, ctx));
    }

    fn for_each<D: Design>(&self, vm: &Vm<P, D>, ctx: &P::Ctx, f: impl FnMut(Key, Obj<Irq<P>>)) {
        each!(self, cache => cache.for_each(vm, ctx, f));
    }
}
