"""A recording: what a guest told its ITS, what its devices sent, and what its vCPUs took, in order.

Kept as columns (one machine word a field), so that millions of events fit; the core takes them as one flat buffer.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from vgic.arguments import integer
from vgic.errors import RecordingError

__all__ = ["KINDS", "MAX_EVENTS", "MAX_VCPUS", "Event", "Progress", "Recording"]

#: Kinds of event, with the operands of each, in order.
KINDS: dict[str, tuple[str, ...]] = {
    "mapd": ("device", "bits", "valid"),
    "mapc": ("collection", "vcpu", "valid"),
    "mapti": ("device", "event", "intid", "collection"),
    "mapi": ("device", "event", "collection"),
    "movi": ("device", "event", "collection"),
    "movall": ("from", "to"),
    "discard": ("device", "event"),
    "clear": ("device", "event"),
    "int": ("device", "event"),
    "inv": ("device", "event"),
    "invall": ("collection",),
    "sync": (),
    "msi": ("device", "event"),
    "acknowledge": ("vcpu", "intid"),
    "eoi": ("vcpu", "intid"),
    "lpis_enabled": ("vcpu", "on"),
    "its_enabled": ("on",),
    "reset": (),
    "its_tables": ("devices", "collections"),
    "pending_table": ("vcpu",),
}
_NAMES = tuple(KINDS)
_CODES = {name: code for code, name in enumerate(_NAMES)}
_COMMANDS = frozenset(_NAMES[: _NAMES.index("msi")])
#: Codes of the events whose first operand is the vCPU that did it.
_BY_VCPU = frozenset(code for name, code in _CODES.items() if KINDS[name][:1] == ("vcpu",))

#: Characters of a number that are shown.
_MOST_DIGITS = 40
#: Events that a recording may hold: 37 bytes each, so at most some 296 MB.
MAX_EVENTS = 8_000_000
#: Events after which the progress of going through them is told.
_TELL_EVENTS = 1 << 14
#: Called with the share done, 0 to 1, and a text. May raise to stop.
Progress = Callable[[float, str], None]
#: Virtual CPUs that a VM may have (KVM: VGIC_V3_MAX_CPUS).
MAX_VCPUS = 512


class Event(NamedTuple):
    """One event of a recording."""

    #: Line of the file, from 1; 0 for what is taken to have been before the first line.
    line: int
    #: Microseconds since the first event; 0 throughout if the file has no times.
    time_us: int
    #: One of :data:`KINDS`.
    kind: str
    #: Operands, as :data:`KINDS` names them.
    operands: tuple[int, ...]
    #: Thread of the emulator that wrote the line; 0 if the file does not say.
    writer: int = 0

    def __str__(self) -> str:
        values = (f"{name} {value:#x}" for name, value in zip(KINDS[self.kind], self.operands, strict=True))
        return f"line {self.line}: {self.kind} {', '.join(values)}".rstrip()


class Recording:
    """A guest's interrupts, as one emulator's log told them. Made by :func:`vgic.read_recording`."""

    def __init__(self, name: str, *, source: str = "", sha256: str = "") -> None:
        """Make an empty recording; readers fill it with :meth:`append`."""
        #: File name without ``.xz``, ``.log`` and ``.txt``.
        self.name = name
        #: Where it was read from.
        self.source = source
        #: Digest of the file as it was read (compressed, if it was), in hexadecimal.
        self.sha256 = sha256
        #: Of a stretch (:func:`vgic.trace.cut`): how many seconds behind the first event of the file it begins.
        self.begin = 0.0
        #: Lines that held a command which the engine has no word for (GICv4 and unknown ones), by name.
        self.ignored: Counter[str] = Counter()
        #: What the log lacks, a sentence each: see :func:`vgic.trace.read_qemu`.
        self.notes: list[str] = []
        #: Resets of the machine: line, and the sign by which it was recognised.
        self.resets: list[tuple[int, str]] = []
        #: Events by kind.
        self.counts: Counter[str] = Counter()
        #: DeviceIDs that sent, with their number of MSIs.
        self.devices: Counter[int] = Counter()
        #: Virtual CPUs: the highest that is named, plus one.
        self.vcpus = 0
        self._kind = array("B")
        self._line = array("Q")
        self._time = array("q")
        self._writer = array("I")
        self._operands = tuple(array("I") for _ in range(4))

    def __len__(self) -> int:
        return len(self._kind)

    def __repr__(self) -> str:
        return (
            f"<Recording {self.name}: {self.vcpus} vCPUs, {self.commands} ITS commands, {self.msis} MSIs of "
            f"{len(self.devices)} devices, {self.acknowledges} LPIs acknowledged, {self.seconds:.1f} s>"
        )

    def append(self, line: int, time_us: int, kind: str, *operands: int, writer: int = 0) -> None:
        """Add one event. Raises ``RecordingError`` for a number out of range, or one event too many."""
        self.insert(len(self._kind), line, time_us, kind, *operands, writer=writer)

    def insert(self, place: int, line: int, time_us: int, kind: str, *operands: int, writer: int = 0) -> None:
        """As :meth:`append`, before the event with index ``place``, from 0 to their number."""
        if len(self._kind) >= MAX_EVENTS:
            raise RecordingError(f"{self.source or self.name}: more than {MAX_EVENTS:,} events")
        place = integer("place", place, 0, len(self._kind), error=RecordingError)
        line = integer("line", line, 0, 2**64 - 1, error=RecordingError)
        time_us = integer("time_us", time_us, -(2**63), 2**63 - 1, error=RecordingError)
        writer = integer("writer", writer, 0, 2**32 - 1, error=RecordingError)
        names = KINDS[kind]
        for name, value in zip(names, operands, strict=True):
            limit = MAX_VCPUS if name in ("vcpu", "from", "to") else 2**32
            value = integer(name, value)
            if not 0 <= value < limit:
                text = f"{value:#x}"[:_MOST_DIGITS]
                raise RecordingError(f"{self.source or self.name}: line {line}: {kind}: {name} {text} is out of range")
            if limit == MAX_VCPUS and value >= self.vcpus:
                self.vcpus = value + 1
        for n, column in enumerate(self._operands):
            column.insert(place, operands[n] if n < len(operands) else 0)
        self._kind.insert(place, _CODES[kind])
        self._line.insert(place, line)
        self._time.insert(place, time_us)
        self._writer.insert(place, writer)
        self.counts[kind] += 1
        if kind == "msi":
            self.devices[operands[0]] += 1

    def time_at(self, place: int) -> int | None:
        """The time in us of the event with index ``place``, at least 0, as the log has it, if there is one."""
        place = integer("place", place, 0)
        return self._time[place] if place < len(self._time) else None

    def number_vcpus(self, numbers: Sequence[int]) -> None:
        """Give the vCPUs that did something other numbers: ``numbers[old]``. Targets of commands keep theirs."""
        first, second = self._operands[:2]
        self.vcpus = 0
        for place, code in enumerate(self._kind):
            kind = _NAMES[code]
            if code in _BY_VCPU:
                first[place] = numbers[first[place]]
                self.vcpus = max(self.vcpus, first[place] + 1)
            elif kind == "mapc":
                self.vcpus = max(self.vcpus, second[place] + 1)
            elif kind == "movall":
                self.vcpus = max(self.vcpus, first[place] + 1, second[place] + 1)

    def __iter__(self) -> Iterator[Event]:
        start = self._time[0] if self._time else 0
        columns = (self._kind, self._line, self._time, self._writer, *self._operands)
        for code, line, time_us, writer, *operands in zip(*columns, strict=True):
            kind = _NAMES[code]
            yield Event(line, time_us - start, kind, tuple(operands[: len(KINDS[kind])]), writer)

    def watched(self, progress: Progress | None, text: str) -> Iterator[Event]:
        """The events one by one; ``progress``, if there is one, is told the share and a text now and then."""
        for number, event in enumerate(self):
            if progress is not None and number % _TELL_EVENTS == 0:
                progress(number / len(self), text)
            yield event

    @property
    def commands(self) -> int:
        """ITS commands."""
        return sum(count for kind, count in self.counts.items() if kind in _COMMANDS)

    @property
    def msis(self) -> int:
        """MSIs that devices wrote."""
        return self.counts["msi"]

    @property
    def acknowledges(self) -> int:
        """LPIs that vCPUs acknowledged."""
        return self.counts["acknowledge"]

    @property
    def seconds(self) -> float:
        """Time from the first event to the last; 0 if the file has no times."""
        return (max(self._time) - min(self._time)) / 1e6 if self._time else 0.0

    def program(self) -> "array[int]":
        """The events as the core replays them: rows of 7 unsigned 64-bit integers (kind, line, time, a, b, c, d).

        The time is in microseconds since the earliest event.
        """
        from vgic._core import OPS

        numbers = array("Q", (OPS[name] for name in _NAMES))
        earliest = min(self._time, default=0)
        flat = array("Q", bytes(8 * 7 * len(self._kind)))
        flat[0::7] = array("Q", (numbers[code] for code in self._kind))
        flat[1::7] = self._line
        flat[2::7] = array("Q", (time - earliest for time in self._time))
        for n, column in enumerate(self._operands):
            flat[3 + n :: 7] = array("Q", column)
        return flat
