"""The Universal Scalability Law (N. J. Gunther): a curve of three parameters through rates at several sizes.

``X(N) = rate N / (1 + sigma (N - 1) + kappa N (N - 1))``. ``sigma`` stands for what is done one after the other,
``kappa`` for what everybody has to agree on with everybody. The parameters sum up a curve, so that two can be compared.
A fit explains nothing: other causes make the same curve, and beyond the sizes that were measured it is a guess.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Usl", "fit_usl"]

_STEPS = 200


@dataclass(frozen=True, slots=True)
class Usl:
    """A fit of the law."""

    #: Rate of one (lambda), in the unit of the rates.
    rate: float
    #: Contention, at least 0.
    sigma: float
    #: Crosstalk, at least 0.
    kappa: float
    #: Share of the variance that the curve accounts for: 1 is all, and below 0 it is worse than a constant.
    r2: float

    def at(self, size: float) -> float:
        """The curve's rate at a size."""
        return self.rate * _share(size, self.sigma, self.kappa)

    @property
    def peak(self) -> float | None:
        """The size at which the curve is highest, at least 1; None if it only rises."""
        if self.kappa > 0:
            return math.sqrt(max((1 - self.sigma) / self.kappa, 1.0))
        return None if self.sigma < 1 else 1.0

    def to_dict(self) -> dict[str, Any]:
        """As written into a result file."""
        return {"lambda": self.rate, "sigma": self.sigma, "kappa": self.kappa, "r2": self.r2, "peak": self.peak}


def _share(size: float, sigma: float, kappa: float) -> float:
    return size / (1 + sigma * (size - 1) + kappa * size * (size - 1))


def fit_usl(sizes: Sequence[float], rates: Sequence[float]) -> Usl | None:
    """Fit the law to ``rates`` at ``sizes`` (1 or more each), by least squares.

    None if that has no answer: fewer than three sizes, a rate that is not above 0, or rates that are all the same.
    """
    pairs = sorted(zip(sizes, rates, strict=True))
    if len({size for size, _ in pairs}) < 3 or any(
        not (size >= 1 and rate > 0 and math.isfinite(size) and math.isfinite(rate)) for size, rate in pairs
    ):
        return None
    top = max(rate for _, rate in pairs)
    points = [(size, rate / top) for size, rate in pairs]
    if min(rate for _, rate in points) < 1e-12:  # Lost beside the largest.
        return None
    mean = math.fsum(rate for _, rate in points) / len(points)
    variance = math.fsum((rate - mean) ** 2 for _, rate in points)
    if variance < 1e-18 * len(points):
        return None
    starts = [_linearised(points), (points[0][1] / points[0][0], 0.0, 0.0), (points[0][1] / points[0][0], 0.5, 0.01)]
    best = min((_descend(points, start) for start in starts), key=lambda found: _error(points, found))
    return Usl(best[0] * top, best[1], best[2], 1 - _error(points, best) / variance)


Vector = tuple[float, float, float]
Points = Sequence[tuple[float, float]]


def _error(points: Points, at: Vector) -> float:
    return math.fsum((rate - at[0] * _share(size, at[1], at[2])) ** 2 for size, rate in points)


def _linearised(points: Points) -> Vector:
    """``N / X = a + b (N - 1) + c N (N - 1)`` has a closed solution, though with other weights."""
    matrix, right = [[0.0] * 3 for _ in range(3)], [0.0] * 3
    for size, rate in points:
        row = (1.0, size - 1, size * (size - 1))
        weight = (rate / size) ** 2  # relative errors count alike
        for a in range(3):
            right[a] += weight * row[a] * size / rate
            for b in range(3):
                matrix[a][b] += weight * row[a] * row[b]
    solved = _solve(matrix, right)
    if solved is None or solved[0] <= 0:
        return points[0][1] / points[0][0], 0.1, 0.001
    return 1 / solved[0], max(0.0, solved[1] / solved[0]), max(0.0, solved[2] / solved[0])


def _descend(points: Points, at: Vector) -> Vector:
    """Levenberg and Marquardt's way down; sigma and kappa stop at 0."""
    error, damping = _error(points, at), 1e-3
    for _ in range(_STEPS):
        normal, gradient = [[0.0] * 3 for _ in range(3)], [0.0] * 3
        for size, rate in points:
            share = _share(size, at[1], at[2])
            bend = -at[0] * share * share / size
            row = (share, bend * (size - 1), bend * size * (size - 1))
            for a in range(3):
                gradient[a] += row[a] * (rate - at[0] * share)
                for b in range(3):
                    normal[a][b] += row[a] * row[b]
        held = [a for a in (1, 2) if at[a] == 0 and gradient[a] <= 0]  # only below 0 would it be better
        for a in held:
            gradient[a] = 0.0
            for b in range(3):
                normal[a][b] = normal[b][a] = float(a == b)
        before = error
        while damping < 1e12:
            damped = [[normal[a][b] * (1 + damping if a == b else 1) for b in range(3)] for a in range(3)]
            step = _solve(damped, gradient)
            if step is not None:
                there = (at[0] + step[0], max(0.0, at[1] + step[1]), max(0.0, at[2] + step[2]))
                found = _error(points, there)
                if there[0] > 0 and found < error:
                    at, error, damping = there, found, max(damping / 10, 1e-12)
                    break
            damping *= 10
        if before - error <= 1e-15 * before:
            break
    return at


def _solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float] | None:
    """Gauss's elimination, with scaled columns; None if there is no one solution."""
    scale = [math.sqrt(matrix[a][a]) for a in range(3)]
    if min(scale) <= 0 or not all(map(math.isfinite, scale)):
        return None
    rows = [[matrix[a][b] / scale[a] / scale[b] for b in range(3)] + [right[a] / scale[a]] for a in range(3)]
    for a in range(3):
        best = max(range(a, 3), key=lambda b: abs(rows[b][a]))
        if abs(rows[best][a]) < 1e-14:
            return None
        rows[a], rows[best] = rows[best], rows[a]
        for b in range(3):
            if b != a:
                factor = rows[b][a] / rows[a][a]
                rows[b] = [x - factor * y for x, y in zip(rows[b], rows[a], strict=True)]
    return [rows[a][3] / rows[a][a] / scale[a] for a in range(3)]
