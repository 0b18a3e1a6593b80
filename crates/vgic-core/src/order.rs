//! Memory orders, each with the pair that it belongs to.
//!
//! Every atomic access of the engine names its order and, unless it is relaxed, the [`Pair`] of sites that need it.
//! A platform may ignore the pair (real threads do), print it, or weaken the accesses of one pair to see whether a
//! model notices. `ORDERING.md` has the argument of each pair; the codes there are those of [`Pair::code`].

/// The order of one atomic access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// No ordering: the value alone matters, or a lock orders the access.
    Relaxed,
    /// What is reached through the loaded pointer is read behind this load, as after `rcu_dereference`; other accesses
    /// need not stay behind it. For loads only.
    Consume(Pair),
    /// Later accesses of this thread stay behind this load.
    Acquire(Pair),
    /// Earlier accesses of this thread stay before this store.
    Release(Pair),
    /// Both, for read-modify-write accesses.
    AcqRel(Pair),
    /// A full barrier on both sides, as the kernel's value-returning atomics are.
    SeqCst(Pair),
}

/// Two or more sites that must be ordered against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pair {
    /// O-01: a slot or root of an XArray is published with its content; readers load it under RCU.
    XArrayPublish,
    /// O-02: an RCU list element is published with its content; readers follow `next` under RCU.
    RcuListPublish,
    /// O-03: what was done under a reference happens before the object is released by who drops the last one.
    RefDrop,
    /// O-04: a request is visible before the kick looks at the vCPU's mode; a vCPU that enters the guest publishes
    /// its mode before it looks at its requests (store buffering, closed by full barriers on both sides).
    KickEntry,
    /// O-05: `GITS_CTLR.Enabled` and `GICR_CTLR.EnableLPIs` are written before caches are invalidated.
    EnableInvalidate,
    /// O-06: the pointer in a cache entry is published with what the entry's key promises.
    CachePublish,
    /// O-07: the MMIO bus table is replaced as a whole; lookups read it inside an SRCU section.
    BusPublish,
    /// O-08: a vCPU that blocks says so before it looks for pending interrupts; who queues one looks whether the
    /// vCPU blocks after it has queued (store buffering, closed by full barriers on both sides).
    KickBlock,
    /// O-09: a vCPU says that it is outside the guest after it has folded its list registers; who halts the VM waits for
    /// that. Who resumes it lets go of the vCPU after what it has changed.
    ExitPublish,
    /// O-10: an LPI is changed before its hint is set; a vCPU clears the hint before it looks at the LPI.
    HintState,
    /// O-11: a hint is set before its summary is looked at; a vCPU clears a summary before it looks again at the hints under
    /// it (store buffering, closed by full barriers on both sides).
    HintSummary,
    /// O-12: what a device wrote before its MSI is seen by the guest that takes the LPI, also of a send that found it pending,
    /// and also if it was in another vCPU's list register in between.
    LpiTake,
}

impl Pair {
    /// Every pair, in the order of `ORDERING.md`.
    pub const ALL: [Pair; 12] = [
        Pair::XArrayPublish,
        Pair::RcuListPublish,
        Pair::RefDrop,
        Pair::KickEntry,
        Pair::EnableInvalidate,
        Pair::CachePublish,
        Pair::BusPublish,
        Pair::KickBlock,
        Pair::ExitPublish,
        Pair::HintState,
        Pair::HintSummary,
        Pair::LpiTake,
    ];

    /// The code used in comments and in `ORDERING.md`, such as `O-03`.
    pub const fn code(self) -> &'static str {
        match self {
            Pair::XArrayPublish => "O-01",
            Pair::RcuListPublish => "O-02",
            Pair::RefDrop => "O-03",
            Pair::KickEntry => "O-04",
            Pair::EnableInvalidate => "O-05",
            Pair::CachePublish => "O-06",
            Pair::BusPublish => "O-07",
            Pair::KickBlock => "O-08",
            Pair::ExitPublish => "O-09",
            Pair::HintState => "O-10",
            Pair::HintSummary => "O-11",
            Pair::LpiTake => "O-12",
        }
    }
}
