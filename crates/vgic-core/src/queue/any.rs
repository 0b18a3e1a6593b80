//! The queue that a spec names, where the design is a value: every call looks which it is.

use super::ap_list::ApListQueue;
use super::hints::HintQueue;
use super::{Applies, LpiView, Part, Queue};
use crate::designs::{Design, QueueKind, Spec};
use crate::irq::Irq;
use crate::obj::Obj;
use crate::platform::Platform;
use crate::vcpu::Vcpu;
use crate::vm::Vm;

/// A queue of any kind.
#[allow(missing_docs)] // Each is told where it is defined.
pub enum AnyQueue<P: Platform> {
    ApList(ApListQueue<P>),
    Hints(HintQueue<P>),
}

/// What [`Queue::hold`] gives.
#[allow(missing_docs)]
pub enum AnyHeld<ApList> {
    ApList(ApList),
    Hints,
}

impl<P: Platform> Part<ApListQueue<P>> for AnyQueue<P> {
    fn part(&self) -> &ApListQueue<P> {
        match self {
            AnyQueue::ApList(queue) => queue,
            AnyQueue::Hints(_) => unreachable!("{ONE_KIND}"),
        }
    }
}

impl<P: Platform> Part<HintQueue<P>> for AnyQueue<P> {
    fn part(&self) -> &HintQueue<P> {
        match self {
            AnyQueue::Hints(queue) => queue,
            AnyQueue::ApList(_) => unreachable!("{ONE_KIND}"),
        }
    }
}

const ONE_KIND: &str = "each vCPU of a VM has the queue of the VM's spec";

/// A call of the kind that a spec has.
macro_rules! kind {
    ($spec:expr, $kind:ident => $call:expr) => {
        match $spec.queue {
            QueueKind::ApList(_) => {
                type $kind<P> = ApListQueue<P>;
                $call
            }
            QueueKind::Hints => {
                type $kind<P> = HintQueue<P>;
                $call
            }
        }
    };
}

/// A call of the queue that this is.
macro_rules! each {
    ($queue:expr, $inner:ident => $call:expr) => {
        match $queue {
            AnyQueue::ApList($inner) => $call,
            AnyQueue::Hints($inner) => $call,
        }
    };
}

impl<P: Platform> Queue<P> for AnyQueue<P> {
    type Held<'a> = AnyHeld<<ApListQueue<P> as Queue<P, Self>>::Held<'a>>;

    fn new(l: &P::Layout, spec: &Spec) -> Self {
        match spec.queue {
            QueueKind::ApList(_) => AnyQueue::ApList(Queue::<P, Self>::new(l, spec)),
            QueueKind::Hints => AnyQueue::Hints(Queue::<P, Self>::new(l, spec)),
        }
    }

    fn send<D: Design<Queue<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> bool {
        kind!(vm.spec(), Kind => <Kind<P> as Queue<P, Self>>::send(vm, ctx, irq))
    }

    fn look_again<D: Design<Queue<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        kind!(vm.spec(), Kind => <Kind<P> as Queue<P, Self>>::look_again(vm, ctx, irq))
    }

    fn configure<D: Design<Queue<P> = Self>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        byte: u8,
        only_target: Option<u32>,
    ) {
        kind!(vm.spec(), Kind => <Kind<P> as Queue<P, Self>>::configure(vm, ctx, irq, byte, only_target))
    }

    fn retarget<D: Design<Queue<P> = Self>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        only_from: Option<u32>,
        vcpu: u32,
    ) {
        kind!(vm.spec(), Kind => <Kind<P> as Queue<P, Self>>::retarget(vm, ctx, irq, only_from, vcpu))
    }

    fn load<D: Design<Queue<P> = Self>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        vcpu: u32,
        pending: bool,
        applies: Applies,
    ) -> bool {
        kind!(vm.spec(), Kind => <Kind<P> as Queue<P, Self>>::load(vm, ctx, irq, vcpu, pending, applies))
    }

    fn clear<D: Design<Queue<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>) {
        kind!(vm.spec(), Kind => <Kind<P> as Queue<P, Self>>::clear(vm, ctx, irq))
    }

    fn switch_off<D: Design<Queue<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, Self>) {
        kind!(vm.spec(), Kind => <Kind<P> as Queue<P, Self>>::switch_off(vm, ctx, vcpu))
    }

    fn flush<D: Design<Queue<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, Self>) {
        kind!(vm.spec(), Kind => <Kind<P> as Queue<P, Self>>::flush(vm, ctx, vcpu))
    }

    fn sync<D: Design<Queue<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, Self>) {
        kind!(vm.spec(), Kind => <Kind<P> as Queue<P, Self>>::sync(vm, ctx, vcpu))
    }

    fn has_pending<D: Design<Queue<P> = Self>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, Self>) -> bool {
        kind!(vm.spec(), Kind => <Kind<P> as Queue<P, Self>>::has_pending(vm, ctx, vcpu))
    }

    fn retire(spec: &Spec, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> bool {
        kind!(spec, Kind => <Kind<P> as Queue<P, Self>>::retire(spec, ctx, irq))
    }

    fn target(spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> Option<u32> {
        kind!(spec, Kind => <Kind<P> as Queue<P, Self>>::target(spec, ctx, irq))
    }

    fn is_pending(spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> bool {
        kind!(spec, Kind => <Kind<P> as Queue<P, Self>>::is_pending(spec, ctx, irq))
    }

    fn view(spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> LpiView {
        kind!(spec, Kind => <Kind<P> as Queue<P, Self>>::view(spec, ctx, irq))
    }

    fn is_empty(&self, ctx: &P::Ctx) -> bool {
        each!(self, queue => Queue::<P, Self>::is_empty(queue, ctx))
    }

    fn hold<'a>(&'a self, ctx: &'a P::Ctx, first: bool) -> Self::Held<'a> {
        match self {
            AnyQueue::ApList(queue) => AnyHeld::ApList(Queue::<P, Self>::hold(queue, ctx, first)),
            AnyQueue::Hints(_) => AnyHeld::Hints,
        }
    }

    fn put_first(&self, ctx: &P::Ctx, intid: u32) {
        each!(self, queue => Queue::<P, Self>::put_first(queue, ctx, intid));
    }

    fn for_each_kept(&self, ctx: &P::Ctx, f: impl FnMut(Obj<Irq<P>>)) {
        each!(self, queue => Queue::<P, Self>::for_each_kept(queue, ctx, f));
    }

    fn for_each<D: Design<Queue<P> = Self>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        vcpu: &Vcpu<P, Self>,
        f: impl FnMut(Obj<Irq<P>>),
    ) {
        kind!(vm.spec(), Kind => <Kind<P> as Queue<P, Self>>::for_each(vm, ctx, vcpu, f))
    }

    fn destroy<D: Design<Queue<P> = Self>>(&self, vm: &Vm<P, D>, ctx: &P::Ctx) {
        each!(self, queue => Queue::<P, Self>::destroy(queue, vm, ctx));
    }
}
