"""Sweeps over cores: how the rate of each design grows with the machine, or does not.

Of N cores, one half runs vCPUs and the other half sends, each core one thread: N / 2 *pairs*. One core would be half a
pair, so N = 1 stands for one vCPU and one sender on two cores, and is the same run as N = 2. So sweeps begin at 2.
"""

import csv
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vgic.arguments import whole
from vgic.errors import Interrupted, WorkloadError
from vgic.machines import MAX_CORES, Machine
from vgic.machines import machine as find_machine
from vgic.measure.results import Result, ResultFile
from vgic.measure.stats import spread_of
from vgic.predict.prediction import (
    GICV4,
    PredictedWorkload,
    Prediction,
    check_predicted,
    prediction_file,
    prediction_result,
)
from vgic.predict.sweep import Point, Progress, predict_many
from vgic.predict.usl import Usl, fit_usl

__all__ = [
    "SCALED_DESIGNS",
    "SCALED_MACHINE",
    "USL_WARNING",
    "ScalePoint",
    "ScaleResult",
    "cores_of",
    "every_doubling",
    "scale",
]

#: What :func:`scale` compares unless told otherwise; the bound is always there.
SCALED_DESIGNS = ("v6.8-rc1", "v6.9", "v6.10", "v7.3", GICV4)
#: On which machine, unless told otherwise.
SCALED_MACHINE = "generic-arm64-128"
#: What has to be said with every fit.
USL_WARNING = (
    "A fit explains nothing: it sums up a curve in three numbers. What stalls, the other columns say; beyond the cores "
    "that were simulated it is a guess."
)

#: Where a sender waits for others, besides locks.
_STALLS = ("transfers", "queueing", "grace periods")


@dataclass(frozen=True, slots=True)
class ScalePoint:
    """One design on so many cores."""

    design: str
    #: As asked for, 1 to 1024.
    cores: int
    #: vCPUs, and as many senders.
    pairs: int
    #: Over all seeds; :attr:`vgic.Result.prediction` has where the time went.
    result: Result
    #: The rate at the fewest cores, times how many more pairs there are: will-it-scale's *linear*.
    ideal: float
    #: Share of the senders' time in which they wait for others, 0 to 1: transfers of lines, queueing for them, locks,
    #: grace periods.
    stalled: float

    @property
    def rate(self) -> float:
        """LPIs accepted a second of virtual time, coalesced ones included."""
        return self.result.rate

    @property
    def delivered(self) -> float:
        """LPIs that the guest took a second of virtual time."""
        return float(self._extra["delivered_rate"])

    @property
    def latency(self) -> float | None:
        """Median time from a send to its delivery, in seconds; None if nothing was delivered."""
        return float(self._extra["latency"]["median_seconds"]) if self.delivered else None

    @property
    def latency_p99(self) -> float | None:
        """99th percentile of that."""
        return float(self._extra["latency"]["p99_seconds"]) if self.delivered else None

    @property
    def _extra(self) -> dict[str, Any]:
        assert self.result.prediction is not None
        return self.result.prediction

    def to_dict(self) -> dict[str, Any]:
        """A row of the CSV."""
        return {
            "design": self.design,
            "cores": self.cores,
            "vcpus": self.pairs,
            "senders": self.pairs,
            "rate": self.rate,
            "rate_low": self.result.rate_low,
            "rate_high": self.result.rate_high,
            "linear": self.ideal,
            "delivered": self.delivered,
            "stalled": self.stalled,
            "latency_median": self.latency,
            "latency_p99": self.latency_p99,
        }


@dataclass(frozen=True, slots=True)
class ScaleResult:
    """A sweep: every design on every number of cores."""

    machine: Machine
    #: What ran, without its vCPUs and devices: these follow from the cores.
    workload: PredictedWorkload
    designs: tuple[str, ...]
    #: Rising.
    cores: tuple[int, ...]
    seeds: tuple[int, ...]
    #: Design by design, in the order of the cores.
    points: tuple[ScalePoint, ...]
    #: The law over pairs, by design; None where it has no answer.
    fits: dict[str, Usl | None]
    #: What repeats it.
    command: str

    def of(self, design: str) -> tuple[ScalePoint, ...]:
        """The points of a design."""
        return tuple(point for point in self.points if point.design == design)

    def point(self, design: str, cores: int) -> ScalePoint:
        """One point. Raises ``KeyError``."""
        for point in self.points:
            if point.design == design and point.cores == cores:
                return point
        raise KeyError((design, cores))

    def peak(self, design: str) -> float | None:
        """The cores at which the fit is highest; None if there is no fit, or if that is beyond the sweep."""
        fit = self.fits[design]
        if fit is None or fit.peak is None or 2 * fit.peak > self.cores[-1]:
            return None
        return 2 * fit.peak

    @property
    def starved(self) -> list[str]:
        """Designs whose guest gets next to nothing somewhere, though it would take it."""
        if self.workload.masked:
            return []
        return [name for name in self.designs if any(point.delivered < point.rate / 100 for point in self.of(name))]

    def to_csv(self) -> str:
        """A row a design and number of cores; rates a second, latencies in seconds, ``linear`` as in will-it-scale."""
        out = io.StringIO()
        rows = [point.to_dict() for point in self.points]
        writer = csv.DictWriter(out, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
        return out.getvalue()

    def to_file(self) -> ResultFile:
        """As a result file: a workload a number of cores, and the sweep in its ``method``."""
        workloads = [_on(self.workload, cores) for cores in self.cores]
        file = prediction_file([point.result for point in self.points], workloads[0], self.machine, self.command)
        return replace(
            file,
            workloads=[workload.to_dict() for workload in workloads],
            method={
                **file.method,
                "kind": "scale",
                "cores": list(self.cores),
                "points": [point.to_dict() for point in self.points],
                "usl": {design: fit and fit.to_dict() for design, fit in self.fits.items()},
                "usl_size": "pairs of a sender and a vCPU",
            },
        )


def pairs_of(cores: int) -> int:
    """vCPUs, and senders, on so many cores."""
    return max(1, cores // 2)


def cores_of(text: str) -> list[int]:
    """Numbers of cores from a text: ``2,4,6``, ``2..128`` (doubling, and the end), ``8..64..8`` (in steps)."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:\.\.(\d{1,9})(?:\.\.(\d{1,9}))?)?\s*", part, re.ASCII)
        if not match:
            raise WorkloadError(f"cores: {part.strip()[:40]!r} is not a number, FIRST..LAST or FIRST..LAST..STEP")
        first, last, step = (int(number) if number else None for number in match.groups())
        assert first is not None
        for number in (first, last if last is not None else first):
            if not 1 <= number <= MAX_CORES:
                raise WorkloadError(f"cores: {number} is out of range 1 to {MAX_CORES}")
        if last is None:
            found.add(first)
        elif last < first:
            raise WorkloadError(f"cores: {part.strip()} runs backwards")
        elif step is not None:
            if step < 1:
                raise WorkloadError(f"cores: {part.strip()} has no step")
            found.update(range(first, last + 1, step))
        else:
            while first < last:
                found.add(first)
                first *= 2
            found.add(last)
    return sorted(found)


def every_doubling(machine: Machine) -> list[int]:
    """The cores of a sweep unless told otherwise: from 2 on, doubling, and at the end all that the machine has."""
    last = machine.cores - machine.cores % 2
    if last < 2:
        raise WorkloadError(f"cores: a vCPU and a sender need two, but {machine.name} has {machine.cores}")
    return [*itertools.takewhile(lambda size: size < last, (2**n for n in itertools.count(1))), last]


def scale(
    designs: Sequence[str] = SCALED_DESIGNS,
    cores: Iterable[int] | None = None,
    *,
    machine: str | Path | Machine = SCALED_MACHINE,
    workload: PredictedWorkload | None = None,
    sends: int | None = None,
    seeds: Sequence[int] = (1,),
    executor: Executor | None = None,
    allow_unsound: bool = False,
    progress: Progress | None = None,
    command: str = "vgic.scale()",
) -> ScaleResult:
    """Predict every design on every number of cores; ``gicv4`` is always among them, as the bound.

    ``cores``: 1 or even numbers, up to the cores of the machine; None is :func:`every_doubling`. ``workload``: what
    runs, whatever vCPUs and devices it names; by default each device sends by irqfd once in 5 us, with ``gap_us=0`` as
    fast as it goes. ``sends``: in all at each point, at least a round; None is as the workload says. With several
    ``seeds`` rates are medians. ``executor`` and ``progress`` are those of :func:`vgic.predict_many`. Ctrl-C comes out
    as :class:`vgic.Interrupted` with the points that were finished.
    """
    names = check_predicted([*(name for name in designs if name != GICV4), GICV4], allow_unsound=allow_unsound)
    target = machine if isinstance(machine, Machine) else find_machine(machine)
    wanted = every_doubling(target) if cores is None else cores
    sizes = sorted({whole("cores", size, 1, MAX_CORES, error=WorkloadError) for size in wanted})
    chosen = list(dict.fromkeys(whole("seeds", seed, 0, 2**64 - 1, error=WorkloadError) for seed in seeds))
    template = workload or PredictedWorkload()
    if not sizes:
        raise WorkloadError("cores: none given")
    if not chosen:
        raise WorkloadError("seeds: none given")
    if sends is not None:
        whole("sends", sends, 1, 10**9, error=WorkloadError)
    for size in sizes:
        if size > 1 and size % 2:
            raise WorkloadError(f"cores: {size} is odd, but one half runs vCPUs and the other half sends")
        if 2 * pairs_of(size) > target.cores:
            raise WorkloadError(f"cores: {max(2, size)} are asked for, but {target.name} has {target.cores}")
    if sends is not None:
        if template.iterations is not None:
            raise WorkloadError("sends: the workload has iterations; give one of them")
        around = {size: pairs_of(size) * template.events for size in sizes}
        if sends < around[sizes[-1]]:
            raise WorkloadError(
                f"sends: {sends} are less than a round on {sizes[-1]} cores, {around[sizes[-1]]} "
                f"({pairs_of(sizes[-1])} devices, {template.events} events each)"
            )
        rounds = {size: round(sends / one) for size, one in around.items()}
    loads = {
        size: _on(template if sends is None else replace(template, iterations=rounds[size]), size) for size in sizes
    }
    # One core and two are the same run.
    runs = {(name, pairs_of(size), seed): loads[size] for name in names for size in sizes for seed in chosen}
    points = [
        Point(load, name, target, seed=seed, allow_unsound=allow_unsound) for (name, _, seed), load in runs.items()
    ]

    def rows_of(found: dict[tuple[str, int, int], Prediction]) -> list[ScalePoint]:
        """The points of which every run is there."""
        rows: list[ScalePoint] = []
        for name in names:
            first: tuple[float, int] | None = None
            for size in sizes:
                pairs = pairs_of(size)
                if any((name, pairs, seed) not in found for seed in chosen):
                    continue
                taken = [replace(found[name, pairs, seed], workload=loads[size]) for seed in chosen]
                result = prediction_result(taken)
                first = first or (result.rate, pairs)
                stalled = spread_of([_stalled(one) for one in taken]).median
                rows.append(ScalePoint(name, size, pairs, result, first[0] * pairs / first[1], stalled))
        return rows

    try:
        rows = rows_of(dict(zip(runs, predict_many(points, executor, progress), strict=True)))
    except Interrupted as stopped:
        finished = {(one.design, one.workload.vcpus, one.seed): found for one, found in stopped.finished}
        raise Interrupted(rows_of(finished)) from None
    fits = {}
    for name in names:
        curve = {row.pairs: row.rate for row in rows if row.design == name}
        fits[name] = fit_usl(list(curve), list(curve.values()))
    return ScaleResult(target, template, tuple(names), tuple(sizes), tuple(chosen), tuple(rows), fits, command)


def _on(workload: PredictedWorkload, cores: int) -> PredictedWorkload:
    """The workload on so many cores, named by them."""
    pairs = pairs_of(cores)
    label = f"{cores} core{'s' if cores > 1 else ''}"
    return replace(workload, vcpus=pairs, devices=pairs, label=label)


def _stalled(prediction: Prediction) -> float:
    """Share of the senders' time in which they wait for others."""
    waited = total = 0.0
    for kind in prediction.threads:
        if kind["kind"] == "sender":
            total += sum(kind["seconds"].values())
            waited += sum(
                seconds for name, seconds in kind["seconds"].items() if name in _STALLS or name.startswith("lock ")
            )
    return waited / total if total else 0.0
