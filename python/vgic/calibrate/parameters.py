"""What a fit may change of a machine: a few parameters, each a factor on the machine that it starts from.

What a measurement stands for is not among them: it stays as it was measured.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vgic.calibrate.rates import RatesError, RateTable
from vgic.machines import PARAMETERS, Distance, Machine, Matrix, Value
from vgic.machines.values import hint

__all__ = ["MOST_FREE", "Free", "changed", "free_parameters", "measured_parameters", "scaled_distance"]

#: Most parameters that a fit may change: a table has about as many rows.
MOST_FREE = 4
#: A parameter without a range of its own may be so many times smaller or larger.
_RANGE = 10.0
#: Which fields of a distance are nanoseconds, by its kind; None is one that it does without.
_TIMES = {
    "classes": ("within_cluster", "within_socket", "across"),
    "mesh": ("same_crosspoint", "base", "hop", "across", "sibling"),
}


@dataclass(frozen=True, slots=True)
class Free:
    """A parameter that a fit may change."""

    #: As on the command line.
    name: str
    #: What it is, in a few words.
    text: str
    #: Values of the machine that it multiplies; empty for the distances.
    values: tuple[str, ...]
    #: Smallest and largest factor.
    low: float
    high: float

    def measured(self, machine: Machine) -> str:
        """Where it comes from if a measurement says it; empty if none does."""
        if not self.values:
            return machine.distance.source if machine.distance.verified else ""
        return next((value.source for name in self.values if (value := machine.values[name]).verified), "")

    def amount(self, machine: Machine, factor: float = 1.0) -> str:
        """What it is on a machine, in words; the distances as the median of all pairs."""
        if not self.values:
            median = machine.pair_statistics().median if machine.cores > 1 else math.nan
            return f"{median * factor:.3g} ns"
        return f"{sum(machine.number(name) for name in self.values) * factor:.3g} ns"


def _absolute(name: str, text: str, values: tuple[str, ...], low: float, high: float, machine: Machine) -> Free:
    """A parameter whose sum over ``values`` may be ``low`` to ``high`` nanoseconds."""
    now = sum(machine.number(value) for value in values)
    if now <= 0:
        raise RatesError(f"{name}: is 0 on {machine.name}, and no factor makes it larger")
    return Free(name, text, values, min(1.0, low / now), max(1.0, high / now))


def _known(machine: Machine, entry: str) -> dict[str, Free]:
    known = {"distance": Free("distance", "fetch of a line that another core has written", (), 0.25, 4.0)}
    entrance = "syscall" if entry.startswith("ioctl") else "irqfd" if entry == "irqfd" else None
    if entrance is not None:
        text = f"the {entry} of a send, beside the engine"
        known["entry"] = _absolute("entry", text, (entrance,), 30, 3000, machine)
    switch = ("world_switch_in", "world_switch_out")
    known["world-switch"] = _absolute("world-switch", "world switch, in and out", switch, 200, 10_000, machine)
    known["step"] = _absolute("step", "the engine's instructions between two accesses", ("step",), 0.1, 10, machine)
    return known


def free_parameters(machine: Machine, table: RateTable, names: Sequence[str] = ()) -> tuple[Free, ...]:
    """The parameters with these names; without names distance, entry, world switch and step, as far as not measured.

    Raises :class:`RatesError` if a name is unknown, or is one of what was measured.
    """
    known = _known(machine, table.entry)
    if not names:
        free = tuple(one for one in known.values() if not one.measured(machine))
        if not free:
            raise RatesError(f"{', '.join(known)}: all measured, so nothing is left to fit; name what may change")
        return free
    others = {name: PARAMETERS[name] for name in PARAMETERS if PARAMETERS[name].unit == "ns"}
    chosen = []
    for name in dict.fromkeys(names):
        if name in known:
            chosen.append(known[name])
        elif name in others:
            if machine.number(name) <= 0:
                raise RatesError(f"{name}: is 0 on {machine.name}, and no factor makes it larger")
            chosen.append(Free(name, others[name].text, (name,), 1 / _RANGE, _RANGE))
        else:
            raise RatesError(f"unknown parameter {name[:40]!r}: {hint(name, [*known, *others])}")
    for one in chosen:
        if source := one.measured(machine):
            raise RatesError(f"{one.name}: is measured ({source}), and a fit changes only what is not")
    if len(chosen) > MOST_FREE:
        raise RatesError(f"{len(chosen)} parameters are more than {MOST_FREE}: that many rates fix")
    return tuple(chosen)


def measured_parameters(machine: Machine, table: RateTable) -> dict[str, str]:
    """Those of distance, entry, world switch and step that a fit leaves alone as they were measured: name -> source."""
    return {name: source for name, one in _known(machine, table.entry).items() if (source := one.measured(machine))}


def scaled_distance(distance: Distance, factor: float, source: str) -> Distance:
    """Every distance times a factor."""
    if isinstance(distance, Matrix):
        cells = tuple(tuple(cell * factor for cell in row) for row in distance.cells)
        return replace(distance, cells=cells, source=source, status="fitted")
    given = {name: getattr(distance, name) for name in _TIMES[distance.kind]}
    times = {name: value * factor for name, value in given.items() if value is not None}
    return replace(distance, **times, source=source, status="fitted")


def changed(machine: Machine, factors: Mapping[Free, float], source: Mapping[str, str] | None = None) -> Machine:
    """The machine with each parameter times its factor; ``source`` says by name of the parameter how it was found."""
    values = dict(machine.values)
    distance = machine.distance
    for free, factor in factors.items():
        text = (source or {}).get(free.name, "being fitted")
        for name in free.values:
            number = float(PARAMETERS[name].check(machine.number(name) * factor))
            values[name] = Value(number, PARAMETERS[name].unit, text, "fitted")
        if not free.values:
            distance = scaled_distance(distance, factor, text)
    return replace(machine, values=values, distance=distance, checks=())
