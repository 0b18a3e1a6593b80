//! The floor that no design can go below: for each send one array index, one atomic OR, one branch.

use crate::clock::thread_cpu;
use crate::sample::{Length, Poll, Stopped, rounds};
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Sends, and the CPU time that they took.
pub fn floor(time: Duration, devices: u32, events: u32, poll: Poll<'_>) -> Result<(u64, Duration), Stopped> {
    let pending: Vec<AtomicU32> = (0..devices * events).map(|_| AtomicU32::new(0)).collect();
    let order: Vec<u32> = (0..devices * events).collect();
    let mut newly_pending = 0_u64;
    let cpu = thread_cpu();
    let done = rounds(Length::Time(time), poll, || {
        for index in &order {
            if pending[black_box(*index) as usize].fetch_or(1, Ordering::AcqRel) == 0 {
                newly_pending += 1;
            }
        }
    })?;
    black_box(newly_pending);
    Ok((done * order.len() as u64, thread_cpu() - cpu))
}
