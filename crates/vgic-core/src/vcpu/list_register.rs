//! List registers: what the guest's CPU interface sees (`ICH_LR<n>_EL2`, Arm IHI 0069, 12.4.5).

/// State bit: pending.
pub const LR_PENDING: u64 = 1 << 62;
/// State bit: active.
pub const LR_ACTIVE: u64 = 1 << 63;
/// Not of the hardware, which reads it as zero: nobody has folded the register, and its pending state was counted as
/// dropped.
pub(crate) const LR_STALE: u64 = 1 << 59;
const LR_GROUP1: u64 = 1 << 60;
const LR_PRIORITY_SHIFT: u32 = 48;

/// A list register of an LPI, neither pending nor active.
pub(crate) fn lr(intid: u32, priority: u8) -> u64 {
    u64::from(intid) | LR_GROUP1 | u64::from(priority) << LR_PRIORITY_SHIFT
}

/// INTID of a list register.
pub(crate) fn lr_intid(lr: u64) -> u32 {
    lr as u32
}

/// Priority of a list register.
pub(crate) fn lr_priority(lr: u64) -> u8 {
    (lr >> LR_PRIORITY_SHIFT) as u8
}
