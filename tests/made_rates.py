"""Rates that nobody measured, and predictions that no simulator makes: for tests of what is done with them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from vgic.calibrate import RateRow, RateTable
from vgic.predict import Point


def row(devices: int, rate: float = 1e6, vcpus: int = 2, events: int = 4, iterations: int = 1000) -> RateRow:
    return RateRow(vcpus=vcpus, devices=devices, events=events, iterations=iterations, rate=rate)


def table(*rows: RateRow, entry: str = "ioctl") -> RateTable:
    return RateTable("made", "made", "v6.10", entry, "as-published", rows)


@dataclass
class Predicted:
    point: Point
    rate: float
    window: dict[str, int]

    @property
    def workload(self) -> Any:
        return self.point.workload


class Simulated:
    """Takes the place of ``predict_many`` in a module. What was asked for is kept, one list a call."""

    rate: Callable[[Point], float]
    grace_periods: Callable[[Point], int]

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
        self.rate = lambda point: 1e6
        self.grace_periods = lambda point: 0
        self.calls: list[list[Point]] = []
        #: Of each call: the executor and the progress.
        self.handed: list[tuple[Any, Any]] = []
        monkeypatch.setattr(module, "predict_many", self.predict_many)

    @property
    def points(self) -> list[Point]:
        return [point for call in self.calls for point in call]

    def predict_many(self, points: Sequence[Point], executor: Any = None, progress: Any = None) -> list[Predicted]:
        self.calls.append(list(points))
        self.handed.append((executor, progress))
        return [Predicted(point, self.rate(point), {"grace_periods": self.grace_periods(point)}) for point in points]
