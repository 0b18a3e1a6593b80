//! The engine of vgic: KVM/arm64's LPI routing and injection, generic over the primitives it synchronises with
//! ([`Platform`]) and over the locking design ([`Design`]).
//!
//! Function and field names are the kernel's, so that texts about the kernel can be matched with this source.
//!
//! - What it stands on: [`platform`], [`order`], [`obj`], [`callback`], [`guard`]
//! - Data structures: [`refcount`], [`list`], [`xarray`]
//! - The interrupt controller: [`irq`], [`lpi_store`], [`cache`], [`its`], [`vcpu`], [`queue`], [`bus`], [`inject`], [`vm`]
//! - What the designs are: [`designs`]
//! - Whether all of it fits together: [`audit`]
#![no_std]

extern crate alloc;

pub mod audit;
pub mod bus;
pub mod cache;
pub mod callback;
pub mod designs;
pub mod guard;
pub mod inject;
pub mod irq;
pub mod its;
pub mod list;
pub mod lpi_store;
pub mod obj;
pub mod order;
pub mod platform;
pub mod queue;
pub mod refcount;
pub mod tables;
pub mod vcpu;
pub mod vm;
pub mod xarray;

pub use callback::Callback;
pub use designs::Design;
pub use inject::{Msi, SendError};
pub use its::commands::Command;
pub use its::error::{CommandError, ItsError};
pub use obj::Obj;
pub use order::{Order, Pair};
pub use platform::{Event, NoMemory, Platform, Work};
pub use vm::Vm;
