//! [`Spec`]: a design is one value, a choice on each [axis](super::axes).
//!
//! Everything that tells two designs apart stands in it, and nothing else does: what can be worked out, such as which
//! locks exist or whether memory may be used after it was freed, is worked out from it. [`AXES`] is the same by name, for
//! who composes a design, compares two, or asks which axis mends a defect.

use super::axes::*;

/// The kinds of translation cache, each with the axes that it alone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheKind {
    /// The VM-wide LRU list of 2019, under `lpi_list_lock`, allocated early.
    EagerLru,
    /// A VM-wide list, allocated on a miss.
    Lazy(Lazy),
    /// The eager list under a reader-writer lock, with usage counts.
    ReadWrite,
    /// An xarray in each ITS, read under RCU.
    PerIts(PerIts),
}

/// The axes of a lazily allocated cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lazy {
    /// What protects a hit's walk.
    pub locking: LazyLocking,
    /// The victim.
    pub eviction: Eviction,
    /// The limit.
    pub limit: Limit,
    /// A new entry's usage count.
    pub new_entry: NewEntry,
    /// The victim's end.
    pub retire: Retire,
}

/// The axes of a cache in each ITS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerIts {
    /// How it is emptied.
    pub drain: Drain,
    /// A failed store.
    pub store_error: CacheStoreError,
    /// What goes with a command.
    pub forgets: Forgets,
    /// How an ITS is found.
    pub doorbell: Doorbell,
    /// How it is searched.
    pub translations: Translations,
}

/// The kinds of a vCPU's queue of LPIs, each with the axes that it alone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueKind {
    /// A list of interrupts that are active or pending, under `ap_list_lock`.
    ApList(ApList),
    /// A bitmap of LPIs to look at, without a lock.
    Hints,
}

/// The axes of an `ap_list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApList {
    /// An empty one.
    pub empty: EmptyList,
    /// One with more LPIs than there are list registers.
    pub overflow: Overflow,
    /// The active state.
    pub fold_active: FoldActive,
    /// What was ended in no list register.
    pub replay: Replay,
    /// Migration.
    pub prune_gap: PruneGap,
    /// LPIs that were given another target.
    pub moved: Moved,
    /// LPIs in list registers, where others prune.
    pub in_register: InRegister,
}

/// A design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is told by its type.
pub struct Spec {
    pub index: Index,
    pub get: Get,
    pub add_lock: AddLock,
    /// How a map takes the LPI of another map that was faster.
    pub add_race: Found,
    pub put: Put,
    pub xarray_irqs: XArrayIrqs,
    pub free: Free,
    pub count: LpiCount,
    pub walk: Walk,
    pub unmapped: Unmapped,
    pub movall: Movall,
    pub load_pending: LoadPending,
    pub save: Save,
    pub store_error: StoreError,
    pub store_memory: StoreMemory,
    pub displaced: Displaced,
    pub dead_look: DeadLook,
    /// How a cache hit takes its reference.
    pub cache_hit: Found,
    pub cache: CacheKind,
    pub queue: QueueKind,
    pub irq_bits: IrqBits,
    pub clear: Clear,
    pub lpis_off: LpisOff,
    pub halt: Halt,
    pub exit_mode: ExitMode,
    pub table_bit: TableBit,
    pub switch_off: SwitchOff,
    pub mapc: Mapc,
    pub mapc_off: MapcOff,
    pub config_read: ConfigRead,
    pub remap: Remap,
    pub distributor_on: DistributorOn,
    pub baser_change: BaserChange,
    pub lost_device: LostDevice,
}

impl Spec {
    /// The axes of a lazily allocated cache; as in patch 11 where the cache is of another kind.
    #[inline(always)]
    pub const fn lazy(&self) -> Lazy {
        match self.cache {
            CacheKind::Lazy(lazy) => lazy,
            _ => Lazy {
                locking: LazyLocking::Spin,
                eviction: Eviction::Lru,
                limit: Limit::Ignored,
                new_entry: NewEntry::AtZero,
                retire: Retire::Now,
            },
        }
    }

    /// The axes of a cache in each ITS; as in v6.10 where the cache is of another kind.
    #[inline(always)]
    pub const fn per_its(&self) -> PerIts {
        match self.cache {
            CacheKind::PerIts(per_its) => per_its,
            _ => PerIts {
                drain: Drain::PutMet,
                store_error: CacheStoreError::PutsError,
                forgets: Forgets::Everything,
                doorbell: Doorbell::Bus,
                translations: Translations::OneTree,
            },
        }
    }

    /// The axes of the `ap_list`; where the queue is of another kind, what comes next to it.
    #[inline(always)]
    pub const fn ap_list(&self) -> ApList {
        match self.queue {
            QueueKind::ApList(ap_list) => ap_list,
            QueueKind::Hints => ApList {
                empty: EmptyList::Visited,
                overflow: Overflow::BySummary,
                fold_active: FoldActive::Dropped,
                replay: Replay::None,
                prune_gap: PruneGap::Referenced,
                moved: Moved::Kicked,
                in_register: InRegister::Stays,
            },
        }
    }

    /// Whether vCPUs have hints.
    #[inline(always)]
    pub const fn has_hints(&self) -> bool {
        matches!(self.queue, QueueKind::Hints)
    }

    /// Whether being in a vCPU's queue is a reference on an LPI.
    #[inline(always)]
    pub const fn queue_holds_lpis(&self) -> bool {
        !self.has_hints()
    }

    /// Whether each ITS has a cache of its own.
    #[inline(always)]
    pub const fn has_cache_per_its(&self) -> bool {
        matches!(self.cache, CacheKind::PerIts(_))
    }

    /// Whether anything uses `dist->lpi_list_lock`.
    pub const fn has_lpi_list_lock(&self) -> bool {
        !matches!(self.walk, Walk::ForEach)
            || !matches!(self.get, Get::XArrayRcu)
            || matches!(self.add_lock, AddLock::LpiList)
            || matches!(self.put, Put::Locked)
            || matches!(self.cache, CacheKind::EagerLru | CacheKind::Lazy(_))
    }

    /// Whether the xarray's lock is taken with interrupts off where LPIs are mapped and swept up.
    #[inline(always)]
    pub const fn xarray_irqs_off(&self) -> bool {
        !matches!(self.xarray_irqs, XArrayIrqs::On)
    }

    /// Whether a put never takes the xarray's lock inside a raw spin lock, such as `ap_list_lock`.
    pub const fn releases_outside_raw_locks(&self) -> bool {
        matches!(self.put, Put::Deferred | Put::DecAndLock)
    }

    /// Whether ordinary traffic may use freed memory.
    pub const fn is_unsound(&self) -> bool {
        let lazy = self.lazy();
        let cache_under_rcu = self.has_cache_per_its() || matches!(lazy.locking, LazyLocking::Rcu);
        let put_unlocked = !matches!(self.put, Put::Locked);
        let add_race_looks = matches!(self.add_race, Found::TryGet);
        let in_section = matches!(self.cache_hit, Found::InSection);
        // A reference that is not taken, or taken of an LPI that may be dying.
        matches!(self.cache_hit, Found::Unreferenced)
            || (put_unlocked || cache_under_rcu) && !(in_section || matches!(self.cache_hit, Found::TryGet))
            || put_unlocked && !(add_race_looks && matches!(self.get, Get::XArrayRcu))
            // Memory that goes while a reader under RCU looks at it.
            || (cache_under_rcu || matches!(self.get, Get::XArrayRcu)) && matches!(self.free, Free::Now)
            || matches!(lazy.locking, LazyLocking::Rcu) && matches!(lazy.retire, Retire::Now)
            // A hit that moves its entry without the lock.
            || matches!(lazy.locking, LazyLocking::Rcu) && matches!(lazy.eviction, Eviction::Lru)
    }

    /// Whether a vCPU that turns LPIs off, an ITS that is turned off, or a VMM that saves the pending tables, beside a
    /// running vCPU, a command or a sender, may use freed memory.
    pub const fn has_control_races(&self) -> bool {
        matches!(self.ap_list().prune_gap, PruneGap::Bare)
            || matches!(self.ap_list().replay, Replay::BehindLast)
            || !matches!(self.save, Save::XArrayReferenced)
            || self.has_cache_per_its() && matches!(self.per_its().drain, Drain::PutMet)
    }

    /// Whether a CLEAR may undo a store of somebody else, so that each may put the sums of what came and what went wrong by
    /// one.
    pub const fn clear_may_miscount(&self) -> bool {
        matches!(self.irq_bits, IrqBits::OneByte) && matches!(self.clear, Clear::UnderItsLock)
    }

    /// Why the engine cannot be such a design, if it cannot.
    pub fn nonsense(&self) -> Option<&'static str> {
        let list = self.index.has_list();
        let xarray = self.index.has_xarray();
        let copies = self.walk != Walk::ForEach;
        let rules = [
            (self.get == Get::ListWalk && !list, "get=list-walk needs an index with a list"),
            (self.get != Get::ListWalk && !xarray, "get from the xarray needs an index with an xarray"),
            (self.walk == Walk::CopyList && !list, "walk=copy-list needs an index with a list"),
            (self.walk != Walk::CopyList && !xarray, "a walk of the xarray needs an index with an xarray"),
            (self.save == Save::List && !list, "save=list needs an index with a list"),
            (self.save != Save::List && !xarray, "a save from the xarray needs an index with an xarray"),
            (self.add_lock == AddLock::XArray && self.index != Index::XArray, "add-lock=xarray needs index=xarray"),
            (self.put != Put::Locked && self.index != Index::XArray, "a put without lpi_list_lock needs index=xarray"),
            (
                (self.store_error == StoreError::Never) == xarray,
                "store-error=never goes with index=list, and only with it",
            ),
            (
                self.store_error == StoreError::LockHeld && self.add_lock != AddLock::LpiList,
                "store-error=lock-held needs add-lock=lpi-list",
            ),
            (
                self.store_error == StoreError::ReleaseUnderLock && self.add_lock != AddLock::XArray,
                "store-error=release-under-lock needs add-lock=xarray",
            ),
            (
                matches!(self.queue, QueueKind::ApList(_))
                    && self.ap_list().in_register == InRegister::Stays
                    && !(self.irq_bits == IrqBits::OneByte && self.lpis_off == LpisOff::ClearAndPrune),
                "in-register=stays needs irq-bits=one-byte and lpis-off=clear-and-prune",
            ),
            (
                self.has_hints() != (self.irq_bits == IrqBits::Atomic),
                "queue=hints goes with irq-bits=atomic, and only with it",
            ),
            (
                self.has_hints() && (self.index != Index::XArray || self.free != Free::Rcu),
                "queue=hints needs index=xarray and free=kfree-rcu",
            ),
            (self.has_hints() && self.lpis_off != LpisOff::ClearAndPrune, "queue=hints needs lpis-off=clear-and-prune"),
            (
                self.has_hints() && self.put == Put::Deferred,
                "queue=hints needs a put that leaves no dead LPI in the index",
            ),
            (
                self.cache_hit == Found::InSection && !(self.has_hints() && self.has_cache_per_its()),
                "cache-hit=in-section needs queue=hints and cache=per-its",
            ),
            (self.add_race == Found::InSection, "add-race=in-section: a map keeps what it finds"),
            (copies && self.count == LpiCount::None, "a walk that copies needs a count"),
            (
                self.count == LpiCount::Plain && (self.put != Put::Locked || self.add_lock != AddLock::LpiList),
                "count=plain needs add-lock=lpi-list and put=locked",
            ),
        ];
        rules.into_iter().find(|(broken, _)| *broken).map(|(_, why)| why)
    }
}

/// An axis by name.
pub struct Axis {
    /// As users type it.
    pub name: &'static str,
    /// What is done differently.
    pub about: &'static str,
    /// The ways.
    pub choices: &'static [Choice],
    get: fn(&Spec) -> Option<usize>,
    set: fn(&mut Spec, usize) -> bool,
}

impl Axis {
    /// The way of a design; `None` if its cache or queue is of a kind that has not this axis.
    pub fn of(&self, spec: &Spec) -> Option<&'static Choice> {
        (self.get)(spec).map(|number| &self.choices[number])
    }

    /// Sets the way of a design by its name; false if its cache or queue has not this axis, `None` for an unknown name.
    pub fn set(&self, spec: &mut Spec, name: &str) -> Option<bool> {
        let number = self.choices.iter().position(|choice| choice.name == name)?;
        Some((self.set)(spec, number))
    }
}

/// An axis that every design has.
macro_rules! plain {
    ($name:literal, $field:ident, $type:ty) => {
        plain!($name, $field, $type, <$type as Ways>::ABOUT)
    };
    ($name:literal, $field:ident, $type:ty, $about:expr) => {
        Axis {
            name: $name,
            about: $about,
            choices: <$type as Ways>::CHOICES,
            get: |spec| Some(spec.$field.number()),
            set: |spec, number| {
                spec.$field = <$type as Ways>::from_number(number);
                true
            },
        }
    };
}

/// An axis of one kind of cache or queue.
macro_rules! of_kind {
    ($name:literal, $field:ident, $kind:path, $inner:ident, $type:ty) => {
        Axis {
            name: $name,
            about: <$type as Ways>::ABOUT,
            choices: <$type as Ways>::CHOICES,
            get: |spec| match spec.$field {
                $kind(kind) => Some(kind.$inner.number()),
                _ => None,
            },
            set: |spec, number| match &mut spec.$field {
                $kind(kind) => {
                    kind.$inner = <$type as Ways>::from_number(number);
                    true
                }
                _ => false,
            },
        }
    };
}

/// Every axis, in the order in which a design is told.
pub static AXES: &[Axis] = &[
    plain!("index", index, Index),
    plain!("get", get, Get),
    plain!("add-lock", add_lock, AddLock),
    plain!("add-race", add_race, Found, "How a map takes the LPI of another map that was faster."),
    plain!("put", put, Put),
    plain!("xarray-irqs", xarray_irqs, XArrayIrqs),
    plain!("free", free, Free),
    plain!("count", count, LpiCount),
    plain!("walk", walk, Walk),
    plain!("unmapped", unmapped, Unmapped),
    plain!("movall", movall, Movall),
    plain!("load-pending", load_pending, LoadPending),
    plain!("save", save, Save),
    plain!("store-error", store_error, StoreError),
    plain!("store-memory", store_memory, StoreMemory),
    plain!("displaced", displaced, Displaced),
    plain!("dead-look", dead_look, DeadLook),
    plain!("cache-hit", cache_hit, Found, "How a hit in the translation cache takes its reference."),
    Axis {
        name: "cache",
        about: " The kind of translation cache.",
        choices: &[
            Choice {
                name: "eager-lru",
                about: " One list for the VM under `lpi_list_lock`, of entries allocated early; a hit moves its entry to \
                        the front.",
            },
            Choice { name: "lazy", about: " One list for the VM, of entries allocated on a miss." },
            Choice {
                name: "read-write",
                about: " One list for the VM under a reader-writer lock, of entries allocated early, with usage counts.",
            },
            Choice { name: "per-its", about: " An xarray in each ITS, read under RCU, without a limit." },
        ],
        get: |spec| {
            Some(match spec.cache {
                CacheKind::EagerLru => 0,
                CacheKind::Lazy(_) => 1,
                CacheKind::ReadWrite => 2,
                CacheKind::PerIts(_) => 3,
            })
        },
        set: |spec, number| {
            spec.cache = match number {
                0 => CacheKind::EagerLru,
                1 => CacheKind::Lazy(spec.lazy()),
                2 => CacheKind::ReadWrite,
                _ => CacheKind::PerIts(spec.per_its()),
            };
            true
        },
    },
    of_kind!("lazy-locking", cache, CacheKind::Lazy, locking, LazyLocking),
    of_kind!("eviction", cache, CacheKind::Lazy, eviction, Eviction),
    of_kind!("limit", cache, CacheKind::Lazy, limit, Limit),
    of_kind!("new-entry", cache, CacheKind::Lazy, new_entry, NewEntry),
    of_kind!("retire", cache, CacheKind::Lazy, retire, Retire),
    of_kind!("drain", cache, CacheKind::PerIts, drain, Drain),
    of_kind!("cache-store-error", cache, CacheKind::PerIts, store_error, CacheStoreError),
    of_kind!("forgets", cache, CacheKind::PerIts, forgets, Forgets),
    of_kind!("doorbell", cache, CacheKind::PerIts, doorbell, Doorbell),
    of_kind!("translations", cache, CacheKind::PerIts, translations, Translations),
    Axis {
        name: "queue",
        about: " The kind of a vCPU's queue of LPIs.",
        choices: &[
            Choice {
                name: "ap-list",
                about: " `ap_list`: a list of interrupts that are active or pending, under `ap_list_lock`.",
            },
            Choice {
                name: "hints",
                about: " A bitmap that says at which LPIs the vCPU should look, without a lock and without references; an \
                        LPI is taken by an exchange of its state.",
            },
        ],
        get: |spec| Some(usize::from(spec.has_hints())),
        set: |spec, number| {
            spec.queue = if number == 0 { QueueKind::ApList(spec.ap_list()) } else { QueueKind::Hints };
            true
        },
    },
    of_kind!("empty-list", queue, QueueKind::ApList, empty, EmptyList),
    of_kind!("overflow", queue, QueueKind::ApList, overflow, Overflow),
    of_kind!("fold-active", queue, QueueKind::ApList, fold_active, FoldActive),
    of_kind!("replay", queue, QueueKind::ApList, replay, Replay),
    of_kind!("prune-gap", queue, QueueKind::ApList, prune_gap, PruneGap),
    of_kind!("moved", queue, QueueKind::ApList, moved, Moved),
    of_kind!("in-register", queue, QueueKind::ApList, in_register, InRegister),
    plain!("irq-bits", irq_bits, IrqBits),
    plain!("clear", clear, Clear),
    plain!("lpis-off", lpis_off, LpisOff),
    plain!("halt", halt, Halt),
    plain!("exit-mode", exit_mode, ExitMode),
    plain!("table-bit", table_bit, TableBit),
    plain!("switch-off", switch_off, SwitchOff),
    plain!("mapc", mapc, Mapc),
    plain!("mapc-off", mapc_off, MapcOff),
    plain!("config-read", config_read, ConfigRead),
    plain!("remap", remap, Remap),
    plain!("distributor-on", distributor_on, DistributorOn),
    plain!("baser-change", baser_change, BaserChange),
    plain!("lost-device", lost_device, LostDevice),
];
