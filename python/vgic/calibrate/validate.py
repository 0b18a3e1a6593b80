"""A check of a fitted machine: the same rows with another design, beside what was published of it."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from vgic.arguments import real, whole
from vgic.calibrate.fit import Residual, residual_of
from vgic.calibrate.rates import RateRow, RatesError, RateTable, published_rate
from vgic.machines import Machine
from vgic.predict.prediction import Prediction
from vgic.predict.sweep import Point, Progress, predict_many

__all__ = ["GRACE_PERIODS_MS", "PredictedRow", "predict_rows"]

#: Mean grace periods that rows which wait for them are predicted with, in ms.
GRACE_PERIODS_MS = (6.7, 13.0, 20.0)
#: A grace period takes between these shares of the mean.
_SHORTEST, _LONGEST = 0.75, 1.25
#: Sends that show whether a row waits for grace periods, and that others are predicted with.
_SENDS = 20_000


@dataclass(frozen=True, slots=True)
class PredictedRow:
    """A row with a design, over the seeds."""

    design: str
    row: RateRow
    #: The mean grace period in ms; None if the row does not wait for any.
    grace_period_ms: float | None
    result: Residual
    #: What was published of this design in this row; None if nothing was.
    published: float | None
    #: Sends of each run are fewer than the row had.
    capped: bool

    @property
    def ratio(self) -> float | None:
        """Predicted over published."""
        return None if self.published is None else self.result.predicted.median / self.published

    @property
    def grace_periods(self) -> float:
        """Waited for in a run, on average."""
        runs = self.result.predictions
        return sum(run.window["grace_periods"] for run in runs) / len(runs)

    @property
    def inside(self) -> bool:
        """Whether the published rate lies in the range."""
        return self.published is not None and self.result.low <= self.published <= self.result.high


def predict_rows(
    table: RateTable,
    machine: Machine,
    design: str,
    *,
    seeds: int = 5,
    seed: int = 1,
    grace_periods_ms: Sequence[float] = GRACE_PERIODS_MS,
    cap: int | None = 50_000,
    others: Sequence[Machine] = (),
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> list[PredictedRow]:
    """Predict the rows of a table with a design.

    Rows that wait for grace periods are run cold and with as many sends as they had, or at most ``cap`` of them (None:
    no limit), once for each mean grace period: what such a row costs at its beginning is part of its rate.

    ``others``: machines that rates do not tell from this one (:attr:`Fit.others`); they widen the range of rows that do
    not wait.
    """
    whole("seeds", seeds, 1, 1000, error=RatesError)
    whole("seed", seed, 0, 2**63 - 1, error=RatesError)
    if cap is not None:
        whole("cap", cap, 1, 10**9, error=RatesError)
    for mean in grace_periods_ms:
        real("grace period", mean, 0, 1000, above=True, unit=" ms", error=RatesError)
    range_of_seeds = range(seed, seed + seeds)

    def share(begin: float, part: float) -> Progress | None:
        if progress is None:
            return None
        return lambda done, text: progress(begin + done * part, text)

    short = [
        Point(table.workload(row, _SENDS), design, machine, number) for row in table.rows for number in range_of_seeds
    ]
    short += [Point(table.workload(row, _SENDS), design, other, seed) for row in table.rows for other in others]
    first = predict_many(short, executor, share(0.0, 0.5))
    elsewhere = first[len(table.rows) * seeds :]
    beside: dict[RateRow, list[Prediction]] = {}
    rows: dict[tuple[RateRow, float | None], list[Prediction]] = {}
    points, keys = [], []
    for at, row in enumerate(table.rows):
        several = first[at * seeds : (at + 1) * seeds]
        if not any(run.window["grace_periods"] for run in several) or not grace_periods_ms:
            rows[row, None] = several
            beside[row] = elsewhere[at * len(others) : (at + 1) * len(others)]
            continue
        for mean in grace_periods_ms:
            slow = machine.with_values(
                grace_period_min=mean * _SHORTEST, grace_period_max=mean * _LONGEST, source=f"given: {mean:g} ms"
            )
            workload = table.workload(row, cap, warmup=0)
            points += [Point(workload, design, slow, number) for number in range_of_seeds]
            keys += [(row, mean)] * seeds
    for key, run in zip(keys, predict_many(points, executor, share(0.5, 0.5)) if points else [], strict=True):
        rows.setdefault(key, []).append(run)
    order = {row: number for number, row in enumerate(table.rows)}
    return [
        PredictedRow(
            design,
            row,
            mean,
            residual_of(row, runs, beside.get(row, ())),
            published_rate(table, row, design),
            mean is not None and runs[0].workload.rounds < row.iterations,
        )
        for (row, mean), runs in sorted(rows.items(), key=lambda item: (order[item[0][0]], item[0][1] or 0.0))
    ]
