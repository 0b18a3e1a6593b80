"""What a fit makes small, without the simulator: weights of rows, the pull, seeds, bounds, and what is called fixed."""

import math
from contextlib import contextmanager

import pytest

import vgic.calibrate.fit as fitting
from made_rates import Predicted, Simulated, row, table
from vgic.calibrate import Effort, Free, RatesError, fit_rates, free_parameters, residuals
from vgic.calibrate.fit import FittedValue, residual_of
from vgic.calibrate.minimise import Found
from vgic.machines import Value, machine
from vgic.measure.stats import Spread
from vgic.predict import Point

BASE = machine("generic-arm64-16")


@pytest.fixture
def simulated(monkeypatch):
    return Simulated(monkeypatch, fitting)


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

        simulated.calls.clear()
        simulated.rate = lambda point, sign=sign, factor=factor: 1e6 * factor(point) ** sign
        fit = fit_rates(table(row(2, 1e12)), BASE, [name], effort=Effort(starts=3), executor=object())
        assert fit.values[0].factor == pytest.approx(wanted, rel=0.01)
        factors = [factor(point) for point in simulated.points]
        assert min(factors) >= free.low * (1 - 1e-9)
        assert max(factors) <= free.high * (1 + 1e-9)


def test_starts_are_the_machine_itself_and_others_at_most_four_times_away():
    narrow, wide = Free("a", "", (), 0.5, 2.0), Free("b", "", (), 0.001, 1000.0)
    first, *others = fitting._starts([narrow, wide], Effort(starts=100))
    assert first == (0.0, 0.0)
    assert len(others) == 99
    assert fitting._starts([narrow, wide], Effort(starts=1)) == [(0.0, 0.0)]
    assert fitting._starts([narrow, wide], Effort(starts=3)) == [first, *others[:2]]
    assert others[0] not in fitting._starts([narrow, wide], Effort(starts=3, seed=2))
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


def test_a_nudge_to_a_bound_is_taken_and_the_smaller_rise_of_the_two_counts():
    nudge = math.log(1.5)
    noticed = 2 * math.log(1.1) ** 2
    misfits = {
        (0.0, 1.0): 0.0,
        (-nudge, 1.0): noticed,
        (nudge, 1.0): 1.0,
        (0.0, 1.0 + nudge): noticed / 2,
    }

    class Known:
        def misfits(self, places, *, steady):
            return [misfits[place] for place in places]

    rises, unnoticed = fitting._rises(Known(), (0.0, 1.0), [(-nudge, nudge), (0.9, 1.0 + nudge)])
    assert rises == [pytest.approx(noticed), pytest.approx(noticed / 2)]
    assert unnoticed == [(0.0, 1.0 + nudge)]
    misfits[-nudge, 1.0] = noticed * 0.999
    rises, unnoticed = fitting._rises(Known(), (0.0, 1.0), [(-nudge, nudge), (0.9, 1.0 + nudge)])
    assert unnoticed == [(-nudge, 1.0), (0.0, 1.0 + nudge)]


def test_a_parameter_is_fixed_if_the_rates_notice_and_the_searches_agree():
    free = free_parameters(BASE, table(row(2)), ["step"])[0]
    noticed = 2 * math.log(1.1) ** 2
    assert FittedValue(free, 1.0, 1.0, 1.5, noticed).identified
    assert not FittedValue(free, 1.0, 1.0, 1.5, noticed * 0.999).identified
    assert not FittedValue(free, 1.0, 1.0, 1.501, noticed).identified


def test_what_is_predicted_for_a_fit(simulated):
    objective([row(2), row(1, iterations=7)], sends=3000, single_seeds=1).misfits([(math.log(3),)])
    assert simulated.points == [
        Point(table().workload(row(2, iterations=375), None), "v6.10", simulated.points[0].machine, 1),
        Point(table().workload(row(1, iterations=7), None), "v6.10", simulated.points[0].machine, 1),
    ]
    assert simulated.points[0].machine.number("step") == pytest.approx(3 * BASE.number("step"))


def test_the_smallest_misfit_as_yet_is_told(simulated):
    simulated.rate = of_step
    told, several = [], objective([row(2)])
    several.progress = lambda *what: told.append(what)
    several.misfits([(1.0,), (0.5,), (2.0,)])
    several.misfits([(0.75,)])
    several.misfits([(0.1,)] * 500)
    share = 1 / (4 * 50 + 2 + 2)
    assert told == [
        (pytest.approx(3 * share), "fitting, misfit 0.250"),
        (pytest.approx(4 * share), "fitting, misfit 0.250"),
        (1.0, "fitting, misfit 0.010"),
    ]


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("starts", 1, 100),
        ("evaluations", 5, 10_000),
        ("sends", 10, 10**9),
        ("final_sends", 10, 10**9),
        ("single_seeds", 1, 1000),
        ("seeds", 1, 1000),
        ("seed", 0, 2**63 - 1),
    ],
)
def test_an_effort_has_its_limits(name, least, most):
    for value in (least, most):
        assert getattr(Effort(**{name: value}), name) == value
    for value in (least - 1, most + 1):
        with pytest.raises(RatesError, match=rf"^{name.replace('_', '-')}: {value} is out of range {least} to {most}"):
            Effort(**{name: value})


# The whole of a fit.


def of_step(point):
    """A rate that goes with the step of the machine, and with nothing else."""
    return 1e6 * point.machine.number("step") / BASE.number("step")


def test_what_a_fit_says(simulated):
    simulated.rate = of_step
    made, told, pool = table(row(2, 2e6), row(1, 2e6)), [], object()
    effort = Effort(starts=2, evaluations=60, sends=40, final_sends=80, single_seeds=1)
    fit = fit_rates(
        made, BASE, ["step", "kmalloc"], effort=effort, executor=pool, progress=lambda *what: told.append(what)
    )
    assert (fit.base, fit.table) == (BASE, made)
    step, kmalloc = fit.values
    assert (step.free, kmalloc.free) == free_parameters(BASE, made, ["step", "kmalloc"])
    assert step.factor == pytest.approx(2, rel=0.02)
    assert (step.identified, kmalloc.identified) == (True, False)
    # What it found, by name and with its sources.
    assert (fit.machine.name, fit.machine.title) == (
        "generic-arm64-16-fitted",
        f"{BASE.title}; fitted to made, v6.10",
    )
    text = "times the value before, so that predictions of v6.10 come near made (rows 2/2/4, 2/1/4)"
    assert fit.machine.values["step"] == Value(
        BASE.number("step") * step.factor,
        "ns",
        f"fitted: {step.factor:.3g} {text}; before: {BASE.values['step'].source}",
        "fitted",
    )
    assert fit.machine.values["kmalloc"].source == (
        f"fitted: {kmalloc.factor:.3g} {text}; these rates do not fix it, so it is mostly as before; "
        f"before: {BASE.values['kmalloc'].source}"
    )
    assert fit.machine.distance == BASE.distance
    # Its misfit is that of its rates, without the pull.
    assert fit.misfit == pytest.approx(1.25 * math.log(step.factor / 2) ** 2)
    assert fit.misfit < min(one.value for one in fit.found)
    assert [one.row for one in fit.residuals] == list(made.rows)
    assert [one.ratio for one in fit.residuals] == pytest.approx([step.factor / 2] * 2)
    # Every place that was looked at: of two searches, of the end, and of a nudge either way of each parameter.
    *fitted, last = simulated.calls
    assert fit.evaluations == sum(one.evaluations for one in fit.found) + 1 + 5
    assert sum(map(len, fitted)) == 2 * (fit.evaluations - 5) + 5
    assert all(point.machine is fit.machine for point in last)
    assert {(point.workload.devices, point.workload.rounds) for call in fitted for point in call} == {(2, 5), (1, 10)}
    assert {(point.workload.devices, point.workload.rounds) for point in last} == {(2, 10), (1, 20)}
    assert simulated.handed == [(pool, None)] * len(simulated.calls)
    # Told after each: the share of what it may take at most, 2 x 60 + 2 x 2 + 2.
    shares, texts = zip(*told, strict=True)
    assert len(told) == len(fitted)
    assert shares[0] == pytest.approx(6 / 126)
    assert shares[-1] == fit.evaluations / 126
    assert list(shares) == sorted(shares)
    assert texts[0] == f"fitting, misfit {1.25 * math.log(math.exp(0.5) / 2) ** 2:.3f}"


def test_a_fit_without_an_executor_has_one_of_its_own(simulated, monkeypatch):
    steps = []

    @contextmanager
    def local_executor():
        steps.append("begun")
        yield steps
        steps.append("ended")

    monkeypatch.setattr(fitting, "local_executor", local_executor)
    fit_rates(table(row(2)), BASE, ["step"], effort=Effort(starts=1, evaluations=5))
    assert steps == ["begun", "ended"]
    assert all(executor is steps for executor, _ in simulated.handed)


def test_a_machine_may_have_just_as_many_cores_as_the_largest_row_needs(simulated):
    many = table(row(2), row(6, vcpus=10))
    fit_rates(many, BASE, ["step"], effort=Effort(starts=1, evaluations=5), executor=object())
    with pytest.raises(RatesError, match=r"^generic-arm64-15: has 15 cores, and the largest row needs 16$"):
        fit_rates(many, machine("generic-arm64-15"), ["step"], executor=object())


def test_the_ends_of_searches_as_good_as_the_best_are_told(simulated, monkeypatch):
    handed = []
    ends = [Found((0.2, -0.1), 0.53, 3), Found((0.1, 0.1), 0.5, 4), Found((0.3, 2.0), 0.531, 5)]

    def minimise(evaluate, starts, bounds, *, most):
        handed.append((list(starts), list(bounds), most))
        return ends

    monkeypatch.setattr(fitting, "minimise", minimise)
    simulated.rate = of_step
    made = table(row(2))
    effort = Effort(starts=3, evaluations=7, seed=5)
    fit = fit_rates(made, BASE, ["step", "kmalloc"], effort=effort, executor=object())
    free = free_parameters(BASE, made, ["step", "kmalloc"])
    assert handed == [(fitting._starts(free, effort), [(math.log(one.low), math.log(one.high)) for one in free], 7)]
    assert fit.found == tuple(ends)
    step, kmalloc = fit.values
    assert (step.factor, step.low, step.high) == pytest.approx(tuple(map(math.exp, (0.1, 0.1, 0.2))))
    assert (kmalloc.factor, kmalloc.low, kmalloc.high) == pytest.approx(tuple(map(math.exp, (0.1, -0.1, 0.1))))
    assert fit.misfit == pytest.approx(0.1**2)
    nudge = math.log(1.5)
    assert step.rise == pytest.approx((0.1 - nudge) ** 2 - 0.1**2)
    assert kmalloc.rise == 0
    # The other end that is as good, and one that nobody notices either way.
    of = [(other.number("step") / BASE.number("step"), other.number("kmalloc") / 25) for other in fit.others]
    assert [tuple(map(math.log, one)) for one in of] == [
        pytest.approx(place) for place in [(0.2, -0.1), (0.1, 0.1 - nudge), (0.1, 0.1 + nudge)]
    ]


def test_a_machine_is_named_once_among_those_that_the_rates_do_not_tell_apart(simulated, monkeypatch):
    nudge = math.log(1.5)
    ends = [Found((0.0,), 0.5, 3), Found((0.0,), 0.5, 4), Found((nudge,), 0.51, 5)]
    monkeypatch.setattr(fitting, "minimise", lambda *_, **__: ends)
    fit = fit_rates(table(row(2)), BASE, ["kmalloc"], effort=Effort(starts=3), executor=object())
    assert [other.number("kmalloc") / 25 for other in fit.others] == pytest.approx([1.5, 1 / 1.5])
    assert [other.values["kmalloc"].source for other in fit.others] == ["being fitted"] * 2


# What is left of the rates.


def test_residuals_are_over_several_seeds(simulated):
    simulated.rate = lambda point: 1e6 * point.seed
    made, pool, told = table(row(2), row(1, 2e6)), object(), object()
    effort = Effort(seed=3, seeds=1, single_seeds=9, final_sends=80)
    several, single = residuals(made, BASE, effort, executor=pool, progress=told)
    assert simulated.points == [
        *(Point(made.workload(made.rows[0], 80), "v6.10", BASE, seed) for seed in (3, 4, 5)),
        *(Point(made.workload(made.rows[1], 80), "v6.10", BASE, seed) for seed in (3, 4, 5, 6, 7)),
    ]
    assert simulated.handed == [(pool, told)]
    assert (several.row, single.row) == made.rows
    assert several.predicted == Spread(4e6, 3.5e6, 4.5e6)
    assert (several.low, several.high, several.ratio) == (3e6, 5e6, 4.0)
    assert (single.low, single.high, single.ratio) == (3e6, 7e6, 2.5)
    assert [prediction.point for prediction in several.predictions] == simulated.points[:3]

    # As many as the fit had, if those are more, and what a fit has usually.
    simulated.calls.clear()
    residuals(made, BASE, Effort(seeds=4))
    assert [point.seed for point in simulated.points] == [1, 2, 3, 4, 1, 2, 3, 4, 5]
    assert simulated.points[0].workload == made.workload(made.rows[0], 20_000)
    simulated.calls.clear()
    residuals(made, BASE)
    assert [point.seed for point in simulated.points] == [1, 2, 3, 1, 2, 3, 4, 5]


def test_other_machines_widen_the_range_of_a_row_and_nothing_else():
    def predicted(*rates):
        return [Predicted(None, rate, {}) for rate in rates]

    one = residual_of(row(2), predicted(3.0, 1.0, 2.0), predicted(0.5, 4.0))
    assert (one.predicted.median, one.low, one.high) == (2.0, 0.5, 4.0)
    assert [prediction.rate for prediction in one.predictions] == [3.0, 1.0, 2.0]
    one = residual_of(row(2), predicted(3.0, 1.0, 2.0), predicted(1.5))
    assert (one.low, one.high) == (1.0, 3.0)
