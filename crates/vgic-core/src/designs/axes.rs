//! The axes: each is one thing that designs do differently, with all the ways in which it is done.
//!
//! A design is a choice on each axis ([`Spec`](super::Spec)). What stands here in words is what users read of an axis,
//! so each way is told in a sentence. Since when there is one, and in which commit, is not said here: that is known of
//! the first design that has it.

/// One way of an axis, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// As users type it.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// An axis as a type: its ways are the values.
pub trait Ways: Copy + PartialEq + 'static {
    /// What is done differently.
    const ABOUT: &'static str;
    /// The ways, in the order of the values.
    const CHOICES: &'static [Choice];
    /// Which of [`Ways::CHOICES`] this is.
    fn number(self) -> usize;
    /// The way of a number.
    fn from_number(number: usize) -> Self;
}

macro_rules! axis {
    ($(#[doc = $about:literal])+ $type:ident { $($(#[doc = $doc:literal])+ $value:ident = $name:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[doc = $doc])+ $value,)+
        }

        impl Ways for $type {
            const ABOUT: &'static str = concat!($($about),+);
            const CHOICES: &'static [Choice] = &[$(Choice { name: $name, about: concat!($($doc),+) }),+];
            fn number(self) -> usize {
                self as usize
            }
            fn from_number(number: usize) -> Self {
                [$($type::$value),+][number]
            }
        }
    };
}

axis! {
    /// Where all mapped LPIs are kept.
    Index {
        /// On a list, `dist->lpi_list_head`, under `lpi_list_lock`.
        List = "list",
        /// On the list, and in the xarray `dist->lpi_xa` beside it.
        ListAndXArray = "list-and-xarray",
        /// In `dist->lpi_xa` alone.
        XArray = "xarray",
    }
}

impl Index {
    /// Whether LPIs are linked on the list.
    pub const fn has_list(self) -> bool {
        matches!(self, Index::List | Index::ListAndXArray)
    }

    /// Whether LPIs are in the xarray.
    pub const fn has_xarray(self) -> bool {
        !matches!(self, Index::List)
    }
}

axis! {
    /// How `vgic_get_lpi` finds an LPI by INTID.
    Get {
        /// A linear walk of the list under `lpi_list_lock`; the reference is taken unconditionally.
        ListWalk = "list-walk",
        /// `xa_load` under `lpi_list_lock`; the reference is taken unconditionally.
        XArrayLocked = "xarray-locked",
        /// `xa_load` under RCU; the reference is taken only if the count is not zero.
        XArrayRcu = "xarray-rcu",
    }
}

axis! {
    /// How a reference is taken on an LPI that was found otherwise than by `vgic_get_lpi`.
    Found {
        /// Not at all: the LPI is used after the lock is dropped.
        Unreferenced = "unreferenced",
        /// Unconditionally.
        Get = "get",
        /// Only if the count is not zero.
        TryGet = "try-get",
        /// Not at all: the LPI is used in the RCU read section in which it was found.
        InSection = "in-section",
    }
}

axis! {
    /// The lock under which a map stores its LPI, and finds the one of a map that was faster.
    AddLock {
        /// `lpi_list_lock`, with the xarray's own lock inside.
        LpiList = "lpi-list",
        /// The xarray's own lock.
        XArray = "xarray",
    }
}

axis! {
    /// How `vgic_put_irq` drops a reference, and how it releases the LPI at zero.
    Put {
        /// Every decrement is made under `lpi_list_lock`.
        Locked = "locked",
        /// A plain decrement; at zero `xa_erase` by INTID.
        Erase = "erase",
        /// As before, but under raw spin locks the release is put off by a flag and swept up later.
        Deferred = "deferred",
        /// `refcount_dec_and_lock`: the xarray's lock is taken before the count reaches zero.
        DecAndLock = "dec-and-lock",
    }
}

axis! {
    /// Whether the xarray's lock is taken with interrupts off, as the last reference may go in a hard interrupt.
    XArrayIrqs {
        /// Always off.
        Off = "off",
        /// On in the erase of a put.
        OnInErase = "on-in-erase",
        /// On where LPIs are mapped, put and swept up.
        On = "on",
    }
}

axis! {
    /// How an LPI is freed at release.
    Free {
        /// `kfree`.
        Now = "kfree",
        /// `kfree_rcu`.
        Rcu = "kfree-rcu",
    }
}

axis! {
    /// The count of mapped LPIs.
    LpiCount {
        /// An integer under `lpi_list_lock`.
        Plain = "plain",
        /// An atomic.
        Atomic = "atomic",
        /// None: nothing asks for it.
        None = "none",
    }
}

axis! {
    /// How INVALL, MOVALL and the enable of LPIs visit the mapped LPIs.
    Walk {
        /// The INTIDs are copied from the list under `lpi_list_lock`, then each is looked up.
        CopyList = "copy-list",
        /// They are copied from the xarray under `lpi_list_lock` and RCU, from 0 to the largest index.
        CopyXArrayWide = "copy-xarray-wide",
        /// The same with the end of the walk before its start: it finds nothing.
        CopyXArrayEmpty = "copy-xarray-empty",
        /// The same from 8192 to 65535.
        CopyXArray = "copy-xarray",
        /// No copy: `xa_for_each`, with a look-up for each.
        ForEach = "for-each",
    }
}

axis! {
    /// What a walk over copied INTIDs does with one that was unmapped since the copy.
    Unmapped {
        /// It uses the NULL pointer that the look-up gave.
        Dereferenced = "dereferenced",
        /// It skips it.
        Skipped = "skipped",
    }
}

axis! {
    /// Which LPIs MOVALL gives to the new vCPU.
    Movall {
        /// Those that the walk has picked: from 6.10 on every LPI of the VM, whoever it targets.
        Walked = "walked",
        /// Of those that the walk visits, the ones that target the old vCPU.
        OfSource = "of-source",
    }
}

axis! {
    /// Which LPIs take their bit of the pending table when LPIs are enabled for a vCPU.
    LoadPending {
        /// Those that the walk has picked.
        Walked = "walked",
        /// Of those that the walk visits, the ones that target the vCPU; the others are looked at and queued, too.
        OfTarget = "of-target",
    }
}

axis! {
    /// How pending states are saved to the pending tables.
    Save {
        /// By a walk of the list without its lock.
        List = "list",
        /// By `xa_for_each` without references.
        XArray = "xarray",
        /// By `xa_for_each`, with a reference for each step.
        XArrayReferenced = "xarray-referenced",
    }
}

axis! {
    /// What happens when the store of a new LPI into the xarray fails.
    StoreError {
        /// There is no store, so no failure.
        Never = "never",
        /// The error returns with `lpi_list_lock` held.
        LockHeld = "lock-held",
        /// The lock is dropped first.
        Unlocked = "unlocked",
        /// `xa_release` is called under the lock that it takes itself: a deadlock.
        ReleaseUnderLock = "release-under-lock",
    }
}

axis! {
    /// What the store of a new LPI has for memory.
    StoreMemory {
        /// The slot that was reserved before; without it the store fails.
        Reserved = "reserved",
        /// It may allocate without sleeping, so that the reserved slot is not needed.
        MayAllocate = "may-allocate",
    }
}

axis! {
    /// What becomes of a dying LPI that the store of a new one displaces.
    Displaced {
        /// It is left to whoever has dropped its last reference.
        Left = "left",
        /// It is freed at once: it was put without release, and nobody else will.
        Freed = "freed",
    }
}

axis! {
    /// When a hit in a lazily allocated cache, and the look of an insertion, may walk it.
    LazyLocking {
        /// Under `lpi_list_lock`.
        Spin = "spin",
        /// Under RCU alone.
        Rcu = "rcu",
    }
}

axis! {
    /// How a lazily allocated cache chooses its victim when it is full.
    Eviction {
        /// The last entry; a hit moves its entry to the front.
        Lru = "lru",
        /// An entry without LPI, or the lowest usage count, where looking sets every count to zero.
        UsageReset = "usage-reset",
        /// The lowest usage count by one plain look at all.
        UsageKept = "usage-kept",
    }
}

axis! {
    /// Whether a lazily allocated cache keeps to its limit of 16 entries for each vCPU.
    Limit {
        /// It does not: entries are never counted upwards.
        Ignored = "ignored",
        /// It does.
        Kept = "kept",
    }
}

axis! {
    /// With which usage count an entry of a lazily allocated cache starts.
    NewEntry {
        /// With none.
        AtZero = "at-zero",
        /// With the largest of all.
        AtLargest = "at-largest",
    }
}

axis! {
    /// What happens to the victim of a lazily allocated cache.
    Retire {
        /// It is freed at once, as readers hold the lock.
        Now = "now",
        /// It is freed after `synchronize_rcu`, which every insertion waits for, victim or not.
        SynchronizeAlways = "synchronize-always",
        /// It is freed after `synchronize_rcu`, which is waited for only if there is a victim, before its LPI is put.
        SynchronizeVictim = "synchronize-victim",
        /// It is freed by `call_rcu`.
        CallRcu = "call-rcu",
    }
}

axis! {
    /// How the whole translation cache of an ITS is emptied.
    Drain {
        /// Each entry that is met is erased and put: two drains at once put one reference twice.
        PutMet = "put-met",
        /// Only what the erase returned is put.
        PutErased = "put-erased",
    }
}

axis! {
    /// What is put when the translation cache of an ITS could not store an entry.
    CacheStoreError {
        /// The error that the store returned, as if it were the LPI of the entry before: an Oops. (No platform crashes:
        /// each says so, and goes on with the reference that is left over.)
        PutsError = "puts-error",
        /// The reference that the entry would have had.
        Puts = "puts",
    }
}

axis! {
    /// What a command that moves or unmaps events throws out of the translation cache of an ITS.
    Forgets {
        /// Everything.
        Everything = "everything",
        /// The events that are unmapped; of those that are moved none, unless the new vCPU has its LPIs off.
        WhatIsStale = "what-is-stale",
    }
}

axis! {
    /// How a hit in the translation cache of an ITS finds the ITS of a doorbell.
    Doorbell {
        /// On the MMIO bus, by a binary search in an SRCU section.
        Bus = "bus",
        /// The first ITS that the VM was given is looked at before; the bus is for the others.
        FirstIts = "first-its",
    }
}

axis! {
    /// How the translation cache of an ITS is searched.
    Translations {
        /// One tree, keyed by DeviceID and EventID in one number.
        OneTree = "one-tree",
        /// A tree for each device, keyed by EventID, in one that is keyed by DeviceID.
        TreePerDevice = "tree-per-device",
    }
}

axis! {
    /// What entry and exit of a vCPU do with an empty `ap_list`.
    EmptyList {
        /// They skip it, without its lock; a list register that is in use then stays as it is.
        Skipped = "skipped",
        /// They visit it as any other.
        Visited = "visited",
    }
}

axis! {
    /// When and how an `ap_list` with more LPIs than there are list registers is sorted.
    Overflow {
        /// When more are pending or active than there are registers; active ones come first.
        ByDepth = "by-depth",
        /// When more could go into registers than there are; those that are deliverable here come first.
        BySummary = "by-summary",
    }
}

axis! {
    /// What the fold makes of the active state in a list register; an LPI has none once its priority has dropped.
    FoldActive {
        /// It is kept.
        Kept = "kept",
        /// It is dropped.
        Dropped = "dropped",
    }
}

axis! {
    /// How an exit finds interrupts that the guest has ended while they were in no list register (EOIcount).
    Replay {
        /// It does not look: what is in no register is not shown to the guest.
        None = "none",
        /// Behind the last one that got a register, which it has kept without a reference; with none, it folds nothing.
        BehindLast = "behind-last",
        /// The same, kept with a reference, and only if the registers were full.
        BehindLastHeld = "behind-last-held",
        /// From the head of the list, under its lock, passing over those in registers.
        Locked = "locked",
    }
}

axis! {
    /// What prune does when an LPI has to move and both locks are dropped.
    PruneGap {
        /// It holds no reference and takes no second look at `irq->vcpu`.
        Bare = "bare",
        /// It holds a reference, and the LPI must still be queued here.
        Referenced = "referenced",
    }
}

axis! {
    /// Where an LPI keeps whether it is pending, enabled and active.
    IrqBits {
        /// In a word each.
        Words = "words",
        /// In bits of one byte, and beside them `on_lr`, whether it is in a list register: a store to one is a load and a
        /// store of all.
        OneByte = "one-byte",
        /// In one word with its priority, its target and the vCPU whose list register has it, which is changed as a whole,
        /// by one atomic access and without a lock.
        Atomic = "atomic",
    }
}

axis! {
    /// What CLEAR holds while it clears the pending state.
    Clear {
        /// `its_lock` alone.
        UnderItsLock = "under-its-lock",
        /// `irq_lock`, too, as everybody who changes an LPI.
        UnderIrqLock = "under-irq-lock",
    }
}

axis! {
    /// What becomes of an LPI in a list register when another thread takes it off the `ap_list` (EnableLPIs off).
    InRegister {
        /// It leaves the list like any other, and nobody knows that a register still has it.
        Leaves = "leaves",
        /// It stays on the list until its vCPU has folded the register.
        Stays = "stays",
    }
}

axis! {
    /// What becomes of a vCPU's LPIs when EnableLPIs is cleared.
    LpisOff {
        /// All leave the `ap_list`, also those that are on their way to another vCPU; they stay pending.
        Unqueue = "unqueue",
        /// The same, and they are not pending any more.
        UnqueueAndClear = "unqueue-and-clear",
        /// Those that target the vCPU are not pending any more, on the `ap_list` or not; then the list is pruned, so that
        /// the others migrate.
        ClearAndPrune = "clear-and-prune",
    }
}

axis! {
    /// Who is stopped while EnableLPIs is cleared and while MOVALL walks.
    Halt {
        /// Nobody.
        Nobody = "nobody",
        /// Every vCPU: each has left the guest before, and waits outside until it is over.
        Everybody = "everybody",
    }
}

axis! {
    /// When a vCPU that leaves the guest says that it is outside.
    ExitMode {
        /// Before it folds its list registers: who halts the VM may go on meanwhile.
        BeforeSync = "before-sync",
        /// After that.
        AfterSync = "after-sync",
    }
}

axis! {
    /// What a bit of a pending table does to the LPI's pending state.
    TableBit {
        /// It replaces it: a send that came before is lost.
        Replaces = "replaces",
        /// It adds to it.
        Adds = "adds",
    }
}

axis! {
    /// How caches are emptied when an ITS, or the LPIs of a vCPU, are switched off.
    SwitchOff {
        /// Without `its_lock`: a table walk that saw the switch on may cache afterwards.
        Unlocked = "unlocked",
        /// Under `its_lock`, which a table walk holds from its look at the switch to the insertion.
        UnderItsLock = "under-its-lock",
    }
}

axis! {
    /// What MAPC does with cached translations when it gives a collection to a vCPU whose LPIs are off.
    Mapc {
        /// It keeps them: their LPIs are still delivered.
        KeepsCache = "keeps-cache",
        /// It empties the cache.
        EmptiesCache = "empties-cache",
    }
}

axis! {
    /// Whether MAPC checks its vCPU also with V = 0.
    MapcOff {
        /// It does, and rejects one that does not exist.
        ChecksVcpu = "checks-vcpu",
        /// It does not look at it.
        IgnoresVcpu = "ignores-vcpu",
    }
}

axis! {
    /// When an LPI that was given another target leaves the `ap_list` of the vCPU that had it.
    Moved {
        /// When that vCPU happens to exit; meanwhile sends kick the target, which does not have the LPI.
        AtNextExit = "at-next-exit",
        /// At once: whoever moves the LPI or sends it kicks the vCPU that has it, which does not enter the guest with it.
        Kicked = "kicked",
    }
}

axis! {
    /// How an LPI's configuration byte is read and applied.
    ConfigRead {
        /// In two steps: of two at once, the one that read first may apply last.
        TwoSteps = "two-steps",
        /// Under a mutex of the VM.
        Locked = "locked",
    }
}

axis! {
    /// What `vgic_add_lpi` does with an LPI that is there already.
    Remap {
        /// It takes it as it is, with the target of a mapping that may be gone.
        AsItIs = "as-it-is",
        /// It gives it the target of the new mapping.
        Retarget = "retarget",
    }
}

axis! {
    /// What happens to pending LPIs when the distributor is enabled.
    DistributorOn {
        /// Every vCPU is kicked; what was sent or pruned meanwhile is on no `ap_list`.
        Kick = "kick",
        /// The same after every LPI was looked at and queued.
        Queue = "queue",
    }
}

axis! {
    /// The look at a count of zero before an LPI is freed whose last reference another thread may have dropped.
    DeadLook {
        /// It is relaxed.
        Relaxed = "relaxed",
        /// An acquire load follows it.
        Acquire = "acquire",
    }
}

axis! {
    /// What becomes of what was mapped by a table when the guest changes its `GITS_BASER<n>`.
    BaserChange {
        /// It stays, unless the register is not valid any more.
        KeepsTables = "keeps-tables",
        /// It is freed, and the cache emptied.
        FreesTables = "frees-tables",
    }
}

axis! {
    /// What a save does with a device that the device table has no entry for any more.
    LostDevice {
        /// It fails.
        FailsSave = "fails-save",
        /// It leaves the device out.
        Skipped = "skipped",
    }
}
