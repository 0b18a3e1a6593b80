"""Fits with the simulator: they find what a machine was made with, and nothing that predictions are checked with."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

import vgic.calibrate.fit as fitting
from vgic.calibrate import (
    Effort,
    RateRow,
    RatesError,
    RateTable,
    fit_rates,
    free_parameters,
    predict_rows,
    published_tables,
    read_rates,
)
from vgic.calibrate.parameters import changed
from vgic.machines import machine
from vgic.predict import predict

BASELINE = "published:v6.8-rc1"


@pytest.mark.parametrize("table", published_tables(), ids=lambda table: table.name)
def test_what_predictions_are_checked_with_is_never_fitted(monkeypatch, table):
    published = tomllib.loads((Path(fitting.__file__).parent / "published.toml").read_text())
    [data] = [one for one in published["table"] if table.name.endswith(f":{one['name']}")]
    [design] = table.beside
    after = {row["rates"][design] for row in data["row"]}
    before = {row["rates"][data["baseline"]] for row in data["row"]}
    assert len(after) == len(before) == 5
    assert not after & before
    with pytest.raises(RatesError, match=f"there to check predictions, not to fit to; fit {table.name}"):
        read_rates(f"published:{design}")

    # All that a fit knows of measurements is the table that it is given: no look at the file after that.
    assert {row.rate for row in table.rows} == before
    assert not any(repr(rate) in repr(table) or f"{rate:.2f}" in repr(table) for rate in after)
    handed = []

    class Stop(Exception):
        pass

    def look(self, places):
        handed.append(self.table)
        raise Stop

    monkeypatch.setattr(fitting._Objective, "misfits", look)
    for name in ("published_rate", "_published"):
        assert not hasattr(fitting, name)
    with pytest.raises(Stop):
        fit_rates(table, machine("generic-arm64-128"), executor=object())
    assert {row.rate for given in handed for row in given.rows} == before


def made_table(target, design="v6.8-rc1", rows=((8, 8, 2, 60), (4, 4, 4, 60), (2, 6, 1, 200))):
    """Rates that the simulator itself gives for a machine."""
    table = RateTable("made", "made", design, "ioctl", "as-published", ())
    made = []
    for vcpus, devices, events, iterations in rows:
        row = RateRow(vcpus=vcpus, devices=devices, events=events, iterations=iterations, rate=1.0)
        made.append(replace(row, rate=predict(table.workload(row, None), design, target, seed=7).rate))
    return replace(table, rows=tuple(made))


QUICK = Effort(starts=2, evaluations=40, sends=500, final_sends=1000)


def test_a_fit_finds_what_the_rates_were_made_with():
    # With so few sends more jitter would drown what is looked for.
    base = machine("generic-arm64-16").with_values(jitter=0.05)
    free = free_parameters(base, made_table(base))
    truth = {free[0]: 1.7, free[1]: 5.0}
    assert [one.name for one in truth] == ["distance", "entry"]
    # Designs without a lock on the hit path feel the entry; the baseline is all distance.
    table = made_table(changed(base, truth), "v6.10", rows=((8, 8, 2, 60), (1, 2, 4, 60), (2, 6, 1, 200)))
    fit = fit_rates(table, base, ["distance", "entry"], effort=QUICK)
    for value in fit.values:
        assert value.factor == pytest.approx(truth[value.free], rel=0.15)
        assert value.identified
    for row in fit.residuals:
        assert row.ratio == pytest.approx(1, abs=0.08)
    assert fit.machine.name == "generic-arm64-16-fitted"
    for source in (fit.machine.distance.source, fit.machine.values["syscall"].source):
        assert source.startswith("fitted: ")
        assert "near made (rows 8/8/2, 1/2/4, 2/6/1)" in source
        assert "; before: " in source
    assert not fit.machine.values["syscall"].verified
    assert fit.machine.values["step"] == base.values["step"]
    assert fit.machine.number("syscall") == pytest.approx(base.number("syscall") * fit.values[1].factor)


def test_what_the_rates_do_not_fix_is_said_and_stays():
    base = machine("generic-arm64-16")
    table = made_table(base)
    fit = fit_rates(table, base, ["kmalloc"], effort=replace(QUICK, evaluations=12))
    [value] = fit.values
    assert not value.identified
    assert value.rise < 0.01
    assert value.factor == pytest.approx(1, rel=0.25)
    assert "these rates do not fix it" in fit.machine.values["kmalloc"].source
    kept = {round(other.number("kmalloc") / fit.machine.number("kmalloc"), 2) for other in fit.others}
    assert {1.5, 0.67} <= kept
    alone = predict_rows(table, fit.machine, "v2", seeds=1)
    slow = base.with_values(hit_rmw=500)
    for row, wider in zip(alone, predict_rows(table, fit.machine, "v2", seeds=1, others=[slow]), strict=True):
        assert wider.result.predicted == row.result.predicted
        assert wider.result.low < row.result.low == row.result.high == wider.result.high


def test_a_fit_is_the_same_in_one_process_and_in_several():
    from vgic.predict import local_executor

    base = machine("generic-arm64-8")
    table = made_table(base, rows=((2, 2, 2, 50),))
    effort = Effort(starts=2, evaluations=8, sends=100, final_sends=200)
    with local_executor(1) as one, local_executor(3) as three:
        assert fit_rates(table, base, ["step", "distance"], effort=effort, executor=one) == fit_rates(
            table, base, ["step", "distance"], effort=effort, executor=three
        )


def test_rows_that_wait_for_grace_periods_are_predicted_with_each():
    base = machine("generic-arm64-8")
    row = RateRow(vcpus=1, devices=1, events=17, iterations=20, rate=1.0)
    quiet = RateRow(vcpus=1, devices=2, events=2, iterations=50, rate=1.0)
    table = RateTable("made", "made", "v6.8-rc1", "ioctl", "as-published", (row, quiet))
    rows = predict_rows(table, base, "v2", seeds=2, grace_periods_ms=[5.0, 20.0], cap=100)
    assert [(one.row.name, one.grace_period_ms, one.capped) for one in rows] == [
        ("1/1/17", 5.0, True),
        ("1/1/17", 20.0, True),
        ("1/2/2", None, False),
    ]
    short, long, none = rows
    assert short.grace_periods == long.grace_periods > 50
    assert none.grace_periods == 0
    assert short.result.predicted.median == pytest.approx(4 * long.result.predicted.median, rel=0.1)
    assert (short.published, short.ratio, short.inside) == (None, None, False)
