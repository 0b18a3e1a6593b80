//! Workloads in virtual time: the same engine on a machine that is not at hand.
//!
//! - [`Flood`]: the load of `vgic_lpi_stress`: a sender a device, a vCPU a core; as fast as it goes, or a send every so often.
//! - [`Closed`]: a load like redis-memtier: so many requests in flight, a time of service, an interrupt a completion.
//! - [`Recorded`]: a recorded guest: its vectors, at their times, with their moves.
//! - [`counter`]: threads that increment one counter, which is what others have measured of contention.
//!
//! The others run on a design of the engine or as `gicv4`: direct injection, where the ITS delivers without the host.

mod closed;
pub mod counter;
mod driver;
mod entry;
mod flood;
mod gicv4;
mod guest;
mod outcome;
mod recorded;
mod run;

pub use closed::Closed;
pub use driver::Driver;
pub use entry::{Entry, FileReference};
pub use flood::Flood;
pub use outcome::{Latency, Outcome};
pub use recorded::Recorded;

use std::collections::BTreeSet;
use vgic_core::designs::Composed;
use vgic_host::{Refused, check_design, in_range};
use vgic_lab::sample::Poll;
use vgic_lab::stress::Failure;
use vgic_sim::Machine;

/// What direct injection is called beside the designs.
pub const GICV4: &str = "gicv4";

/// What every prediction is told.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The machine.
    pub machine: Machine,
    /// Same seed, same result.
    pub seed: u64,
    /// Fields, lines and locks whose transfers cost nothing.
    pub free: BTreeSet<String>,
    /// How many events of a picture to keep.
    pub trace: usize,
    /// Run designs that are known to be unsound.
    pub allow_unsound: bool,
}

/// A workload in virtual time.
pub trait Predict {
    /// Runs it on the design of that name, or with direct injection.
    fn predict(&self, design: &str, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure>;
}

impl Predict for Flood {
    fn predict(&self, design: &str, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure> {
        predict(self, design, setting, poll)
    }
}

impl Predict for Closed {
    fn predict(&self, design: &str, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure> {
        predict(self, design, setting, poll)
    }
}

impl Predict for Recorded {
    fn predict(&self, design: &str, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure> {
        predict(self, design, setting, poll)
    }
}

/// What a workload is made of.
pub(crate) trait Workload {
    /// Says what is wrong with it.
    fn check(&self) -> Result<(), Refused>;
    /// Threads that it has, a core each.
    fn threads(&self) -> u64;
    /// Runs it on a design.
    fn run(&self, design: Composed, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure>;
    /// Runs it with direct injection.
    fn run_gicv4(&self, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure>;
}

fn predict<W: Workload>(load: &W, design: &str, setting: &Setting, poll: Poll<'_>) -> Result<Outcome, Failure> {
    let looked_up = if design == GICV4 { None } else { Some(check_design(design, setting.allow_unsound)?) };
    load.check()?;
    let cores = u64::from(setting.machine.cores);
    in_range("threads (vCPUs and senders, a core each; the machine's cores are the most)", load.threads(), 1, cores)?;
    // The design is a value here: what the engine looks up costs the host some percent and the simulated machine nothing,
    // and the engine is compiled once.
    let Some(design) = looked_up else { return load.run_gicv4(setting, poll) };
    load.run(design, setting, poll)
}
