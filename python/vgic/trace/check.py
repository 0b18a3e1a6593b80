"""Whether a replay did what the guest saw: each acknowledged LPI, on its vCPU, in its order.

A replay "as recorded" asks the engine, at each acknowledge of the recording, which LPI the vCPU gets. Per vCPU the same
LPIs must come, as often. Their order may differ in two cases, which are told apart:

- *tie*: both LPIs were pending, at one priority; the architecture leaves the choice open (Arm GICv3, 4.8).
- *log order*: the recording has the acknowledge before the MSI that caused it. Two threads of the emulator wrote the
  two lines, within moments of each other.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vgic.trace.recording import Recording

__all__ = ["Check", "Mismatch", "check"]

#: How many acknowledges of one vCPU apart two LPIs of a tie may be.
_NEAR = 16
#: How far apart the lines of two threads may stand in the wrong order, in microseconds.
_SKEW_US = 1000


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One acknowledge that the engine answered otherwise."""

    line: int
    vcpu: int
    recorded: int
    #: INTID that the engine gave; 0 for none.
    answered: int
    #: ``tie``, ``log order``, ``missing`` (nothing was pending) or ``unexplained``.
    reason: str

    def __str__(self) -> str:
        got = f"INTID {self.answered:#x}" if self.answered else "nothing"
        return (
            f"line {self.line}: vCPU {self.vcpu} acknowledged {self.recorded:#x}, the engine gave {got} ({self.reason})"
        )


@dataclass(frozen=True, slots=True)
class Check:
    """How a replay compares with its recording."""

    #: Acknowledges that were compared.
    acknowledges: int
    #: How many got the recorded INTID at the recorded place.
    in_order: int
    #: Whether each vCPU got the same LPIs, each as often.
    same_multiset: bool
    #: (vCPU, INTID) -> how many more (or fewer) the engine gave.
    differences: dict[tuple[int, int], int]
    mismatches: list[Mismatch] = field(repr=False)

    @property
    def share_in_order(self) -> float:
        """Share of acknowledges in the recorded order, 0 to 1 (1 for an empty recording)."""
        return self.in_order / self.acknowledges if self.acknowledges else 1.0

    @property
    def reasons(self) -> dict[str, int]:
        """Mismatches by reason."""
        return dict(Counter(mismatch.reason for mismatch in self.mismatches))

    def __str__(self) -> str:
        text = f"{self.in_order} of {self.acknowledges} acknowledges as recorded ({self.share_in_order:.2%})"
        if self.mismatches:
            text += ", " + ", ".join(f"{count} {reason}" for reason, count in sorted(self.reasons.items()))
        if not self.same_multiset:
            text += f"; {sum(map(abs, self.differences.values()))} LPIs too few or too many on a vCPU"
        return text


def check(recording: Recording, acknowledges: Iterable[Sequence[int]]) -> Check:
    """Compare a replay with its recording.

    ``acknowledges``: rows of (vCPU, INTID recorded, INTID answered or 0, line), one for each acknowledge, in order.
    """
    rows = [(row[0], row[1], row[2], row[3]) for row in acknowledges]
    wanted: dict[int, list[int]] = defaultdict(list)
    differences: Counter[tuple[int, int]] = Counter()
    for vcpu, recorded, answered, _line in rows:
        wanted[vcpu].append(recorded)
        differences[vcpu, recorded] -= 1
        if answered:
            differences[vcpu, answered] += 1
    differing = {key: count for key, count in differences.items() if count}

    sends: dict[int, list[int]] | None = None
    times: dict[int, int] = {}
    places: Counter[int] = Counter()
    ahead: Counter[tuple[int, int]] = Counter()  # answered so far, less recorded so far
    answered_at: dict[int, int] = {}
    mismatches = []
    for vcpu, recorded, answered, line in rows:
        place = places[vcpu]
        places[vcpu] += 1
        if answered != recorded:
            if sends is None:
                sends, times = _sends(recording)
            lines = sends.get(recorded, [])
            near = wanted[vcpu][max(0, place - _NEAR) : place + _NEAR + 1]
            sent_since = bisect_right(lines, line) > bisect_right(lines, answered_at.get(recorded, 0))
            if answered in near and (sent_since or ahead[vcpu, recorded] > 0):
                # The recorded one was pending as well, or has been given in place of one that was.
                reason = "tie"
            elif _sent_just_after(lines, line, times):
                reason = "log order"
            else:
                reason = "unexplained" if answered else "missing"
            mismatches.append(Mismatch(line, vcpu, recorded, answered, reason))
        ahead[vcpu, recorded] -= 1
        if answered:
            ahead[vcpu, answered] += 1
            answered_at[answered] = line
    return Check(len(rows), len(rows) - len(mismatches), not differing, differing, mismatches)


def _sends(recording: Recording) -> tuple[dict[int, list[int]], dict[int, int]]:
    """INTID -> lines of the MSIs that make it pending, ascending; and line -> time of every event."""
    mapped: dict[tuple[int, int], int] = {}
    sends: dict[int, list[int]] = defaultdict(list)
    times: dict[int, int] = {}
    for line, time_us, kind, operands in recording:
        times[line] = time_us
        if kind == "mapti":
            mapped.setdefault((operands[0], operands[1]), operands[2])
        elif kind == "mapi":
            mapped.setdefault((operands[0], operands[1]), operands[1])
        elif kind == "discard":
            mapped.pop((operands[0], operands[1]), None)
        elif kind == "mapd":
            for key in [key for key in mapped if key[0] == operands[0]]:
                del mapped[key]
        elif kind in ("msi", "int"):
            intid = mapped.get((operands[0], operands[1]))
            if intid is not None:
                sends[intid].append(line)
    return sends, times


def _sent_just_after(lines: list[int], line: int, times: dict[int, int]) -> bool:
    after = bisect_right(lines, line)
    return after < len(lines) and 0 <= times.get(lines[after], 0) - times.get(line, 0) <= _SKEW_US
