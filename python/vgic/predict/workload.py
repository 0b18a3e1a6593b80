"""Workloads in virtual time: checked, frozen values like those of :mod:`vgic.measure.workload`."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from vgic.arguments import real
from vgic.errors import WorkloadError
from vgic.measure.workload import GUESTS, LPI_COUNT, MAX_VCPUS, Load, _choice, _lpis, _options, _whole

__all__ = ["ClosedWorkload", "PredictedWorkload"]

#: How a send can enter. ``ioctl-many`` may have the most MSIs of a call behind it, as ``ioctl-many:16``.
ENTRIES = ("direct", "ioctl", "ioctl-many", "ioctl-registered", "irqfd")
_MANY = re.compile("ioctl-many(?::([0-9]{1,9}))?")
#: Most MSIs of a call, unless given.
_USUAL_MSIS = 16
_MAX_MSIS = 1024
F_COUNTS = ("cas", "add", "none")
INTERRUPTS = ("each", "napi")
#: Closed loops by name: what they have that is not usual. memtier_benchmark has 4 threads with 50 connections each, and
#: one request in flight on each; the moderation is that of gVNIC, the NIC of Google's VMs
#: (``GVE_RX_IRQ_RATELIMIT_US_DQO`` and ``GVE_TX_IRQ_RATELIMIT_US_DQO`` of its driver).
CLOSED_LOOPS: dict[str, dict[str, Any]] = {
    "each": {},
    "napi": {"interrupts": "napi"},
    "redis-memtier": {"interrupts": "napi", "in_flight": 200, "rx_usecs": 20.0, "tx_usecs": 50.0},
}
_MAX_SENDERS = 1024
_MAX_ROUNDS = 10**12
_MAX_US = 1e6
#: The slowest pace that a search tries, in us between two sends of a device.
_SLOWEST_US = 1e5
#: Sends, or requests, of a run whose length is not given.
_ENOUGH = 20_000
#: By guest: how a send enters, and the gap, unless given. The published numbers are those of a flood of ioctls.
_USUAL = {"fixed": ("irqfd", 5.0), "as-published": ("ioctl", 0.0)}


def _microseconds(name: str, value: object, low: float) -> None:
    real(name, value, low, _MAX_US, unit=" us", error=WorkloadError)


def _entry(value: object) -> str:
    """An entry, with the most MSIs of a call if there may be many."""
    many = _MANY.fullmatch(str(value))
    if many is None:
        _choice("entry", value, ENTRIES)
        return str(value)
    msis = _USUAL_MSIS if many[1] is None else int(many[1])
    _whole("entry ioctl-many", msis, 1, _MAX_MSIS)
    return f"ioctl-many:{msis}"


def takes_reference(entry: str) -> bool:
    """Whether a call takes a reference on the VM's file, and drops it."""
    return entry.startswith("ioctl") and entry != "ioctl-registered"


class _SimulatedLoad(Load):
    """A workload in virtual time: its mode is its kind."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """As written into a result file."""
        return {**super().to_dict(), "mode": self.kind}


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedWorkload(_SimulatedLoad):
    """The load of :class:`vgic.StressWorkload` in virtual time: a core a vCPU and a core a sender, one a device.

    What is measured, and in which window, is in docs/explain/simulation.md.
    """

    kind: ClassVar[str] = "predicted"

    #: Virtual CPUs (``-v``), 1 to 512.
    vcpus: int = 16
    #: Devices (``-d``), each with a sender, 1 to 1024.
    devices: int = 16
    #: Events of each device (``-e``), 1 to 65536; devices x events + mapped at most 57344.
    events: int = 16
    #: Times that each device sends all its events (``-i``). None: about 20,000 sends in all, at least 10 rounds.
    iterations: int | None = None
    #: Rounds before that, which do not count. None: a tenth of the rounds, at least 2.
    warmup: int | None = None
    #: ``fixed``: LPIs are spread over the vCPUs, and taken. ``as-published``: all target vCPU 0 and stay masked.
    guest: str = "fixed"
    #: How a send enters: ``irqfd`` (as from vhost and VFIO), ``ioctl`` (KVM_SIGNAL_MSI), ``direct`` (a call), or by an
    #: ioctl that no kernel has: ``ioctl-many:N`` for all MSIs that are due, 1 to 1024 at most (``ioctl-many``: 16);
    #: ``ioctl-registered`` on a registered file, as io_uring has. None: ``irqfd``, but as published it is ``ioctl``.
    entry: str = cast(str, None)
    #: Each sender sends once every so often, in us (an open loop); 0: as fast as it goes (a flood). None: 5, but as
    #: published it is 0.
    gap_us: float = cast(float, None)
    #: How an ioctl counts its reference on the VM's file: ``cas``, ``add`` (a plain atomic) or ``none``.
    f_count: str = "cas"
    #: Further LPIs that are mapped, first, and never sent (a big VM).
    mapped: int = 0
    #: List registers of each vCPU, 1 to 16.
    list_registers: int = 4
    #: What to call it in tables; empty for the flags.
    label: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        _whole("vcpus", self.vcpus, 1, MAX_VCPUS)
        _whole("devices", self.devices, 1, _MAX_SENDERS)
        _whole("events", self.events, 1, 65536)
        _whole("mapped", self.mapped, 0, LPI_COUNT)
        _lpis(self.devices, self.events, self.mapped)
        if self.iterations is not None:
            _whole("iterations", self.iterations, 1, _MAX_ROUNDS)
        if self.warmup is not None:
            _whole("warmup", self.warmup, 0, _MAX_ROUNDS)
        _choice("guest", self.guest, GUESTS)
        entry, gap_us = _USUAL[self.guest]
        if cast("str | None", self.entry) is None:
            object.__setattr__(self, "entry", entry)
        if cast("float | None", self.gap_us) is None:
            object.__setattr__(self, "gap_us", gap_us)
        object.__setattr__(self, "entry", _entry(self.entry))
        _microseconds("gap", self.gap_us, 0)
        _choice("f-count", self.f_count, F_COUNTS)
        if self.f_count != "cas" and not takes_reference(self.entry):
            raise WorkloadError(f"f-count: only with entry ioctl or ioctl-many, not {self.entry}")
        _whole("list-registers", self.list_registers, 1, 16)

    @property
    def rounds(self) -> int:
        """Rounds of each device after the warm-up."""
        if self.iterations is not None:
            return self.iterations
        return max(10, -(-_ENOUGH // (self.devices * self.events)))

    @property
    def warmup_rounds(self) -> int:
        """Rounds before that."""
        return max(2, self.rounds // 10) if self.warmup is None else self.warmup

    @property
    def offered(self) -> float | None:
        """Sends a second that the senders' pace makes; None for a flood."""
        return self.devices * 1e6 / self.gap_us if self.gap_us else None

    @property
    def expected(self) -> float | None:
        """LPIs a second that reach the guest of a design that keeps up; None for a flood."""
        return self.offered

    @property
    def slowest(self) -> float:
        """The lowest rate that a search for the limit tries, in sends a second."""
        return self.devices * 1e6 / _SLOWEST_US

    @property
    def flags(self) -> str:
        """The options of ``vgic predict`` that repeat it, without its length."""
        text = f"-v {self.vcpus} -d {self.devices} -e {self.events}"
        entry, gap_us = _USUAL[self.guest]
        text += _options(
            ("--guest", self.guest, "fixed"),
            ("--entry", self.entry, entry),
            ("--gap", f"{self.gap_us:g}", f"{gap_us:g}"),
            ("--f-count", self.f_count, "cas"),
            ("--list-registers", self.list_registers, 4),
            ("--mapped", self.mapped, 0),
        )
        return text

    @property
    def masked(self) -> bool:
        """Whether the guest takes nothing."""
        return self.guest == "as-published"

    @property
    def threads(self) -> int:
        """Cores that it needs."""
        return self.vcpus + self.devices


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedWorkload(_SimulatedLoad):
    """A closed loop, as redis with memtier on a NIC that is assigned to the VM, in virtual time.

    So many requests are in flight. One arrives with an RX interrupt of its queue, is served by the vCPU that takes it,
    and its answer leaves with a TX interrupt; after the network's time the same client asks again. How many of these
    interrupts there are is a matter of the NIC and its driver: docs/guide/predict.md, "A closed loop".
    """

    kind: ClassVar[str] = "closed"

    #: Virtual CPUs, 1 to 512.
    vcpus: int = 16
    #: Queue pairs of the NIC, each with a core of the host that injects its interrupts, 1 to 512.
    queues: int = 16
    #: Requests in flight, spread over the queues, 1 to 1048576.
    in_flight: int = 256
    #: What the guest spends on a request, in us, above 0 to 1000000.
    service_us: float = 10.0
    #: ``each``: an interrupt for each packet in and out, served in its handler. ``napi``: an interrupt is off while its
    #: queue is polled, and one for answers comes when three quarters of what is on its way out have left.
    interrupts: str = "each"
    #: What a packet costs on its way in, and on its way out, in us, 0 to 1000000; with ``napi``.
    packet_us: float = 1.0
    #: From an interrupt of an RX queue to its next, at least, in us, 0 to 1000000 (``ethtool -C rx-usecs``).
    rx_usecs: float = 0.0
    #: The same of a TX queue.
    tx_usecs: float = 0.0
    #: What a client spends on an answer and its next request, one behind the other, in us, 0 to 1000000; each pair of
    #: queues has a client thread.
    client_us: float = 0.0
    #: Servers, 1 to ``vcpus``, each a process on one vCPU that serves its part of the queues: all that waits for it,
    #: then it answers all of that, as redis does. None: one on each vCPU, for what that vCPU polls. With ``napi``.
    servers: int | None = None
    #: Requests in a packet (``memtier_benchmark --pipeline``), 1 to 65536.
    pipeline: int = 1
    #: From a MOVI to the next, each of another queue's RX interrupt to the next vCPU, in us, 0 (none) to 1000000.
    #: Direct injection has none.
    movi_us: float = 0.0
    #: From an answer to that client's next request, in us, above 0 to 1000000.
    network_us: float = 50.0
    #: Requests that are measured. None: 20,000.
    requests: int | None = None
    #: Requests before that, and no fewer than it takes until each interrupt has come once; 0: a cold start. None: a
    #: tenth of the requests.
    warmup: int | None = None
    #: As in :class:`PredictedWorkload`.
    entry: str = "irqfd"
    #: List registers of each vCPU, 1 to 16.
    list_registers: int = 4
    #: What to call it in tables; empty for the flags.
    label: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        _whole("vcpus", self.vcpus, 1, MAX_VCPUS)
        _whole("queues", self.queues, 1, 512)
        _whole("in-flight", self.in_flight, 1, 1 << 20)
        _microseconds("service", self.service_us, 1e-6)
        _microseconds("network", self.network_us, 1e-6)
        _choice("interrupts", self.interrupts, INTERRUPTS)
        _microseconds("packet", self.packet_us, 0.0)
        _microseconds("rx-usecs", self.rx_usecs, 0.0)
        _microseconds("tx-usecs", self.tx_usecs, 0.0)
        _microseconds("client", self.client_us, 0.0)
        if self.servers is not None:
            _whole("servers", self.servers, 1, self.vcpus)
        _whole("pipeline", self.pipeline, 1, 1 << 16)
        _microseconds("movi", self.movi_us, 0.0)
        if self.requests is not None:
            _whole("requests", self.requests, 1, _MAX_ROUNDS)
        if self.warmup is not None:
            _whole("warmup", self.warmup, 0, _MAX_ROUNDS)
        object.__setattr__(self, "entry", _entry(self.entry))
        _whole("list-registers", self.list_registers, 1, 16)

    @property
    def rounds(self) -> int:
        """Requests that are measured."""
        return _ENOUGH if self.requests is None else self.requests

    @property
    def warmup_rounds(self) -> int:
        """Requests before that."""
        return self.rounds // 10 if self.warmup is None else self.warmup

    @property
    def flags(self) -> str:
        """The options of ``vgic predict`` that repeat it, without its length."""
        text = f"--closed {self.interrupts} -v {self.vcpus} --queues {self.queues} --in-flight {self.in_flight}"
        text += f" --service {self.service_us:g} --network {self.network_us:g}"
        return text + _options(
            ("--packet", f"{self.packet_us:g}", "1"),
            ("--rx-usecs", f"{self.rx_usecs:g}", "0"),
            ("--tx-usecs", f"{self.tx_usecs:g}", "0"),
            ("--client", f"{self.client_us:g}", "0"),
            ("--servers", self.servers, None),
            ("--pipeline", self.pipeline, 1),
            ("--movi", f"{self.movi_us:g}", "0"),
            ("--entry", self.entry, "irqfd"),
            ("--list-registers", self.list_registers, 4),
        )

    @property
    def masked(self) -> bool:
        """The guest takes what it gets."""
        return False

    @property
    def threads(self) -> int:
        """Cores that it needs."""
        return self.vcpus + self.queues
