"""The few statistics that results need: medians and quartiles, nothing parametric.

Samples of a shared machine are skewed (another tenant only ever makes them slower), so a mean and a standard deviation
would describe the neighbours. The spread is stated as quartiles of what was measured.
"""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Spread", "spread_of"]


class Spread(NamedTuple):
    """A median with its quartiles, in the unit of the samples."""

    median: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the interquartile range."""
        return (self.high - self.low) / 2


def spread_of(samples: Sequence[float]) -> Spread:
    """Median and quartiles (inclusive method: the samples are the population) of at least one sample."""
    if not samples:
        raise ValueError("no samples")
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0])
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Spread(median, low, high)
