"""What is in a recording: its vectors, its vCPUs, how often something came and how long it took."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vgic.trace.follow import Follower
from vgic.trace.recording import Event, Progress, Recording
from vgic.trace.stretch import Phase, phases, rates

__all__ = ["Quantiles", "Summary", "VcpuSummary", "VectorSummary", "summarize"]

#: Parts of the time in the picture that is kept.
PICTURE = 48


class Quantiles(NamedTuple):
    """How a time is spread, in microseconds; all 0 if there was none."""

    number: int
    p10: int
    median: int
    p90: int
    p99: int
    longest: int

    @classmethod
    def of(cls, times: Iterable[int]) -> "Quantiles":
        """Nearest rank: each is one of ``times``."""
        order = sorted(times)
        if not order:
            return cls(0, 0, 0, 0, 0, 0)
        p10, median, p90, p99 = (order[min(len(order) - 1, len(order) * share // 100)] for share in (10, 50, 90, 99))
        return cls(len(order), p10, median, p90, p99, order[-1])


_NONE = Quantiles.of(())


@dataclass(slots=True)
class VectorSummary:
    """One vector: what a device raises with one EventID."""

    device: int
    event: int
    #: The LPI that it was mapped to last; 0 if none.
    intid: int = 0
    msis: int = 0
    #: Of these, how many found their LPI pending.
    merged: int = 0
    #: vCPU -> how many LPIs of this vector it took.
    taken: Counter[int] = field(default_factory=Counter)
    movis: int = 0
    #: Threads of the emulator that raised it; none if the file does not say.
    writers: set[int] = field(default_factory=set)
    #: From one MSI of the vector to its next.
    gaps: Quantiles = _NONE
    #: From the MSI that made it pending until it was acknowledged.
    latency: Quantiles = _NONE
    #: From the acknowledge to its end.
    handler: Quantiles = _NONE

    @property
    def name(self) -> str:
        """As ``8:3``: DeviceID and EventID, in hexadecimal."""
        return f"{self.device:x}:{self.event:x}"


@dataclass(slots=True)
class VcpuSummary:
    """One vCPU."""

    number: int
    taken: int = 0
    #: Share of the time between an acknowledge and its end, 0 to 1.
    handling: float = 0.0
    handler: Quantiles = _NONE


@dataclass(slots=True)
class Summary:
    """What is in a recording. Made by :func:`summarize`."""

    name: str
    sha256: str
    #: Seconds: where the stretch begins in the file, and how long it is; 0 if the file has no times.
    begin: float
    seconds: float
    devices: int
    commands: int
    msis: int
    #: MSIs that found their LPI pending; MSIs that no LPI is mapped for.
    merged: int
    unmapped: int
    taken: int
    movis: int
    #: MOVIs that found their LPI pending.
    movis_pending: int
    #: From one MSI to the next, of any vector.
    gaps: Quantiles
    latency: Quantiles
    #: By DeviceID and EventID.
    vectors: list[VectorSummary]
    vcpus: list[VcpuSummary]
    phases: list[Phase]
    #: Events in each of :data:`PICTURE` parts of the time: MSIs, and MOVIs.
    msis_over_time: list[int]
    movis_over_time: list[int]
    #: vCPU -> LPIs that it took in each part of the time.
    taken_over_time: dict[int, list[int]]
    #: Kind -> events of it.
    counts: dict[str, int]
    resets: list[int]
    notes: list[str]

    def rate(self, count: int) -> float:
        """So many, a second; 0 if the file has no times."""
        return count / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: times in microseconds, but ``begin``, ``seconds`` and those of phases in seconds."""
        return {
            "schema": 1,
            "recording": self.name,
            "sha256": self.sha256,
            **{name: getattr(self, name) for name in _PLAIN},
            "msi_rate": self.rate(self.msis),
            "gaps_us": self.gaps._asdict(),
            "latency_us": self.latency._asdict(),
            "vectors": [_vector(vector) for vector in self.vectors],
            "vcpus": [
                {
                    "vcpu": vcpu.number,
                    "taken": vcpu.taken,
                    "rate": self.rate(vcpu.taken),
                    "handling": vcpu.handling,
                    "handler_us": vcpu.handler._asdict(),
                }
                for vcpu in self.vcpus
            ],
            "phases": [
                {"phase": one.number, "begin": one.begin, "end": one.end, "msis": one.msis, "rate": one.rate}
                for one in self.phases
            ],
            "over_time": {
                "parts": PICTURE,
                "msis": self.msis_over_time,
                "movis": self.movis_over_time,
                "taken": {str(vcpu): counts for vcpu, counts in self.taken_over_time.items()},
            },
            "counts": self.counts,
            "resets": self.resets,
            "notes": self.notes,
        }


_PLAIN = (
    *("begin", "seconds", "devices", "commands", "msis", "merged", "unmapped"),
    *("taken", "movis", "movis_pending"),
)


def _vector(vector: VectorSummary) -> dict[str, Any]:
    return {
        "device": vector.device,
        "event": vector.event,
        "intid": vector.intid,
        "msis": vector.msis,
        "merged": vector.merged,
        "taken": {str(vcpu): count for vcpu, count in sorted(vector.taken.items())},
        "movis": vector.movis,
        "writers": sorted(vector.writers),
        "gaps_us": vector.gaps._asdict(),
        "latency_us": vector.latency._asdict(),
        "handler_us": vector.handler._asdict(),
    }


def summarize(recording: Recording, *, progress: Progress | None = None) -> Summary:
    """Say what is in a recording, or in a stretch of it (:func:`vgic.trace.cut`).

    ``progress`` is called now and then with the share done, 0 to 1, and a text; it may raise to stop.
    """
    counted = _Counted(recording)
    for event in recording.watched(progress, f"counting {recording.name}"):
        counted.take(event)
    span = round(recording.seconds * 1e6)
    return Summary(
        name=recording.name,
        sha256=recording.sha256,
        begin=recording.begin,
        seconds=recording.seconds,
        devices=len(recording.devices),
        commands=recording.commands,
        msis=recording.msis,
        merged=sum(vector.merged for vector in counted.vectors.values()),
        unmapped=counted.unmapped,
        taken=recording.acknowledges,
        movis=recording.counts["movi"],
        movis_pending=counted.movis_pending,
        gaps=Quantiles.of(counted.gaps[None]),
        latency=Quantiles.of(counted.latencies[None]),
        vectors=counted.summaries(),
        vcpus=[
            VcpuSummary(
                number,
                taken,
                min(1.0, sum(times) / span) if span else 0.0,
                Quantiles.of(times),
            )
            for number, (taken, times) in enumerate(zip(counted.taken, counted.handled, strict=True))
        ],
        phases=phases(recording),
        msis_over_time=rates(recording, "msi", PICTURE),
        movis_over_time=rates(recording, "movi", PICTURE),
        taken_over_time={number: counts for number, counts in enumerate(counted.over_time) if any(counts)},
        counts=dict(recording.counts),
        resets=[line for line, _ in recording.resets],
        notes=list(recording.notes),
    )


_Key = tuple[int, int]


class _Counted:
    """What is counted on the way through a recording."""

    def __init__(self, recording: Recording) -> None:
        self.vectors: dict[_Key, VectorSummary] = {}
        self.unmapped = self.movis_pending = 0
        #: By vector; None: over all of them.
        self.gaps: dict[_Key | None, list[int]] = defaultdict(list)
        self.latencies: dict[_Key | None, list[int]] = defaultdict(list)
        self.handlers: dict[_Key, list[int]] = defaultdict(list)
        #: By vCPU: LPIs taken, times in handlers, LPIs taken in each part of the time.
        self.taken = [0] * recording.vcpus
        self.handled: list[list[int]] = [[] for _ in range(recording.vcpus)]
        self.over_time = [[0] * PICTURE for _ in range(recording.vcpus)]
        self._span = max(1, round(recording.seconds * 1e6))
        self._follower = Follower()
        self._last: dict[_Key | None, int] = {}
        self._vector_of: dict[int, _Key] = {}

    def vector(self, key: _Key) -> VectorSummary:
        """The vector of a DeviceID and EventID."""
        if key not in self.vectors:
            self.vectors[key] = VectorSummary(*key)
        return self.vectors[key]

    def take(self, event: Event) -> None:
        """Count one event."""
        before = self._follower.take(event)
        match event.kind, event.operands:
            case "msi", (device, number):
                self._msi(event, (device, number), merged=before is not None)
            case "acknowledge", (vcpu, intid):
                self._acknowledge(event, vcpu, intid, before)
            case "eoi", (vcpu, intid):
                if before is not None:
                    self.handled[vcpu].append(max(0, event.time_us - before.time_us))
                    if intid in self._vector_of:
                        self.handlers[self._vector_of[intid]].append(self.handled[vcpu][-1])
            case "movi", (device, number, _):
                self.vector((device, number)).movis += 1
                self.movis_pending += self._follower.intid(device, number) in self._follower.pending

    def _msi(self, event: Event, key: _Key, *, merged: bool) -> None:
        vector = self.vector(key)
        vector.msis += 1
        vector.merged += merged
        if event.writer:
            vector.writers.add(event.writer)
        intid = self._follower.intid(*key)
        if intid is None:
            self.unmapped += 1
        else:
            vector.intid = intid
            self._vector_of[intid] = key
        for which in (key, None):
            if which in self._last:
                self.gaps[which].append(max(0, event.time_us - self._last[which]))
            self._last[which] = event.time_us

    def _acknowledge(self, event: Event, vcpu: int, intid: int, sent: Event | None) -> None:
        self.taken[vcpu] += 1
        self.over_time[vcpu][min(PICTURE - 1, max(0, event.time_us) * PICTURE // self._span)] += 1
        key = self._vector_of.get(intid)
        if key is None:
            return
        self.vectors[key].taken[vcpu] += 1
        if sent is not None:
            for which in (key, None):
                self.latencies[which].append(max(0, event.time_us - sent.time_us))

    def summaries(self) -> list[VectorSummary]:
        """The vectors, in order."""
        for key, vector in self.vectors.items():
            vector.gaps = Quantiles.of(self.gaps[key])
            vector.latency = Quantiles.of(self.latencies[key])
            vector.handler = Quantiles.of(self.handlers[key])
        return [self.vectors[key] for key in sorted(self.vectors)]
