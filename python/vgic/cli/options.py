"""Options that several sub-commands have, so that they are alike, and what a shell completes in them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer

from vgic.designs import designs
from vgic.kernels import kernels
from vgic.machines import machines
from vgic.predict.workload import ENTRIES
from vgic.prove.proof import scenarios


def names_option(name: str, what: str, known: Callable[[], Iterable[str]]) -> Any:
    """An option that takes several names: with commas, or repeated. ``listed`` makes a list of what was given.

    ``known`` gives the names that a shell completes.
    """
    return typer.Option(
        f"--{name}",
        metavar="NAME,...",
        help=f"{what} Several with commas, or repeat it.",
        autocompletion=completed(known),
    )


def completed(known: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """What a shell is told of names, the last of which, behind commas, is incomplete."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in known() if name.startswith(last)]

    return complete


def _groups() -> dict[str, list[str]]:
    """Several designs by one name: what they are measured by comes first."""
    return {"next": ["v6.10", "hardened", *(row.name for row in designs() if row.name.startswith("next-"))]}


def design_names() -> list[str]:
    """For shells."""
    return [row.name for row in designs()]


def design_and_group_names() -> list[str]:
    """For shells, where several may be given."""
    return [*design_names(), *_groups()]


def scenario_names() -> list[str]:
    """For shells."""
    return [one.name for one in scenarios()]


def machine_names() -> list[str]:
    """For shells."""
    return list(machines())


def kernel_names() -> list[str]:
    """For shells: each series, and the newest of its releases that is known."""
    return [name for one in kernels() for name in (one.name, one.newest) if name]


def listed(given: Sequence[str] | None) -> list[str]:
    """The names that an option was given, in order, each once. An empty one is among them, to be refused as unknown."""
    return list(dict.fromkeys(name.strip() for text in given or () for name in text.split(",")))


def listed_designs(given: Sequence[str] | None) -> list[str]:
    """The same of designs, of which a group is told by its name."""
    groups = _groups()
    return list(dict.fromkeys(name for one in listed(given) for name in groups.get(one, [one])))


DesignsOption = Annotated[
    list[str] | None,
    names_option(
        "design",
        "A design, see 'vgic designs', or next: that series, after v6.10 and hardened.",
        design_and_group_names,
    ),
]
JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON; - is standard output.")
]
#: What the two guests of a prediction are.
GUEST_HELP = (
    "fixed: LPIs are spread and taken. as-published: they stay masked on vCPU 0; each is an ioctl and there is no gap, "
    "unless --entry or --gap is given."
)
EntryOption = Annotated[
    str | None,
    typer.Option(
        metavar="ENTRY",
        help="How a send enters: irqfd, ioctl or direct (irqfd); or as no kernel has it: ioctl-many:N, a call for N "
        "MSIs at most (16), or ioctl-registered, without a reference on the file.",
        autocompletion=completed(lambda: ENTRIES),
    ),
]
FromOption = Annotated[
    float | None, typer.Option("--from", metavar="S", help="The recording from there on, in seconds of the file.")
]
ToOption = Annotated[float | None, typer.Option("--to", metavar="S", help="The recording to there, in seconds.")]
PhaseOption = Annotated[
    int | None, typer.Option(metavar="N", help="One phase of the recording, from 1: see 'vgic recording'.")
]
UnsoundOption = Annotated[
    bool,
    typer.Option("--allow-unsound", help="Also run designs with a known memory-safety defect (they may crash)."),
]
