"""A recorded guest as a workload in virtual time: what the core is told of a recording.

Of a recording, or a stretch of it, a prediction takes

- each vector that is sent, the times of its MSIs, and the vCPU that it goes to;
- which MSIs were sent when the handler of the vector's last one had ended: they wait for that in the prediction, too;
- MOVIs, and whatever else moves a vector's LPI (a collection that is mapped anew);
- how long each vector's handlers took, from the acknowledge to its end, one after the other.

An MSI that no LPI is mapped for, or that has no target, is left out. What the emulator made of the MSIs, merges and
latencies, is not taken: that is what is predicted.
"""

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from vgic.arguments import real
from vgic.errors import WorkloadError
from vgic.measure.workload import MAX_VCPUS, _options, _whole
from vgic.predict.workload import _entry, _SimulatedLoad
from vgic.trace.follow import Follower
from vgic.trace.recording import Event, Recording

__all__ = ["RecordedWorkload"]

#: Vectors of a workload: the core's limit of senders.
_MAX_VECTORS = 1024
#: How long a workload may be, in picoseconds: some 11 days, which is the core's limit.
_MAX_PS = 10**18
#: MSIs of a workload: some 200 bytes each, and some seconds for a hundred thousand.
_MAX_MSIS = 1_000_000
_MAX_SCALE = 1e6

_Key = tuple[int, int]


class _Played:
    """What is taken of a recording, once. Times are in microseconds since the first MSI that is taken."""

    def __init__(self, recording: Recording) -> None:
        #: DeviceID and EventID of each vector, and its vCPU at the begin.
        self.vectors: dict[_Key, int] = {}
        self.targets: list[int] = []
        #: Time and vector of each MSI, and whether the handler of the vector's last one had ended; vector and time of
        #: each handler; time, vector and vCPU of each move.
        self.sends: list[tuple[int, int, bool]] = []
        self.handlers: list[tuple[int, int]] = []
        self.moves: list[tuple[int, int, int]] = []
        #: MSIs that found their LPI pending; MSIs that are left out.
        self.merged = self.left_out = 0
        self._now: list[int] = []
        self._follower = Follower()
        self._vector_of: dict[int, int] = {}
        #: INTIDs that were sent and whose handler has not ended since.
        self._open: set[int] = set()
        for event in recording:
            self._take(event)
        self._begin_at_first()

    @property
    def duration(self) -> int:
        """From the first MSI to the last, in microseconds."""
        return self.sends[-1][0] if self.sends else 0

    def _take(self, event: Event) -> None:
        before = self._follower.take(event)
        match event.kind, event.operands:
            case "msi", (device, number):
                self._send(event.time_us, (device, number), merged=before is not None)
            case "eoi", (_, intid):
                if intid not in self._follower.pending:
                    self._open.discard(intid)
                if before is not None and intid in self._vector_of:
                    self.handlers.append((self._vector_of[intid], max(0, event.time_us - before.time_us)))
            case "movi", (device, number, _):
                self._look(event.time_us, (device, number))
            case ("mapc" | "mapti" | "mapi", _):
                for key in self.vectors:
                    self._look(event.time_us, key)

    def _send(self, time_us: int, key: _Key, *, merged: bool) -> None:
        intid, target = self._follower.intid(*key), self._follower.target(*key)
        if intid is None or target is None or target >= MAX_VCPUS:
            self.left_out += 1
            return
        if key not in self.vectors:
            self.vectors[key] = len(self.vectors)
            self.targets.append(target)
            self._now.append(target)
        self.merged += merged
        self._vector_of[intid] = self.vectors[key]
        self.sends.append((time_us, self.vectors[key], intid not in self._open))
        self._open.add(intid)

    def _look(self, time_us: int, key: _Key) -> None:
        """Whether a vector goes elsewhere by now."""
        vector, target = self.vectors.get(key), self._follower.target(*key)
        if vector is None or target is None or target >= MAX_VCPUS or self._now[vector] == target:
            return
        self._now[vector] = target
        self.moves.append((time_us, vector, target))

    def _begin_at_first(self) -> None:
        self.sends.sort(key=itemgetter(0))
        if not self.sends:
            return
        begin, end = self.sends[0][0], self.sends[-1][0]
        self.sends = [(time - begin, vector, after) for time, vector, after in self.sends]
        self.moves = [(max(0, at - begin), vector, to) for at, vector, to in self.moves if at <= end]


#: What was taken of a recording when it had so many events.
_PLAYED: "WeakKeyDictionary[Recording, tuple[int, _Played]]" = WeakKeyDictionary()


def _played(recording: Recording) -> _Played:
    """What is taken of a recording; kept as long as that is."""
    events, played = _PLAYED.get(recording, (None, None))
    if played is None or events != len(recording):
        played = _Played(recording)
        _PLAYED[recording] = len(recording), played
    return played


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedWorkload(_SimulatedLoad):
    """A recorded guest in virtual time: a core a vCPU and a core a vector, which sends as an eventfd does.

    One core more executes the MOVIs, if there are any.
    """

    kind: ClassVar[str] = "recording"

    #: What to play: a whole recording, or a stretch (:func:`vgic.trace.cut`).
    recording: Recording = field(repr=False)
    #: What every time of the recording is multiplied by: gaps, moves and handlers; 0 to 1000000. 0.5 is twice as fast,
    #: 0 is as fast as it goes. No handler is shorter than the machine's own are.
    scale_time: float = 1.0
    #: So many times the guest: its vCPUs, and its vectors on them, 1 to 512. Each plays the recording from another
    #: place of it on, and what comes before that place at the end.
    queues_times: int = 1
    #: As in :class:`vgic.PredictedWorkload`.
    entry: str = "irqfd"
    #: List registers of each vCPU, 1 to 16.
    list_registers: int = 4
    #: What to call it in tables; empty for the recording's name and the flags.
    label: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        if not isinstance(self.recording, Recording):
            raise WorkloadError(f"recording: {self.recording!r} is not a Recording (see read_recording)")
        real("scale-time", self.scale_time, 0, _MAX_SCALE, error=WorkloadError)
        _whole("queues-times", self.queues_times, 1, MAX_VCPUS)
        object.__setattr__(self, "entry", _entry(self.entry))
        _whole("list-registers", self.list_registers, 1, 16)
        name = self.recording.name
        if self.recording.msis * self.queues_times > _MAX_MSIS:
            msis = self.recording.msis * self.queues_times
            raise WorkloadError(f"{name}: {msis:,} MSIs are more than {_MAX_MSIS:,}: take a stretch of it")
        played = self._played
        if not played.sends:
            raise WorkloadError(f"{name}: no MSI in it has an LPI and a vCPU, so there is nothing to predict")
        if not played.duration:
            raise WorkloadError(f"{name}: its MSIs have no times, so there is nothing to predict")
        longest = max(played.duration, max((time for _, time in played.handlers), default=0))
        if longest * self.scale_time * 1e6 > _MAX_PS:
            raise WorkloadError(f"{name}: it would last more than {_MAX_PS // 10**12:,} s: take a stretch of it")
        _whole("vCPUs", self.vcpus, 1, MAX_VCPUS, f" (queues-times {self.queues_times})")
        _whole("vectors", self.vectors, 1, _MAX_VECTORS, f" (queues-times {self.queues_times})")

    @property
    def _played(self) -> _Played:
        return _played(self.recording)

    @property
    def vcpus(self) -> int:
        """Virtual CPUs."""
        return max(self.recording.vcpus, 1 + max(self._played.targets, default=0)) * self.queues_times

    @property
    def vectors(self) -> int:
        """Vectors that send, and so senders."""
        return len(self._played.vectors) * self.queues_times

    @property
    def rounds(self) -> int:
        """MSIs."""
        return len(self._played.sends) * self.queues_times

    @property
    def left_out(self) -> int:
        """MSIs of the recording that have no LPI or no vCPU."""
        return self._played.left_out

    @property
    def offered(self) -> float | None:
        """MSIs a second; None as fast as it goes."""
        return self.recorded / self.scale_time if self.scale_time else None

    @property
    def expected(self) -> float | None:
        """LPIs that the recorded guest took a second, at this speed: MSIs without those that were merged."""
        share = 1 - self._played.merged / len(self._played.sends)
        return None if self.offered is None else self.offered * share

    @property
    def recorded(self) -> float:
        """MSIs a second at the recorded speed."""
        return self.rounds / (self._played.duration / 1e6)

    @property
    def slowest(self) -> float:
        """The lowest rate that a search for the limit tries: a thousandth of the recorded one."""
        return self.recorded / 1000

    @property
    def flags(self) -> str:
        """The options of ``vgic predict`` that repeat it, but for the stretch."""
        text = f"--recording {self.recording.name}"
        return text + _options(
            ("--scale-time", f"{self.scale_time:g}", "1"),
            ("--queues-times", self.queues_times, 1),
            ("--entry", self.entry, "irqfd"),
            ("--list-registers", self.list_registers, 4),
        )

    @property
    def masked(self) -> bool:
        """A recorded guest takes what it gets."""
        return False

    @property
    def threads(self) -> int:
        """Cores that it needs."""
        return self.vcpus + self.vectors + bool(self._played.moves)

    def to_dict(self) -> dict[str, Any]:
        """As written into a result file: the recording by its name, digest and size."""
        return {
            "kind": self.kind,
            "mode": self.kind,
            "name": self.name,
            "flags": self.flags,
            "recording": self.recording.name,
            "sha256": self.recording.sha256,
            "begin": self.recording.begin,
            "msis": self.rounds,
            "offered": self.offered,
            "expected": self.expected,
            **{name: getattr(self, name) for name in ("vcpus", "vectors", "left_out", "scale_time", "queues_times")},
            "entry": self.entry,
            "list_registers": self.list_registers,
        }

    def to_core(self) -> dict[str, Any]:
        """What :func:`vgic._core.predict_recorded` is told: flat rows, times in picoseconds."""
        played, copies = self._played, self.queues_times
        vcpus = self.vcpus // copies
        devices: dict[int, int] = {}
        events: dict[int, dict[int, int]] = defaultdict(dict)
        for device, event in played.vectors:
            devices.setdefault(device, len(devices))
            events[device].setdefault(event, len(events[device]))
        vectors: list[tuple[int, int, int]] = []
        sends: list[tuple[int, int, bool]] = []
        moves: list[tuple[int, int, int]] = []
        for copy in range(copies):
            shift = played.duration * copy // copies
            first, first_vcpu = copy * len(played.vectors), copy * vcpus
            targets, moved = _moves_from(played, shift)
            for (device, event), target in zip(played.vectors, targets, strict=True):
                number = copy * len(devices) + devices[device]
                vectors.append((number, events[device][event], first_vcpu + target))
            turned = sorted(
                (time - shift + played.duration * (time < shift), v, after) for time, v, after in played.sends
            )
            sends += [(first + vector, self._ps(time), after) for time, vector, after in turned]
            moves += [(self._ps(at), first + vector, first_vcpu + to) for at, vector, to in moved]
        handlers = [
            (copy * len(played.vectors) + vector, self._ps(time))
            for copy in range(copies)
            for vector, time in played.handlers
        ]
        rows: dict[str, Any] = {"vectors": vectors, "sends": sends, "handlers": handlers, "moves": sorted(moves)}
        return {name: array("Q", (number for row in table for number in row)) for name, table in rows.items()}

    def _ps(self, microseconds: int) -> int:
        return round(microseconds * self.scale_time * 1e6)


def _moves_from(played: _Played, shift: int) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Where vectors go at a time, and the moves from there on; those before it come at the end."""
    if not shift:
        return played.targets, played.moves
    targets = list(played.targets)
    before = [move for move in played.moves if move[0] < shift]
    for _, vector, to in before:
        targets[vector] = to
    last = list(targets)
    after = [(at - shift, vector, to) for at, vector, to in played.moves if at >= shift]
    for _, vector, to in after:
        last[vector] = to
    again = played.duration - shift
    back = [(again, vector, to) for vector, to in enumerate(played.targets) if last[vector] != to]
    return targets, after + back + [(at + again, vector, to) for at, vector, to in before]
