//! What a VMM brings and what it calls: a VM on real threads, guest memory, and the guest's tables in it.
//!
//! - [`plan`]: what VM to make · [`host`]: the VM · [`refused`]: why there is none
//! - [`notices`]: who is told that something is pending
//! - [`memory`]: guest physical memory · [`tables`]: LPI tables of the host's own · [`guest_tables`]: those in guest memory

pub mod guest_tables;
pub mod host;
pub mod memory;
pub mod notices;
pub mod plan;
pub mod refused;
pub mod tables;

pub use host::Host;
pub use plan::{ITS_BASE, Plan, its_base, new_host};
pub use refused::{Refused, check_compiled, check_design, in_range};
