//! Workloads on real threads: the kernel's stress test, recorded guests, torture.

pub mod bench;
pub mod clock;
pub mod company;
pub mod floor;
pub mod here;
pub mod replay;
pub mod sample;
pub mod stress;
pub mod torture;
