"""What a fit makes small, without the simulator: weights of rows, the pull, seeds, bounds, and what is called fixed."""

import math
from dataclasses import dataclass, replace

import pytest

import vgic.calibrate.fit as fitting
from vgic.calibrate import Effort, Free, RateRow, RatesError, RateTable, fit_rates, free_parameters
from vgic.calibrate.fit import FittedValue
from vgic.machines import machine

BASE = machine("generic-arm64-16")


def row(devices, rate=1e6, vcpus=2, events=4):
    return RateRow(vcpus=vcpus, devices=devices, events=events, iterations=1000, rate=rate)


def table(*rows):
    return RateTable("made", "made", "v6.10", "ioctl", "as-published", rows)


@dataclass
class Predicted:
    rate: float


@pytest.fixture
def simulated(monkeypatch):
    """Predictions are ``simulated.rate(point)``; every point that was asked for is in ``points``."""

    class Simulated:
        def __init__(self):
            self.points = []
            self.rate = lambda point: 1e6

        def predict_many(self, points, executor=None, progress=None):
            self.points.extend(points)
            return [Predicted(self.rate(point)) for point in points]

    simulated = Simulated()
    monkeypatch.setattr(fitting, "predict_many", simulated.predict_many)
    return simulated


def objective(rows, names=("step",), **effort):
    made = table(*rows)
    return fitting._Objective(BASE, made, free_parameters(BASE, made, names), Effort(**effort), None, None)


def test_a_misfit_is_the_sum_of_squared_logarithms_and_a_single_sender_counts_a_quarter(simulated):
    simulated.rate = lambda point: {1: 2e6, 2: 3e6, 4: 0.5e6}[point.workload.devices]
    two, four, one = (math.log(factor) ** 2 for factor in (3, 0.5, 2))
    assert objective([row(2)]).misfits([(0.0,)]) == pytest.approx([two])
    assert objective([row(2), row(4)]).misfits([(0.0,)]) == pytest.approx([two + four])
    assert objective([row(1)]).misfits([(0.0,)]) == pytest.approx([one / 4])
    assert objective([row(2), row(1), row(4)]).misfits([(0.0,)]) == pytest.approx([two + one / 4 + four])


def test_each_place_has_its_own_misfit(simulated):
    simulated.rate = lambda point: 1e6 * point.machine.number("step") / BASE.number("step")
    places = [(0.0,), (math.log(2),), (-math.log(3),)]
    assert objective([row(2), row(4)]).misfits(places) == pytest.approx([0, 2 * math.log(2) ** 2, 2 * math.log(3) ** 2])


def test_the_mean_over_the_seeds_is_compared_and_a_single_sender_has_more_of_them(simulated):
    simulated.rate = lambda point: 1e6 * (1 + point.seed)
    several = objective([row(1), row(2)], seed=5, seeds=2, single_seeds=4)
    [misfit] = several.misfits([(0.0,)])
    assert sorted((point.workload.devices, point.seed) for point in simulated.points) == [
        *((1, seed) for seed in (5, 6, 7, 8)),
        *((2, seed) for seed in (5, 6)),
    ]
    assert misfit == pytest.approx(math.log(7.5) ** 2 / 4 + math.log(6.5) ** 2)


def test_rows_with_one_sender_are_left_out_of_a_steady_misfit_unless_there_are_no_others(simulated):
    simulated.rate = lambda point: {1: 2e6, 2: 3e6}[point.workload.devices]
    assert objective([row(1), row(2)]).misfits([(0.0,)], steady=True) == pytest.approx([math.log(3) ** 2])
    assert objective([row(1)]).misfits([(0.0,)], steady=True) == pytest.approx([math.log(2) ** 2 / 4])


def test_the_pull_is_a_hundredth_for_a_factor_of_three_and_grows_with_the_square(simulated):
    pulled = objective([row(2)], ("step", "kmalloc"))
    third = math.log(3)
    places = [(0.0, 0.0), (third, 0.0), (0.0, -third), (2 * third, third)]
    assert pulled.misfits(places) == pytest.approx([0, 0, 0, 0], abs=1e-12)
    assert pulled.values(places) == pytest.approx([0, 0.01, 0.01, 0.05])


def test_where_the_rates_decide_nothing_the_pull_brings_a_fit_back_to_its_start(simulated):
    fit = fit_rates(
        table(row(2)), BASE, ["kmalloc", "kfree"], effort=Effort(starts=3, evaluations=60), executor=object()
    )
    assert [value.factor for value in fit.values] == pytest.approx([1, 1], abs=0.05)
    assert not any(value.identified for value in fit.values)


def test_the_pull_does_not_keep_a_fit_from_what_the_rates_say(simulated):
    simulated.rate = lambda point: 1e6 * point.machine.number("step") / BASE.number("step")
    fit = fit_rates(table(row(2, 2e6)), BASE, ["step"], effort=Effort(starts=2), executor=object())
    [value] = fit.values
    assert value.factor == pytest.approx(2, rel=0.02)
    assert value.identified
    assert fit.misfit == pytest.approx(math.log(value.factor / 2) ** 2)
    # One edge of what a nudge of 1.5 costs, from where the search has ended.
    assert value.rise == pytest.approx(math.log(1.5) ** 2, rel=0.1)


def test_the_search_that_ended_lowest_is_taken_and_another_valley_does_not_count(simulated):
    def rate(point):
        x = math.log(point.machine.number("step") / BASE.number("step"))
        return 1e6 * math.exp(min(abs(x - 1) + 0.1, abs(x + 1) + 0.5))

    simulated.rate = rate
    fit = fit_rates(table(row(2)), BASE, ["step"], effort=Effort(starts=12), executor=object())
    [value] = fit.values
    ends = [math.exp(one.place[0]) for one in fit.found]
    assert any(end == pytest.approx(math.exp(-1), rel=0.1) for end in ends)
    assert value.factor == pytest.approx(math.e, rel=0.05)
    assert (value.low, value.high) == (pytest.approx(math.e, rel=0.1), pytest.approx(math.e, rel=0.1))
    assert value.identified


# Bounds.


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("distance", 0.25, 4.0),
        ("entry", 30, 3000),
        ("world-switch", 200, 10_000),
        ("step", 0.1, 10),
        ("kfree", 0.1, 10),
    ],
)
def test_a_parameter_stays_within_its_range(simulated, name, low, high):
    """In nanoseconds, but those of the distance and of parameters without a range of their own are factors."""
    made = table(row(2))
    [free] = free_parameters(BASE, made, [name])
    now = 1 if name in ("distance", "kfree") else sum(BASE.number(value) for value in free.values)
    assert (free.low * now, free.high * now) == pytest.approx((low, high))
    for wanted in (free.low, free.high):
        # The farther, the better: the search ends at the bound, and never asks beyond it.
        sign = 1 if wanted == free.high else -1
        where = free.values[0] if free.values else None

        def factor(point, where=where):
            if where is None:
                return point.machine.pair_statistics().median / BASE.pair_statistics().median
            return point.machine.number(where) / BASE.number(where)

        simulated.points.clear()
        simulated.rate = lambda point, sign=sign, factor=factor: 1e6 * factor(point) ** sign
        fit = fit_rates(table(row(2, 1e12)), BASE, [name], effort=Effort(starts=3), executor=object())
        assert fit.values[0].factor == pytest.approx(wanted, rel=0.01)
        factors = [factor(point) for point in simulated.points]
        assert min(factors) >= free.low * (1 - 1e-9)
        assert max(factors) <= free.high * (1 + 1e-9)


def test_whichever_ioctl_it_is_its_entry_is_the_system_call():
    for entry, value in (("ioctl", "syscall"), ("ioctl-many:4", "syscall"), ("irqfd", "irqfd")):
        [one] = free_parameters(BASE, replace(table(row(2)), entry=entry), ["entry"])
        assert one.values == (value,)
    with pytest.raises(RatesError, match="unknown parameter 'entry'"):
        free_parameters(BASE, replace(table(row(2)), entry="direct"), ["entry"])


def test_a_machine_beyond_a_range_may_stay_where_it_is():
    made = table(row(2))
    slow, fast = BASE.with_values(syscall=6000), BASE.with_values(syscall=10)
    [one] = free_parameters(slow, made, ["entry"])
    assert (one.low, one.high) == pytest.approx((0.005, 1.0))
    [one] = free_parameters(fast, made, ["entry"])
    assert (one.low, one.high) == pytest.approx((1.0, 300.0))


def test_starts_are_the_machine_itself_and_others_at_most_four_times_away():
    narrow, wide = Free("a", "", (), 0.5, 2.0), Free("b", "", (), 0.001, 1000.0)
    first, *others = fitting._starts([narrow, wide], Effort(starts=100))
    assert first == (0.0, 0.0)
    assert len(others) == 99
    for place, most in ((0, 2.0), (1, 4.0)):
        factors = [math.exp(start[place]) for start in others]
        assert 1 / most <= min(factors) < 1.2 / most
        assert most / 1.2 < max(factors) <= most


def test_a_nudge_beyond_a_bound_is_not_taken_for_one_that_was_noticed():
    class Flat:
        asked = ()

        def misfits(self, places, *, steady):
            assert steady
            self.asked = places
            return [sum(place) ** 2 for place in places]

    nudge, flat = math.log(1.5), Flat()
    rises, unnoticed = fitting._rises(flat, (0.0, 0.0), [(-nudge / 2, 1.0), (-0.1, 0.1)])
    assert flat.asked == [(0.0, 0.0), (nudge, 0.0)]
    assert rises == [pytest.approx(nudge**2), math.inf]
    assert unnoticed == []


def test_a_parameter_is_fixed_if_the_rates_notice_and_the_searches_agree():
    free = free_parameters(BASE, table(row(2)), ["step"])[0]
    noticed = 2 * math.log(1.1) ** 2
    assert FittedValue(free, 1.0, 1.0, 1.5, noticed).identified
    assert not FittedValue(free, 1.0, 1.0, 1.5, noticed * 0.999).identified
    assert not FittedValue(free, 1.0, 1.0, 1.501, noticed).identified
