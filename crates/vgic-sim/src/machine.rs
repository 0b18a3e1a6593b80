//! [`Machine`]: what everything costs. All times are in picoseconds, all ratios in thousandths, so every host computes the same.
//!
//! Nothing here is measured by this crate: whoever makes a machine says where its values come from.

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

/// Where an atomic read-modify-write is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomics {
    /// In the core's cache, which fetches the line (x86 `lock`, LSE near).
    Near,
    /// As [`Atomics::Near`], but one whose result nobody asks for is executed at the line's home (LSE store atomics).
    FarStore,
    /// By a load and a conditional store, again and again.
    LlSc,
}

/// How spin locks hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpinLocks {
    /// A queue in which each waits for a word of its own (MCS), the kernel's.
    Qspinlock,
    /// Numbers, and all wait for one word.
    Ticket,
}

/// What the engine calls work, and what stands around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkCosts {
    /// System call: entry and exit.
    pub syscall: Ps,
    /// To copy `struct kvm_msi` from the caller.
    pub copy: Ps,
    /// `kmalloc`, beside the accesses.
    pub kmalloc: Ps,
    /// `kfree`.
    pub kfree: Ps,
    /// To send an IPI.
    pub ipi_send: Ps,
    /// Until it arrives.
    pub ipi_latency: Ps,
    /// To take it.
    pub ipi_receive: Ps,
    /// To wake a sleeping thread.
    pub wake: Ps,
    /// Until it runs.
    pub wake_latency: Ps,
    /// World switch into the guest.
    pub world_switch_in: Ps,
    /// World switch out of it.
    pub world_switch_out: Ps,
    /// To write a list register.
    pub list_register_write: Ps,
    /// To read one.
    pub list_register_read: Ps,
    /// A copy from or to guest memory.
    pub guest_access: Ps,
    /// The guest's handler of one interrupt.
    pub guest_interrupt: Ps,
    /// A step of the binary search of the MMIO bus.
    pub bus_step: Ps,
    /// From a miss of an irqfd until the worker runs.
    pub workqueue_hop: Ps,
    /// From a signalled eventfd to the irqfd's function, without shared accesses.
    pub irqfd: Ps,
    /// GICv4: the ITS is busy with one LPI.
    pub gicv4_translate: Ps,
    /// GICv4: until a resident vCPU sees the LPI.
    pub gicv4_deliver: Ps,
    /// GICv4: from the doorbell interrupt until the vCPU is woken.
    pub gicv4_doorbell: Ps,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// How many cores, at most [`MAX_CORES`].
    pub cores: u32,
    /// Between them.
    pub distance: Distance,
    /// A load that hits the core's own cache.
    pub hit_load: Ps,
    /// A store that does.
    pub hit_store: Ps,
    /// A read-modify-write that does.
    pub hit_rmw: Ps,
    /// A clean copy of a line that others have, in thousandths of the distance.
    pub shared_read: u32,
    /// How long one such copy keeps the line's home busy.
    pub read_occupancy: Ps,
    /// To take a line from all who share it, in thousandths of the largest distance.
    pub invalidate: u32,
    /// A line that no cache has.
    pub memory: Ps,
    /// How long a core keeps a line beyond its access, so that it can try again.
    pub hold: Ps,
    /// A full barrier.
    pub fence: Ps,
    /// Atomics.
    pub atomics: Atomics,
    /// An atomic at the line's home, for the core that asks.
    pub far_atomic: Ps,
    /// Spin locks.
    pub spin_locks: SpinLocks,
    /// How many stores may be on their way; 0: each waits for its line.
    pub store_buffer: u32,
    /// To enter and to leave a read section of RCU.
    pub rcu_section: Ps,
    /// Shortest and longest grace period.
    pub grace_period: [Ps; 2],
    /// One turn of a loop that waits.
    pub relax: Ps,
    /// The engine's own instructions between two accesses.
    pub step: Ps,
    /// Work takes longer or shorter by up to so many thousandths, at random.
    pub jitter: u32,
    /// The rest.
    pub work: WorkCosts,
}

impl Machine {
    /// A neutral machine of `cores` cores, for tests: 50 ns between any two, grace periods of 1 to 2 ms.
    pub fn flat(cores: u32) -> Self {
        Machine {
            cores,
            distance: Distance::Classes { cluster: cores, socket: cores, cost: [50 * NS; 3] },
            hit_load: NS,
            hit_store: NS,
            hit_rmw: 4 * NS,
            shared_read: 600,
            read_occupancy: 8 * NS,
            invalidate: 900,
            memory: 80 * NS,
            hold: 2 * NS,
            fence: 4 * NS,
            atomics: Atomics::Near,
            far_atomic: 45 * NS,
            spin_locks: SpinLocks::Qspinlock,
            store_buffer: 8,
            rcu_section: NS,
            grace_period: [1_000_000 * NS, 2_000_000 * NS],
            relax: 10 * NS,
            step: NS,
            jitter: 0,
            work: WorkCosts {
                syscall: 120 * NS,
                copy: 15 * NS,
                kmalloc: 25 * NS,
                kfree: 20 * NS,
                ipi_send: 150 * NS,
                ipi_latency: 700 * NS,
                ipi_receive: 300 * NS,
                wake: 500 * NS,
                wake_latency: 2000 * NS,
                world_switch_in: 600 * NS,
                world_switch_out: 600 * NS,
                list_register_write: 10 * NS,
                list_register_read: 10 * NS,
                guest_access: 50 * NS,
                guest_interrupt: 400 * NS,
                bus_step: 2 * NS,
                workqueue_hop: 3000 * NS,
                irqfd: 40 * NS,
                gicv4_translate: 20 * NS,
                gicv4_deliver: 300 * NS,
                gicv4_doorbell: 3000 * NS,
            },
        }
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

    /// What a line takes from one core to another. The distance is what two cores measure who take turns at a word: the
    /// time that each keeps the line for its access is in it.
    #[inline]
    pub(crate) fn transfer(&self, from: u32, to: u32) -> Ps {
        let distance = self.distance(from, to);
        distance.saturating_sub(self.kept()).max(distance / 2)
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
