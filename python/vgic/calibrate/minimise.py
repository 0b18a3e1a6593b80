"""The lowest point of a function that is costly, a little rough, and has no derivatives: Nelder and Mead's simplex.

A search is a generator: it yields the points that it wants the values of and is sent the values. So several searches
from different starts go on side by side, and whoever drives them evaluates what all of them ask for at once.
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

__all__ = ["Found", "minimise", "simplex_search"]

Place = tuple[float, ...]
#: Gives the values of several places, in their order.
Evaluate = Callable[[Sequence[Place]], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Found:
    """Where a search has ended."""

    place: Place
    value: float
    #: Places that it asked for.
    evaluations: int


def simplex_search(
    start: Place, bounds: Sequence[tuple[float, float]], *, step: float, most: int, tolerance: float
) -> Generator[list[Place], Sequence[float], Found]:
    """One search within ``bounds``, with a simplex of size ``step`` at first.

    It ends when the simplex is smaller than ``tolerance``, or after ``most`` evaluations or a few more.
    """

    def inside(place: Sequence[float]) -> Place:
        return tuple(min(max(x, low), high) for x, (low, high) in zip(place, bounds, strict=True))

    size = len(start)
    start = inside(start)
    corners = [start]
    for axis, (_, high) in enumerate(bounds):
        to = start[axis] + step if start[axis] + step <= high else start[axis] - step
        corners.append(inside([*start[:axis], to, *start[axis + 1 :]]))
    values = yield corners
    simplex = sorted(zip(values, corners, strict=True))
    count = len(corners)
    while count < most and max(math.dist(simplex[0][1], place) for _, place in simplex[1:]) > tolerance:
        worst_value, worst = simplex[-1]
        middle = [sum(place[axis] for _, place in simplex[:-1]) / size for axis in range(size)]

        def along(by: float, middle: Sequence[float] = middle, worst: Place = worst) -> Place:
            return inside([m + by * (m - w) for m, w in zip(middle, worst, strict=True)])

        reflected = along(1.0)
        value = (yield [reflected])[0]
        count += 1
        if value < simplex[0][0]:
            expanded = along(2.0)
            further = (yield [expanded])[0]
            count += 1
            simplex[-1] = min((value, reflected), (further, expanded))
        elif value < simplex[-2][0]:
            simplex[-1] = (value, reflected)
        else:
            nearer = along(0.5 if value < worst_value else -0.5)
            near = (yield [nearer])[0]
            count += 1
            if near < min(value, worst_value):
                simplex[-1] = (near, nearer)
            else:
                best = simplex[0][1]
                shrunk = [inside([(b + x) / 2 for b, x in zip(best, place, strict=True)]) for _, place in simplex[1:]]
                values = yield shrunk
                count += len(shrunk)
                simplex[1:] = list(zip(values, shrunk, strict=True))
        simplex.sort()
    return Found(simplex[0][1], simplex[0][0], count)


def minimise(
    evaluate: Evaluate,
    starts: Sequence[Place],
    bounds: Sequence[tuple[float, float]],
    *,
    step: float = 0.5,
    most: int = 80,
    tolerance: float = 0.02,
) -> list[Found]:
    """A search from each start, side by side; what each has found, in the order of the starts."""
    searches = [simplex_search(start, bounds, step=step, most=most, tolerance=tolerance) for start in starts]
    wanted = {number: next(search) for number, search in enumerate(searches)}
    found: dict[int, Found] = {}
    while wanted:
        values = iter(evaluate([place for places in wanted.values() for place in places]))
        asked, wanted = wanted, {}
        for number, places in asked.items():
            try:
                wanted[number] = searches[number].send([next(values) for _ in places])
            except StopIteration as stop:
                found[number] = stop.value
    return [found[number] for number in range(len(starts))]
