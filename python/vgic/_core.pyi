"""The Rust core: what is concurrent. Everything here takes and returns plain Python values.

Errors: a number out of range, an unknown name or a refused design raises ``ValueError`` with one line that names it;
an ITS command that the architecture rejects raises :class:`CommandError`.
"""

from collections.abc import Callable
from typing import Self, TypedDict, final, type_check_only

from typing_extensions import Buffer

VERSION: str
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
    lpi_store: str
    get: str
    put: str
    free: str
    cache: str
    cache_reference: str
    walk: str
    queue: str
    lock_order: list[str]

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
def hit_path(design: str) -> list[PathStep]: ...
def path_counts(design: str, *, deliver: bool, mapped: int = 0) -> PathCounts: ...

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
class Vm:
    def __new__(
        cls, vcpus: int, design: str, *, list_registers: int = 4, its: int = 1, allow_unsound: bool = False
    ) -> Self: ...
    @property
    def design(self) -> str: ...
    @property
    def vcpus(self) -> int: ...
    @property
    def its_count(self) -> int: ...
    def doorbell(self, its: int) -> int: ...
    #: 1 taken, 0 no mapping (as KVM_SIGNAL_MSI); raises OSError(EBUSY | EINVAL | ENODEV).
    def signal_msi(self, device_id: int, event_id: int) -> int: ...
    def signal_msi_at(self, doorbell: int, device_id: int, event_id: int, valid_device_id: bool) -> int: ...
    #: number of MSIs that were taken; both buffers hold native unsigned 32-bit integers, same length.
    def signal_msis(self, device_ids: Buffer, event_ids: Buffer, its: int = 0) -> int: ...
    def mapd(self, its: int, device_id: int, event_bits: int, itt_address: int, valid: bool) -> None: ...
    def mapc(self, its: int, collection_id: int, vcpu: int, valid: bool) -> None: ...
    def mapti(self, its: int, device_id: int, event_id: int, intid: int, collection_id: int) -> None: ...
    def mapi(self, its: int, device_id: int, event_id: int, collection_id: int) -> None: ...
    def movi(self, its: int, device_id: int, event_id: int, collection_id: int) -> None: ...
    def movall(self, its: int, from_vcpu: int, to_vcpu: int) -> None: ...
    def discard(self, its: int, device_id: int, event_id: int) -> None: ...
    def clear(self, its: int, device_id: int, event_id: int) -> None: ...
    def inv(self, its: int, device_id: int, event_id: int) -> None: ...
    def invall(self, its: int, collection_id: int) -> None: ...
    def sync(self, its: int, vcpu: int) -> None: ...
    def set_its_enabled(self, its: int, enabled: bool) -> None: ...
    def its_enabled(self, its: int) -> bool: ...
    def set_lpis_enabled(self, vcpu: int, enabled: bool, load_pending: bool = True) -> None: ...
    def lpis_enabled(self, vcpu: int) -> bool: ...
    def set_distributor_enabled(self, enabled: bool) -> None: ...
    def distributor_enabled(self) -> bool: ...
    #: the LPI configuration table: byte = priority & 0xfc | enable
    def write_config(self, intid: int, byte: int) -> None: ...
    def read_config(self, intid: int) -> int: ...
    def write_pending_table(self, vcpu: int, intid: int, pending: bool) -> None: ...
    def read_pending_table(self, vcpu: int, intid: int) -> bool: ...
    def save_pending_tables(self) -> None: ...
    #: enter the guest, read ICC_IAR1_EL1, leave; None if 1023
    def acknowledge(self, vcpu: int) -> int | None: ...
    def eoi(self, vcpu: int, intid: int) -> None: ...
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
    list_registers: int = 4,
    mapped: int = 0,
    window: int = 0,
    churn: bool = False,
    allow_unsound: bool = False,
    poll: Callable[[float], None] | None = None,
) -> Sample: ...

#: The floor: sends of "one array index, one atomic OR, one branch"; (sends, thread CPU seconds).
def floor(seconds: float, devices: int = 1, events: int = 1) -> tuple[int, float]: ...

@type_check_only
class ReplayResult(Sample):
    #: recorded mode: one row per acknowledged LPI of the recording (vcpu, INTID recorded, INTID answered or 0, line)
    acknowledges: list[tuple[int, int, int, int]]
    command_errors: list[tuple[int, int]]  # (line, code)

#: ``program``: rows of 6 native unsigned 64-bit integers (kind, line, a, b, c, d), see OPS:
#: mapd(device, bits, valid), mapc(collection, vcpu, valid), mapti(device, event, intid, collection),
#: mapi(device, event, collection), movi(device, event, collection), movall(from, to), discard(device, event),
#: clear(device, event), int(device, event), inv(device, event), invall(collection), sync(),
#: msi(device, event), acknowledge(vcpu, intid), eoi(vcpu, intid), lpis_enabled(vcpu, on), its_enabled(on)
def replay(
    design: str,
    program: Buffer,
    *,
    vcpus: int,
    mode: str = "recorded",  # "recorded" | "live" | "lockstep" | "senders"
    loops: int | None = None,  # 1 if neither is given
    seconds: float | None = None,
    list_registers: int = 4,
    allow_unsound: bool = False,
    poll: Callable[[float], None] | None = None,
) -> ReplayResult: ...
def pin_to_cpu(cpu: int) -> None: ...
