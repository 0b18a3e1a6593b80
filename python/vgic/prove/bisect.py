"""Which axis mends it? Two designs, one with a violation and one without, and the axes on which they differ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from vgic.designs import Design, changed_axes, design
from vgic.prove.proof import Proof, ProofPlan, ScenarioFile, prove, prove_all

__all__ = ["Bisection", "Tried", "bisect"]


@dataclass(frozen=True, slots=True)
class Tried:
    """The bad design with some of the good one's ways."""

    #: Axis -> way of the good design.
    ways: dict[str, str]
    #: What the search came to; None if the ways make no sense without others.
    proof: Proof | None
    #: Why they make none.
    why: str = ""

    @property
    def verdict(self) -> Literal["mended", "violation", "unknown", "impossible"]:
        """``unknown`` if the search was cut short before it found anything."""
        if self.proof is None:
            return "impossible"
        if not self.proof.passed:
            return "violation"
        return "mended" if self.proof.complete else "unknown"


@dataclass(frozen=True, slots=True)
class Bisection:
    """What :func:`bisect` found."""

    bad: Proof
    good: Proof
    #: Each axis on which they differ, alone.
    alone: tuple[Tried, ...]
    #: A smallest set of axes that mends it, if none does so alone; none of them can be left out.
    together: Tried | None

    @property
    def mends(self) -> tuple[Tried, ...]:
        """What mends it: each axis that does so alone, or the set."""
        found = tuple(one for one in self.alone if one.verdict == "mended")
        return found or ((self.together,) if self.together is not None else ())


def bisect(
    scenario: str | ScenarioFile,
    bad: str,
    good: str,
    plan: ProofPlan | None = None,
    *,
    done: Callable[[int, int, Proof], object] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Bisection:
    """Find the axes of ``good`` that, taken over into ``bad``, mend the violation of ``scenario``.

    First each axis alone; if none is enough, a smallest set, by leaving out one after the other of all. ``plan`` must
    be a bounded search, as only that can show that nothing is left. Raises ``ValueError`` if ``bad`` has no violation
    there or ``good`` has one, or if a search of these two is cut short. ``done``, ``stop``: see
    :func:`vgic.prove.proof.prove_all`.
    """
    plan = plan or ProofPlan()
    if plan.search != "bounded":
        raise ValueError("search: only a bounded search can show that a design has no violation")
    first, second = design(bad), design(good)
    of_bad, of_good = prove_all([(scenario, bad, plan), (scenario, good, plan)], done=done, stop=stop)
    if of_bad.passed:
        raise ValueError(f"{of_bad.scenario} finds nothing in {bad} ({of_bad.explored}): there is nothing to mend")
    if not of_good.passed:
        raise ValueError(f"{of_good.scenario} finds a violation in {good} as well: {of_good.stories[0].what}")
    if not of_good.complete:
        raise ValueError(f"the search of {good} was cut short ({of_good.explored}); give it more --seconds")
    ways = {axis: way for axis, (_, way) in changed_axes(first, second).items() if way}
    composed: list[tuple[str, Design | str]] = [(axis, _with(first, {axis: way})) for axis, way in ways.items()]
    searched = [one for _, one in composed if isinstance(one, Design)]
    proofs = iter(prove_all([(scenario, one.name, plan) for one in searched], done=done, stop=stop))
    alone = tuple(
        Tried({axis: ways[axis]}, next(proofs)) if isinstance(one, Design) else Tried({axis: ways[axis]}, None, one)
        for axis, one in composed
    )
    together = None
    if not any(one.verdict == "mended" for one in alone):
        together = _smallest(scenario, first, ways, plan, stop)
    return Bisection(of_bad, of_good, alone, together)


def _with(base: Design, ways: dict[str, str]) -> Design | str:
    """The design with these ways, or why there is none."""
    try:
        return base.with_(**ways)
    except ValueError as error:
        # The name of what was to be composed stands before it.
        return str(error).partition(": ")[2]


def _smallest(
    scenario: str | ScenarioFile, base: Design, ways: dict[str, str], plan: ProofPlan, stop: Callable[[], bool]
) -> Tried | None:
    """All ways, then without one after the other, as long as nothing is found."""
    best = _tried(scenario, base, ways, plan, stop)
    if best.verdict != "mended":
        return None
    for axis in _in_order(ways):
        less = {name: way for name, way in best.ways.items() if name != axis}
        without = _tried(scenario, base, less, plan, stop)
        if without.verdict == "mended":
            best = without
    return best


def _in_order(ways: dict[str, str]) -> Sequence[str]:
    """Kinds last, as the axes of a kind cannot stay without it."""
    return sorted(ways, key=lambda axis: axis in ("cache", "queue"))


def _tried(
    scenario: str | ScenarioFile, base: Design, ways: dict[str, str], plan: ProofPlan, stop: Callable[[], bool]
) -> Tried:
    found = _with(base, ways)
    if isinstance(found, str):
        return Tried(ways, None, found)
    return Tried(ways, prove(scenario, found.name, plan, stop=stop))
