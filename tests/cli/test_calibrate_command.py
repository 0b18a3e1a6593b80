"""``vgic calibrate``: what it prints and writes, and how it refuses."""

import json
import os
import signal

import pytest

from vgic.calibrate import published_rate, published_tables
from vgic.cli import main
from vgic.host import Host
from vgic.machines import machine

RATES = """
design = "v6.10"
title = "mine"
[[row]]
vcpus = 2
devices = 2
events = 4
iterations = 100
rate = 3e6
[[row]]
vcpus = 4
devices = 4
events = 1
iterations = 200
rate = 4e6
"""
TABLES = published_tables()
PUBLISHED_V2 = ("--rates", "published:v6.8-rc1", "--predict", "v2")
QUICK = ("--starts", "1", "--sends", "100", "--fit", "distance", "--machine", "generic-arm64-8")


def test_a_matrix_becomes_a_profile(vgic_command, tmp_path):
    (tmp_path / "c2c.csv").write_text(",,\n50,,\n60,80,\n")
    done = vgic_command("calibrate", "--c2c", "c2c.csv", "--machine", "graviton2", "--output", "mine.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 cores, 3 pairs: min 50 ns, p25 50, median 60, p95 80, max 80" in done.stdout
    assert done.stdout.splitlines()[-1] == "Wrote mine.toml."
    found = machine(tmp_path / "mine.toml")
    assert found.matrix() == ((0, 50, 60), (50, 0, 80), (60, 80, 0))
    assert found.distance.source == "core-to-core matrix c2c.csv"
    assert found.values["hit_rmw"] == machine("graviton2").values["hit_rmw"]


def test_a_micro_benchmark_becomes_a_profile(vgic_command, tmp_path):
    (tmp_path / "micro.txt").write_text("name total ns avg ns\nhvc 65536000 1000\neoi 65536 1\n")
    done = vgic_command("calibrate", "--micro-bench", "micro.txt", "-o", "mine.toml", "--name", "mine")
    assert done.returncode == 0
    assert "  hvc: 1000 ns (world switch)" in done.stdout.splitlines()
    assert "  eoi: 1 ns (not used: the guest's own, a part of guest_interrupt)" in done.stdout.splitlines()
    assert "  world_switch_in: 650 ns -> 500 ns" in done.stdout.splitlines()
    assert done.stderr == "vgic: note: micro.txt: no ipi: the IPI's values stay as they are\n"
    found = machine(tmp_path / "mine.toml")
    assert (found.name, found.number("world_switch_in")) == ("mine", 500)


def test_rates_are_fitted_and_another_design_is_predicted(vgic_command, tmp_path):
    (tmp_path / "mine-rates.toml").write_text(RATES)
    arguments = ("calibrate", "--rates", "mine-rates.toml", *QUICK, "--predict", "v7.1.8", "--seeds", "2")
    done = vgic_command(*arguments, "-o", "mine.toml", "--json", "x.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Fitted, from generic-arm64-8: 1 searches" in done.stdout
    assert "v7.1.8, never fitted: median of 2 seeds" in done.stdout
    assert "…" not in done.stdout
    data = json.loads((tmp_path / "x.json").read_text())
    [value] = data["fit"]["values"]
    assert value["parameter"] == "distance"
    assert [row["row"] for row in data["residuals"]] == ["2/2/4", "4/4/1"]
    assert [(row["row"], row["measured"]) for row in data["predicted"]] == [("2/2/4", None), ("4/4/1", None)]
    found = machine(tmp_path / "mine.toml")
    assert found.distance.source.startswith(f"fitted: {value['factor']:.3g} times the value before")
    assert (found.to_toml(), found.name) == (data["profile"], "generic-arm64-8-fitted")
    again = vgic_command(*arguments, "-o", "mine.toml", "--json", "x.json")
    assert again.stdout == done.stdout

    compared = vgic_command("calibrate", "--rates", "mine-rates.toml", "--machine", "mine.toml", "--no-fit")
    assert compared.returncode == 0
    assert "Fitted" not in compared.stdout


def test_what_was_measured_stays_as_it_was_measured(vgic_command, tmp_path):
    cells = [["" if a == b else str(40 + 5 * abs(a - b)) for b in range(8)] for a in range(8)]
    (tmp_path / "c2c.csv").write_text("\n".join(map(",".join, cells)) + "\n")
    (tmp_path / "mine-rates.toml").write_text(RATES)
    (tmp_path / "micro.txt").write_text("name total ns avg ns\nhvc 65536000 1000\nipi 131072000 3000\n")
    measured = ("calibrate", "--c2c", "c2c.csv", "--micro-bench", "micro.txt", "--rates", "mine-rates.toml")
    done = vgic_command(*measured, "--starts", "1", "--sends", "100", "-o", "mine.toml", "--json", "x.json")
    assert (done.returncode, done.stderr) == (0, "")
    found = machine(tmp_path / "mine.toml")
    assert found.matrix() == tuple(tuple(float(cell or 0) for cell in row) for row in cells)
    assert (found.distance.status, found.distance.source) == ("measured", "core-to-core matrix c2c.csv")
    assert (found.number("world_switch_in"), found.values["world_switch_in"].status) == (500, "measured")
    data = json.loads((tmp_path / "x.json").read_text())
    assert [value["parameter"] for value in data["fit"]["values"]] == ["entry", "step"]
    assert (found.values["syscall"].status, found.values["step"].status) == ("fitted", "fitted")
    assert "distance stays as it was measured: core-to-core matrix c2c.csv." in done.stdout
    assert "Its 43 values: 6 measured, 2 published, 10 derived, 2 fitted to rates, 23 guessed." in done.stdout

    for name, source in (("distance", "core-to-core matrix"), ("world-switch", "arm/micro-bench")):
        refused = vgic_command(*measured, "--fit", name)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith(f"vgic: error: {name}: is measured ({source}")


def test_a_profile_keeps_what_it_was_compared_with(vgic_command, tmp_path):
    (tmp_path / "mine-rates.toml").write_text(RATES)
    compared = ("calibrate", "--rates", "mine-rates.toml", "--no-fit", "--machine")
    done = vgic_command(*compared, "generic-arm64-8", "-o", "mine.toml")
    found = machine(tmp_path / "mine.toml")
    assert [(check.what, check.measured, check.source) for check in found.checks] == [
        ("v6.10, 2/2/4", 3e6, "mine"),
        ("v6.10, 4/4/1", 4e6, "mine"),
    ]
    assert "Checked against mine, predicted over measured " in done.stdout
    assert f"{found.checks[0].ratio:.2f} (v6.10, 2/2/4)" in done.stdout
    said = vgic_command("predict", "--machine", "mine.toml", "-v", "2", "-d", "2", "-i", "5", "--design", "v6.10")
    checked = found.trust[found.trust.index("Checked against") :]
    assert checked in said.stdout.splitlines()[0]

    # What a machine was fitted to is no check of it.
    vgic_command("calibrate", "--rates", "mine-rates.toml", *QUICK, "-o", "fitted.toml")
    again = vgic_command(*compared, "fitted.toml", "-o", "again.toml")
    assert again.returncode == 0, again.stderr
    assert machine(tmp_path / "fitted.toml").checks == machine(tmp_path / "again.toml").checks == ()


def test_both_columns_of_the_published_tables_are_predicted(vgic_command, tmp_path, monkeypatch):
    small = [table.without(row.name for row in table.rows if not row.name.endswith("1/17")) for table in TABLES]
    monkeypatch.setattr("vgic.cli.calibrate.published_tables", lambda: small)
    done = vgic_command("calibrate", "--check", "--seeds", "1", "--json", "x.json")
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads((tmp_path / "x.json").read_text())
    assert [curve["how"] for curve in data["curves"]] == ["add", "ticket", "spin", "cas"]
    assert "Threads that increment one counter on graviton2" in done.stdout
    tables = data["tables"]
    assert [(one["rates"], one["machine"]) for one in tables] == [(table.name, table.machine) for table in TABLES]
    for one, table in zip(tables, TABLES, strict=True):
        [before], [after] = one["residuals"], one["predicted"]
        assert (before["row"], before["measured"]) == ("1/1/17", table.rows[-1].rate)
        assert after["measured"] == published_rate(table, table.rows[-1], after["design"])
        assert after["ratio"] == after["predicted"] / after["measured"]
    # The row of v2 waits for grace periods, whose length comes from that very row: it judges nothing.
    assert tables[0]["predicted"][0]["grace_period_ms"] == pytest.approx(6.7)
    assert done.stdout.splitlines()[-2:] == [
        "Never fitted, one sender: 1 of 1 within 35%.",
        "Never fitted, several senders: 0 of 0 within 25%.",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rates", "nowhere.toml"], "nowhere.toml: no such file"),
        (["--rates", "published:v2"], "published:v2: these rates are there to check predictions, not to fit to"),
        (["--rates", "published:v6.8-rc1", "--machine", "graviton2"], "graviton2: has 64 cores, and the largest row"),
        (["--rates", "published:v6.8-rc1", "--without", "1/1"], "no row '1/1'"),
        (["--rates", "published:v6.8-rc1", "--fit", "speed"], "unknown parameter 'speed'"),
        (["--rates", "published:v6.8-rc1", "--f-count", "odd"], "f-count: 'odd' is unknown"),
        (["--rates", "published:v6.8-rc1", "--starts", "0"], "starts: 0 is out of range 1 to 100"),
        (["--rates", "published:v6.8-rc1", "--predict", "v9"], "unknown design"),
        (["--rates", "published:v6.8-rc1", "--no-fit", "--fit", "step"], "fit and no-fit: give one of them"),
        (["--predict", "v2"], "predict: only with --rates"),
        (["--seed", "2"], "seed: only with --rates"),
        (["--starts", "2"], "starts: only with a fit (--rates, without --no-fit)"),
        (["--rates", "published:v6.8-rc1", "--no-fit", "--sends", "9"], "sends: only with a fit"),
        (["--seeds", "2"], "seeds: only with --predict"),
        (["--rates", "published:v6.8-rc1", "--full"], "full: only with --predict"),
        (["--output", "mine.toml", "--json", "mine.toml"], "json and output: both are mine.toml"),
        (["--seconds", "3"], "seconds: only with --here"),
        (["--grace-period-ms", "6"], "grace-period-ms: only with --predict"),
        ([*PUBLISHED_V2, "--grace-period-ms", ","], "grace-period-ms: none given"),
        ([*PUBLISHED_V2, "--grace-period-ms", "6,x"], "grace-period-ms: '6,x' is not a list of numbers"),
        ([*PUBLISHED_V2, "--grace-period-ms", "0"], "grace-period-ms: 0 is out of range"),
        (["--check", "--rates", "published:v6.8-rc1"], "rates: only without --check"),
        (["--check", "--here"], "here: only without --check"),
        (["--check", "--output", "mine.toml"], "output: only without --check"),
        (["--check", "--predict", "v2"], "predict: only with --rates"),
        (["--check", "--machine", "graviton2"], "graviton2: has 64 cores, and the largest row needs 128"),
        (["--c2c", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--micro-bench", "."], ".: not a regular file"),
        (["--output", "mine.txt"], "output: 'mine.txt': the name of a profile ends in .toml"),
        (["--output", "no/mine.toml"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line(monkeypatch, tmp_path, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate", *arguments]) == 2
    done = capsys.readouterr()
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert done.err.startswith("vgic: error: ")
    assert message in done.err


def test_ctrl_c_stops_a_fit_and_leaves_nothing(tmp_path, vgic_process):
    (tmp_path / "rates.toml").write_text(RATES)
    process = vgic_process(
        "calibrate", "--rates", "rates.toml", "--machine", "generic-arm64-8", "--output", "mine.toml"
    )
    process.wait_until_busy()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.endswith("vgic: interrupted\n")
    assert "Traceback" not in errors
    assert os.listdir(tmp_path) == ["rates.toml"]


def test_here_names_the_cpu_and_the_profile_it_looks_like(vgic_command, tmp_path, monkeypatch):
    here = Host("Kunpeng 920 (HiSilicon TSV110)", (), None, 4, 65536, True, False, "kunpeng920")
    monkeypatch.setattr("vgic.measure.results.this_host", lambda: here)
    monkeypatch.setattr("vgic._core.usable_cpus", lambda: [0, 1])
    monkeypatch.setattr("vgic._core.sample_cost", lambda what, seconds: 2.5)
    monkeypatch.setattr("vgic._core.sample_ping_pong", lambda cpu, other_cpu, seconds: 50.0)
    done = vgic_command("calibrate", "--here", "--seconds", "0.1", "-o", "mine.toml", "--json", "made.json")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()[:2]
    assert first.startswith("This machine: Kunpeng 920 (HiSilicon TSV110), ")
    assert first.endswith(", 4 NUMA nodes, pages of 64 KiB, LSE atomics in place, not virtual.")
    assert second == "This looks like kunpeng920: compare 'vgic predict --machine kunpeng920'."
    assert machine(tmp_path / "mine.toml").values["syscall"].source.endswith(", on Kunpeng 920 (HiSilicon TSV110)")
    assert json.loads((tmp_path / "made.json").read_text())["machine"]["profile"] == "kunpeng920"


def test_ctrl_c_shows_what_was_measured(vgic_command, tmp_path, monkeypatch):
    def interrupted(cpu, other_cpu, seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("vgic._core.usable_cpus", lambda: [0, 1])
    monkeypatch.setattr("vgic._core.sample_cost", lambda what, seconds: 2.5)
    monkeypatch.setattr("vgic._core.sample_ping_pong", interrupted)
    done = vgic_command("calibrate", "--here", "-o", "mine.toml")
    assert (done.returncode, done.stderr) == (130, "vgic: interrupted\n")
    assert "\nMeasured here, before it was interrupted:\n  hit_load: 2.5 ns\n" in done.stdout
    assert os.listdir(tmp_path) == []


def test_a_time_out_of_range_is_all_that_is_said(vgic_command):
    done = vgic_command("calibrate", "--here", "--seconds", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "vgic: error: seconds: 0 is out of range 0.1 to 600\n"
