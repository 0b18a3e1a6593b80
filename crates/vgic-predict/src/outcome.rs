//! [`Outcome`]: what a prediction gives.

use vgic_core::Event;
use vgic_sim::report::{Tally, Threads};
use vgic_sim::{Ps, TraceEvent};

/// From a send to its delivery, over the LPIs that are delivered in the window.
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
    pub(crate) fn of(mut all: Vec<Ps>) -> Self {
        all.sort_unstable();
        let rank =
            |share: usize| all.get((all.len() * share / 100).min(all.len().saturating_sub(1))).copied().unwrap_or(0);
        Latency { samples: all.len() as u64, sum: all.iter().sum(), median: rank(50), p99: rank(99) }
    }
}

/// What a prediction gives. What is of the window, and when it begins and ends, is said in `run.rs` and by the loads.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Events of the whole run, warm-up and end included.
    pub counts: [u64; Event::COUNT],
    /// LPIs that are pending at the end.
    pub pending: u64,
    /// Events of the window.
    pub measured: [u64; Event::COUNT],
    /// Sends of the window that were accepted.
    pub accepted: u64,
    /// Requests that were answered in the window, in a closed loop.
    pub requests: u64,
    /// How long the window is.
    pub elapsed: Ps,
    /// Shared accesses that were simulated.
    pub accesses: u64,
    /// From send to delivery.
    pub latency: Latency,
    /// From a request of the window to its answer, in a closed loop.
    pub response: Latency,
    /// Where the window's time went.
    pub threads: Vec<Threads>,
    /// Fields and locks in the window.
    pub tally: Tally,
    /// How much of the window's time hangs on each value of the machine, by name, those of none left out.
    pub charged: Vec<(&'static str, Ps)>,
    /// Events of the picture.
    pub trace: Vec<TraceEvent>,
    /// Names of the cores.
    pub cores: Vec<String>,
}
