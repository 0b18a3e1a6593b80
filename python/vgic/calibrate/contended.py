"""Contention curves that somebody measured: one counter, incremented by more and more threads in several ways.

They say nothing of LPIs, but whether the simulator's lines go from core to core as on a real machine. Two of the curves
fixed three values of ``graviton2``; the others are predicted blind.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from vgic import _core
from vgic.arguments import whole
from vgic.calibrate.rates import RatesError
from vgic.machines import Machine

__all__ = ["CONTENDED_MACHINE", "Curve", "contended_curves", "misfit", "predict_curve"]

#: Increments of each thread in a prediction.
_EACH = 300


@dataclass(frozen=True, slots=True)
class Curve:
    """One way to increment the counter."""

    #: ``add``, ``cas``, ``spin`` or ``ticket``.
    how: str
    #: What that is, in a few words.
    title: str
    #: Threads, 1 to 1024 each.
    threads: tuple[int, ...]
    #: Nanoseconds of the whole for an increment, as measured, for each number of threads.
    ns: tuple[float, ...]
    #: Values of the machine that were fitted to this curve; none if it is predicted blind.
    fitted: tuple[str, ...]


@cache
def _data() -> Mapping[str, Any]:
    return tomllib.loads((resources.files("vgic.calibrate") / "contended.toml").read_text(encoding="utf-8"))


#: The machine that the curves were measured on.
CONTENDED_MACHINE: str = _data()["machine"]


def contended_curves() -> tuple[Curve, ...]:
    """The curves that come with the package."""
    data = _data()
    threads = tuple(data["threads"])
    return tuple(
        Curve(one["how"], one["title"], threads, tuple(map(float, one["ns"])), tuple(one["fitted"]))
        for one in data["curve"]
    )


def predict_curve(machine: Machine, curve: Curve, *, each: int = _EACH) -> tuple[float, ...]:
    """Nanoseconds of the whole for an increment on the first cores of a machine, for each number of threads.

    ``each``: increments of a thread, 1 to 10,000. Raises :class:`vgic.calibrate.RatesError` if the machine has fewer
    cores than threads.
    """
    whole("each", each, 1, 10_000, error=RatesError)
    if max(curve.threads) > machine.cores:
        raise RatesError(
            f"{machine.name}: has {machine.cores} cores, and {curve.title} has {max(curve.threads)} threads"
        )
    core = machine.to_core()
    return tuple(_core.contended(core, curve.how, threads, each) for threads in curve.threads)


def misfit(machine: Machine, curve: Curve) -> float:
    """Sum of the squared logarithms of predicted over measured, without the one of a single thread."""
    rows = zip(curve.threads, curve.ns, predict_curve(machine, curve), strict=True)
    return sum(math.log(predicted / measured) ** 2 for threads, measured, predicted in rows if threads > 1)
