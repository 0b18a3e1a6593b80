//! The engine of vgic: KVM/arm64's LPI routing and injection, generic over the primitives it synchronises with
//! ([`Platform`]) and over the locking design (`Design`).
//!
//! Function and field names are the kernel's, so that texts about the kernel can be matched with this source.
#![no_std]

extern crate alloc;

pub mod guard;
pub mod obj;
pub mod order;
pub mod platform;

pub use obj::Obj;
pub use order::{Order, Pair};
pub use platform::{Event, NoMemory, Platform, Work};
