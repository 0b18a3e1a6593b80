"""Rows of a table with another design, without the simulator: what is asked for, and what is made of it."""

from dataclasses import replace

import pytest

import vgic.calibrate.validate as validate
from made_rates import Simulated, row, table
from vgic.calibrate import RatesError, predict_rows, read_rates
from vgic.machines import machine
from vgic.predict import Point

BASE = machine("generic-arm64-16")
#: The second one waits for grace periods, in a run with seed 3 at least.
QUICK, SLOW, OTHER = row(2, iterations=10_000), row(1, events=17, iterations=20), row(4)
MADE = table(QUICK, SLOW, OTHER)


@pytest.fixture
def simulated(monkeypatch):
    simulated = Simulated(monkeypatch, validate)
    simulated.rate = lambda point: 1e6 * point.seed
    simulated.grace_periods = lambda point: 7 if point.workload.label == SLOW.name and point.seed == 3 else 0
    return simulated


def test_rows_that_wait_are_predicted_again_with_each_grace_period(simulated):
    pool = object()
    rows = predict_rows(MADE, BASE, "v2", seeds=3, seed=2, grace_periods_ms=[20, 4.0], cap=100, executor=pool)
    assert [(one.design, one.row, one.grace_period_ms, one.capped) for one in rows] == [
        ("v2", QUICK, None, False),
        ("v2", SLOW, 4.0, True),
        ("v2", SLOW, 20, True),
        ("v2", OTHER, None, False),
    ]
    short, long = simulated.calls
    assert [executor for executor, _ in simulated.handed] == [pool, pool]
    # All of them first, short and warm, then those that wait: cold, and on a machine with such grace periods.
    assert short == [Point(MADE.workload(one, 20_000), "v2", BASE, seed) for one in MADE.rows for seed in (2, 3, 4)]
    slow = [
        BASE.with_values(grace_period_min=15, grace_period_max=25, source="given: 20 ms"),
        BASE.with_values(grace_period_min=3, grace_period_max=5, source="given: 4 ms"),
    ]
    cold = MADE.workload(SLOW, 100, warmup=0)
    assert (cold.rounds, cold.warmup_rounds) == (6, 0)
    assert long == [Point(cold, "v2", one, seed) for one in slow for seed in (2, 3, 4)]
    # What each row is made of.
    assert [one.result.row for one in rows] == [one.row for one in rows]
    points = [[run.point for run in one.result.predictions] for one in rows]
    assert points == [short[:3], long[3:], long[:3], short[6:]]
    assert [one.grace_periods for one in rows] == pytest.approx([0, 7 / 3, 7 / 3, 0])
    assert [(one.result.low, one.result.predicted.median, one.result.high) for one in rows] == [(2e6, 3e6, 4e6)] * 4


def test_what_is_predicted_unless_something_is_said(simulated):
    rows = predict_rows(MADE, BASE, "v2")
    assert [one.grace_period_ms for one in rows] == [None, 6.7, 13.0, 20.0, None]
    short, long = simulated.calls
    assert [point.seed for point in short] == [1, 2, 3, 4, 5] * 3
    assert [point.seed for point in long] == [1, 2, 3, 4, 5] * 3
    assert {point.workload.rounds for point in long} == {20}
    assert not any(one.capped for one in rows)
    assert simulated.handed == [(None, None)] * 2


def test_sends_that_are_left_out_are_told(simulated):
    many = table(row(1, events=17, iterations=10_000))
    # In whole rounds.
    for cap, rounds in ((169_983, 9999), (169_984, 10_000), (170_000, 10_000), (None, 10_000)):
        simulated.calls.clear()
        simulated.grace_periods = lambda point: 1
        [one] = predict_rows(many, BASE, "v2", seeds=1, grace_periods_ms=[5], cap=cap)
        assert one.capped == (rounds < 10_000)
        assert simulated.points[-1].workload.rounds == rounds
    # The usual cap.
    predict_rows(table(row(1, events=1, iterations=10**6)), BASE, "v2", seeds=1, grace_periods_ms=[5])
    assert simulated.points[-1].workload.rounds == 50_000
    # A row that does not wait is short anyway.
    simulated.grace_periods = lambda point: 0
    [one] = predict_rows(many, BASE, "v2", seeds=1, cap=1)
    assert not one.capped
    # Nor is any row run for long where no grace period is given.
    simulated.grace_periods = lambda point: 1
    [one] = predict_rows(many, BASE, "v2", seeds=1, grace_periods_ms=[], cap=1)
    assert (one.grace_period_ms, one.grace_periods, one.capped) == (None, 1, False)


def test_other_machines_widen_the_range_of_rows_that_do_not_wait(simulated):
    steps = {0.8: 1.0, 1.0: 0.25, 2.0: 3.0, 4.0: 8.0}
    simulated.rate = lambda point: 1e6 * point.workload.devices * steps[point.machine.number("step")]
    others = [BASE.with_values(step=1), BASE.with_values(step=2)]
    rows = predict_rows(MADE, BASE, "v2", seeds=2, seed=2, grace_periods_ms=[5], others=others)
    assert [(one.result.low, one.result.predicted.median, one.result.high) for one in rows] == [
        (0.5e6, 2e6, 6e6),
        (1e6, 1e6, 1e6),
        (1e6, 4e6, 12e6),
    ]
    assert simulated.calls[0][6:] == [
        Point(MADE.workload(one, 20_000), "v2", other, 2) for one in MADE.rows for other in others
    ]
    assert [len(one.result.predictions) for one in rows] == [2, 2, 2]


def test_progress_goes_on_from_the_first_half_to_the_second(simulated):
    told = []
    predict_rows(MADE, BASE, "v2", seeds=3, progress=lambda *what: told.append(what))
    for _, progress in simulated.handed:
        progress(0.0, "none")
        progress(0.5, "half")
        progress(1.0, "all")
    assert told == [(0, "none"), (0.25, "half"), (0.5, "all"), (0.5, "none"), (0.75, "half"), (1, "all")]


def test_nothing_is_predicted_again_where_no_row_waits(simulated):
    rows = predict_rows(table(QUICK, OTHER), BASE, "v2", seeds=3)
    assert [one.row for one in rows] == [QUICK, OTHER]
    assert len(simulated.calls) == 1


def test_a_published_rate_is_compared(simulated):
    published = read_rates("published:v6.8-rc1").without(["1/1/1", "16/16/17", "64/64/1", "1/1/17"])
    target = machine("generic-arm64-64")
    simulated.rate = lambda point: 5078225.7 * point.seed
    [one] = predict_rows(published, target, "v2", seeds=3)
    assert (one.published, one.ratio, one.inside) == (5078225.7, 2.0, True)
    [one] = predict_rows(published, target, "v2", seeds=3, seed=2)
    assert (one.ratio, one.inside) == (3.0, False)
    simulated.rate = lambda point: 5078225.7 / point.seed
    [one] = predict_rows(published, target, "v2", seeds=3)
    assert one.inside
    [one] = predict_rows(published, target, "v6.10", seeds=3)
    assert (one.published, one.ratio, one.inside) == (None, None, False)
    [one] = predict_rows(replace(published, name=""), target, "v2", seeds=3)
    assert one.published is None


@pytest.mark.parametrize(("name", "least", "most"), [("seeds", 1, 1000), ("seed", 0, 2**63 - 1), ("cap", 1, 10**9)])
def test_numbers_have_their_limits(simulated, name, least, most):
    few = table(QUICK)
    for value in (least, most):
        predict_rows(few, BASE, "v2", **{"seeds": 1, "grace_periods_ms": [], name: value})
    for value in (least - 1, most + 1):
        with pytest.raises(RatesError, match=rf"^{name}: {value} is out of range {least} to {most}$"):
            predict_rows(few, BASE, "v2", **{name: value})


def test_a_grace_period_has_its_limits(simulated):
    for value in (0.001, 1000):
        predict_rows(table(QUICK), BASE, "v2", seeds=1, grace_periods_ms=[value])
    for value in (0, 1000.5):
        with pytest.raises(RatesError, match=rf"^grace period: {value} ms is out of range, above 0 to 1000 ms$"):
            predict_rows(table(QUICK), BASE, "v2", seeds=1, grace_periods_ms=[5, value])
