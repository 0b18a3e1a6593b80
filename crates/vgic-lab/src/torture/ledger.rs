//! [`Ledger`]: what was sent and what arrived, for an LPI that has one event alone.
//!
//! A send takes a number before it begins. An acknowledge notes the highest number that it can see, so it comes before
//! the sends of higher numbers:
//!
//! - a send that was taken and whose number no acknowledge has seen was never delivered: **lost**;
//! - more acknowledges than sends: **delivered twice** (while the threads run the sends that were begun count, as the
//!   end of a send may be seen after its delivery; when they rest, those that were taken).
//!
//! Sends that find the LPI pending coalesce, so fewer acknowledges than sends are right.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The account of one LPI. SeqCst throughout: what is judged is the order of these counters against the sends and the
/// acknowledges around them, and their cost does not matter.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Sends that have begun: the number of the last one.
    begun: AtomicU64,
    /// Sends that were taken.
    taken: AtomicU64,
    /// The highest number of these.
    last_taken: AtomicU64,
    /// Acknowledges.
    delivered: AtomicU64,
    /// The highest number that an acknowledge has seen.
    seen: AtomicU64,
}

impl Ledger {
    /// A send begins.
    pub(super) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, SeqCst) + 1
    }

    /// The send of this number was taken.
    pub(super) fn took(&self, number: u64) {
        self.last_taken.fetch_max(number, SeqCst);
        self.taken.fetch_add(1, SeqCst);
    }

    /// A vCPU has acknowledged the LPI; says what is wrong with that, if anything is.
    pub(super) fn acknowledged(&self) -> Option<String> {
        let delivered = self.delivered.fetch_add(1, SeqCst) + 1;
        let begun = self.begun.load(SeqCst);
        self.seen.fetch_max(begun, SeqCst);
        (delivered > begun).then(|| format!("was delivered {delivered} times for {begun} sends"))
    }

    /// What is wrong when nobody sends or takes any more and nothing is pending. With `may_lose`, an LPI whose mapping
    /// went may be gone.
    pub(super) fn verdict(&self, may_lose: bool) -> Option<String> {
        let (taken, last) = (self.taken.load(SeqCst), self.last_taken.load(SeqCst));
        let (delivered, seen) = (self.delivered.load(SeqCst), self.seen.load(SeqCst));
        if delivered > taken {
            return Some(format!("was delivered {delivered} times for {taken} sends"));
        }
        (seen < last && !may_lose).then(|| {
            format!(
                "is lost: send {last} was taken and never delivered; the last acknowledge came before send {}",
                seen + 1
            )
        })
    }
}
