//! [`Irq`]: one LPI (`struct vgic_irq`), and the rules of its pending state.
//!
//! `irq_lock` protects everything but the reference count. An LPI is *queued* while `vcpu` names the vCPU whose
//! `ap_list` links it; changing that needs both the `ap_list_lock` of that vCPU and `irq_lock`. Where vCPUs have
//! [hints](crate::queue::hints) instead of lists, there is no lock, and the state is one [`word`].
//!
//! **Counting.** A send is *coalesced* where it finds `pending_latch` set; a pending state that disappears without
//! being delivered is *dropped*. So that the sums are exact also with CLEAR, which clears the latch without
//! `irq_lock` as the kernel does, the latch is only ever cleared by an exchange (who clears it owns the event), and
//! a send that finds it set leaves it alone. Where the latch is a bit of a [byte](bits) there is no such exchange: a CLEAR
//! without the lock may make one event of two, or two of one ([`Spec::clear_may_miscount`]).

mod bits;
pub mod word;

use crate::designs::{IrqBits, Put, QueueKind, Spec, rank};
use crate::list::{Link, Linked};
use crate::obj::Obj;
use crate::platform::{Event, Layout, NoMemory, Platform, present_if};
use crate::refcount::Refcount;
use bits::Bits;
use word::Word;

pub use bits::Bit;

/// First INTID of the LPIs (Arm IHI 0069, 2.2.1).
pub const FIRST_LPI: u32 = 8192;
/// One past the last INTID that 16 bits hold: what MAPTI and MAPI take. A restore takes any of 32 bits, as in the kernel.
pub const INTID_LIMIT: u32 = 1 << 16;
/// "No vCPU" in [`Irq::vcpu`] and [`Irq::target_vcpu`].
pub const NO_VCPU: u32 = u32::MAX;

/// Tag of the list of all mapped LPIs (`dist->lpi_list_head`).
pub struct LpiList;
/// Tag of a vCPU's list of active and pending interrupts (`ap_list_head`).
pub struct ApList;

/// One LPI. All LPIs are edge-triggered, in group 1.
pub struct Irq<P: Platform> {
    /// Protects the fields below.
    pub irq_lock: P::SpinLock,
    lpi_list: Link<P, Self, LpiList>,
    ap_list: Link<P, Self, ApList>,
    /// The vCPU on whose `ap_list` the LPI is, or [`NO_VCPU`].
    pub vcpu: P::Cell<u32>,
    /// The vCPU that the LPI should go to, or [`NO_VCPU`] (its collection was not mapped).
    pub target_vcpu: P::Cell<u32>,
    /// Its INTID; never changes.
    pub intid: P::Cell<u32>,
    bits: Bits<P>,
    /// One per ITE, per translation cache entry, per `ap_list`, per lookup in flight.
    pub refcount: Refcount<P>,
    /// Bits 7:2 of its configuration byte, as last read.
    pub priority: P::Cell<u8>,
    /// The last reference went where the LPI could not be released (`v6.17`).
    pub pending_release: P::Cell<bool>,
}

impl<P: Platform> Irq<P> {
    /// Allocates an LPI with one reference.
    pub fn alloc(spec: &Spec, ctx: &P::Ctx, intid: u32, target_vcpu: u32) -> Result<Obj<Self>, NoMemory> {
        // Where its state is one word, it has no lock, and none of what the lock protects.
        let locked = matches!(spec.queue, QueueKind::ApList(_));
        let word = Word::new(target_vcpu);
        // What the kernel's struct has and this one has not: so that a line holds what it holds there. The lock and what it
        // protects are on the first, the reference count and the priority on the second, and no two LPIs share one.
        let room = |l: &P::Layout, bytes| {
            if locked {
                l.skip(bytes);
            }
        };
        P::alloc(ctx, "vgic_irq", |l| {
            let irq_lock = present_if::<P, _>(locked, l, |l| l.spin("irq_lock", rank::IRQ));
            let has_list = spec.index.has_list();
            room(l, if has_list { 0 } else { 20 }); // rcu
            let lpi_list = present_if::<P, _>(has_list, l, |l| Link::new(l, "lpi_list.next", "lpi_list.prev"));
            let ap_list = present_if::<P, _>(locked, l, |l| Link::new(l, "ap_list.next", "ap_list.prev"));
            let vcpu = present_if::<P, _>(locked, l, |l| l.cell("vcpu", NO_VCPU));
            let target_vcpu = present_if::<P, _>(locked, l, |l| l.cell("target_vcpu", target_vcpu));
            room(l, 4); // they are pointers
            let intid = l.cell("intid", intid);
            let bits = Bits::new(l, spec, word);
            room(l, 6); // line_level, hw
            let refcount = Refcount::new(l, "refcount", 1);
            room(l, 14); // hwintid, host_irq, mpidr, source, active_source
            let priority = present_if::<P, _>(locked, l, |l| l.cell("priority", 0));
            let pending_release =
                present_if::<P, _>(spec.put == Put::Deferred, l, |l| l.cell("pending_release", false));
            room(l, 24); // group, config, ops, owner
            Irq { irq_lock, lpi_list, ap_list, vcpu, target_vcpu, intid, bits, refcount, priority, pending_release }
        })
    }

    /// All of its state, where that is [one word](word).
    #[inline(always)]
    pub(crate) fn word(&self) -> &P::AtomicU32 {
        self.bits.word()
    }

    /// Whether it is pending outside the list registers (`irq_is_pending`).
    #[inline(always)]
    pub fn is_pending(&self, spec: &Spec, ctx: &P::Ctx) -> bool {
        self.bits.get(spec, ctx, Bit::PendingLatch)
    }

    /// Whether it was acknowledged and not yet deactivated.
    #[inline(always)]
    pub fn is_active(&self, spec: &Spec, ctx: &P::Ctx) -> bool {
        self.bits.get(spec, ctx, Bit::Active)
    }

    /// Whether bit 0 of its configuration byte was set when it was last read.
    #[inline(always)]
    pub fn is_enabled(&self, spec: &Spec, ctx: &P::Ctx) -> bool {
        self.bits.get(spec, ctx, Bit::Enabled)
    }

    /// Whether it is in a list register, where the design keeps that.
    #[inline(always)]
    pub fn is_on_lr(&self, spec: &Spec, ctx: &P::Ctx) -> bool {
        self.bits.get(spec, ctx, Bit::OnLr)
    }

    /// Sets or clears [`Irq::is_active`] (`irq_lock` held).
    #[inline(always)]
    pub fn set_active(&self, spec: &Spec, ctx: &P::Ctx, active: bool) {
        self.bits.set(spec, ctx, Bit::Active, active);
    }

    /// Sets or clears [`Irq::is_enabled`] (`irq_lock` held).
    #[inline(always)]
    pub fn set_enabled(&self, spec: &Spec, ctx: &P::Ctx, enabled: bool) {
        self.bits.set(spec, ctx, Bit::Enabled, enabled);
    }

    /// Notes that it goes into a list register, or has left it (`irq_lock` held).
    #[inline(always)]
    pub fn set_on_lr(&self, spec: &Spec, ctx: &P::Ctx, on_lr: bool) {
        if spec.irq_bits == IrqBits::Words {
            return;
        }
        let was = self.bits.swap(spec, ctx, Bit::OnLr, on_lr);
        if was && on_lr {
            P::warn(ctx, "an LPI goes into a list register while it is in one");
        }
    }

    /// Makes it pending (`irq_lock` held); counts the event as coalesced if it was pending before.
    #[inline(always)]
    pub fn make_pending(&self, spec: &Spec, ctx: &P::Ctx) {
        // Against a CLEAR without the lock the exchange there decides who counts.
        if self.is_pending(spec, ctx) {
            P::count(ctx, Event::Coalesced);
        } else {
            self.bits.set(spec, ctx, Bit::PendingLatch, true);
        }
    }

    /// Takes the pending state away; true for the one caller who owns the event from then on.
    #[inline(always)]
    pub fn take_pending(&self, spec: &Spec, ctx: &P::Ctx) -> bool {
        self.bits.swap(spec, ctx, Bit::PendingLatch, false)
    }

    /// Throws the pending state away; counts a pending one as dropped.
    pub fn drop_pending(&self, spec: &Spec, ctx: &P::Ctx) {
        if self.take_pending(spec, ctx) {
            P::count(ctx, Event::Dropped);
        }
    }

    /// Sets the pending state to a bit read from a pending table (`irq_lock` held).
    pub fn load_pending(&self, spec: &Spec, ctx: &P::Ctx, pending: bool) {
        if !pending {
            self.drop_pending(spec, ctx);
        } else if !self.is_pending(spec, ctx) {
            P::count(ctx, Event::PendingLoaded);
            self.bits.set(spec, ctx, Bit::PendingLatch, true);
        }
    }
}

impl<P: Platform> Linked<P, ApList> for Irq<P> {
    #[inline(always)]
    fn link(&self) -> &Link<P, Self, ApList> {
        &self.ap_list
    }
}

impl<P: Platform> Linked<P, LpiList> for Irq<P> {
    #[inline(always)]
    fn link(&self) -> &Link<P, Self, LpiList> {
        &self.lpi_list
    }
}
