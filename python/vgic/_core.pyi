"""The Rust core: what is concurrent. Everything here takes and returns plain Python values.

Errors: a number out of range, an unknown name or a refused design raises ``ValueError`` with one line that names it,
another type ``TypeError``; an ITS command that the architecture rejects raises :class:`CommandError`.

Defaults written ``...`` are 0, but 1 for a seed and what ``floor`` sends, 4 list registers, and the frames of a VM as
in QEMU's ``virt`` machine.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NotRequired, Self, TypedDict, final, type_check_only

from typing_extensions import Buffer

VERSION: str
#: Whether a read-modify-write is an instruction in place; on arm64 it may be a call.
ATOMICS_IN_PLACE: bool
DEFAULT_DESIGN: str
BASELINE_DESIGN: str
#: Operation kinds of a replay program (see :func:`replay`), name -> number.
OPS: dict[str, int]

class CommandError(ValueError):
    """An ITS command that the architecture rejects; ``code`` is the error of the GICv3 specification."""

    code: int
    name: str

@type_check_only
class DesignRow(TypedDict):
    name: str
    based_on: str
    changed: str
    fixes: str
    defect: str
    reference: str
    unsound: bool
    control_races: bool
    axes: dict[str, str]  # axis -> way

@type_check_only
class PathStep(TypedDict):
    """One access of a path, as the engine made it on the counting platform."""

    kind: str  # "lock", "unlock", "read", "write", "rmw", "rcu", "srcu", "alloc", "free", "fence", "work"
    object: str  # "vgic_irq", "vgic_dist", "translation cache entry", ...
    field: str  # "refcount", "lpi_list_lock", ...
    depth: int  # number of locks held at this step

@type_check_only
class PathCounts(TypedDict):
    """What one LPI costs in shared accesses: sent, taken by the guest, folded and pruned."""

    locks: dict[str, int]  # acquisitions by lock name
    writes: dict[str, int]  # plain stores by "object.field"
    rmws: dict[str, int]  # read-modify-write accesses by "object.field"
    reads: dict[str, int]  # loads by "object.field"

def designs() -> list[DesignRow]: ...
def compose(name: str) -> DesignRow: ...
def axes() -> list[tuple[str, str, list[tuple[str, str]]]]: ...
def lock_order(design: str) -> list[str]: ...
def hit_path(design: str) -> list[PathStep]: ...
def path_counts(design: str, *, deliver: bool, mapped: int = ...) -> PathCounts: ...

@type_check_only
class LpiState(TypedDict):
    intid: int
    target_vcpu: int | None
    pending: bool
    active: bool
    enabled: bool
    priority: int
    queued_on: int | None
    references: int

@type_check_only
class DeviceTable(TypedDict):
    device_id: int
    event_bits: int
    itt_address: int
    events: list[tuple[int, int, int | None]]

@type_check_only
class Tables(TypedDict):
    devices: list[DeviceTable]
    collections: list[tuple[int, int | None]]

@type_check_only
class Counts(TypedDict):
    sent: int
    delivered: int
    coalesced: int
    dropped: int
    pending: int
    pending_loaded: int
    cache_hits: int
    cache_misses: int
    cache_evictions: int
    guest_entries: int
    guest_exits: int
    entries_cancelled: int
    kicks: int
    wakes: int
    migrations: int
    grace_periods: int

@final
class GuestMemory:
    """Guest physical memory: regions that do not overlap, each a buffer or a pair of functions.

    May be used from any thread, and changed while VMs use it. An access may span adjacent regions. Addresses are below
    2**52; an access to a byte that no region has raises ``OSError(EFAULT)``. ``regions``: buffers by address, to begin
    with.
    """

    def __new__(cls, regions: dict[int, Buffer] | None = None) -> Self: ...
    def map(self, address: int, buffer: Buffer) -> None:
        """Place a writable, contiguous buffer: a ``bytearray``, an ``mmap``, a NumPy array of any type, as bytes.

        It is not copied: both sides see each other's writes. It stays exported (a ``bytearray`` cannot change its
        size, an ``mmap`` cannot be closed) until it is unmapped. Eight aligned bytes are read and written in one
        piece, in guest memory whose buffer is aligned as well.
        """

    def map_callbacks(
        self, address: int, size: int, read: Callable[[int, int], Buffer], write: Callable[[int, bytes], object]
    ) -> None:
        """Place functions: ``read(address, size)`` returns exactly ``size`` bytes, ``write(address, data)`` takes them.

        Addresses are guest physical. Any exception makes the access a fault; one that is neither ``OSError`` nor
        ``LookupError`` also goes to ``sys.unraisablehook``. A function is called while the VM executes a command on
        whatever thread that is, so it must not wait for another command, and must not call the VM itself.
        """

    def unmap(self, address: int) -> None:
        """Take away the region that starts at ``address``, as soon as the accesses that run now are done."""

    def regions(self) -> list[tuple[int, int]]:
        """Address and size of each region, by address."""

    def contains(self, address: int, size: int) -> bool:
        """Whether every one of ``size`` bytes is in some region."""

    def read(self, address: int, size: int) -> bytes:
        """Read bytes."""

    def write(self, address: int, data: Buffer) -> None:
        """Write bytes; none if any of them is outside of all regions."""

    def read_u64(self, address: int) -> int:
        """Read eight bytes, little-endian."""

    def write_u64(self, address: int, value: int) -> None:
        """Write eight bytes, little-endian."""

@final
class Translater:
    """The translation page of an ITS, as a device sees it; take it from ``vm.its[n].frame.translater``.

    It keeps its VM alive, and takes none of the frame's locks.
    """

    @property
    def address(self) -> int:
        """Guest physical address of the page; GITS_TRANSLATER is at 0x40 in it."""

    def write(self, offset: int, value: int, device_id: int) -> int:
        """Write as a device: at ``offset`` 0x40, the MSI with EventID ``value`` (its low 32 bits) of ``device_id``.

        Returns 1 if an LPI was taken, else 0, and 0 at other offsets. A device's write has no answer, so an MSI that is
        refused raises nothing.
        """

@final
class Vm:
    #: its: guest physical base address of each. redistributors: regions, (base, count). Without memory, LPI tables are
    #: the VM's own.
    def __new__(
        cls,
        vcpus: int,
        design: str,
        *,
        list_registers: int = ...,
        its: Sequence[int] = ...,
        distributor: int = ...,
        redistributors: Sequence[tuple[int, int]] | None = None,
        memory: GuestMemory | None = None,
        allow_unsound: bool = False,
    ) -> Self: ...
    #: ``RuntimeError`` in a child of ``fork``, for which the VM is not; so does whatever else is called there.
    def check_process(self) -> None: ...
    #: From now on called with the number of a vCPU that may have something, at the end of the operation that made it
    #: so; the first one stays. What it raises goes to sys.unraisablehook.
    def set_on_pending(self, function: Callable[[int], object]) -> None: ...
    #: A duplicate, the caller's, of an eventfd that is written to from now on when a vCPU may have something.
    def eventfd(self, vcpu: int) -> int: ...
    #: How often a vCPU was told, and how often its next look found nothing.
    def told(self, vcpu: int) -> tuple[int, int]: ...
    @property
    def design(self) -> str: ...
    #: Whether a save leaves out a device that the device table has no entry for, or fails.
    @property
    def skips_lost_devices(self) -> bool: ...
    @property
    def vcpus(self) -> int: ...
    #: Whether a vCPU is there; at first all are. To commands one that is not has a number that no vCPU has.
    def set_present(self, vcpu: int, present: bool) -> None: ...
    def is_present(self, vcpu: int) -> bool: ...
    @property
    def its_count(self) -> int: ...
    def doorbell(self, its: int) -> int: ...
    def its_base(self, its: int) -> int: ...
    def translater(self, its: int) -> Translater: ...
    #: Where tables are, for a VM with memory only: GICR_PROPBASER, GICR_PENDBASER, GITS_BASER<index> (0 device table,
    #: 1 collection table); reserved bits cleared by the caller. They start as 0.
    def set_propbaser(self, value: int) -> None: ...
    def set_pendbaser(self, vcpu: int, value: int) -> None: ...
    def set_baser(self, its: int, index: int, value: int) -> None: ...
    #: GITS_BASER<n> of an ITS that is off, as its guest writes it: a change may free what was mapped by the old table.
    def write_baser(self, its: int, index: int, value: int) -> None: ...
    #: The same registers as they were written.
    def propbaser(self) -> int: ...
    def pendbaser(self, vcpu: int) -> int: ...
    def baser(self, its: int, index: int) -> int: ...
    #: Guest physical address of an id's entry in such a table; None if it has none, or one that is not in memory.
    def table_entry(self, its: int, index: int, entry_id: int) -> int | None: ...
    #: 1 taken, 0 no mapping (as KVM_SIGNAL_MSI); raises OSError(EBUSY | EINVAL | ENODEV).
    def signal_msi(self, device_id: int, event_id: int) -> int: ...
    def signal_msi_at(self, doorbell: int, device_id: int, event_id: int, valid_device_id: bool) -> int: ...
    #: number of MSIs that were taken; both buffers hold native unsigned 32-bit integers, same length.
    def signal_msis(self, device_ids: Buffer, event_ids: Buffer, its: int = ...) -> int: ...
    #: ``guest``: of the guest's queue, so what it unmaps is cleared in guest memory, too
    def mapd(
        self, its: int, device_id: int, event_bits: int, itt_address: int, valid: bool, *, guest: bool = False
    ) -> None: ...
    def mapc(self, its: int, collection_id: int, vcpu: int, valid: bool) -> None: ...
    def mapti(self, its: int, device_id: int, event_id: int, intid: int, collection_id: int) -> None: ...
    def mapi(self, its: int, device_id: int, event_id: int, collection_id: int) -> None: ...
    def movi(self, its: int, device_id: int, event_id: int, collection_id: int) -> None: ...
    def movall(self, its: int, from_vcpu: int, to_vcpu: int) -> None: ...
    def discard(self, its: int, device_id: int, event_id: int, *, guest: bool = False) -> None: ...
    def clear(self, its: int, device_id: int, event_id: int) -> None: ...
    def inv(self, its: int, device_id: int, event_id: int) -> None: ...
    def invall(self, its: int, collection_id: int) -> None: ...
    def sync(self, its: int, vcpu: int) -> None: ...
    #: Adds tables to an ITS in one step: collections (id, vCPU or None if unmapped), devices (id, EventID bits, ITT
    #: address, [(EventID, INTID, collection id)]), none of them there yet. None, or (device id, EventID, errno) of the
    #: event that could not be mapped (EFAULT, ENOMEM, or EINVAL: its ITT has no entry for
    #: it); then the ITS is empty. ValueError: nothing was changed.
    def restore(
        self,
        its: int,
        collections: Sequence[tuple[int, int | None]],
        devices: Sequence[tuple[int, int, int, Sequence[tuple[int, int, int]]]],
    ) -> tuple[int, int, int] | None: ...
    #: Frees all devices with their events, all collections (their events stay, without one), or both.
    def free_tables(self, its: int, devices: bool, collections: bool) -> None: ...
    #: GICR_INVLPIR, GICR_INVALLR: what cannot be read keeps its configuration.
    def reload_lpi_config(self, intid: int) -> None: ...
    def reload_lpi_configs(self, vcpu: int) -> None: ...
    def set_its_enabled(self, its: int, enabled: bool) -> None: ...
    def its_enabled(self, its: int) -> bool: ...
    def set_lpis_enabled(self, vcpu: int, enabled: bool, load_pending: bool = True) -> None: ...
    def lpis_enabled(self, vcpu: int) -> bool: ...
    #: GICR_CTLR.EnableLPIs, or GICR_CTLR.RWP while LPIs are being disabled
    def redistributor_ctlr(self, vcpu: int) -> int: ...
    def set_distributor_enabled(self, enabled: bool) -> None: ...
    def distributor_enabled(self) -> bool: ...
    #: the LPI configuration table: byte = priority & 0xfc | enable
    def write_config(self, intid: int, byte: int) -> None: ...
    def read_config(self, intid: int) -> int: ...
    def write_pending_table(self, vcpu: int, intid: int, pending: bool) -> None: ...
    def read_pending_table(self, vcpu: int, intid: int) -> bool: ...
    def save_pending_tables(self) -> None: ...
    #: enter the guest, read ICC_IAR1_EL1, leave; None if 1023. Of LPIs with one priority the one in the lowest list
    #: register is taken, or the one with the lowest INTID.
    def acknowledge(self, vcpu: int, lowest_intid: bool = False) -> int | None: ...
    #: (INTID, priority) that acknowledge would take
    def highest_pending(self, vcpu: int, lowest_intid: bool = False) -> tuple[int, int] | None: ...
    def eoi(self, vcpu: int, intid: int) -> None: ...
    #: ICC_AP1R0_EL1: one bit for each of the 32 priority levels that is active
    def active_priorities(self, vcpu: int) -> int: ...
    def set_active_priorities(self, vcpu: int, levels: int) -> None: ...
    def has_pending(self, vcpu: int) -> bool: ...
    def lpi(self, intid: int) -> LpiState | None: ...
    def lpis(self) -> list[LpiState]: ...
    #: {"devices": [{"device_id", "event_bits", "itt_address", "events": [(event, INTID, collection | None)]}],
    #:  "collections": [(collection, vcpu | None)]}, in the order of mapping
    def tables(self, its: int) -> Tables: ...
    def cached_translations(self) -> int: ...
    def counts(self) -> Counts: ...
    # Last, as the name hides the type for what follows.
    def int(self, its: int, device_id: int, event_id: int) -> None: ...

def live_objects() -> dict[str, int]: ...
def rcu_barrier() -> None: ...

@type_check_only
class RcuStats(TypedDict):
    strategy: str
    grace_periods: int
    waited_seconds: float
    longest_wait_seconds: float
    callbacks_queued: int
    callbacks_run: int
    backlog: int
    oldest_callback_age_seconds: float
    stalls: int

def rcu_stats() -> RcuStats: ...

@type_check_only
class Sample(Counts):
    design: str
    accepted: int  # sends that returned 1
    seconds: float  # wall time of the sending phase
    cpu_seconds: float  # thread CPU time of the sending (and in lockstep delivering) thread; 0.0 in live
    grace_period_seconds: float  # wall time spent waiting for grace periods
    mode: str

#: One sample on a new engine. Exactly one of iterations and seconds. ``poll`` is called about every 50 ms with the
#: fraction done (0..1) and may raise (Ctrl-C does).
def stress(
    design: str,
    *,
    vcpus: int,
    devices: int,
    events: int,
    iterations: int | None = None,
    seconds: float | None = None,
    mode: str = "live",  # "live" | "lockstep" | "senders"
    guest: str = "fixed",  # "fixed" | "as-published"
    list_registers: int = ...,
    mapped: int = ...,
    window: int = ...,
    churn: bool = False,
    allow_unsound: bool = False,
    poll: Callable[[float], None] | None = None,
) -> Sample: ...

#: The floor: sends of "one array index, one atomic OR, one branch"; (sends, thread CPU seconds).
def floor(seconds: float, devices: int = ..., events: int = ...) -> tuple[int, float]: ...

@type_check_only
class ReplayResult(Sample):
    #: recorded mode: one row per acknowledged LPI of the recording (vcpu, INTID recorded, INTID that the engine would
    #: give or 0, line, reason: empty if they are the same)
    acknowledges: list[tuple[int, int, int, int, str]]
    left: list[tuple[int, int]]  # recorded mode: (vcpu, INTID) of what is pending at the end
    command_errors: list[tuple[int, int]]  # (line, code)

#: ``program``: rows of 7 native unsigned 64-bit integers (kind, line, time in microseconds, a, b, c, d), see OPS:
#: mapd(device, bits, valid), mapc(collection, vcpu, valid), mapti(device, event, intid, collection),
#: mapi(device, event, collection), movi(device, event, collection), movall(from, to), discard(device, event),
#: clear(device, event), int(device, event), inv(device, event), invall(collection), sync(),
#: msi(device, event), acknowledge(vcpu, intid), eoi(vcpu, intid), lpis_enabled(vcpu, on), its_enabled(on),
#: reset(), its_tables(devices, collections), pending_table(vcpu)
def replay(
    design: str,
    program: Buffer,
    *,
    vcpus: int,
    mode: str = "recorded",  # "recorded" | "live" | "lockstep" | "senders"
    loops: int | None = None,  # 1 if neither is given
    seconds: float | None = None,
    list_registers: int = ...,
    allow_unsound: bool = False,
    poll: Callable[[float], None] | None = None,
) -> ReplayResult: ...

@type_check_only
class Told(TypedDict):
    scenario: str
    design: str
    rule: str
    what: str
    operation: str
    execution: int
    found_seconds: float
    times: int
    threads: list[str]
    before: list[str]
    lines: list[tuple[int, int, str, str, bool, str, tuple[str, str, str, bool] | None]]
    # Behind which line; LPIs as LpiAt, registers as RegisterAt.
    states: list[tuple[int, list[tuple[Any, ...]], list[tuple[int, int, bool, bool]]]]
    objects: list[str]
    preemptions: int
    schedule: str

@type_check_only
class ProofReport(TypedDict):
    executions: int
    exhausted: int | None
    complete: bool
    ended: Literal["complete", "found", "executions", "seconds", "stopped"]
    longest: int
    bare: list[str]
    seconds: float
    stories: list[Told]

@type_check_only
class Window(TypedDict):
    """Counts of the window: of the sends that began in it."""

    sent: int
    accepted: int
    delivered: int
    coalesced: int
    dropped: int
    pending_loaded: int
    cache_hits: int
    cache_misses: int
    cache_evictions: int
    guest_entries: int
    guest_exits: int
    entries_cancelled: int
    kicks: int
    wakes: int
    migrations: int
    grace_periods: int
    requests: int  # answered, in a closed loop

@type_check_only
class Latency(TypedDict):
    samples: int
    mean_seconds: float
    median_seconds: float
    p99_seconds: float

@type_check_only
class ThreadTimes(TypedDict):
    kind: str  # "sender", "vcpu", "other"
    count: int
    #: by category: "work", "hits", "transfers", "queueing", "lock NAME", "grace periods", "ipi", "guest", "idle"
    seconds: dict[str, float]

@type_check_only
class ContendedField(TypedDict):
    name: str
    reads: int  # misses
    writes: int
    stall_seconds: float

@type_check_only
class ContendedLine(TypedDict):
    object: str
    line: int  # its number in the object
    transfers: int
    stall_seconds: float
    stalls: dict[str, float]  # the same in seconds by kind of thread
    outside: dict[str, float]  # that without what threads waited while they wanted a lock
    fields: list[ContendedField]
    writers: dict[str, int]  # misses by kind of thread
    readers: dict[str, int]

@type_check_only
class LockTimes(TypedDict):
    name: str
    taken: int
    wait_seconds: float

#: Times are virtual; ``cpu_seconds`` is 0. Counts are of the whole run, but ``accepted`` of the window.
@type_check_only
class Prediction(Sample):
    window: Window
    accesses: int
    latency: Latency
    response: Latency
    threads: list[ThreadTimes]
    lines: list[ContendedLine]
    locks: list[LockTimes]
    charged: dict[str, float]  # seconds that hang on a value of the machine, by name; none that nothing hangs on
    fields: list[str]  # what ``free`` accepts
    cores: list[str]
    #: kind, core, name, begin and end in ps, number of the LPI or -1; only where a trace was asked for
    trace: NotRequired[list[tuple[str, int, str, int, int, int]]]

#: Nanoseconds of the whole for an increment of one counter; ``how``: add, cas, spin or ticket.
def contended(machine: dict[str, Any], how: str, threads: int, each: int) -> float: ...

#: One sample of so many seconds: nanoseconds of a thing; ``what``: load, store, rmw, store_and_fence or syscall.
def sample_cost(what: str, seconds: float) -> float: ...

#: One sample of so many seconds: nanoseconds of half a round of compare-and-swap between two CPUs.
def sample_ping_pong(cpu: int, other_cpu: int, seconds: float) -> float: ...

#: CPUs that a thread can be pinned to.
def usable_cpus() -> list[int]: ...

#: Most cores of a machine.
MAX_CORES: int

@type_check_only
class MachineParameter(TypedDict):
    """One thing that a machine has a value for; cores and distances are not among them."""

    name: str
    unit: str  # "ns", "ms", "ratio", "count" or "choice"
    scale: int  # ``machine`` takes round(value * scale); 1 where the value is taken as it is
    low: float  # smallest value, in the unit
    high: float  # largest value, in the unit; of a choice, the number of the last
    choices: list[str]  # what a choice may be
    text: str  # what it is, in one line

#: In the order in which they are shown.
def machine_parameters() -> list[MachineParameter]: ...

#: ``machine``: as ``vgic.machines.Machine.to_core`` gives it. ``design`` may be "gicv4".
def predict(
    design: str,
    machine: dict[str, Any],
    *,
    vcpus: int,
    devices: int,
    events: int,
    iterations: int,
    warmup: int = ...,
    guest: str = "fixed",  # "fixed" | "as-published"
    entry: str = "direct",  # "direct" | "ioctl" | "irqfd"
    gap_ps: int = ...,
    f_count: str = "cas",  # "cas" | "add" | "none"
    msis_per_call: int = ...,  # above 1 with "ioctl" alone
    mapped: int = ...,
    list_registers: int = ...,
    seed: int = ...,
    free: Sequence[str] = ...,
    trace: int = ...,
    allow_unsound: bool = False,
    poll: Callable[[float], None] | None = None,
) -> Prediction: ...
def predict_closed(
    design: str,
    machine: dict[str, Any],
    *,
    vcpus: int,
    queues: int,
    in_flight: int,
    service_ps: int,
    network_ps: int,
    polls: bool = False,
    packet_ps: int = ...,
    rx_moderation_ps: int = ...,
    tx_moderation_ps: int = ...,
    client_ps: int = ...,
    servers: int = ...,
    pipeline: int = ...,
    movi_ps: int = ...,
    requests: int,
    warmup: int = ...,
    entry: str = "irqfd",
    f_count: str = "cas",
    msis_per_call: int = ...,
    list_registers: int = ...,
    seed: int = ...,
    free: Sequence[str] = ...,
    allow_unsound: bool = False,
    poll: Callable[[float], None] | None = None,
) -> Prediction: ...
def predict_recorded(
    design: str,
    machine: dict[str, Any],
    *,
    vcpus: int,
    vectors: Buffer,
    sends: Buffer,
    handlers: Buffer,
    moves: Buffer,
    entry: str = "irqfd",
    f_count: str = "cas",
    msis_per_call: int = ...,
    list_registers: int = ...,
    seed: int = ...,
    free: Sequence[str] = ...,
    allow_unsound: bool = False,
    poll: Callable[[float], None] | None = None,
) -> Prediction: ...

#: (name, what meets what, bound) of each scenario of the model checker
def scenario_words() -> list[str]: ...
def scenarios() -> list[tuple[str, str, str]]: ...
def prove(
    scenario: str,
    design: str,
    *,
    search: str,
    preemptions: int,
    depth: int,
    seed: int,
    executions: int | None,
    seconds: float,
    schedule: str | None,
    script: str | None,
    findings: int,
    stop: Callable[[], bool],
) -> ProofReport: ...
def trace(scenario: str, design: str, script: str, schedule: str) -> Told: ...

@type_check_only
class TorturePeriod(TypedDict):
    number: int
    elapsed_seconds: float
    seconds: float  # how long the threads ran
    counts: dict[str, int]
    executions: int
    commands: int
    controls: int
    lpis: int  # in the audit
    cached: int  # likewise
    migrated: bool
    callbacks: int
    oldest_callback_seconds: float
    backlog: int
    stalls: int

@type_check_only
class TortureVerdict(TypedDict):
    broken: list[str]
    known: dict[str, int]
    stopped: bool

#: ``report`` is called with each period, and about every 50 ms with None; False stops the run.
def torture(
    design: str,
    *,
    seed: int,
    seconds: float,
    period: float,
    vcpus: int,
    its: int,
    senders: int,
    devices: int,
    events: int,
    list_registers: int,
    watchdog: float,
    poison: bool,
    scenarios: Sequence[str],
    allow_unsound: bool,
    strict: bool,
    report: Callable[[TorturePeriod | None], bool],
    break_rule: str | None = None,
) -> TortureVerdict: ...
def pin_to_cpu(cpu: int) -> None: ...
