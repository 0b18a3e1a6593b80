//! [`Platform`]: the primitives that the engine synchronises with, and nothing else of the world.
//!
//! The engine names no primitive: it never mentions an atomic type, a lock, a thread or a clock of its own. Every
//! field that two threads can reach is made by a [`Layout`] of the platform, with the name that the kernel gives
//! it, so each platform sees each access: real threads turn it into one machine instruction, a counting platform
//! writes it down, a simulator charges time for it, a model checker may switch threads at it.
//!
//! Three rules keep that possible:
//! - each call passes the context (`ctx`) of the calling thread, so no platform needs thread-local storage;
//! - objects are made inside [`Platform::alloc`] or [`Platform::embed`], field by field in the kernel's order, so a
//!   platform can place them on cache lines and tell a field of a freed object from a live one;
//! - plain data goes into [`PlainCell`]s, which are safe to use: on real threads a defective design reads a stale
//!   value, never undefined behaviour, and a checker reports the race.

pub mod watched;

use crate::obj::Obj;
use crate::order::Order;
use core::fmt::Debug;

/// Memory could not be allocated (`-ENOMEM`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// Plain data of at most eight bytes that fits a [`PlainCell`].
pub trait Plain: Copy + Send + Sync + PartialEq + Debug + 'static {
    /// As the low bits of a word.
    fn to_bits(self) -> u64;
    /// Back from [`Plain::to_bits`].
    fn from_bits(bits: u64) -> Self;
}

macro_rules! plain {
    ($($t:ty),*) => {$(
        impl Plain for $t {
            #[inline(always)]
            fn to_bits(self) -> u64 { self as u64 }
            #[inline(always)]
            fn from_bits(bits: u64) -> Self { bits as $t }
        }
    )*};
}
plain!(u8, u16, u32, u64, i64);

impl Plain for bool {
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self as u64
    }
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        bits != 0
    }
}

/// Loads, stores and exchanges on an atomic of value type `T`.
pub trait Atomic<C, T: Copy>: Send + Sync {
    /// Reads the value.
    fn load(&self, ctx: &C, order: Order) -> T;
    /// Writes the value.
    fn store(&self, ctx: &C, value: T, order: Order);
    /// Writes `value`, returns what was there.
    fn swap(&self, ctx: &C, value: T, order: Order) -> T;
    /// Writes `new` if the value is `current`; `Err` holds the value found (then the access orders nothing).
    fn compare_exchange(&self, ctx: &C, current: T, new: T, order: Order) -> Result<T, T>;
}

/// Arithmetic on an integer atomic. Wraps around on overflow.
pub trait AtomicInt<C, T: Copy>: Atomic<C, T> {
    /// Adds, returns the old value.
    fn fetch_add(&self, ctx: &C, value: T, order: Order) -> T;
    /// Subtracts, returns the old value.
    fn fetch_sub(&self, ctx: &C, value: T, order: Order) -> T;
    /// Sets bits, returns the old value.
    fn fetch_or(&self, ctx: &C, value: T, order: Order) -> T;
    /// Keeps the bits that `value` has, clears the others, returns the old value.
    fn fetch_and(&self, ctx: &C, value: T, order: Order) -> T;
    /// Adds without asking for the old value (a store-only atomic where the machine has one); relaxed.
    fn add(&self, ctx: &C, value: T);
}

/// Plain data that a lock or a publication orders.
pub trait PlainCell<C, T: Plain>: Send + Sync {
    /// Reads it. The caller holds what orders it.
    fn get(&self, ctx: &C) -> T;
    /// Writes it. The caller holds the lock that protects it, or nobody else can see it yet.
    fn set(&self, ctx: &C, value: T);
}

/// A pointer that a lock orders, as a [`PlainCell`] is; null is `None`.
pub trait PointerCell<C, T>: Send + Sync {
    /// Reads it.
    fn get(&self, ctx: &C) -> Option<Obj<T>>;
    /// Writes it.
    fn set(&self, ctx: &C, value: Option<Obj<T>>);
}

/// A lock. The engine uses it through [`guard`](crate::guard).
pub trait RawLock<C>: Send + Sync {
    /// Takes the lock. With `irqs_off`, interrupts are masked on this CPU until the unlock (`_irqsave`).
    fn lock(&self, ctx: &C, irqs_off: bool);
    /// Takes a second lock of the same class; the caller guarantees an order among them (`SINGLE_DEPTH_NESTING`).
    fn lock_nested(&self, ctx: &C);
    /// Releases the lock; only the holder calls this.
    fn unlock(&self, ctx: &C);
}

/// A reader-writer lock. The engine uses it through [`guard`](crate::guard).
pub trait RawRwLock<C>: Send + Sync {
    /// Takes it for reading, beside other readers. With `irqs_off`, interrupts are masked until the unlock.
    fn read_lock(&self, ctx: &C, irqs_off: bool);
    /// Releases it after reading.
    fn read_unlock(&self, ctx: &C);
    /// Takes it alone. With `irqs_off`, interrupts are masked until the unlock.
    fn write_lock(&self, ctx: &C, irqs_off: bool);
    /// Releases it after writing.
    fn write_unlock(&self, ctx: &C);
}

/// Where a thread sleeps until somebody wakes it (`rcuwait`, one sleeper).
pub trait Parker<C>: Send + Sync {
    /// Sleeps until [`Parker::unpark`] was called since the last return; may return early.
    fn park(&self, ctx: &C);
    /// Wakes the sleeper, or lets its next [`Parker::park`] return at once.
    fn unpark(&self, ctx: &C);
}

/// A fixed array whose length the platform chooses (64 as in the kernel; small where a checker explores).
pub trait Slots<T>: Send + Sync {
    /// Number of slots as a power of two.
    const SHIFT: u32;
    /// Makes the slots, in order.
    fn from_fn(f: impl FnMut(usize) -> T) -> Self;
    /// Slot `index`, which is below `1 << SHIFT`.
    fn slot(&self, index: usize) -> &T;
}

macro_rules! slots {
    ($($shift:literal),*) => {$(
        impl<T: Send + Sync> Slots<T> for [T; 1 << $shift] {
            const SHIFT: u32 = $shift;
            fn from_fn(f: impl FnMut(usize) -> T) -> Self {
                core::array::from_fn(f)
            }
            #[inline(always)]
            fn slot(&self, index: usize) -> &T {
                &self[index & ((1 << $shift) - 1)]
            }
        }
    )*};
}
slots!(1, 2, 4, 6);

/// Makes the fields of one object, in the order in which the kernel's structure has them.
///
/// `rank` of a lock is its place in the lock order: a thread takes locks in ascending rank only.
pub trait Layout<P: Platform> {
    /// A 32-bit atomic.
    fn u32(&self, name: &'static str, value: u32) -> P::AtomicU32;
    /// A 64-bit atomic.
    fn u64(&self, name: &'static str, value: u64) -> P::AtomicU64;
    /// An atomic pointer; starts null.
    fn ptr<T: 'static>(&self, name: &'static str) -> P::AtomicPtr<T>;
    /// Plain data.
    fn cell<T: Plain>(&self, name: &'static str, value: T) -> P::Cell<T>;
    /// A plain pointer; starts null.
    fn ptr_cell<T: 'static>(&self, name: &'static str) -> P::PtrCell<T>;
    /// A spin lock.
    fn spin(&self, name: &'static str, rank: u8) -> P::SpinLock;
    /// A sleeping mutex.
    fn mutex(&self, name: &'static str, rank: u8) -> P::Mutex;
    /// A reader-writer spin lock.
    fn rwlock(&self, name: &'static str, rank: u8) -> P::RwLock;
    /// A place to sleep.
    fn parker(&self, name: &'static str) -> P::Parker;
    /// The next field starts a new cache line.
    fn line(&self);
    /// Leaves room for `bytes` of fields that the kernel has here and the engine has not.
    fn skip(&self, bytes: usize);
}

/// Makes a field that only some designs have: where the design has it not, it takes no place in the object.
pub fn present_if<P: Platform, T>(present: bool, l: &P::Layout, make: impl Fn(&P::Layout) -> T) -> T {
    if present { make(l) } else { P::embed("absent", make) }
}

/// What the kernel does around the engine; free everywhere but where time is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Binary search of the MMIO bus among this many ranges.
    BusLookup(u32),
    /// A reschedule IPI to the CPU on which the vCPU of this number runs.
    SendIpi(u32),
    /// A sleeping vCPU thread is woken.
    WakeUp,
    /// The world switch into the guest.
    EnterGuest,
    /// The world switch out of the guest.
    ExitGuest,
    /// One list register written to hardware.
    WriteListRegister,
    /// One list register read from hardware.
    ReadListRegister,
    /// One access to guest memory by the host.
    GuestAccess,
}

/// Something worth counting, per thread and without any sharing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Event {
    /// An MSI or INT command was sent.
    Sent,
    /// A vCPU acknowledged an LPI.
    Delivered,
    /// A send, or a list register at fold, found its LPI pending already.
    Coalesced,
    /// A send found no mapping or a disabled ITS or redistributor, or a pending state was thrown away (CLEAR, unmap).
    Dropped,
    /// A pending bit was taken from a pending table, or met again in a list register that nobody had folded.
    PendingLoaded,
    /// A translation was found in the cache.
    CacheHit,
    /// A translation was not in the cache.
    CacheMiss,
    /// A cache entry made room for another.
    CacheEviction,
    /// A vCPU entered the guest.
    GuestEntry,
    /// A vCPU left the guest.
    GuestExit,
    /// An entry was abandoned since a request came in.
    EntryCancelled,
    /// A kick found the vCPU in the guest and made it leave.
    Kick,
    /// A kick found the vCPU asleep and woke it.
    Wake,
    /// An LPI moved to another vCPU's `ap_list`.
    Migration,
    /// A grace period was waited for.
    GracePeriod,
}

impl Event {
    /// How many kinds of event there are.
    pub const COUNT: usize = Event::GracePeriod as usize + 1;
}

/// A set of primitives. See the module's text for the rules.
pub trait Platform: Sized + Send + Sync + 'static {
    /// Identity of a thread, passed to every call.
    type Ctx;
    /// Maker of fields.
    type Layout: Layout<Self>;
    /// 32-bit atomic.
    type AtomicU32: AtomicInt<Self::Ctx, u32>;
    /// 64-bit atomic.
    type AtomicU64: AtomicInt<Self::Ctx, u64>;
    /// Atomic pointer.
    type AtomicPtr<T: 'static>: Atomic<Self::Ctx, *mut T>;
    /// Plain data.
    type Cell<T: Plain>: PlainCell<Self::Ctx, T>;
    /// Plain pointer.
    type PtrCell<T: 'static>: PointerCell<Self::Ctx, T>;
    /// Spin lock (`spinlock_t`, `raw_spinlock_t`).
    type SpinLock: RawLock<Self::Ctx>;
    /// Sleeping lock (`struct mutex`).
    type Mutex: RawLock<Self::Ctx>;
    /// Reader-writer lock (`rwlock_t`).
    type RwLock: RawRwLock<Self::Ctx>;
    /// Place to sleep.
    type Parker: Parker<Self::Ctx>;
    /// Slots of a radix tree node.
    type Slots<T: Send + Sync>: Slots<T>;
    /// A thread that was started.
    type Thread;
    /// Words of 64 bits in a [bitmap of hints](crate::queue::hints): one bit an LPI from the first on, and one for all LPIs
    /// beyond; small where a checker explores. As it is, all INTIDs of 16 bits have their own.
    const HINT_WORDS: usize = 896;

    /// Allocates a shared object of the kernel type `class` (`"vgic_irq"`), making its fields with `init`.
    fn alloc<T: Send + Sync + 'static>(
        ctx: &Self::Ctx,
        class: &'static str,
        init: impl FnOnce(&Self::Layout) -> T,
    ) -> Result<Obj<T>, NoMemory>;

    /// Makes an object that lives inside another or as long as the VM.
    fn embed<T>(class: &'static str, init: impl FnOnce(&Self::Layout) -> T) -> T;

    /// Frees an object now.
    ///
    /// # Safety
    /// The object came from [`Platform::alloc`] of this platform and no handle to it is used any more.
    unsafe fn free<T: Send + Sync + 'static>(ctx: &Self::Ctx, obj: Obj<T>);

    /// Calls `func(ctx, data)` after a grace period, from any thread. Never waits.
    ///
    /// # Safety
    /// Calling `func` with `data` from another thread after a grace period is sound.
    unsafe fn call_rcu(ctx: &Self::Ctx, func: unsafe fn(&Self::Ctx, *mut ()), data: *mut ());

    /// Frees an object after a grace period (`kfree_rcu`). Never waits.
    ///
    /// # Safety
    /// The object came from [`Platform::alloc`] of this platform and no handle to it is used any more but by RCU
    /// readers that are running now.
    #[inline]
    unsafe fn free_rcu<T: Send + Sync + 'static>(ctx: &Self::Ctx, obj: Obj<T>) {
        unsafe fn free_one<P: Platform, T: Send + Sync + 'static>(ctx: &P::Ctx, data: *mut ()) {
            // SAFETY: S-02: `data` is the object of the call below, whose readers are gone after the grace period.
            unsafe {
                if let Some(obj) = Obj::from_ptr(data.cast::<T>()) {
                    P::free(ctx, obj);
                }
            }
        }
        // SAFETY: S-02: after the grace period nobody reaches the object, so any thread may free it.
        unsafe { Self::call_rcu(ctx, free_one::<Self, T>, obj.as_ptr().cast()) }
    }

    /// Enters an RCU read section (`rcu_read_lock`); nests.
    fn rcu_read_lock(ctx: &Self::Ctx);
    /// Leaves an RCU read section (`rcu_read_unlock`).
    fn rcu_read_unlock(ctx: &Self::Ctx);
    /// Waits until every RCU read section that runs now has ended (`synchronize_rcu`).
    fn synchronize_rcu(ctx: &Self::Ctx);
    /// Waits until every callback queued before has run (`rcu_barrier`).
    fn rcu_barrier(ctx: &Self::Ctx);
    /// Called at the end of an operation, with no spin lock held and in no read section: where too many callbacks
    /// wait, this waits for them.
    fn rcu_throttle(ctx: &Self::Ctx);
    /// Enters an SRCU read section (`srcu_read_lock`); may sleep inside; nests.
    fn srcu_read_lock(ctx: &Self::Ctx);
    /// Leaves an SRCU read section (`srcu_read_unlock`).
    fn srcu_read_unlock(ctx: &Self::Ctx);
    /// Waits until every SRCU read section that runs now has ended (`synchronize_srcu`).
    fn synchronize_srcu(ctx: &Self::Ctx);

    /// A full barrier that follows a relaxed read-modify-write (`smp_mb__after_atomic`).
    fn fence_after_rmw(ctx: &Self::Ctx, pair: crate::order::Pair);
    /// A full barrier (`smp_mb`).
    fn fence(ctx: &Self::Ctx, pair: crate::order::Pair);
    /// An acquire fence that follows a relaxed load (`smp_acquire__after_ctrl_dep`).
    fn fence_acquire(ctx: &Self::Ctx, pair: crate::order::Pair);

    /// Starts a thread.
    fn spawn(ctx: &Self::Ctx, name: &str, f: impl FnOnce(&Self::Ctx) + Send + 'static) -> Self::Thread;
    /// Waits for a thread; true unless it panicked.
    fn join(ctx: &Self::Ctx, thread: Self::Thread) -> bool;
    /// Lets others run: the thread waits for something that another one does.
    fn relax(ctx: &Self::Ctx, spins: u32);

    /// Work around the engine.
    fn work(ctx: &Self::Ctx, work: Work);
    /// Counts an event of this thread.
    fn count(ctx: &Self::Ctx, event: Event);
    /// A rule was broken that the kernel would warn about (`WARN_ON`).
    fn warn(ctx: &Self::Ctx, what: &'static str);
}
