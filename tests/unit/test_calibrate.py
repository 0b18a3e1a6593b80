"""Machine profiles from measurements: parsing, the search, and that a fit finds what a machine was made with."""

import itertools
import math
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

import vgic
import vgic.calibrate.fit as fitting
from vgic import _core
from vgic.calibrate import (
    Effort,
    RateRow,
    RatesError,
    RateTable,
    fit_rates,
    free_parameters,
    measure_here,
    predict_rows,
    published_rate,
    read_micro_bench,
    read_rates,
    with_here,
    with_micro_bench,
)
from vgic.calibrate.minimise import minimise
from vgic.calibrate.parameters import changed, scaled_distance
from vgic.errors import MachineError
from vgic.machines import machine
from vgic.predict import predict

BASELINE = "published:v6.8-rc1"


# The search.


def test_the_search_finds_a_valley_from_several_starts():
    def valley(places):
        return [(x - 0.3) ** 2 + 4 * (y + 0.7) ** 2 for x, y in places]

    found = minimise(valley, [(0.0, 0.0), (1.5, 1.5), (-2.0, 1.0)], [(-2, 2), (-2, 2)], tolerance=0.001, most=200)
    for one in found:
        assert one.place == pytest.approx((0.3, -0.7), abs=0.01)


def test_the_search_stays_within_its_bounds():
    asked = []

    def slope(places):
        asked.extend(places)
        return [-x + y for x, y in places]

    [found] = minimise(slope, [(0.0, 0.0)], [(-1.0, 0.5), (-0.25, 3.0)], most=100)
    assert found.place == pytest.approx((0.5, -0.25), abs=0.02)
    assert all(-1.0 <= x <= 0.5 and -0.25 <= y <= 3.0 for x, y in asked)


def test_the_search_ends_after_so_many_evaluations():
    [found] = minimise(lambda places: [math.sin(50 * x) for (x,) in places], [(0.0,)], [(-9, 9)], most=12, tolerance=0)
    assert found.evaluations <= 14


def test_searches_side_by_side_do_not_change_each_other():
    def valley(places):
        return [abs(x) + abs(y - 1) for x, y in places]

    starts, bounds = [(2.0, 2.0), (-1.0, 0.0)], [(-3, 3), (-3, 3)]
    assert minimise(valley, starts, bounds) == [minimise(valley, [start], bounds)[0] for start in starts]


# Rates.


def test_the_published_rows():
    table = read_rates(BASELINE)
    assert [row.name for row in table.rows] == ["1/1/1", "16/16/16", "16/16/17", "64/64/1", "1/1/17"]
    assert table.rows[1] == RateRow(vcpus=16, devices=16, events=16, iterations=10_000, rate=437081.55)
    assert (table.design, table.entry, table.guest, table.cores) == ("v6.8-rc1", "ioctl", "as-published", 128)
    assert published_rate(table, table.rows[3], "v2") == 5565964.87
    assert published_rate(table, table.rows[3], "v6.10") is None
    assert published_rate(replace(table, name=""), table.rows[3], "v2") is None


def test_what_predictions_are_checked_with_is_never_fitted(monkeypatch):
    published = tomllib.loads((Path(fitting.__file__).parent / "published.toml").read_text())
    after = {row["rates"]["v2"] for row in published["row"]}
    before = {row["rates"][published["baseline"]] for row in published["row"]}
    assert len(after) == len(before) == 5
    assert not after & before
    with pytest.raises(RatesError, match="there to check predictions, not to fit to; fit published:v6"):
        read_rates("published:v2")

    # All that a fit knows of measurements is the table that it is given: no look at the file after that.
    table = read_rates(BASELINE)
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


RATES = """
design = "v6.10"
title = "mine"
[[row]]
vcpus = 2
devices = 2
events = 4
iterations = 1000
rate = 1e6
"""


def test_rates_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RATES)
    table = read_rates(path)
    assert (table.title, table.source, table.design, table.entry, table.guest) == (
        "mine",
        "mine.toml",
        "v6.10",
        "ioctl",
        "fixed",
    )
    workload = table.workload(table.rows[0], 100)
    assert (workload.iterations, workload.gap_us, workload.label) == (13, 0.0, "2/2/4")
    assert table.workload(table.rows[0], None).iterations == 1000


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('design = "v6.10"', "", "design: missing"),
        ('"v6.10"', '"v6.11"', "unknown design"),
        ("rate = 1e6", "", "row 1: rate: missing"),
        ("rate = 1e6", "rate = -1", "row 1: rate: '-1' is not a number above 0"),
        ("rate = 1e6", "rate = nan", "row 1: rate: 'nan' is not a number above 0"),
        ("vcpus = 2", "vcpus = 2.5", "row 1: vcpus: '2.5' is not a whole number above 0"),
        ("vcpus = 2", "vcpus = 513", "vcpus: 513 is out of range 1 to 512"),
        ("vcpus = 2", "vpcus = 2", "row 1: unknown key 'vpcus': did you mean vcpus"),
        ('title = "mine"', 'guest = "odd"', "guest: 'odd' is unknown"),
        ('title = "mine"', "title = 7", "title: '7' is not a text"),
        ('title = "mine"', "entries = 1", "unknown key 'entries': did you mean entry"),
        ("[[row]]", "[row]", "row: missing; write a [[row]] for each rate"),
        (RATES, RATES + RATES[RATES.index("[[row]]") :], "row 2/2/4: there twice"),
        ('"mine"', '"mine', "not a table of rates: "),
        ('title = "mine"', "deep = " + "[" * 5000, "nested too deep"),
        ('title = "mine"', f"{'k' * 50} = 1", f"unknown key '{'k' * 40}': "),
        ("rate = 1e6", "rate = true", "row 1: rate: 'True' is not a number above 0"),
        ("rate = 1e6", "rate = 1e15", "row 1: rate: '1000000000000000.0' is not a number above 0"),
        ("rate = 1e6", 'rate = "much"', "row 1: rate: 'much' is not a number above 0"),
    ],
)
def test_rates_that_cannot_be_read(tmp_path, old, new, text):
    path = tmp_path / "mine.toml"
    path.write_text(RATES.replace(old, new))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read_rates(path)
    assert text in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_rows_can_be_left_out():
    table = read_rates(BASELINE)
    assert len(table.without(["16/16/17", "1/1/1"]).rows) == 3
    with pytest.raises(RatesError, match="no row '1/2/3': did you mean 1/1/1"):
        table.without(["1/2/3"])
    with pytest.raises(RatesError, match="no row is left"):
        table.without(row.name for row in table.rows)
    with pytest.raises(RatesError, match=r"unknown rates 'published:x'"):
        read_rates("published:x")


# Fits.


def made_table(target, design="v6.8-rc1", rows=((8, 8, 2, 60), (4, 4, 4, 60), (2, 6, 1, 200))):
    """Rates that the simulator itself gives for a machine."""
    table = RateTable("made", "made", design, "ioctl", "as-published", ())
    made = []
    for vcpus, devices, events, iterations in rows:
        row = RateRow(vcpus=vcpus, devices=devices, events=events, iterations=iterations, rate=1.0)
        made.append(replace(row, rate=predict(table.workload(row, None), design, target, seed=7).rate))
    return replace(table, rows=tuple(made))


QUICK = Effort(starts=2, evaluations=25, sends=500, final_sends=1000)


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
        assert "; before: estimate: " in source
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


def test_bad_fits_are_refused():
    base, table = machine("generic-arm64-16"), read_rates(BASELINE)
    with pytest.raises(RatesError, match="generic-arm64-16: has 16 cores, and the largest row needs 128"):
        fit_rates(table, base)
    with pytest.raises(RatesError, match="unknown parameter 'distnace': did you mean distance"):
        free_parameters(base, table, ["distnace"])
    with pytest.raises(RatesError, match="5 parameters are more than 4"):
        free_parameters(base, table, ["distance", "entry", "step", "kmalloc", "kfree"])
    with pytest.raises(RatesError, match="starts: 0 is out of range 1 to 100"):
        Effort(starts=0)
    with pytest.raises(RatesError, match="kmalloc: is 0"):
        free_parameters(base.with_values(kmalloc=0), table, ["kmalloc"])


@pytest.mark.parametrize("name", ["generic-arm64", "kunpeng920", "epyc-7r13", "matrix"])
def test_distances_of_each_kind_can_be_scaled(name):
    base = machine("generic-arm64-4").with_matrix([[0, 20], [30, 0]]) if name == "matrix" else machine(name)
    scaled = scaled_distance(base.distance, 1.5, "fitted")
    for row, before in zip(scaled.matrix(base.cores), base.matrix(), strict=True):
        assert row == pytest.approx([1.5 * cell for cell in before])
    assert (scaled.source, scaled.status, scaled.verified) == ("fitted", "fitted", False)


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


# Measurements of one machine.

BENCH = """\
Timer Frequency 31250000 Hz (Output in microseconds)

name                                    total ns                         avg ns
--------------------------------------------------------------------------------------------
hvc                                 32112640.0                          490.0
mmio_read_user                     157286400.0                         2400.0
mmio_read_vgic                      47185920.0                          720.0
eoi                                   655360.0                           10.0
ipi                                157286400.0                         2400.0
ipi_hw test skipped
lpi                                183500800.0                         2800.0
timer_10ms                            512000.0                         2000.0

EXIT: STATUS=1
"""
OLD_BENCH = """\
PASS: irq
name   total ns   avg ns
hvc  65536000  1000
ipi 131072000 ns 2000 ns
"""


def bench(tmp_path, text):
    path = tmp_path / "micro.txt"
    path.write_text(text)
    return read_micro_bench(path)


def test_micro_bench(tmp_path):
    read = bench(tmp_path, BENCH)
    assert read.means["hvc"] == 490
    assert list(read.means) == ["hvc", "mmio_read_user", "mmio_read_vgic", "eoi", "ipi", "lpi", "timer_10ms"]
    assert read.uses()["hvc"] == "world switch"
    assert read.uses()["lpi"].startswith("not used: ")
    base = machine("graviton2")
    found, complaints = with_micro_bench(base, read)
    assert complaints == []
    switch = [found.number(name) for name in ("world_switch_in", "world_switch_out")]
    assert sum(switch) == pytest.approx(490)
    ipi = [found.number(name) for name in ("ipi_send", "ipi_latency", "ipi_receive")]
    assert sum(ipi) == pytest.approx(2400 - 490 - switch[1] - base.number("guest_interrupt"))
    assert ipi[1] / ipi[0] == pytest.approx(base.number("ipi_latency") / base.number("ipi_send"))
    value = found.values["world_switch_in"]
    assert value.verified
    assert value.source == "arm/micro-bench (micro.txt): hvc, out and in again, 490 ns; divided as before"


MEANS = {"hvc": 490.0, "mmio_read_user": 2400.0, "mmio_read_vgic": 720.0, "eoi": 10.0, "ipi": 2400.0}
#: How versions of kvm-unit-tests, and what they run under, print the same means: heading, row.
TABLES = {
    "since 2018": ("name                 total ns         avg ns", "{name:20}{total:>15.1f}{mean:>15.1f}"),
    "narrow": ("name total ns avg ns", "{name} {total:.0f} {mean:.0f}"),
    "with units": ("name   total   avg", "{name}  {total:.0f} ns  {mean:.0f} ns"),
    "the other way round": ("name   avg (ns)   total (us)", "{name}  {mean:.1f}  {us:.6f}"),
    "without a total": ("name    mean us", "{name}  {mean_us:.6f}"),
    "with more columns": (
        "test   min ns   max ns   median ns   average ns   total ns",
        "{name} 1.0 9999.0 {mean:.1f} {mean:.1f} {total:.1f}",
    ),
    "tabs": ("name\ttotal ns\tavg ns", "{name}\t{total:.1f}\t{mean:.1f}"),
    "colours": ("\x1b[1mname   total ns   avg ns\x1b[0m", "\x1b[32m{name}\x1b[0m  {total:.1f}  {mean:.1f}"),
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n\n"], ids=["lines", "carriage returns", "empty lines"])
@pytest.mark.parametrize("name", ["hvc", "hyp_call"])
@pytest.mark.parametrize("table", TABLES)
def test_micro_bench_of_every_version(tmp_path, table, name, end):
    heading, row = TABLES[table]
    lines = [
        "BUILD_HEAD=061b0274",
        "timeout -k 1s --foreground 90s qemu-system-aarch64 -smp 2 # -initrd x",
        heading,
        "-" * 92,
    ]
    for test, mean in MEANS.items():
        total = 65536 * mean
        test = name if test == "hvc" else test
        lines.append(row.format(name=test, total=total, mean=mean, us=total / 1000, mean_us=mean / 1000))
    lines += ["ipi_hw test skipped", "SUMMARY: 3 tests, 2 unexpected failures", "EXIT: STATUS=1"]
    read = bench(tmp_path, end.join(lines) + end)
    wanted = {name if test == "hvc" else test: mean for test, mean in MEANS.items()}
    assert read.means == pytest.approx(wanted)
    assert read.uses()[name] == "world switch"
    found, complaints = with_micro_bench(machine("graviton2"), read)
    assert complaints == []
    assert sum(found.number(value) for value in ("world_switch_in", "world_switch_out")) == pytest.approx(490)
    assert found.values["world_switch_in"].source.startswith(f"arm/micro-bench (micro.txt): {name}, out and in again")


def test_micro_bench_with_other_columns(tmp_path):
    read = bench(tmp_path, OLD_BENCH)
    assert read.means == {"hvc": 1000, "ipi": 2000}
    found, complaints = with_micro_bench(machine("generic-arm64"), read)
    assert complaints == []
    assert sum(found.number(name) for name in ("ipi_send", "ipi_latency", "ipi_receive")) == pytest.approx(100)


def test_micro_bench_says_what_it_cannot_use(tmp_path):
    base = machine("generic-arm64")
    found, complaints = with_micro_bench(
        base, bench(tmp_path, OLD_BENCH.replace("ipi 131072000 ns 2000", "ipi 131072 ns 2"))
    )
    assert complaints == ["ipi, 2 ns, leaves nothing for the IPI beside the world switches: it stays as it is"]
    assert found.values["ipi_send"] is base.values["ipi_send"]
    assert found.number("world_switch_in") == 500
    read = bench(tmp_path, "name total ns avg ns\nipi 5000 50\n")
    assert with_micro_bench(base, read) == (base, ["no hvc or hyp_call: world switch and IPI stay as they are"])
    read = bench(tmp_path, "name total ns avg ns\nhvc 65536 1\nnovel 5000 50\n")
    assert read.uses()["novel"] == "not used: unknown test"
    found, complaints = with_micro_bench(base.with_values(world_switch_in=0, world_switch_out=0), read)
    assert complaints == ["no ipi: the IPI's values stay as they are"]
    assert [found.number(name) for name in ("world_switch_in", "world_switch_out")] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no table of arm/micro-bench"),
        ("hvc 5000 50\n", "no table of arm/micro-bench"),
        ("name total ns avg ns\nhvc 5000 0\n", "line 2: hvc: a mean of 0 ns does not go with 5000 ns"),
        ("name total ns avg ns\nhvc 50 5000\n", "line 2: hvc: a mean of 5000 ns does not go with 50 ns"),
        ("name total ns avg ns\nhvc 5000 50\nhvc 5000 50\n", "line 3: hvc: there twice"),
        ("name total cycles avg cycles\nhvc 5000 50\n", "line 1: times in cycles: how long one takes is not in"),
        (
            "       hvc:\tavg          1.2\tmin          1.0\tmax          2.0\n",
            "line 1: from a draft of arm/micro-bench",
        ),
    ],
)
def test_what_is_not_micro_bench(tmp_path, text, message):
    with pytest.raises(MachineError, match=message):
        bench(tmp_path, text)


HERE = {
    "cpus": [0, 3],
    "matrix_ns": [[0.0, 61.5], [61.5, 0.0]],
    "hit_load_ns": 0.5,
    "hit_store_ns": 0.25,
    "hit_rmw_ns": 2.25,
    "fence_ns": 5.5,
    "syscall_ns": 170.0,
}


def samples_of_a_machine(monkeypatch, best=None):
    """A machine whose costs are those of HERE, but for samples that something disturbed."""
    costs = {"load": 0.5, "store": 0.25, "rmw": 2.25, "store_and_fence": 5.75, "syscall": 170.0}
    disturbed = itertools.cycle([40.0, 0.0, 3.0])
    monkeypatch.setattr(_core, "usable_cpus", lambda: HERE["cpus"])
    monkeypatch.setattr(_core, "sample_cost", lambda what, seconds: costs[what] + next(disturbed))
    monkeypatch.setattr(_core, "sample_ping_pong", best or (lambda a, b, seconds: 61.5 + next(disturbed)))


def test_the_best_sample_counts(monkeypatch):
    samples_of_a_machine(monkeypatch)
    told = []
    assert measure_here(0.5, progress=lambda share, what: told.append((share, what))) == HERE
    assert all(0 <= share <= 1 for share, _ in told)
    assert list(dict.fromkeys(what for _, what in told)) == [
        "measuring hit_load", "measuring hit_store", "measuring hit_rmw", "measuring fence", "measuring syscall",
        "measuring CPU 0 to 3",
    ]  # fmt: skip


def test_ctrl_c_leaves_what_was_measured(monkeypatch):
    def interrupted(a, b, seconds):
        raise KeyboardInterrupt

    samples_of_a_machine(monkeypatch, interrupted)
    with pytest.raises(vgic.Interrupted) as stopped:
        measure_here(0.5)
    assert stopped.value.finished == {key: value for key, value in HERE.items() if isinstance(value, float)}


def test_a_measurement_here():
    found = with_here(machine("generic-arm64"), HERE)
    assert (found.cores, found.matrix()) == (2, ((0.0, 61.5), (61.5, 0.0)))
    assert found.number("syscall") == 170
    assert found.values["fence"].verified
    assert found.values["fence"].source.startswith("measured here by vgic calibrate, on ")
    assert found.distance.source.endswith("between CPUs 0, 3")
    alone = with_here(machine("generic-arm64"), {**HERE, "cpus": [0], "matrix_ns": []})
    assert alone.distance == machine("generic-arm64").distance
    assert with_here(machine("generic-arm64"), HERE, distances=False).cores == 64
    with pytest.raises(ValueError, match=r"seconds: 0 is out of range 0\.1 to 600"):
        measure_here(0)


def test_a_cost_that_does_not_exist_is_told():
    with pytest.raises(ValueError, match='what must be load, store, rmw, store_and_fence or syscall, not "sleep"'):
        _core.sample_cost("sleep", 0.01)
