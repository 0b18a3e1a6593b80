"""Workloads: what is sent, to whom, for how long.

A workload is a value: frozen, checked when it is made (:class:`vgic.WorkloadError` names the field, and so does a
``TypeError``), and written into every result, so that a result says how to repeat it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self, cast

from vgic.arguments import real, whole
from vgic.errors import WorkloadError
from vgic.trace import Recording

__all__ = ["LPI_COUNT", "LPI_FIRST", "ReplayWorkload", "StressWorkload", "Workload"]

#: INTID of the first LPI (Arm GICv3: LPIs start at 8192).
LPI_FIRST = 8192
#: LPIs that 16 bits of INTID leave: 8192 to 65535 (KVM: INTERRUPT_ID_BITS_ITS = 16).
LPI_COUNT = 65536 - LPI_FIRST

MAX_VCPUS = 512  # KVM: VGIC_V3_MAX_CPUS
_MAX_THREADS = 1024
#: List registers of a vCPU, unless said otherwise.
_LIST_REGISTERS = 4
_MAX_SECONDS = 3600.0
_MAX_ITERATIONS = 10**12
MODES = ("live", "lockstep", "senders")
GUESTS = ("fixed", "as-published")
ENTRIES = ("direct",)


def _choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise WorkloadError(f"{name}: {value!r} is unknown (one of: {', '.join(known)})")


def _whole(name: str, value: object, low: int, high: int, why: str = "") -> None:
    whole(name, value, low, high, why, error=WorkloadError)


def _seconds(value: object) -> None:
    real("seconds", value, 0, _MAX_SECONDS, above=True, error=WorkloadError)


def _lpis(devices: int, events: int, mapped: int) -> None:
    """There are INTIDs for so many LPIs."""
    lpis = devices * events + mapped
    if lpis > LPI_COUNT:
        raise WorkloadError(f"devices x events + mapped: {lpis} LPIs, but INTIDs 8192 to 65535 hold only {LPI_COUNT}")


def _options(*options: tuple[str, object, object]) -> str:
    """Those of the options (name, value, default) that differ from their defaults, as a command line has them."""
    return "".join(f" {option} {value}" for option, value, default in options if value != default)


class Load(ABC):
    """What the frozen workloads have in common: a name, and their way into a result file and back."""

    __slots__ = ()
    kind: ClassVar[str]
    label: str

    @property
    @abstractmethod
    def flags(self) -> str:
        """The options that repeat it, without its length."""

    @property
    def name(self) -> str:
        """The label, or else the flags."""
        return self.label or self.flags

    def to_dict(self) -> dict[str, Any]:
        """As written into a result file."""
        values = {f.name: getattr(self, f.name) for f in fields(cast(Any, self))}
        return {"kind": self.kind, "name": self.name, "flags": self.flags, **values}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Back from :meth:`to_dict`."""
        return cls(**{f.name: data[f.name] for f in fields(cast(Any, cls)) if f.name in data})


@dataclass(frozen=True, slots=True, kw_only=True)
class StressWorkload(Load):
    """The kernel's ``vgic_lpi_stress``: every device sends every event, over and over.

    Live, there is a sender thread a device and a thread a vCPU; otherwise one thread does all. Collections are spread
    over the vCPUs round robin.
    """

    kind: ClassVar[str] = "stress"

    #: Virtual CPUs (``-v``), 1 to 512.
    vcpus: int = 1
    #: Devices (``-d``), 1 to 57344; live, where each is a thread, at most 1024.
    devices: int = 1
    #: Events of each device (``-e``), 1 to 65536; devices x events + mapped at most 57344.
    events: int = 16
    #: Times that each device sends all its events (``-i``). Default 1000, unless ``seconds`` is given.
    iterations: int | None = None
    #: Run for so long instead, above 0 to 3600.
    seconds: float | None = None
    #: ``live``: senders and vCPUs are threads. ``lockstep``: one thread sends a burst, then drains the vCPUs: the cost
    #: of delivery without scheduling luck. ``senders``: one thread sends and no vCPU runs, so that a send finds its LPI
    #: queued: the cost of routing alone.
    mode: str = "live"
    #: ``fixed``: LPIs are spread over the vCPUs, and taken. ``as-published``: all target vCPU 0 and stay masked, as in
    #: the kernel's test before v6.18, and so in the numbers published with it.
    guest: str = "fixed"
    #: How a send enters; ``direct`` is a call of the library.
    entry: str = "direct"
    #: List registers of each vCPU, 1 to 16; not in ``senders``, where no vCPU runs.
    list_registers: int = _LIST_REGISTERS
    #: Further LPIs that are mapped, first, and never sent (a big VM).
    mapped: int = 0
    #: Sends in flight at most, live; 0 is no limit.
    window: int = 0
    #: Whether another thread maps, moves and discards meanwhile, live.
    churn: bool = False
    #: What to call it in tables; empty for the flags.
    label: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        _whole("vcpus", self.vcpus, 1, MAX_VCPUS)
        _whole("devices", self.devices, 1, LPI_COUNT)
        _whole("events", self.events, 1, 65536)
        _whole("mapped", self.mapped, 0, LPI_COUNT)
        _lpis(self.devices, self.events, self.mapped)
        if self.iterations is not None and self.seconds is not None:
            raise WorkloadError("iterations and seconds: give one of them, not both")
        if self.seconds is not None:
            _seconds(self.seconds)
        elif self.iterations is None:
            object.__setattr__(self, "iterations", 1000)
        if self.iterations is not None:
            _whole("iterations", self.iterations, 1, _MAX_ITERATIONS)
        _choice("mode", self.mode, MODES)
        _choice("guest", self.guest, GUESTS)
        _choice("entry", self.entry, ENTRIES)
        _whole("list-registers", self.list_registers, 1, 16)
        _whole("window", self.window, 0, 2**32 - 1)
        if self.mode == "live":
            _whole("devices", self.devices, 1, _MAX_THREADS, " in live mode (each is a thread)")
        elif self.window or self.churn:
            raise WorkloadError(f"{'churn' if self.churn else 'window'}: only in live mode, not in {self.mode}")
        if self.window and self.masked:
            raise WorkloadError("window: the as-published guest takes nothing, so senders would wait for ever")
        if self.mode == "senders" and self.list_registers != _LIST_REGISTERS:
            raise WorkloadError("list-registers: not in senders mode, where no vCPU runs")

    @property
    def flags(self) -> str:
        """The options of ``vgic stress`` that repeat it, without its length."""
        text = f"-v {self.vcpus} -d {self.devices} -e {self.events} --mode {self.mode}"
        text += _options(
            ("--guest", self.guest, "fixed"),
            ("--list-registers", self.list_registers, _LIST_REGISTERS),
            ("--mapped", self.mapped, 0),
            ("--window", self.window, 0),
        )
        return text + (" --churn" if self.churn else "")

    @property
    def masked(self) -> bool:
        """Whether the guest takes nothing, so that a rate can only count sends."""
        return self.guest == "as-published"

    @property
    def threads(self) -> int:
        """Threads that run at once."""
        return self.vcpus + self.devices + self.churn if self.mode == "live" else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayWorkload:
    """A recorded guest, flat out: commands keep their place as epochs; in an epoch every device sends at full speed.

    Give ``loops`` or ``seconds``; the default is one loop.
    """

    kind: ClassVar[str] = "replay"

    #: What to replay.
    recording: Recording = field(repr=False)
    #: As in :class:`StressWorkload`.
    mode: str = "live"
    #: How many times.
    loops: int | None = None
    #: Run for so long instead, above 0 to 3600.
    seconds: float | None = None
    #: List registers of each vCPU, 1 to 16.
    list_registers: int = 4
    #: What to call it in tables; empty for the recording's name.
    label: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        if not isinstance(self.recording, Recording):
            raise WorkloadError(f"recording: {self.recording!r} is not a Recording (see read_recording)")
        if self.loops is not None and self.seconds is not None:
            raise WorkloadError("loops and seconds: give one of them, not both")
        if self.seconds is not None:
            _seconds(self.seconds)
        elif self.loops is None:
            object.__setattr__(self, "loops", 1)
        if self.loops is not None:
            _whole("loops", self.loops, 1, 1_000_000)
        _choice("mode", self.mode, MODES)
        _whole("list-registers", self.list_registers, 1, 16)

    @property
    def vcpus(self) -> int:
        """Virtual CPUs of the recorded guest."""
        return self.recording.vcpus

    @property
    def devices(self) -> int:
        """Devices that sent."""
        return len(self.recording.devices)

    @property
    def flags(self) -> str:
        """The options of ``vgic replay`` that repeat it, without its length."""
        return f"{self.recording.name} --mode {self.mode}"

    @property
    def name(self) -> str:
        """The label, or else the recording's name."""
        return self.label or self.recording.name

    @property
    def masked(self) -> bool:
        """A recorded guest takes what it gets."""
        return False

    @property
    def threads(self) -> int:
        """Threads that run at once."""
        return self.vcpus + self.devices if self.mode == "live" else 1

    def to_dict(self) -> dict[str, Any]:
        """As written into a result file: the recording by its name, digest and size."""
        recording = self.recording
        return {
            "kind": self.kind,
            "name": self.name,
            "flags": self.flags,
            "recording": recording.name,
            "sha256": recording.sha256,
            "msis": recording.msis,
            "commands": recording.commands,
            "acknowledges": recording.acknowledges,
            "vcpus": self.vcpus,
            "devices": self.devices,
            "mode": self.mode,
            "loops": self.loops,
            "seconds": self.seconds,
            "list_registers": self.list_registers,
        }


#: Any workload.
Workload = StressWorkload | ReplayWorkload
