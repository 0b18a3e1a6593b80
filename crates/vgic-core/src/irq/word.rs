//! [`Word`]: the whole state of an LPI in 32 bits, for queues that change it by one atomic access.
//!
//! | bits | |
//! |---|---|
//! | 0 | *pending*, outside list registers |
//! | 1 | *enabled*: bit 0 of its configuration byte, as last read |
//! | 2 | *in a register*: a list register has it |
//! | 3 | *dead*: nobody can reach it any more; what is sent to it is dropped |
//! | 9:4 | bits 7:2 of its configuration byte: the priority |
//! | 19:10 | the vCPU that it should go to |
//! | 29:20 | the vCPU whose list register has it |
//!
//! There is no active state: an LPI has none outside list registers (Arm IHI 0069, 4.1.2). A vCPU is below 512
//! (`VGIC_V3_MAX_CPUS`), so ten bits also hold "none".

use super::NO_VCPU;

/// The state of an LPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub u32);

const ENABLED: u32 = 1 << 1;
const IN_REGISTER: u32 = 1 << 2;
const PRIORITY: u32 = 4;
const TARGET: u32 = 10;
const HOLDER: u32 = 20;
const NONE: u32 = 0x3ff;

impl Word {
    /// The bit that a send sets.
    pub const PENDING: u32 = 1;
    /// The bit that the release of the LPI sets.
    pub const DEAD: u32 = 1 << 3;

    /// A new LPI: neither pending nor enabled.
    #[must_use]
    pub const fn new(target_vcpu: u32) -> Self {
        Word(0).with_target(target_vcpu)
    }

    /// Pending, outside list registers.
    #[inline(always)]
    #[must_use]
    pub const fn is_pending(self) -> bool {
        self.0 & Self::PENDING != 0
    }

    /// Enabled.
    #[inline(always)]
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        self.0 & ENABLED != 0
    }

    /// A list register has it.
    #[inline(always)]
    #[must_use]
    pub const fn is_in_register(self) -> bool {
        self.0 & IN_REGISTER != 0
    }

    /// Nobody can reach it any more.
    #[inline(always)]
    #[must_use]
    pub const fn is_dead(self) -> bool {
        self.0 & Self::DEAD != 0
    }

    /// Its priority, as in the configuration byte.
    #[inline(always)]
    #[must_use]
    pub const fn priority(self) -> u8 {
        (self.0 >> PRIORITY << 2) as u8
    }

    /// The vCPU that it should go to, or [`NO_VCPU`].
    #[inline(always)]
    #[must_use]
    pub const fn target(self) -> u32 {
        vcpu(self.0 >> TARGET)
    }

    /// The vCPU whose list register has it; of no meaning if none has.
    #[inline(always)]
    #[must_use]
    pub const fn holder(self) -> u32 {
        vcpu(self.0 >> HOLDER)
    }

    /// Whether somebody owes it to a vCPU: pending, enabled, with a target.
    #[inline(always)]
    #[must_use]
    pub const fn is_due(self) -> bool {
        let all = Self::PENDING | ENABLED;
        self.0 & (all | Self::DEAD) == all && self.0 >> TARGET & NONE != NONE
    }

    /// Whether its target may take it now.
    #[inline(always)]
    #[must_use]
    pub const fn may_be_taken(self) -> bool {
        self.is_due() && !self.is_in_register()
    }

    /// Whether that vCPU may take it now.
    #[inline(always)]
    #[must_use]
    pub const fn may_be_taken_by(self, vcpu: u32) -> bool {
        self.may_be_taken() && self.target() == vcpu
    }

    /// Pending, or not.
    #[inline(always)]
    #[must_use]
    pub const fn with_pending(self, pending: bool) -> Self {
        Word(if pending { self.0 | Self::PENDING } else { self.0 & !Self::PENDING })
    }

    /// With what its configuration byte says.
    #[must_use]
    pub const fn with_configuration(self, byte: u8) -> Self {
        let rest = self.0 & !(ENABLED | 0x3f << PRIORITY);
        Word(rest | (byte as u32 & 1) << 1 | (byte as u32 >> 2) << PRIORITY)
    }

    /// With another target, or none ([`NO_VCPU`]).
    #[must_use]
    pub const fn with_target(self, vcpu: u32) -> Self {
        Word(self.0 & !(NONE << TARGET) | bits(vcpu) << TARGET)
    }

    /// As a list register of `vcpu` takes it: what was pending is pending there.
    #[inline(always)]
    #[must_use]
    pub const fn taken_by(self, vcpu: u32) -> Self {
        Word(self.0 & !(Self::PENDING | NONE << HOLDER) | IN_REGISTER | bits(vcpu) << HOLDER)
    }

    /// As a list register gives it back.
    #[inline(always)]
    #[must_use]
    pub const fn given_back(self) -> Self {
        Word(self.0 & !IN_REGISTER)
    }
}

#[inline(always)]
const fn vcpu(bits: u32) -> u32 {
    if bits & NONE == NONE { NO_VCPU } else { bits & NONE }
}

#[inline(always)]
const fn bits(vcpu: u32) -> u32 {
    if vcpu < NONE { vcpu } else { NONE }
}
