"""What a guest's writes to the registers of the ITS and the redistributors mean, and how a reset shows in them.

A recording has no line for a reset of the machine. It has what only a machine that was reset since can take, since the
architecture forbids it while the thing is on (Arm GICv3, ``GITS_BASER<n>``, ``GITS_CBASER``, ``GICR_PROPBASER``,
``GICR_PENDBASER``):

- a write of ``GITS_BASER<n>`` or ``GITS_CBASER`` while the ITS is on, and then ``GITS_CTLR.Enabled`` again;
- a write of ``GICR_PROPBASER`` or ``GICR_PENDBASER`` while LPIs are on, and then EnableLPIs again;
- EnableLPIs written as 1 while it is 1, with nothing else changed, and then MAPC of a collection that is mapped. (A log
  may have no more than that; GICR_CTLR has other bits to change.)

Each is a sign only if what must follow comes before anything that shows that the old state lives on: a command that is
executed, or an LPI that is delivered. A boot writes the tables of each redistributor once, and a CPU that comes back
writes none, so a normal boot has no sign.

A guest may also set its tables up anew without a reset, as kexec does: it turns the ITS and LPIs off first. Then a new
``GITS_BASER<n>`` (another address, or not valid) unmaps everything in that table, and a new ``GICR_PENDBASER`` (another
address, or with PTZ) is a table in which nothing is pending. The same tables again are kept: a guest that wakes up from
suspend writes them like that.

A log may also start after a guest has turned the ITS and LPIs on, or lack these writes: a command that is executed, and
an LPI that is delivered, prove that they are on, and were since the start (or the reset).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from vgic.errors import RecordingError
from vgic.registers import GICR, GITS, VALID, merge
from vgic.trace.recording import Recording

__all__ = ["MAX_RESETS", "Registers"]

#: Resets that a recording may have.
MAX_RESETS = 10_000

_TABLE = 0xFFFF_FFFF_F000  # address bits 47:12 of GITS_BASER<n>
_PENDING_TABLE = 0xF_FFFF_FFFF_0000  # bits 51:16 of GICR_PENDBASER
_PTZ = 1 << 62
#: Which table of QEMU's ITS is which (GITS_BASER<n>.Type is read-only).
_DEVICES, _COLLECTIONS = 0, 1


class _Sign(NamedTuple):
    #: Index of the event before which the reset was.
    place: int
    line: int
    time_us: int
    text: str
    #: The redistributor that showed it; None for the ITS.
    affinity: int | None
    #: Whether MAPC of a mapped collection must follow.
    weak: bool


@dataclass(slots=True)
class _Redistributor:
    ctlr: int | None = None
    pendbaser: int | None = None

    @property
    def on(self) -> bool:
        return bool(self.ctlr and self.ctlr & 1)


@dataclass(slots=True)
class Registers:
    """Follows the registers through a recording, and adds events to it."""

    recording: Recording
    #: Affinity -> number that stands for its vCPU in the recording.
    number_of: Callable[[int], int]
    its_on: bool = False
    #: What is taken to be on from the start or from a reset, without a line that says so.
    assumed: list[str] = field(default_factory=list)
    #: Thread that wrote the line that is read just now.
    writer: int = 0
    redistributors: dict[int, _Redistributor] = field(default_factory=dict)
    #: GITS_BASER<n>, by number.
    basers: dict[int, int] = field(default_factory=dict)
    #: Collections that are mapped.
    collections: set[int] = field(default_factory=set)
    #: Signs since the last proof that the old state lives on, the earliest first; one of a kind.
    _signs: dict[tuple[int | None, bool], _Sign] = field(default_factory=dict)
    #: Index of the first event since the start or the last reset.
    _boot: int = 0
    #: Whether GITS_CTLR was written since then.
    _its_written: bool = False

    def its_write(self, line: int, time_us: int, offset: int, size: int, data: int) -> None:
        """A write to the ITS's control frame."""
        if offset == GITS.CTLR:
            on = bool(data & 1)
            if on and self._shown_by(None):
                self._reset()
            elif on and self.its_on:
                self._sign(line, time_us, "GITS_CTLR.Enabled was turned on while it was on", weak=True)
            self.its_on = on
            self._its_written = True
            self.recording.append(line, time_us, "its_enabled", int(on), writer=self.writer)
        elif GITS.CBASER <= offset < GITS.CBASER + 8:
            if self.its_on:
                self._sign(line, time_us, "GITS_CBASER was written while the ITS was on")
        elif GITS.BASER0 <= offset < GITS.BASER0 + 64:
            number = (offset - GITS.BASER0) // 8
            if self.its_on:
                self._sign(line, time_us, f"GITS_BASER{number} was written while the ITS was on")
            before = self.basers.get(number, 0)
            after = self.basers[number] = _merged(before, offset % 8, size, data)
            gone = bool(before & VALID) and (not after & VALID or (before ^ after) & _TABLE != 0)
            if gone and not self.its_on and number in (_DEVICES, _COLLECTIONS):
                self._tables_gone(line, time_us, number)

    def redistributor_write(self, line: int, time_us: int, affinity: int, offset: int, size: int, data: int) -> None:
        """A write to a redistributor's frame."""
        number = self.number_of(affinity)
        gicr = self.redistributors.setdefault(affinity, _Redistributor())
        if offset == GICR.CTLR:
            if data & 1 and self._shown_by(affinity):
                self._reset()
            elif data & 1 and data == gicr.ctlr:
                text = f"GICR_CTLR.EnableLPIs of redistributor {affinity:#x} was turned on while it was on"
                self._sign(line, time_us, text, affinity, weak=True)
            gicr.ctlr = data
            self.recording.append(line, time_us, "lpis_enabled", number, data & 1, writer=self.writer)
        elif GICR.PROPBASER <= offset < GICR.PROPBASER + 16:
            name = "GICR_PROPBASER" if offset < GICR.PENDBASER else "GICR_PENDBASER"
            if gicr.on:
                text = f"{name} of redistributor {affinity:#x} was written while its LPIs were on"
                self._sign(line, time_us, text, affinity)
            if offset >= GICR.PENDBASER:
                before = gicr.pendbaser
                gicr.pendbaser = after = _merged(before or 0, offset % 8, size, data)
                new = before is not None and ((before ^ after) & _PENDING_TABLE != 0 or after & _PTZ)
                if new and not gicr.on:
                    self.recording.append(line, time_us, "pending_table", number, writer=self.writer)

    def command(self, time_us: int, kind: str, operands: tuple[int, ...]) -> None:
        """An ITS command that was executed: the ITS is on, and was before."""
        if kind == "mapc":
            collection, _, valid = operands
            weak = any(sign.weak and sign.affinity is not None for sign in self._signs.values())
            if weak and valid and collection in self.collections:
                self._reset()
            (self.collections.add if valid else self.collections.discard)(collection)
        self._signs.clear()
        if not (self.its_on or self._its_written):
            self._assume(time_us, "the ITS", "its_enabled", 1)
            self.its_on = True

    def acknowledge(self, time_us: int, affinity: int) -> None:
        """An LPI that a redistributor delivered: its LPIs are on."""
        self._signs.clear()
        gicr = self.redistributors.setdefault(affinity, _Redistributor())
        if gicr.ctlr is None:
            gicr.ctlr = 1
            what = f"EnableLPIs of redistributor {affinity:#x}"
            self._assume(time_us, what, "lpis_enabled", self.number_of(affinity), 1)

    def _assume(self, time_us: int, what: str, kind: str, *operands: int) -> None:
        """Something is on that no line turns on: seen at a time, taken to be so since the first event of this boot."""
        at = self.recording.time_at(self._boot)
        self.recording.insert(self._boot, 0, time_us if at is None else at, kind, *operands)
        self.assumed.append(what)

    def _sign(self, line: int, time_us: int, text: str, affinity: int | None = None, *, weak: bool = False) -> None:
        self._signs.setdefault((affinity, weak), _Sign(len(self.recording), line, time_us, text, affinity, weak))

    def _shown_by(self, affinity: int | None) -> bool:
        """Whether a redistributor, or the ITS, has shown a sign that needs no more than to be turned on again."""
        return (affinity, False) in self._signs

    def _reset(self) -> None:
        """The machine was reset before the earliest of the signs."""
        sign = next(iter(self._signs.values()))
        if len(self.recording.resets) >= MAX_RESETS:
            raise RecordingError(f"{self.recording.source}: more than {MAX_RESETS:,} resets of the machine")
        self.recording.insert(sign.place, sign.line, sign.time_us, "reset")
        self.recording.resets.append((sign.line, sign.text))
        # What has been turned on again since is on.
        self.its_on = self._its_written = (None, True) in self._signs
        self._boot = sign.place + 1
        since = {sign.affinity for sign in self._signs.values()}
        self.redistributors = {at: gicr for at, gicr in self.redistributors.items() if at in since}
        self.collections.clear()
        self._signs.clear()

    def _tables_gone(self, line: int, time_us: int, number: int) -> None:
        both = (int(number == _DEVICES), int(number == _COLLECTIONS))
        self.recording.append(line, time_us, "its_tables", *both, writer=self.writer)
        if number == _COLLECTIONS:
            self.collections.clear()


def _merged(before: int, at: int, size: int, data: int) -> int:
    """A 64-bit register after a write of ``size`` bytes at byte ``at``."""
    return data if size >= 8 else merge(before, at, size, data)
