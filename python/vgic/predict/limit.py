"""Up to which load a design keeps up, and so from which load on another one matters: the knee, found by bisection.

The load is an open loop: each sender keeps a pace. A design *keeps up* if of what is sent at least :data:`KEEPS_UP` is
accepted and, unless the guest takes nothing, reaches it one by one, not coalesced. A flood shows how much the senders
can get rid of at most; that is halved until the design keeps up; then the last half is bisected, over the logarithm of
the rate.

A recorded guest is sped up instead, all of it. There a design keeps up if that share of the LPIs that the recorded
guest took reaches it, in its time.
"""

import math
from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vgic.arguments import real, whole
from vgic.errors import Interrupted, WorkloadError
from vgic.machines import Machine
from vgic.machines import machine as find_machine
from vgic.measure.results import Result
from vgic.predict.prediction import (
    DEFAULT_MACHINE,
    PREDICTED_DESIGNS,
    PredictedWorkload,
    Prediction,
    RecordedWorkload,
    check_cores,
    check_predicted,
    prediction_result,
)
from vgic.predict.sweep import Point, Progress, predict_in_turn, predict_many

__all__ = ["KEEPS_UP", "Limit", "find_limits"]

#: From this share of what is sent on, a design keeps up.
KEEPS_UP = 0.97
#: A design matters beside another if it keeps up to so many times its limit: less is within what the precision, a seed
#: or a value of the machine may move.
_MATTERS = 1.25

#: A load that has a pace.
Paced = PredictedWorkload | RecordedWorkload
#: A search for one design: gives loads to try, is sent what came of them, one a seed.
_Search = Generator[Paced, Sequence[Prediction], "Limit"]


@dataclass(frozen=True, slots=True)
class Limit:
    """Up to which load one design keeps up. Rates are LPIs a second of virtual time, over all senders."""

    design: str
    #: The highest rate tried that it keeps up with; None if it keeps up with none.
    rate: float | None
    #: The lowest rate tried that it does not keep up with; above :attr:`rate`, by at most the precision.
    beyond: float
    #: The load at :attr:`rate`, with its gap or scale, and what came of it: rates, latencies, where the time went.
    workload: Paced | None
    result: Result | None
    #: Loads tried.
    tried: int

    @property
    def latency(self) -> float | None:
        """Median time from a send to its delivery at :attr:`rate`, in seconds; None if nothing is delivered."""
        more = (self.result and self.result.prediction) or {}
        return float(more["latency"]["median_seconds"]) if more.get("delivered_rate") else None

    def matters_from(self, other: "Limit") -> float | None:
        """The load from which on this design keeps up and the ``other`` does not.

        None if this one's limit is not at least a quarter above that of the other.
        """
        if self.rate is None or self.rate < _MATTERS * (other.rate or other.beyond):
            return None
        return other.beyond

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "design": self.design,
            "rate": self.rate,
            "beyond": self.beyond,
            **_pace(self.workload),
            "latency_median": self.latency,
            "tried": self.tried,
        }


def find_limits(
    designs: Sequence[str] = PREDICTED_DESIGNS,
    machine: str | Path | Machine = DEFAULT_MACHINE,
    workload: Paced | None = None,
    *,
    precision: float = 0.05,
    seeds: Sequence[int] = (1,),
    executor: Executor | None = None,
    allow_unsound: bool = False,
    progress: Progress | None = None,
) -> list[Limit]:
    """Find up to which load each design keeps up, in the order of ``designs``.

    ``workload``: vCPUs, devices, events, how a send enters; or a recorded guest. Whatever gap or scale of time it has,
    each load tried has its own.
    ``precision``: how far :attr:`Limit.beyond` may be above :attr:`Limit.rate`, as a share, 0.001 to 1. With several
    ``seeds`` medians decide. ``executor`` and ``progress`` are those of :func:`vgic.predict_many`; without an executor
    this process computes. Deterministic: the same arguments try the same loads. That a design keeps up with every load
    below its limit is not tried.

    Ctrl-C comes out as :class:`vgic.Interrupted` with the limits that were found.
    """
    names = check_predicted(designs, allow_unsound=allow_unsound)
    target = machine if isinstance(machine, Machine) else find_machine(machine)
    load = workload or PredictedWorkload()
    check_cores(load, target)
    real("precision", precision, 0.001, 1, error=WorkloadError)
    chosen = list(dict.fromkeys(whole("seeds", seed, 0, 2**64 - 1, error=WorkloadError) for seed in seeds))
    if not chosen:
        raise WorkloadError("seeds: none given")
    searches = {name: _search(name, load, precision) for name in names}
    tries = {name: next(search) for name, search in searches.items()}
    found: dict[str, Limit] = {}
    meter = _Meter(len(names), precision, progress)
    while tries:
        points = [
            Point(one, name, target, seed=seed, allow_unsound=allow_unsound)
            for name, one in tries.items()
            for seed in chosen
        ]
        try:
            if executor is None:
                done = predict_in_turn(points, meter.within(len(points)))
            else:
                done = predict_many(points, executor, meter.within(len(points)))
        except Interrupted:
            raise Interrupted([found[name] for name in names if name in found]) from None
        meter.tried(len(tries))
        groups = [done[at : at + len(chosen)] for at in range(0, len(done), len(chosen))]
        for name, group in zip(list(tries), groups, strict=True):
            try:
                tries[name] = searches[name].send(group)
            except StopIteration as stop:
                del tries[name]
                found[name] = stop.value
                meter.ended(found[name].tried)
    return [found[name] for name in names]


def _pace(workload: Paced | None) -> dict[str, float | None]:
    if isinstance(workload, RecordedWorkload):
        return {"scale_time": workload.scale_time}
    return {"gap_us": None if workload is None else workload.gap_us}


def _search(design: str, load: Paced, precision: float) -> _Search:
    """Try loads until the limit is known to the precision."""
    flood = yield _paced(load, None)
    beyond = prediction_result(flood).rate
    tried = 1
    kept: tuple[Paced, Result] | None = None
    while kept is None or beyond > _offered(kept[0]) * (1 + precision):
        below = beyond / 2 if kept is None else math.sqrt(beyond * _offered(kept[0]))
        if kept is None and below < load.slowest:
            break
        paced = _paced(load, below)
        if kept is not None and not _offered(kept[0]) < _offered(paced) < beyond:
            break
        result = prediction_result((yield paced))
        tried += 1
        if keeps_up(result, paced):
            kept = paced, result
        else:
            beyond = _offered(paced)
    if kept is None:
        return Limit(design, None, beyond, None, None, tried)
    return Limit(design, _offered(kept[0]), beyond, *kept, tried)


def keeps_up(result: Result, load: Paced) -> bool:
    """Whether a design kept up with the pace of its senders."""
    more = result.prediction or {}
    arrived = result.rate if load.masked else min(result.rate, float(more["delivered_rate"]))
    expected = load.expected
    assert expected is not None
    return arrived >= KEEPS_UP * expected


def _paced(load: Paced, rate: float | None) -> Paced:
    """The load at about so many sends a second, by a gap or a scale that a command line can repeat; None: a flood."""
    if isinstance(load, RecordedWorkload):
        return replace(load, scale_time=0.0 if rate is None else float(f"{load.recorded / rate:.4g}"))
    return replace(load, gap_us=0.0 if rate is None else float(f"{load.devices * 1e6 / rate:.4g}"))


def _offered(load: Paced) -> float:
    assert load.offered is not None
    return load.offered


class _Meter:
    """The share done, by the loads that a search usually tries."""

    def __init__(self, designs: int, precision: float, progress: Progress | None) -> None:
        usual = 4 + max(0, math.ceil(math.log2(math.log(2) / math.log1p(precision))))
        self._usual = usual
        self._total = float(designs * usual)
        self._done = 0.0
        self._progress = progress

    def within(self, points: int) -> Progress | None:
        """What is told while so many points are predicted."""
        if self._progress is None:
            return None
        tell, before, left = self._progress, self._done, self._total - self._done
        step = min(left, float(points))

        def told(share: float, text: str) -> None:
            tell(min(0.99, (before + share * step) / self._total), text)

        return told

    def tried(self, loads: int) -> None:
        """So many loads more were tried."""
        self._done = min(self._done + loads, self._total)

    def ended(self, tried: int) -> None:
        """A search has ended, after so many loads."""
        self._total += min(0.0, tried - self._usual)
        self._total = max(self._total, self._done)
