//! [`Machine`]: what everything costs. All times are in picoseconds, all ratios in thousandths, so every host computes the same.
//!
//! Nothing here is measured by this crate: whoever makes a machine says where its values come from.

use crate::parameters::{Parameter, choice, choices, count, machine, ms, ns, ratio};

/// A time, in picoseconds.
pub type Ps = u64;

/// A nanosecond.
pub const NS: Ps = 1000;

/// Most cores of a machine.
pub const MAX_CORES: u32 = 1024;

/// How far cores are from each other: what it takes to fetch a line that another core has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distance {
    /// By place: cores of a cluster, of a socket, and of different sockets.
    Classes {
        /// Cores of a cluster.
        cluster: u32,
        /// Cores of a socket.
        socket: u32,
        /// Within a cluster, within a socket, between sockets.
        cost: [Ps; 3],
    },
    /// Measured: `matrix[from * cores + to]`.
    Matrix(Vec<Ps>),
}

choices! {
    /// Where an atomic read-modify-write is executed.
    Atomics {
        /// In the core's cache, which fetches the line (x86 `lock`, LSE near).
        Near = "near",
        /// As [`Atomics::Near`], but one whose result nobody asks for is executed at the line's home (LSE store atomics).
        FarStore = "far-store",
        /// By a load and a conditional store, again and again.
        LlSc = "llsc",
    }
}

choices! {
    /// How spin locks hand over.
    SpinLocks {
        /// A queue in which each waits for a word of its own (MCS), the kernel's.
        Qspinlock = "qspinlock",
        /// Numbers, and all wait for one word.
        Ticket = "ticket",
    }
}

machine! {
    /// A machine. Ratios of lines are of a distance; a grace period lies between the shortest and the longest.
    {
        /// How many cores, at most [`MAX_CORES`].
        cores: u32,
        /// Between them.
        distance: Distance,
    }

    // Name, type, unit and range, the value of `Machine::flat`, and what it is.
    hit_load: Ps, ns(0), NS, "a load that hits the own cache";
    near_load: Ps, ns(0), NS, "a load that hits the line of the load before, so that they overlap";
    hit_store: Ps, ns(0), NS, "a store that hits the own cache";
    hit_rmw: Ps, ns(0), 4 * NS, "an atomic read-modify-write that hits the own cache";
    shared_read: u32, ratio(10_000), 600, "a clean copy of a line that others have, relative to the distance";
    read_occupancy: Ps, ns(0), 8 * NS, "how long one such copy keeps the line's home busy";
    invalidate: u32, ratio(10_000), 900, "to take a line from all who share it, relative to the farthest of them";
    memory: Ps, ns(0), 80 * NS, "to get a line that no cache has";
    hold: Ps, ns(0), 2 * NS, "who got a line keeps it so long";
    visit: Ps, ns(0), 0, "who has its next access to a line ready keeps it so long at most";
    fence: Ps, ns(0), 4 * NS, "a full barrier";
    atomics: Atomics, choice(Atomics::NAMES), Atomics::Near, "where atomics are executed: in the own cache, at the \
        line's home if nobody asks for the result, or by load and conditional store";
    far_atomic: Ps, ns(0), 45 * NS, "an atomic executed at the line's home, for the core that asks";
    spin_locks: SpinLocks, choice(SpinLocks::NAMES), SpinLocks::Qspinlock, "how spin locks hand over";
    store_buffer: u32, count(1024), 8, "stores that may be on their way; 0: each waits for its line";
    rcu_section: Ps, ns(0), NS, "to enter and to leave a read section of RCU";
    grace_period_min: Ps, ms(), 1_000_000 * NS, "the shortest grace period of RCU";
    grace_period_max: Ps, ms(), 2_000_000 * NS, "the longest grace period of RCU";
    // A loop that waits must let time pass.
    relax: Ps, ns(1), 10 * NS, "one turn of a loop that waits";
    step: Ps, ns(0), NS, "the engine's own instructions between two shared accesses";
    jitter: u32, ratio(1_000), 0, "work takes longer or shorter by up to so much, at random";
    syscall: Ps, ns(0), 120 * NS, "entry and exit of a system call";
    copy: Ps, ns(0), 15 * NS, "to copy the MSI from the caller";
    kmalloc: Ps, ns(0), 25 * NS, "to allocate an object";
    kfree: Ps, ns(0), 20 * NS, "to free an object";
    ipi_send: Ps, ns(0), 150 * NS, "to send an IPI, for the sender";
    ipi_latency: Ps, ns(0), 700 * NS, "until the IPI arrives";
    ipi_receive: Ps, ns(0), 300 * NS, "to take the IPI, for the receiver";
    wake: Ps, ns(0), 500 * NS, "to wake a sleeping thread, for the waker";
    wake_latency: Ps, ns(0), 2000 * NS, "until the woken thread runs";
    world_switch_in: Ps, ns(0), 600 * NS, "the world switch into the guest";
    world_switch_out: Ps, ns(0), 600 * NS, "the world switch out of the guest";
    list_register_write: Ps, ns(0), 10 * NS, "to write a list register";
    list_register_read: Ps, ns(0), 10 * NS, "to read a list register";
    guest_access: Ps, ns(0), 50 * NS, "an access of the host to guest memory";
    guest_interrupt: Ps, ns(0), 400 * NS, "the guest's handler of one interrupt: acknowledge, work, end";
    bus_step: Ps, ns(0), 2 * NS, "a step of the binary search of the MMIO bus";
    workqueue_hop: Ps, ns(0), 3000 * NS, "an irqfd's miss: until the worker runs";
    irqfd: Ps, ns(0), 40 * NS, "from a signalled eventfd to the irqfd's function, without shared accesses";
    gicv4_translate: Ps, ns(0), 20 * NS, "GICv4: the ITS is busy with one LPI";
    gicv4_deliver: Ps, ns(0), 300 * NS, "GICv4: until a resident vCPU sees the LPI";
    gicv4_doorbell: Ps, ns(0), 3000 * NS, "GICv4: from the doorbell interrupt on the host until the vCPU is woken";
}

impl Machine {
    /// A neutral machine of `cores` cores, for tests: 50 ns between any two, grace periods of 1 to 2 ms.
    pub fn flat(cores: u32) -> Self {
        let distance = Distance::Classes { cluster: cores, socket: cores, cost: [50 * NS; 3] };
        Machine::flat_with(cores, distance)
    }

    /// From one core to another: 0 to itself.
    #[inline]
    pub fn distance(&self, from: u32, to: u32) -> Ps {
        if from == to {
            return 0;
        }
        match &self.distance {
            Distance::Classes { cluster, socket, cost } => {
                if from / socket != to / socket {
                    cost[2]
                } else if from / cluster != to / cluster {
                    cost[1]
                } else {
                    cost[0]
                }
            }
            Distance::Matrix(matrix) => matrix[(from * self.cores + to) as usize],
        }
    }

    /// What a line takes from one core to another. The distance is what two cores measure who take turns at a word, and who
    /// has the line looks at it again and again until it is taken away: the time that each keeps it is in the distance.
    #[inline]
    pub(crate) fn transfer(&self, from: u32, to: u32) -> Ps {
        let distance = self.distance(from, to);
        distance.saturating_sub(self.kept().max(self.visit)).max(distance / 2)
    }

    /// How long who has got a line keeps it: for its access, and for one more try.
    #[inline]
    pub(crate) fn kept(&self) -> Ps {
        self.hit_rmw + self.step + self.hold
    }

    /// From one core to a clean copy that lies near another, or near itself.
    #[inline]
    pub(crate) fn clean(&self, from: u32, to: u32) -> Ps {
        let from = if from != to {
            from
        } else if to > 0 {
            to - 1
        } else {
            1.min(self.cores - 1)
        };
        self.transfer(from, to) * Ps::from(self.shared_read) / 1000
    }
}
