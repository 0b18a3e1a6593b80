"""Two designs beside each other: axis by axis, defect by defect, and step by step on the hit path."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal

from vgic.designs import changed_axes, design
from vgic.prove.defects import Defect, defects

if TYPE_CHECKING:
    from vgic._core import PathStep

__all__ = ["Difference", "Step", "difference", "step_text"]

#: Counts of :meth:`vgic.Design.path_counts`.
_COUNTS = ("locks", "rmws", "writes", "reads")


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the hit path: of the first design only, of the second only, or of both."""

    of: Literal["first", "second", "both"]
    step: "PathStep"


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not the same in two designs, and the costs of one delivered LPI in both."""

    first: str
    second: str
    #: Axis -> the way of the first, and of the second; empty for a cache or queue that has not this axis. Only axes on
    #: which they differ.
    axes: dict[str, tuple[str, str]]
    #: Defects that only one of them has.
    defects_of_first: tuple[Defect, ...]
    defects_of_second: tuple[Defect, ...]
    #: The steps of a cache hit in both designs, those that they share once. A step at another depth of locks is
    #: another step.
    hit_path: tuple[Step, ...]
    #: "locks", "rmws", "writes", "reads" -> what -> how often in the first, and in the second.
    counts: dict[str, dict[str, tuple[int, int]]]


def difference(first: str, second: str) -> Difference:
    """Compare the designs called ``first`` and ``second``. Raises :class:`vgic.UnknownDesign`."""
    a, b = design(first), design(second)
    counts_a, counts_b = a.path_counts(deliver=True), b.path_counts(deliver=True)
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for kind in _COUNTS:
        tally_a: dict[str, int] = counts_a[kind]  # type: ignore[literal-required]
        tally_b: dict[str, int] = counts_b[kind]  # type: ignore[literal-required]
        counts[kind] = {what: (tally_a.get(what, 0), tally_b.get(what, 0)) for what in sorted({*tally_a, *tally_b})}
    return Difference(
        first,
        second,
        changed_axes(a, b),
        tuple(one for one in defects() if one.is_of(first) and not one.is_of(second)),
        tuple(one for one in defects() if one.is_of(second) and not one.is_of(first)),
        tuple(_steps(a.hit_path(), b.hit_path())),
        counts,
    )


def _steps(first: "list[PathStep]", second: "list[PathStep]") -> Iterator[Step]:
    matcher = SequenceMatcher(None, [step_text(s) for s in first], [step_text(s) for s in second], autojunk=False)
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if tag == "equal":
            yield from (Step("both", step) for step in second[b:b_end])
        else:
            yield from (Step("first", step) for step in first[a:a_end])
            yield from (Step("second", step) for step in second[b:b_end])


def step_text(step: "PathStep") -> str:
    """A step in words, indented by the number of locks that are held."""
    where = ": ".join(part for part in (step["object"], step["field"]) if part)
    return f"{'  ' * step['depth']}{step['kind']:<7} {where}"
