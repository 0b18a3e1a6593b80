//! [`Sample`]: what one run of a workload gave, and [`Length`]: how long it lasts.

use crate::clock::thread_cpu;
use std::time::{Duration, Instant};
use vgic_core::Event;
use vgic_native::NativeCtx;

/// Counts and times of one run on one engine.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Events by kind, summed over all threads.
    pub counts: [u64; Event::COUNT],
    /// Sends that returned 1.
    pub accepted: u64,
    /// Sends that are still pending at the end.
    pub pending: u64,
    /// Wall time, from the start of the first sender to the end of the last.
    pub elapsed: Duration,
    /// CPU time of the one thread of lockstep and senders runs; zero in live runs.
    pub cpu: Duration,
    /// Wall time spent waiting for grace periods, summed over all threads.
    pub grace: Duration,
}

impl Sample {
    /// Count of one kind of event.
    pub fn count(&self, event: Event) -> u64 {
        self.counts[event as usize]
    }

    /// Adds what a thread counted.
    pub fn add(&mut self, ctx: &NativeCtx) {
        let grace = Duration::from_nanos(ctx.grace_ns());
        self.absorb(&Sample { counts: ctx.counters(), grace, ..Sample::default() });
    }

    /// Adds what several threads counted.
    pub fn absorb(&mut self, other: &Sample) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        self.grace += other.grace;
    }

    /// Runs rounds on this thread, which count the sends that were accepted, and takes their time.
    pub fn timed_rounds(
        &mut self,
        length: Length,
        poll: Poll<'_>,
        mut round: impl FnMut(&mut u64),
    ) -> Result<(), Stopped> {
        let (start, cpu) = (Instant::now(), thread_cpu());
        let mut accepted = 0;
        let result = rounds(length, poll, || round(&mut accepted));
        self.cpu = thread_cpu() - cpu;
        self.elapsed = start.elapsed();
        self.accepted += accepted;
        result.map(drop)
    }

    /// Whether every send has exactly one end.
    pub fn adds_up(&self) -> bool {
        self.count(Event::Sent) + self.count(Event::PendingLoaded)
            == self.count(Event::Delivered) + self.count(Event::Coalesced) + self.count(Event::Dropped) + self.pending
    }
}

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// So many rounds over all devices and events.
    Iterations(u64),
    /// As many as one block: no look at the clock in between, and no stop. For who counts instructions.
    OneBlock(u64),
    /// So long.
    Time(Duration),
}

/// Told now and then how far the run is (0 to 1); returns false to stop it.
pub type Poll<'a> = &'a mut dyn FnMut(f64) -> bool;

/// Was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

const POLL_EVERY: Duration = Duration::from_millis(50);
const BLOCK: Duration = Duration::from_micros(200);

/// Runs rounds until the length is reached, looking at the clock only between blocks of rounds.
pub fn rounds(length: Length, poll: Poll<'_>, mut round: impl FnMut()) -> Result<u64, Stopped> {
    let start = Instant::now();
    let (mut done, mut block, mut polled, mut before) = (0_u64, 1_u64, start, start);
    loop {
        let left = match length {
            Length::Iterations(iterations) | Length::OneBlock(iterations) => iterations - done,
            Length::Time(time) if before - start >= time => 0,
            Length::Time(_) => block,
        };
        if left == 0 {
            return Ok(done);
        }
        let now_do = if let Length::OneBlock(_) = length { left } else { left.min(block) };
        for _ in 0..now_do {
            round();
        }
        done += now_do;
        let now = Instant::now();
        // Blocks grow until the clock's cost is lost in them.
        if now - before < BLOCK / 2 {
            block *= 2;
        } else if now - before > BLOCK * 2 {
            block = (block / 2).max(1);
        }
        before = now;
        if now - polled >= POLL_EVERY {
            polled = now;
            let fraction = match length {
                Length::Iterations(iterations) | Length::OneBlock(iterations) => done as f64 / iterations as f64,
                Length::Time(time) => (now - start).as_secs_f64() / time.as_secs_f64(),
            };
            if !poll(fraction.min(1.0)) {
                return Err(Stopped);
            }
        }
    }
}
