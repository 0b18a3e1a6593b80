//! A vCPU's queue of LPIs: what is pending for it, and how that gets into its list registers and back.
//!
//! A queue also owns the state of an LPI (pending, enabled, priority, target), since whoever changes that must see to it
//! that the right vCPU finds the LPI. The rest of the engine tells it what happens, and asks what the state is.
//!
//! One folder a kind: [`ap_list`], [`hints`]; [`any`] is the one that a spec names.

pub mod any;
pub mod ap_list;
pub mod hints;

use crate::designs::{Design, Spec};
use crate::irq::{Irq, NO_VCPU};
use crate::obj::Obj;
use crate::platform::Platform;
use crate::vcpu::Vcpu;
use crate::vm::Vm;

/// The state of one LPI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LpiView {
    /// The vCPU that it should go to.
    pub target_vcpu: Option<u32>,
    /// Pending, outside the list registers.
    pub pending: bool,
    /// Active.
    pub active: bool,
    /// Enabled.
    pub enabled: bool,
    /// Priority.
    pub priority: u8,
    /// The vCPU in whose queue it is, by its own account.
    pub queued_on: Option<u32>,
}

/// A kind of queue.
///
/// `vm` has `W` in each vCPU, which is this kind, or has one of this kind [in it](Part). Where an LPI is given, the caller holds a reference on it, or a lock under which it
/// cannot be released; no spin lock unless it says so.
pub trait Queue<P: Platform, W = Self>: Send + Sync + Sized + 'static {
    /// What [`Queue::hold`] gives.
    type Held<'a>;

    /// An empty queue as part of `struct kvm_vcpu`.
    fn new(l: &P::Layout, spec: &Spec) -> Self;

    /// An MSI or INT: the LPI becomes pending and is queued where it belongs. False, and nothing done, for one that has died
    /// since it was found. Never sleeps.
    fn send<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> bool;
    /// The LPI's state has come to depend on something else than before (`GICD_CTLR`): queues it if it should be queued.
    fn look_again<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>);
    /// Its configuration byte was read; with `only_target`, applies it only if the LPI targets that vCPU.
    fn configure<D: Design<Queue<P> = W>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        byte: u8,
        only_target: Option<u32>,
    );
    /// It is to go to another vCPU; with `only_from`, only if it goes to that one now.
    fn retarget<D: Design<Queue<P> = W>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        only_from: Option<u32>,
        vcpu: u32,
    );
    /// Its bit of the pending table of `vcpu` was read; then it is queued if it should be. False if it has another target
    /// and was left alone.
    fn load<D: Design<Queue<P> = W>>(
        vm: &Vm<P, D>,
        ctx: &P::Ctx,
        irq: Obj<Irq<P>>,
        vcpu: u32,
        pending: bool,
        applies: Applies,
    ) -> bool;
    /// The command CLEAR: throws its pending state away, and counts it as dropped.
    fn clear<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, irq: Obj<Irq<P>>);
    /// The same of an LPI that nobody can reach any more. May be called under any lock. Before its memory goes: true if the
    /// caller frees it, false if the queue does when it has no use for it.
    fn retire(spec: &Spec, ctx: &P::Ctx, irq: Obj<Irq<P>>) -> bool;

    /// LPIs of a vCPU are switched off: nothing stays in its queue that it would deliver.
    fn switch_off<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>);
    /// Before the guest runs: from the queue into the list registers (`kvm_vgic_flush_hwstate`).
    fn flush<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>);
    /// After it ran: from the list registers back (`kvm_vgic_sync_hwstate`).
    fn sync<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>);
    /// Whether the vCPU should run (`kvm_vgic_vcpu_pending_irq`). The guest's priority mask is taken to be 0xff.
    fn has_pending<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>) -> bool;

    /// Whether nothing is queued; a hint.
    fn is_empty(&self, ctx: &P::Ctx) -> bool;
    /// Keeps what is queued from going away; `first` unless another vCPU's is held already.
    fn hold<'a>(&'a self, ctx: &'a P::Ctx, first: bool) -> Self::Held<'a>;
    /// Moves a queued LPI before the others, so that among those of its priority it is the first to get a list register.
    /// The kernel has no such step: it is for a replay, which follows the choice that a guest was given.
    fn put_first(&self, ctx: &P::Ctx, intid: u32);
    /// Calls `f` with each LPI that the queue keeps from going away; it is held, or used by nobody else.
    fn for_each_kept(&self, ctx: &P::Ctx, f: impl FnMut(Obj<Irq<P>>));
    /// Calls `f` with each LPI that a vCPU has, in its queue or in a list register; nobody else uses the VM. (A list register
    /// may have one that has died, which its vCPU frees.)
    fn for_each<D: Design<Queue<P> = W>>(vm: &Vm<P, D>, ctx: &P::Ctx, vcpu: &Vcpu<P, W>, f: impl FnMut(Obj<Irq<P>>));
    /// The vCPU that an LPI should go to; a look without a lock.
    fn target(spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> Option<u32>;
    /// Whether an LPI is pending outside the list registers; a look without a lock.
    fn is_pending(spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> bool;
    /// The state of an LPI, as far as one look without a lock can tell.
    fn view(spec: &Spec, ctx: &P::Ctx, irq: &Irq<P>) -> LpiView;
    /// Empties the queue of a VM that nobody else uses any more.
    fn destroy<D: Design<Queue<P> = W>>(&self, vm: &Vm<P, D>, ctx: &P::Ctx);
}

/// A vCPU, or none.
fn some_vcpu(vcpu: u32) -> Option<u32> {
    (vcpu != NO_VCPU).then_some(vcpu)
}

/// What has a queue of the kind `Q`: such a queue itself, or one of [any kind](any).
pub trait Part<Q> {
    /// The queue.
    fn part(&self) -> &Q;
}

impl<Q> Part<Q> for Q {
    #[inline(always)]
    fn part(&self) -> &Q {
        self
    }
}

/// To which LPIs a bit of a pending table applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// To any.
    ToAny,
    /// To one that targets the vCPU of the table; another one is left alone.
    ToTarget,
    /// The same, but another one is looked at and queued.
    ToTargetQueueAny,
}
