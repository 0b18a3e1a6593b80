//! [`Outcome`]: what a prediction gives.

use vgic_core::Event;
use vgic_sim::report::{Tally, Threads};
use vgic_sim::{Ps, TraceEvent};

/// From a send to its delivery, over the sends that made an LPI pending in the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many were measured.
    pub samples: u64,
    /// Sum of all.
    pub sum: Ps,
    /// Half are shorter.
    pub median: Ps,
    /// 99 of 100 are shorter.
    pub p99: Ps,
}

impl Latency {
    pub(super) fn of(mut all: Vec<Ps>) -> Self {
        all.sort_unstable();
        let rank =
            |share: usize| all.get((all.len() * share / 100).min(all.len().saturating_sub(1))).copied().unwrap_or(0);
        Latency { samples: all.len() as u64, sum: all.iter().sum(), median: rank(50), p99: rank(99) }
    }
}

/// What a prediction gives. The measured time is from the end of the warm-up to the end of the last sender.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Events of the whole run, warm-up and end included.
    pub counts: [u64; Event::COUNT],
    /// LPIs that are pending at the end.
    pub pending: u64,
    /// Events of the measured time.
    pub measured: [u64; Event::COUNT],
    /// Sends that were taken in the measured time.
    pub accepted: u64,
    /// Requests that were answered in the measured time, in a closed loop.
    pub requests: u64,
    /// The measured time.
    pub elapsed: Ps,
    /// Shared accesses that were simulated.
    pub accesses: u64,
    /// From send to delivery.
    pub latency: Latency,
    /// From a request to its answer, in a closed loop.
    pub response: Latency,
    /// Where the measured time went.
    pub threads: Vec<Threads>,
    /// Fields and locks in the measured time.
    pub tally: Tally,
    /// Events of the picture.
    pub trace: Vec<TraceEvent>,
    /// Names of the cores.
    pub cores: Vec<String>,
}
