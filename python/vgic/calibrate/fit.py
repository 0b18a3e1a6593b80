"""A fit: the few parameters of a machine with which predictions of one design come closest to measured rates.

What is made small is the sum of the squared logarithms of predicted over measured rate, a row with one sender counting
a quarter, and a weak pull towards the machine that the fit starts from: :data:`PULL` times the square of
ln(factor) / ln 3, for each parameter. The pull decides where the rates do not; a fit says for which parameters that is.
"""

import math
import random
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass

from vgic.arguments import whole
from vgic.calibrate.minimise import Found, Place, minimise
from vgic.calibrate.parameters import Free, changed, free_parameters
from vgic.calibrate.rates import RateRow, RatesError, RateTable
from vgic.machines import Machine
from vgic.measure.stats import Spread, spread_of
from vgic.predict.prediction import Prediction
from vgic.predict.sweep import Point, Progress, local_executor, predict_many

__all__ = ["Effort", "Fit", "FittedValue", "Residual", "fit_rates", "residuals"]

#: What one factor of three from the start costs.
PULL = 0.01
#: A parameter is moved by this factor to see whether the rates notice.
_NUDGE = 1.5
#: They do if the misfit rises by this: as two rows do that get 10 % worse.
_NOTICED = 2 * math.log(1.1) ** 2
#: Starts whose end is worse than the best by more than this have found another valley.
_SAME_VALLEY = 0.03
#: So far from the machine that is given do starts lie, as a factor.
_SPREAD_OF_STARTS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is simulated."""

    #: Searches from different starts, 1 to 100; the first start is the machine itself.
    starts: int = 4
    #: Most evaluations of a search.
    evaluations: int = 50
    #: Sends of a row while fitting, at most, and of the residuals at the end.
    sends: int = 3000
    final_sends: int = 20_000
    #: Seeds whose mean is taken: of a row with one sender, and of another.
    single_seeds: int = 3
    seeds: int = 1
    #: Of the starts, and the first of the simulations' seeds.
    seed: int = 1

    def __post_init__(self) -> None:
        """Check every field."""
        for name, low, high in (
            ("starts", 1, 100),
            ("evaluations", 5, 10_000),
            ("sends", 10, 10**9),
            ("final_sends", 10, 10**9),
            ("single_seeds", 1, 1000),
            ("seeds", 1, 1000),
            ("seed", 0, 2**63 - 1),
        ):
            whole(name.replace("_", "-"), getattr(self, name), low, high, error=RatesError)


@dataclass(frozen=True, slots=True)
class FittedValue:
    """A parameter, and how well the rates fix it."""

    free: Free
    #: On the value of the machine that the fit started from.
    factor: float
    #: Smallest and largest factor over the searches that ended equally well.
    low: float
    high: float
    #: How much the misfit rises at least if the factor is 1.5 times larger or smaller, without rows with one sender.
    rise: float

    @property
    def identified(self) -> bool:
        """Whether the rates fix it: they notice a change, and the searches agree."""
        return self.rise >= _NOTICED and self.high <= self.low * _NUDGE


@dataclass(frozen=True, slots=True)
class Residual:
    """A row after the fit."""

    row: RateRow
    #: Over the seeds.
    predicted: Spread
    #: The range, over the seeds and over other machines if there were any.
    low: float
    high: float
    predictions: tuple[Prediction, ...]

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted.median / self.row.rate


@dataclass(frozen=True, slots=True)
class Fit:
    """What a fit has found."""

    #: Fitted, with sources that say so.
    machine: Machine
    #: What it started from.
    base: Machine
    #: Machines that the rates do not tell from it: ends of other searches, or one parameter changed a lot.
    others: tuple[Machine, ...]
    table: RateTable
    values: tuple[FittedValue, ...]
    #: Sum of the squared logarithms, weighted, without the pull.
    misfit: float
    residuals: tuple[Residual, ...]
    #: Ends of the searches.
    found: tuple[Found, ...]
    evaluations: int


class _Objective:
    """Evaluates places: what all rows and seeds of all places need goes to the executor at once."""

    def __init__(
        self,
        machine: Machine,
        table: RateTable,
        free: Sequence[Free],
        effort: Effort,
        executor: Executor,
        progress: Progress | None,
    ) -> None:
        self.machine, self.table, self.free, self.effort = machine, table, free, effort
        self.executor, self.progress = executor, progress
        self.done = 0
        self.total = effort.starts * effort.evaluations + 2 * len(free) + 2
        self.best = math.inf

    def at(self, place: Place) -> Machine:
        factors = {free: math.exp(x) for free, x in zip(self.free, place, strict=True)}
        return changed(self.machine, factors)

    def misfits(self, places: Sequence[Place], *, steady: bool = False) -> list[float]:
        """Weighted sums of squared logarithms; ``steady``: without rows with one sender, if there are others."""
        rows = [row for row in self.table.rows if not row.single] if steady else []
        points, of = [], []
        for number, place in enumerate(places):
            machine = self.at(place)
            for row in rows or self.table.rows:
                workload = self.table.workload(row, self.effort.sends)
                seeds = self.effort.single_seeds if row.single else self.effort.seeds
                for seed in range(self.effort.seed, self.effort.seed + seeds):
                    points.append(Point(workload, self.table.design, machine, seed))
                    of.append((number, row))
        rates: dict[tuple[int, RateRow], list[float]] = {}
        for key, prediction in zip(of, predict_many(points, self.executor), strict=True):
            rates.setdefault(key, []).append(prediction.rate)
        sums = [0.0] * len(places)
        for (number, row), several in rates.items():
            sums[number] += row.weight * math.log(sum(several) / len(several) / row.rate) ** 2
        self.done += len(places)
        if self.progress is not None:
            self.best = min(self.best, *sums)
            self.progress(min(1.0, self.done / self.total), f"fitting, misfit {self.best:.3f}")
        return sums

    def values(self, places: Sequence[Place]) -> list[float]:
        """Misfits with the pull."""
        pulls = [PULL * sum((x / math.log(3)) ** 2 for x in place) for place in places]
        return [misfit + pull for misfit, pull in zip(self.misfits(places), pulls, strict=True)]


def fit_rates(
    table: RateTable,
    machine: Machine,
    free: Sequence[str] = (),
    *,
    effort: Effort | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Fit parameters of a machine to the rates of a table; the result is the same however many CPUs there are.

    ``free``: names, at most four; default distance, entry, world-switch and step. Raises
    :class:`vgic.calibrate.RatesError` if a name is unknown or the machine has too few cores for a row.
    """
    effort = effort or Effort()
    if table.cores > machine.cores:
        raise RatesError(f"{machine.name}: has {machine.cores} cores, and the largest row needs {table.cores}")
    chosen = free_parameters(machine, table, free)
    bounds = [(math.log(one.low), math.log(one.high)) for one in chosen]
    with local_executor() if executor is None else nullcontext(executor) as pool:
        objective = _Objective(machine, table, chosen, effort, pool, progress)
        found = minimise(objective.values, _starts(chosen, effort), bounds, most=effort.evaluations)
        best = min(found, key=lambda one: one.value)
        misfit = objective.misfits([best.place])[0]
        rises, unnoticed = _rises(objective, best.place, bounds)
        near = [one for one in found if one.value <= best.value + _SAME_VALLEY]
        places = dict.fromkeys([*(one.place for one in near), *unnoticed])
        others = tuple(objective.at(place) for place in places if place != best.place)
        values = tuple(
            FittedValue(
                one,
                math.exp(best.place[axis]),
                math.exp(min(other.place[axis] for other in near)),
                math.exp(max(other.place[axis] for other in near)),
                rises[axis],
            )
            for axis, one in enumerate(chosen)
        )
        fitted = _named(machine, table, values)
        rows = residuals(table, fitted, effort, executor=pool)
    return Fit(fitted, machine, others, table, values, misfit, rows, tuple(found), objective.done)


def _starts(free: Sequence[Free], effort: Effort) -> list[Place]:
    """The machine itself, and others at random around it."""
    chance = random.Random(effort.seed)
    most = math.log(_SPREAD_OF_STARTS)
    starts = [tuple(0.0 for _ in free)]
    while len(starts) < effort.starts:
        place = [chance.uniform(max(math.log(one.low), -most), min(math.log(one.high), most)) for one in free]
        starts.append(tuple(place))
    return starts


def _rises(
    objective: _Objective, best: Place, bounds: Sequence[tuple[float, float]]
) -> tuple[list[float], list[Place]]:
    """How much the misfit rises at least if one parameter is changed, and where it hardly does.

    Rows with one sender are left out: their rates jump, so that any change looks as if they noticed.
    """
    nudge = math.log(_NUDGE)
    nudged = []
    for axis, (low, high) in enumerate(bounds):
        for by in (-nudge, nudge):
            if low <= best[axis] + by <= high:
                nudged.append((axis, (*best[:axis], best[axis] + by, *best[axis + 1 :])))
    before, *misfits = objective.misfits([best, *(place for _, place in nudged)], steady=True)
    rises = [math.inf] * len(best)
    unnoticed = []
    for (axis, place), misfit in zip(nudged, misfits, strict=True):
        rises[axis] = min(rises[axis], misfit - before)
        if misfit - before < _NOTICED:
            unnoticed.append(place)
    return rises, unnoticed


def _named(machine: Machine, table: RateTable, values: Sequence[FittedValue]) -> Machine:
    """The machine with the fitted values, each with a source that says how it was found."""
    rows = ", ".join(row.name for row in table.rows)
    source = {}
    for one in values:
        well = "" if one.identified else "; these rates do not fix it, so it is mostly as before"
        before = machine.distance.source if not one.free.values else machine.values[one.free.values[0]].source
        source[one.free.name] = (
            f"fitted: {one.factor:.3g} times the value before, so that predictions of {table.design} come near "
            f"{table.title} (rows {rows}){well}; before: {before}"
        )
    fitted = changed(machine, {one.free: one.factor for one in values}, source)
    return fitted.renamed(f"{machine.name}-fitted", f"{machine.title}; fitted to {table.title}, {table.design}")


def residuals(
    table: RateTable,
    machine: Machine,
    effort: Effort | None = None,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> tuple[Residual, ...]:
    """Predict every row of a table, several seeds each."""
    effort = effort or Effort()
    points, of = [], []
    for row in table.rows:
        workload = table.workload(row, effort.final_sends)
        for seed in range(effort.seed, effort.seed + max(5 if row.single else 3, effort.seeds)):
            points.append(Point(workload, table.design, machine, seed))
            of.append(row)
    done: dict[RateRow, list[Prediction]] = {row: [] for row in table.rows}
    for row, prediction in zip(of, predict_many(points, executor, progress), strict=True):
        done[row].append(prediction)
    return tuple(residual_of(row, several) for row, several in done.items())


def residual_of(row: RateRow, several: Sequence[Prediction], others: Sequence[Prediction] = ()) -> Residual:
    """A row with its predictions; ``others`` count for its range only."""
    rates = [one.rate for one in several]
    every = [*rates, *(one.rate for one in others)]
    return Residual(row, spread_of(rates), min(every), max(every), tuple(several))
