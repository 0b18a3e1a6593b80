"""Measurements of one machine: micro-bench of kvm-unit-tests, and what vgic measures where it runs."""

import itertools
from types import SimpleNamespace

import pytest

import vgic
import vgic.calibrate.here as here
from vgic import _core
from vgic.calibrate import measure_here, read_micro_bench, with_here, with_micro_bench
from vgic.errors import MachineError
from vgic.machines import machine

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


def test_what_is_left_for_an_ipi_is_divided_and_says_so(tmp_path):
    base = machine("generic-arm64").with_values(ipi_send=0, ipi_latency=30, ipi_receive=10, guest_interrupt=100)

    def with_ipi(ipi):
        return with_micro_bench(base, bench(tmp_path, f"name total ns avg ns\nhvc 5000 200\nipi 5000 {ipi}\n"))

    # Two world switches and one out of the guest, here of 100 ns each, and the handler.
    found, complaints = with_ipi(400.5)
    assert complaints == []
    assert [found.number(name) for name in ("ipi_send", "ipi_latency", "ipi_receive")] == [0, 0.375, 0.125]
    assert found.values["ipi_latency"].verified
    assert found.values["ipi_latency"].source == (
        "arm/micro-bench (micro.txt): ipi, 400.5 ns, less three one-way world switches and the handler; "
        "divided as before"
    )
    for ipi in (400, 399):
        found, [complaint] = with_ipi(ipi)
        assert complaint.startswith(f"ipi, {ipi} ns, leaves nothing for the IPI")
        assert found.values["ipi_latency"] == base.values["ipi_latency"]


@pytest.mark.parametrize(("output", "times"), [("nano", 1), ("micro", 1000)])
def test_a_unit_that_only_another_line_tells(tmp_path, output, times):
    read = bench(tmp_path, f"(Output in {output}seconds)\nname   total   avg\nhvc  7  0.5\n")
    assert read.means == {"hvc": 0.5 * times}


def test_nanoseconds_are_meant_unless_something_is_said(tmp_path):
    read = bench(tmp_path, "name   total   avg\nhvc  7  0.5\nodd  7\n\nipi 9 9\nname avg us total ns\neoi 2 2000\n")
    assert read.means == {"hvc": 0.5, "ipi": 9, "eoi": 2000}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no table of arm/micro-bench"),
        ("hvc 5000 50\n", "no table of arm/micro-bench"),
        ("name total ns avg ns\nhvc 5000 0\n", "line 2: hvc: a mean of 0 ns does not go with 5000 ns"),
        ("name total ns avg ns\nhvc 50 5000\n", "line 2: hvc: a mean of 5000 ns does not go with 50 ns"),
        ("name total ns avg ns\nhvc 1000 1002\n", "line 2: hvc: a mean of 1002 ns does not go with 1000 ns"),
        ("name total ns avg us\nhvc 1000 1.002\n", "line 2: hvc: a mean of 1002 ns does not go with 1000 ns"),
        ("name total us avg ns\nhvc 1 1002\n", "line 2: hvc: a mean of 1002 ns does not go with 1000 ns"),
        ("name total ticks avg ns\nhvc 5000 50\n", "line 1: times in ticks: "),
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


def test_each_thing_has_its_share_of_the_time(monkeypatch):
    asked, told = [], []
    clock = itertools.count(1000)

    def sample(*what):
        asked.append(what)
        return 1.0

    monkeypatch.setattr(_core, "usable_cpus", lambda: range(5, 8))
    monkeypatch.setattr(_core, "sample_cost", sample)
    monkeypatch.setattr(_core, "sample_ping_pong", sample)
    monkeypatch.setattr(here, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    found = measure_here(600, progress=lambda share, what: told.append(share))
    # Half of it for five costs, and half for three pairs, by 50 ms. The fence costs nothing beside its store.
    things = [("load",), ("store",), ("rmw",), ("store_and_fence",), ("syscall",), (5, 6), (5, 7), (6, 7)]
    assert list(dict.fromkeys(what[:-1] for what in asked)) == things
    assert {what[-1] for what in asked} == {0.05}
    assert [sum(what[:-1] == thing for what in asked) for thing in things] == [1200] * 5 + [2000] * 3
    assert found["fence_ns"] == 0
    assert told[:3] == [1 / 600, 2 / 600, 3 / 600]
    assert told[599:] == [1.0] * (12_000 - 599)

    # Seven samples, if there is less time.
    asked.clear()
    measure_here()
    assert [what[-1] for what in asked if what[0] == "load"] == pytest.approx([0.2 / 7] * 7)
    assert [what[-1] for what in asked if what[0] == 6] == pytest.approx([1 / 3 / 7] * 7)


def test_no_more_than_sixteen_cpus_are_measured(monkeypatch):
    samples_of_a_machine(monkeypatch)
    monkeypatch.setattr(_core, "usable_cpus", lambda: range(20))
    assert measure_here(0.1)["cpus"] == list(range(16))


def test_ctrl_c_leaves_what_was_measured(monkeypatch):
    def interrupted(a, b, seconds):
        raise KeyboardInterrupt

    samples_of_a_machine(monkeypatch, interrupted)
    with pytest.raises(vgic.Interrupted) as stopped:
        measure_here(0.5)
    assert stopped.value.finished == {key: value for key, value in HERE.items() if isinstance(value, float)}


def test_a_measurement_here(monkeypatch):
    monkeypatch.setattr(here, "this_machine", lambda: {"cpu": "Some CPU"})
    found = with_here(machine("generic-arm64"), HERE)
    assert (found.name, found.title) == ("here", "measured on Some CPU, the rest from generic-arm64")
    assert (found.cores, found.matrix()) == (2, ((0.0, 61.5), (61.5, 0.0)))
    assert found.number("syscall") == 170
    assert found.values["fence"].verified
    assert found.values["fence"].source == "measured here by vgic calibrate, on Some CPU"
    assert found.distance.source == "measured here by vgic calibrate, on Some CPU, between CPUs 0, 3"
    alone = with_here(machine("generic-arm64"), {**HERE, "cpus": [0], "matrix_ns": [[0.0]]})
    assert alone.distance == machine("generic-arm64").distance
    assert with_here(machine("generic-arm64"), HERE, distances=False).cores == 64
    with pytest.raises(ValueError, match=r"seconds: 0 is out of range 0\.1 to 600"):
        measure_here(0)


def test_a_cost_that_does_not_exist_is_told():
    with pytest.raises(ValueError, match='what must be load, store, rmw, store_and_fence or syscall, not "sleep"'):
        _core.sample_cost("sleep", 0.01)
