"""Several defects on one kernel, in one machine; another one if a story loses it."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vgic.confirm.booted import Booted
from vgic.confirm.image import Kernel
from vgic.confirm.machine import Marks
from vgic.confirm.play import Claim, Outcome, claims, play
from vgic.confirm.stage import Stage
from vgic.confirm.symbols import Symbols
from vgic.errors import ReplayError
from vgic.kernels import Kernel as KernelDesign
from vgic.kernels import kernel as kernel_of
from vgic.prove.defects import Defect, defect, defects
from vgic.prove.proof import ProofPlan, prove
from vgic.prove.story import Story

__all__ = [
    "Case",
    "Confirmation",
    "cases_of",
    "check_defects",
    "confirm",
    "confirmations_json",
    "design_of",
    "stories_of",
    "story_of",
]

SCHEMA = 1
#: How often a story is played that ends as neither the defect nor its absence, or in another state.
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Case:
    """A defect to be tried, and its story if that need not be looked for."""

    #: An id of the catalogue that has a claim; empty for a story of which nobody has written down what a VMM sees.
    defect: str
    story: Story | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What came of one defect on a kernel."""

    defect: str
    #: The scenario and the design in which the story was found.
    scenario: str
    design: str
    #: The commands of the guest program that the VMM asked afterwards, which the outcome's answers belong to.
    asked: tuple[str, ...]
    outcome: Outcome
    #: What was played.
    story: Story | None = field(default=None, repr=False, compare=False)
    #: Addresses in the guest program, and in the kernel that was booted.
    marks: Marks | None = field(default=None, repr=False, compare=False)
    symbols: Symbols | None = field(default=None, repr=False, compare=False)


def check_defects(names: Iterable[str]) -> list[Case]:
    """The names, in order, each once. Raises ``ValueError`` for one that cannot be tried, or is not known."""
    chosen = list(dict.fromkeys(names))
    for name in chosen:
        if name not in claims():
            defect(name)
            raise ValueError(f"{name}: what a VMM sees of it is not written down; there are {', '.join(claims())}")
    return [Case(name) for name in chosen]


def cases_of(stories: Iterable[Story]) -> list[Case]:
    """Stories to be tried, each as the first defect of the catalogue that it shows and that has a claim."""
    shown = ((story, [one.id for one in defects() if one.id in claims() and one.shows_in(story)]) for story in stories)
    return [Case(names[0] if names else "", story) for story, names in shown]


def confirm(
    kernel: Kernel, cases: Sequence[Case], *, cpu: str = "cortex-a57", tell: Callable[[str], None] = lambda line: None
) -> Iterator[Confirmation]:
    """Plays the story of each defect on a kernel, and yields what comes of it.

    ``cpu`` is a model of QEMU's. ``tell`` is told what goes on. Raises :class:`~vgic.errors.KernelError` if the kernel
    lacks what is needed, and :class:`~vgic.errors.ReplayError` if it does not come up.
    """
    design = design_of(kernel)
    with Booted(kernel, cpu) as booted:
        for case in cases:
            if not case.defect:
                yield _without_claim(case)
                continue
            tried: list[Confirmation] = []
            tell(f"looking for the story of {case.defect}")
            for story in [case.story] if case.story else stories_of(defect(case.defect), design):
                one = _settled(booted, case.defect, story, _another(story, design), tell)
                tried.append(one)
                if not one.outcome.differs:
                    break
                # The kernel is not of that design: the story of another one may be its own.
            yield next((one for one in tried if one.outcome.verdict == "confirmed"), tried[0])


def _settled(booted: Booted, name: str, story: Story, uncompared: str, tell: Callable[[str], None]) -> Confirmation:
    """What comes of a story, which is played again while another try may end otherwise."""
    claim = claims()[name]
    for tries in range(1, _TRIES + 1):
        if not booted.is_up:
            tell(f"booting {booted.kernel.release or booted.kernel.name}")
        stage = booted.stage()
        tell(f"playing {name}")
        outcome = replace(_played(stage, story, claim, uncompared), tries=tries)
        if outcome.lost:
            booted.lose()
        if outcome.is_settled:
            break
    marks, symbols = stage.machine.marks, stage.symbols
    return Confirmation(name, story.scenario, story.design, claim.ask, outcome, story, marks, symbols)


def _played(stage: Stage, story: Story, claim: Claim, uncompared: str) -> Outcome:
    try:
        return play(stage, story, claim, uncompared=uncompared)
    except ReplayError as error:
        # The machine is lost, which may be what the defect does; the next story gets a new one.
        trouble = tuple(stage.machine.trouble())
        return Outcome("not possible here", f"the machine was lost: {error}", trouble=trouble, lost=True)


def _without_claim(case: Case) -> Confirmation:
    assert case.story is not None
    why = f"what a VMM sees of it is not written down for any defect that shows so: {case.story.what}"
    return Confirmation("", case.story.scenario, case.story.design, (), Outcome("not possible here", why), case.story)


def _another(story: Story, design: KernelDesign | None) -> str:
    """Why the states of a story are not those of a kernel; empty if they should be."""
    if design is None:
        return "this kernel does not tell its release"
    if story.design in (design.composed, design.design):
        return ""
    return f"the story is of {story.design}, and this kernel is a {design.design}"


def story_of(one: Defect, kernel: KernelDesign | None = None) -> Story:
    """The story of a defect, the same each time: in a kernel's design, else in the newest that it is searched for in.

    Raises :class:`~vgic.errors.ReplayError` if there is none.
    """
    return next(stories_of(one, kernel))


def stories_of(one: Defect, kernel: KernelDesign | None = None) -> Iterator[Story]:
    """The same in each design in question, the nearest to the kernel first.

    Raises :class:`~vgic.errors.ReplayError` if there is none at all.
    """
    names = [claims()[one.id].design or one.found_in[-1]]
    if kernel is not None and one.is_of(kernel.design):
        names = [kernel.composed, kernel.design, *names]
    found = 0
    for name in dict.fromkeys(names):
        story = one.story_in(prove(one.scenario, name, ProofPlan(preemptions=one.preemptions, seconds=one.seconds)))
        if story is not None:
            found += 1
            yield story
    if not found:
        raise ReplayError(f"{one.id}: the checker finds no story of it in {', '.join(names)}")


def design_of(kernel: Kernel) -> KernelDesign | None:
    """What is known of a kernel by its release; None if it does not tell."""
    try:
        return kernel_of(kernel.banner) if kernel.banner else None
    except ValueError:
        return None


def confirmations_json(kernel: Kernel, found: Sequence[Confirmation]) -> str:
    """The results as JSON; an object with the kernel and a list."""
    rows: list[dict[str, Any]] = []
    for one in found:
        row = asdict(replace(one, story=None, marks=None, symbols=None))
        outcome = row.pop("outcome")
        del row["story"], row["marks"], row["symbols"], outcome["lost"]
        rows.append(row | outcome)
    top = {"schema": SCHEMA, "kernel": kernel.name, "release": kernel.release, "confirmations": rows}
    return json.dumps(top, indent=1) + "\n"
