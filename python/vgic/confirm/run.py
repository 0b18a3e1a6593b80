"""Several defects on one kernel, in one machine; another one if a story loses it."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from vgic.confirm.image import Kernel
from vgic.confirm.machine import Machine
from vgic.confirm.play import Outcome, claims, play
from vgic.confirm.stage import Stage
from vgic.errors import ReplayError
from vgic.prove.defects import Defect, defect
from vgic.prove.proof import ProofPlan, prove
from vgic.prove.story import Story

__all__ = ["Confirmation", "check_defects", "confirm", "confirmations_json", "story_of"]

SCHEMA = 1


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


def check_defects(names: Iterable[str]) -> list[str]:
    """The names, in order, each once. Raises ``ValueError`` for one that cannot be tried, or is not known."""
    chosen = list(dict.fromkeys(names))
    for name in chosen:
        if name not in claims():
            defect(name)
            raise ValueError(f"{name}: what a VMM sees of it is not written down; there are {', '.join(claims())}")
    return chosen


def confirm(
    kernel: Kernel, names: Sequence[str], *, cpu: str = "cortex-a57", tell: Callable[[str], None] = lambda line: None
) -> Iterator[Confirmation]:
    """Plays the story of each defect on a kernel, and yields what comes of it.

    ``cpu`` is a model of QEMU's. ``tell`` is told what goes on. Raises ``ValueError`` for names as
    :func:`check_defects`, :class:`~vgic.errors.KernelError` if the kernel lacks what is needed, and
    :class:`~vgic.errors.ReplayError` if it does not come up.
    """
    chosen = check_defects(names)
    with ExitStack() as stack:
        stage: Stage | None = None
        for name in chosen:
            tell(f"looking for the story of {name}")
            one, claim = defect(name), claims()[name]
            story = story_of(one)
            if stage is None:
                tell(f"booting {kernel.release or kernel.name}")
                stage = Stage(stack.enter_context(Machine(kernel, cpu=cpu)))
            tell(f"playing {name}")
            try:
                outcome = play(stage, story, claim)
            except ReplayError as error:
                # The machine is lost, which may be what the defect does; the next story gets a new one.
                trouble = tuple(stage.machine.trouble())
                outcome = Outcome("not possible here", f"the machine was lost: {error}", trouble=trouble)
                stack.close()
                stage = None
            yield Confirmation(name, story.scenario, story.design, claim.ask, outcome)


def story_of(one: Defect) -> Story:
    """The story of a defect, in the newest design that it is searched for in; the same each time."""
    design = one.found_in[-1]
    proof = prove(one.scenario, design, ProofPlan(preemptions=one.preemptions, seconds=one.seconds))
    story = one.story_in(proof)
    if story is None:
        raise ReplayError(f"{one.id}: the checker finds no story of it in {design}")
    return story


def confirmations_json(kernel: Kernel, found: Sequence[Confirmation]) -> str:
    """The results as JSON; an object with the kernel and a list."""
    rows: list[dict[str, Any]] = []
    for one in found:
        row = asdict(one)
        rows.append({**row, **row.pop("outcome")})
        del rows[-1]["outcome"]
    top = {"schema": SCHEMA, "kernel": kernel.name, "release": kernel.release, "confirmations": rows}
    return json.dumps(top, indent=1) + "\n"
