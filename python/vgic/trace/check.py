"""Whether a replay did what the guest saw: each acknowledged LPI, on its vCPU, in its order.

A replay "as recorded" asks the engine, at each acknowledge of the recording, which LPI the vCPU gets. It then follows
the guest: what that took is taken, if it is pending there, and nothing else. So each difference stands for itself, and
the replay, which knows what is pending at that moment, gives its reason:

- ``tie``: both LPIs were pending on this vCPU, at one priority; the architecture leaves the choice open (Arm GICv3,
  4.8). In the recording, too, the one that the engine would give has been sent since it was last taken.
- ``log order``: it was not pending; the MSI that made it so stands further down, at most 32 events and one millisecond:
  two threads of the emulator have written their lines the wrong way round.
- ``missing``: it was not pending, and nothing else was.
- ``unexplained``: it was not pending, and something else was.

The first two explain a difference: the check holds with them. An LPI that is pending when the recording ends is no
difference, if the recording has its MSI behind its last acknowledge; otherwise the engine has made it up
(``invented``).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vgic.trace.recording import Recording

__all__ = ["EXPLAINED", "Check", "Mismatch", "check"]

#: Reasons that explain a difference.
EXPLAINED = frozenset({"tie", "log order"})


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One acknowledge that the engine answered otherwise."""

    #: Line of the recording; 0 for an LPI that is invented.
    line: int
    vcpu: int
    #: INTID that the guest acknowledged; 0 for an LPI that is invented.
    recorded: int
    #: INTID that the engine would give; 0 for none.
    answered: int
    #: ``tie``, ``log order``, ``missing``, ``unexplained`` or ``invented``.
    reason: str

    def __str__(self) -> str:
        got = f"INTID {self.answered:#x}" if self.answered else "nothing"
        if not self.recorded:
            return f"at the end: vCPU {self.vcpu} has {got} pending, which nothing has sent ({self.reason})"
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
    #: LPIs that are pending when the recording ends, as they should be.
    left: int = 0
    #: Commands that the engine rejected.
    rejected: int = 0

    @property
    def share_in_order(self) -> float | None:
        """Share of acknowledges in the recorded order, 0 to 1; None if the recording has none to compare."""
        return self.in_order / self.acknowledges if self.acknowledges else None

    @property
    def reasons(self) -> dict[str, int]:
        """Mismatches by reason."""
        return dict(Counter(mismatch.reason for mismatch in self.mismatches))

    @property
    def holds(self) -> bool:
        """Whether something was compared, and every difference is explained (:data:`EXPLAINED`)."""
        return bool(self.acknowledges) and self.same_multiset and EXPLAINED.issuperset(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """As written into a result file."""
        return {
            "acknowledges": self.acknowledges,
            "in_order": self.in_order,
            "share_in_order": self.share_in_order,
            "same_multiset": self.same_multiset,
            "mismatches": self.reasons,
            "left": self.left,
            "rejected": self.rejected,
            "holds": self.holds,
        }

    def __str__(self) -> str:
        share = self.share_in_order
        if share is None:
            text = "nothing to check: the recording has no acknowledge of an LPI"
        else:
            text = f"{self.in_order} of {self.acknowledges} acknowledges as recorded ({_percent(share)})"
        if self.mismatches:
            text += ", " + ", ".join(f"{count} {reason}" for reason, count in sorted(self.reasons.items()))
        if not self.same_multiset:
            text += f"; {sum(map(abs, self.differences.values()))} LPIs too few or too many on a vCPU"
        if self.rejected:
            text += f"; {self.rejected} commands rejected"
        return text


def _percent(share: float) -> str:
    """A share in per cent; never rounded up to all of them."""
    return f"{share:.2%}" if share == 1 else f"{min(share, 0.9999):.2%}"


def check(recording: Recording, acknowledges: Iterable[Sequence[Any]], left: Iterable[Sequence[int]] = ()) -> Check:
    """Compare a replay with its recording.

    ``acknowledges``: rows of (vCPU, INTID recorded, INTID that the engine would give or 0, line, reason), one for each
    acknowledge, in order. The reason is empty, or may be left away, where none is known: a difference is then
    ``missing`` or ``unexplained``. ``left``: vCPU and INTID of each LPI that is pending at the end.
    """
    rows = [(*row, "")[:5] for row in acknowledges]
    rest = list(left)
    ties = {place: row[2] for place, row in enumerate(rows) if row[4] == "tie"}
    unproven, pending = _account(recording, ties) if ties or rest else (set(), set())
    mismatches = []
    differences: Counter[tuple[int, int]] = Counter()
    for place, (vcpu, recorded, answered, line, given) in enumerate(rows):
        reason = "unexplained" if place in unproven else given
        if answered == recorded and not reason:
            continue
        if not reason:  # Not from a replay that follows the guest: the answer was taken.
            reason = "unexplained" if answered else "missing"
            differences[vcpu, answered] += bool(answered)
        mismatches.append(Mismatch(line, vcpu, recorded, answered, reason))
        if given not in EXPLAINED:
            differences[vcpu, recorded] -= 1
    in_order = len(rows) - len(mismatches)
    invented = [Mismatch(0, vcpu, 0, intid, "invented") for vcpu, intid in rest if intid not in pending]
    for mismatch in invented:
        differences[mismatch.vcpu, mismatch.answered] += 1
    differing = {key: number for key, number in differences.items() if number}
    return Check(len(rows), in_order, not differing, differing, mismatches + invented, len(rest) - len(invented))


def _account(recording: Recording, ties: Mapping[int, int]) -> tuple[set[int], set[int]]:
    """What was sent and not taken since, by the recording itself (whether it was cleared meanwhile, the engine knows).

    ``ties``: which acknowledges (counted from 0) are said to be ties, and with what. Returns those of them where that
    had not been sent, and the INTIDs that are pending at the end.
    """
    mapped: dict[int, dict[int, int]] = {}
    sent: set[int] = set()
    unproven: set[int] = set()
    place = 0
    for _line, _time_us, kind, operands, _writer in recording:
        match kind:
            case "mapti" | "mapi":
                # An event that is mapped keeps its mapping.
                mapped.setdefault(operands[0], {}).setdefault(operands[1], operands[2 if kind == "mapti" else 1])
            case "discard":
                mapped.get(operands[0], {}).pop(operands[1], None)
            case "mapd":
                mapped.pop(operands[0], None)
            case "its_tables" if operands[0]:
                mapped.clear()
            case "reset":
                mapped.clear()
                sent.clear()
            case "msi" | "int":
                sent.add(mapped.get(operands[0], {}).get(operands[1], 0))
            case "acknowledge":
                if place in ties and ties[place] not in sent:
                    unproven.add(place)
                place += 1
                sent.discard(operands[1])
    return unproven, sent
