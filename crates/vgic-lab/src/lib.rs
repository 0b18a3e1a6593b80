//! Workloads on the engine: the kernel's stress test, recorded guests, torture, and the VM that Python drives.

pub mod bench;
pub mod clock;
pub mod company;
pub mod floor;
pub mod guest;
pub mod guest_tables;
pub mod here;
pub mod host;
pub mod predict;
pub mod replay;
pub mod sample;
pub mod stress;
pub mod tables;
pub mod torture;
