"""Which values of a machine an answer hangs on: those that much of the simulated time was charged to.

Each step of the simulator charges its time to the value that says how long it takes. A value that a percent of the time
hangs on moves the answer by up to as much when it is a few times larger or smaller; one that was never charged moves
nothing, however it was found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vgic.machines import PARAMETERS, Machine
from vgic.machines.checks import checks_text
from vgic.machines.values import STATUSES, TIMES

__all__ = ["LEAST_SHARE", "Reliance", "reliance", "trust_text"]

#: An answer hangs on values that at least this share of the charged time was charged to.
LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Reliance:
    """A value that an answer hangs on."""

    #: ``distance``, or the name of a parameter.
    name: str
    #: What it rests on (:data:`vgic.machines.STATUSES`).
    status: str
    #: Of the time that was charged to anything, 0 to 1. The shares of ratios and choices are also in those of the times
    #: that they change.
    share: float


def _is_time(name: str) -> bool:
    return name not in PARAMETERS or PARAMETERS[name].unit in TIMES


def reliance(machine: Machine, charged: Sequence[Mapping[str, float]]) -> list[Reliance]:
    """The values that runs on a machine hang on, the largest share first, from their :attr:`Prediction.charged`.

    A share is the mean over the runs.
    """
    sums: dict[str, float] = {}
    for run in charged:
        whole = sum(seconds for name, seconds in run.items() if _is_time(name))
        for name, seconds in run.items():
            # What all waiters of a lock wait for its holder's time is many times that time.
            share = min(1.0, seconds / whole) if whole else 0.0
            sums[name] = sums.get(name, 0.0) + share / len(charged)
    found = [
        Reliance(name, machine.distance.status if name == "distance" else machine.values[name].status, share)
        for name, share in sums.items()
        if share >= LEAST_SHARE
    ]
    return sorted(found, key=lambda one: (-one.share, one.name))


def trust_text(machine: Machine, charged: Sequence[Mapping[str, float]]) -> str:
    """What an answer rests on, and what the machine's predictions were checked against, in two sentences."""
    found = reliance(machine, charged)
    kinds = []
    for status, words in STATUSES.items():
        several = [one for one in found if one.status == status]
        if several:
            share = sum(one.share for one in several if _is_time(one.name))
            kinds.append(f"{len(several)} {words}" + (f" ({share:.0%} of the time)" if share else ""))
    checked = checks_text([check.to_dict() for check in machine.checks])
    return (
        f"Of its {len(PARAMETERS) + 1} values the answer hangs on {len(found)}: {', '.join(kinds)}. "
        f"{checked[0].upper()}{checked[1:]}."
    )
