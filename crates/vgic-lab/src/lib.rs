//! Workloads on the engine: the kernel's stress test, recorded guests, torture, predictions.

pub mod bench;
pub mod clock;
pub mod company;
mod compiled;
pub mod floor;
pub mod here;
pub mod predict;
pub mod replay;
pub mod sample;
pub mod stress;
pub mod torture;
