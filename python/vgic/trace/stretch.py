"""A stretch of a recording: by time, or one of its phases.

A *phase* is a time of much the same rate. The recording is divided into :data:`PARTS` parts of the same length, and
split where that explains most: at the border between two parts that leaves the least squared error of the logarithm of
the rate (of MSIs in a part, plus one) around its means on both sides. Each side is split again, as long as the means of
the two sides differ by a factor of :data:`DIFFERENT` and no phase gets shorter than :data:`SHORTEST` parts.

A stretch begins with the state that the guest has then: the commands before it that still count, and the MSIs whose
LPIs are pending.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from vgic.arguments import real, whole
from vgic.errors import RecordingError
from vgic.trace.follow import Follower
from vgic.trace.recording import Event, Progress, Recording

__all__ = ["Phase", "cut", "phases", "rates"]

#: Parts of a recording that are told apart; the shortest phase, in parts; how much rates differ from phase to phase.
PARTS = 200
SHORTEST = 5
DIFFERENT = 1.5

#: What a guest does that leaves nothing behind for later, other than an LPI that is pending, or that goes elsewhere.
_PASSING = frozenset({"msi", "acknowledge", "eoi", "int", "clear", "inv", "invall", "sync", "movi"})


@dataclass(frozen=True, slots=True)
class Phase:
    """A time of much the same rate."""

    #: From 1.
    number: int
    #: Seconds since the first event of the file: the first moment, and the one behind the last.
    begin: float
    end: float
    msis: int

    @property
    def rate(self) -> float:
        """MSIs a second."""
        return self.msis / (self.end - self.begin) if self.end > self.begin else 0.0


def rates(recording: Recording, kind: str, parts: int) -> list[int]:
    """Events of a kind (:data:`vgic.trace.recording.KINDS`) in each of ``parts`` (1 to 100000) parts of the time."""
    whole("parts", parts, 1, 100_000)
    counts = [0] * parts
    span = _span_us(recording)
    for event in recording:
        if event.kind == kind:
            counts[min(parts - 1, max(0, event.time_us) * parts // span)] += 1
    return counts


def phases(recording: Recording) -> list[Phase]:
    """The phases of a recording, one behind the other; a single one if it has no times, or no MSI."""
    counts = rates(recording, "msi", PARTS)
    part = recording.seconds / PARTS
    levels = [math.log2(1 + count) for count in counts]
    borders = [0, *_borders(levels, 0, PARTS), PARTS] if recording.seconds else [0, PARTS]
    return [
        Phase(number, recording.begin + first * part, recording.begin + last * part, sum(counts[first:last]))
        for number, (first, last) in enumerate(pairwise(borders), start=1)
    ]


def _span_us(recording: Recording) -> int:
    return max(1, round(recording.seconds * 1e6))


def _borders(levels: Sequence[float], first: int, last: int) -> list[int]:
    """Where the parts from ``first`` to before ``last`` are halved, and those halves again."""
    places = range(first + SHORTEST, last - SHORTEST + 1)
    if not places:
        return []
    best = min(places, key=lambda place: _error(levels[first:place]) + _error(levels[place:last]))
    if abs(fmean(levels[first:best]) - fmean(levels[best:last])) < math.log2(DIFFERENT):
        return []
    return [*_borders(levels, first, best), best, *_borders(levels, best, last)]


def _error(levels: Sequence[float]) -> float:
    mean = fmean(levels)
    return sum((level - mean) ** 2 for level in levels)


def cut(
    recording: Recording,
    begin: float | None = None,
    end: float | None = None,
    phase: int | None = None,
    *,
    progress: Progress | None = None,
) -> Recording:
    """A stretch of a recording, as a recording: from ``begin`` to before ``end``, or a phase by its number, from 1.

    Seconds since the first event of the file. What lies before is there at its begin: what the guest has mapped and
    turned on, and an MSI for each LPI that is pending. Its events keep their lines; times count from the begin.
    None for all of them returns the recording itself. ``progress`` is called now and then with the share done, 0 to 1,
    and a text; it may raise to stop.

    Raises :class:`vgic.RecordingError` if there is no such stretch, or the recording has no times.
    """
    if begin is None and end is None and phase is None:
        return recording
    if not recording.seconds:
        raise RecordingError(f"{recording.source or recording.name}: it has no times, so it has no stretches")
    if phase is not None:
        if begin is not None or end is not None:
            raise RecordingError("phase: not together with from or to")
        found = phases(recording)
        whole("phase", phase, 1, len(found), error=RecordingError)
        begin, end = found[phase - 1].begin, found[phase - 1].end
        end = None if phase == len(found) else end
    last_moment = recording.begin + recording.seconds
    begin = recording.begin if begin is None else real("from", begin, 0, 1e12, unit=" s", error=RecordingError)
    to = math.inf if end is None else real("to", end, 0, 1e12, unit=" s", error=RecordingError)
    if not begin < to:
        raise RecordingError(f"from and to: nothing lies from {begin:g} s to {to:g} s")
    name = f"{recording.name} from {begin:.6g} s" + (f" to {to:.6g} s" if to <= last_moment else "")
    piece = Recording(name, source=recording.source, sha256=recording.sha256)
    piece.begin = float(begin)
    events = recording.watched(progress, f"cutting {recording.name}")
    _copy(events, recording, piece, round((begin - recording.begin) * 1e6), (to - recording.begin) * 1e6)
    piece.vcpus = max(recording.vcpus, 1)
    piece.notes = list(recording.notes)
    piece.ignored = recording.ignored.copy()
    return piece


def _copy(events: Iterable[Event], recording: Recording, piece: Recording, first_us: int, end_us: float) -> None:
    before: _Before | None = _Before()
    inside = False
    for event in events:
        if before is not None and event.time_us < first_us:
            before.take(event)
            continue
        if before is not None:
            for earlier in before.state():
                piece.append(earlier.line, first_us, earlier.kind, *earlier.operands, writer=earlier.writer)
            before = None
        if event.time_us >= end_us:
            break
        inside = True
        piece.append(event.line, event.time_us, event.kind, *event.operands, writer=event.writer)
        if event.kind == "reset":
            piece.resets += [reset for reset in recording.resets if reset[0] == event.line]
    if not inside:
        last = recording.begin + recording.seconds
        raise RecordingError(f"{recording.name}: nothing is recorded there; it ends at {last:.6g} s")


class _Before:
    """What lies before a stretch: as few events as leave the same state behind."""

    def __init__(self) -> None:
        self._follower = Follower()
        self._events: list[Event] = []

    def take(self, event: Event) -> None:
        self._follower.take(event)
        if event.kind == "reset":
            self._events.clear()
        elif event.kind not in _PASSING:
            self._events.append(event)

    def state(self) -> list[Event]:
        pending = [event._replace(kind="msi") for event in self._follower.pending.values()]
        return [*map(self._moved, self._events), *pending]

    def _moved(self, event: Event) -> Event:
        """A mapping with the collection that a MOVI has put in it since."""
        match event.kind, event.operands:
            case "mapti" | "mapi", (device, number, *intid, collection):
                now = self._follower.collections.get((device, number), collection)
                return event._replace(operands=(device, number, *intid, now))
        return event
