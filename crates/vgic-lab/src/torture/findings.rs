//! [`Findings`]: what a run has found, and which of it the design is known for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use vgic_core::designs::{InRegister, Put, Spec, SwitchOff, Unmapped, Walk};
use vgic_native::sync::Mutex;

/// An LPI that is mapped and not in the index.
pub(super) const ERASED: &str = "an erase took a newer LPI out of the index (CVE-2026-74568)";
/// An LPI that nothing leads to.
pub(super) const LEAKED: &str = "an LPI whose release was put off was never freed (CVE-2026-74568)";
/// A translation that was cached after the switch-off.
pub(super) const WINDOW: &str = "an MSI was taken while its ITS was off (the open window)";
const IN_TWO: &str = "an LPI goes into a list register while it is in one";
const UNMAPPED: &str = "NULL dereference: an LPI was unmapped between the copy and its use";

/// Most rules of which it is told that they were broken.
const MOST: usize = 16;

/// What the threads of a run have found.
pub(super) struct Findings {
    broken: Mutex<Vec<String>>,
    any: AtomicBool,
    known: Mutex<BTreeMap<&'static str, u64>>,
    strict: bool,
}

impl Findings {
    pub(super) fn new(strict: bool) -> Findings {
        Findings { broken: Mutex::default(), any: AtomicBool::new(false), known: Mutex::default(), strict }
    }

    /// A rule is broken.
    pub(super) fn broken(&self, what: String) {
        let mut broken = self.broken.lock();
        if broken.len() < MOST && !broken.contains(&what) {
            broken.push(what);
        }
        self.any.store(true, Ordering::SeqCst);
    }

    /// Something was found so often that is a defect of the design, if `expected`.
    pub(super) fn found(&self, what: &'static str, times: u64, expected: bool) {
        if times == 0 {
            return;
        }
        if expected && !self.strict {
            *self.known.lock().entry(what).or_default() += times;
        } else {
            self.broken(format!("{times} times: {what}"));
        }
    }

    /// Whether a rule is broken.
    pub(super) fn any_broken(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    pub(super) fn all_broken(&self) -> Vec<String> {
        self.broken.lock().clone()
    }

    pub(super) fn all_known(&self) -> BTreeMap<&'static str, u64> {
        self.known.lock().clone()
    }
}

/// Whether a design is known for a finding.
pub(super) fn is_known(spec: &Spec, what: &str) -> bool {
    match what {
        // From patch-10 a map overwrites a dying LPI, whose erase, by INTID, then takes out the newcomer.
        ERASED => matches!(spec.put, Put::Erase | Put::Deferred),
        LEAKED => spec.put == Put::Deferred,
        // In every design of the kernel: GITS_CTLR is not ordered against a resolver that has passed its checks.
        WINDOW => spec.switch_off == SwitchOff::Unlocked,
        // EnableLPIs off leaves the list register of a vCPU that is in the guest.
        IN_TWO => spec.ap_list().in_register == InRegister::Leaves,
        UNMAPPED => spec.walk != Walk::ForEach && spec.unmapped == Unmapped::Dereferenced,
        _ => false,
    }
}
