//! [`Driver`]: what a NIC and its driver do so that a guest under load takes fewer interrupts than packets.
//!
//! - **Polling** (NAPI). An interrupt of a queue switches the queue's interrupts off. The guest polls it, packet by packet,
//!   switches them on when it finds nothing, and looks once more. What has come in waits for a server, which is a process:
//!   interrupts are on while it runs. It takes all that waits, serves it, and then answers it, as redis does.
//! - **Answers that have left** (the event index of virtio, `virtqueue_enable_cb_delayed`). The driver wants an interrupt
//!   when three quarters of what is on its way out, and one more, have left. Each answer and each look of a poll frees what
//!   has left by then, and asks anew; so under load few of these interrupts come.
//! - **Moderation** (`rx-usecs`, `tx-usecs`). So long after an interrupt of a queue the NIC raises no other.

use std::cell::Cell;
use vgic_host::{Refused, in_range};
use vgic_sim::Ps;

/// What a NIC and its driver do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Driver {
    /// The guest polls; otherwise each packet, in or out, raises an interrupt, and is served in its handler.
    pub polls: bool,
    /// What a packet costs on its way in, and on its way out, where the guest polls.
    pub packet: Ps,
    /// From an interrupt of an RX queue to its next, at least.
    pub rx_moderation: Ps,
    /// From an interrupt of a TX queue to its next, at least.
    pub tx_moderation: Ps,
    /// What a client spends on an answer and its next request, one after the other; there is one for each pair of queues.
    pub client: Ps,
    /// Servers, each a process on one vCPU that has its part of the queues; 0: one on each vCPU, for what that vCPU polls.
    pub servers: u32,
    /// Requests in a packet, and their answers.
    pub pipeline: u32,
    /// From a MOVI to the next, each of another queue's RX interrupt to the next vCPU; 0: none.
    pub movi: Ps,
}

impl Driver {
    /// An interrupt for each packet.
    pub const EACH: Driver = Driver {
        polls: false,
        packet: 0,
        rx_moderation: 0,
        tx_moderation: 0,
        client: 0,
        servers: 0,
        pipeline: 1,
        movi: 0,
    };

    pub(crate) fn check(&self) -> Result<(), Refused> {
        in_range("packet (ps)", self.packet, 0, 1_000_000_000_000)?;
        in_range("client (ps)", self.client, 0, 1_000_000_000_000)?;
        in_range("rx_moderation (ps)", self.rx_moderation, 0, 1_000_000_000_000)?;
        in_range("tx_moderation (ps)", self.tx_moderation, 0, 1_000_000_000_000)?;
        in_range("pipeline", u64::from(self.pipeline), 1, 1 << 16)?;
        in_range("movi (ps)", self.movi, 0, 1_000_000_000_000)
    }
}

/// A queue of the NIC, as far as its interrupt is concerned.
pub(crate) struct Line {
    /// The driver wants an interrupt,
    armed: Cell<bool>,
    /// at that packet from when it said so.
    at: Cell<u32>,
    /// Packets since then.
    packets: Cell<u32>,
    /// From when on the NIC may raise the next one.
    quiet_until: Cell<Ps>,
    /// One is put off until then.
    is_put_off: Cell<bool>,
}

impl Default for Line {
    fn default() -> Self {
        let (quiet_until, is_put_off) = (Cell::new(0), Cell::new(false));
        Line { armed: Cell::new(true), at: Cell::new(1), packets: Cell::new(0), quiet_until, is_put_off }
    }
}

impl Line {
    /// A packet has come in or has left: when the interrupt is to be raised for it, if it is.
    pub(crate) fn packet(&self, driver: &Driver, now: Ps) -> Option<Ps> {
        self.packets.set(self.packets.get() + 1);
        if driver.polls && !(self.armed.get() && self.packets.get() >= self.at.get()) {
            return None;
        }
        self.armed.set(false);
        let at = self.quiet_until.get().max(now);
        if self.is_put_off.replace(at > now) {
            return None;
        }
        Some(at)
    }

    /// The interrupt is raised.
    pub(crate) fn raised(&self, now: Ps, moderation: Ps) {
        self.is_put_off.set(false);
        self.quiet_until.set(now + moderation);
    }

    /// The driver wants an interrupt at that packet from now on.
    pub(crate) fn arm(&self, at: u32) {
        self.armed.set(true);
        self.at.set(at);
        self.packets.set(0);
    }

    /// The driver wants none.
    pub(crate) fn disarm(&self) {
        self.armed.set(false);
    }
}

/// Answers of a queue on their way out.
#[derive(Default)]
pub(crate) struct Leaving {
    /// Sent and not freed.
    sent: Cell<u32>,
    /// Of those, what has left.
    left: Cell<u32>,
}

impl Leaving {
    /// One has left.
    pub(crate) fn left(&self) {
        self.left.set(self.left.get() + 1);
    }

    /// The guest sends one, behind a look at what has left.
    pub(crate) fn send(&self, line: &Line) {
        self.free(line);
        self.sent.set(self.sent.get() + 1);
    }

    /// The guest frees what has left, and wants an interrupt when most of the rest has; how many there were.
    pub(crate) fn free(&self, line: &Line) -> u32 {
        let freed = self.left.replace(0);
        self.sent.set(self.sent.get() - freed);
        line.arm(self.sent.get() * 3 / 4 + 1);
        freed
    }
}
