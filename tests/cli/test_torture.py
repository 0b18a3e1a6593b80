"""``vgic torture``: what it prints, how it ends, and that it notices a rule that is broken on purpose."""

import json
import os
import re
import shlex
import signal

import pytest

import vgic
from vgic.cli.torture import _period
from vgic.prove.torture import TorturePeriod

QUICK = ("--minutes", "0.03", "--period", "0.6", "--seed", "7")


def broken(monkeypatch, rule):
    monkeypatch.setenv("VGIC_TORTURE_BREAK", rule)


def test_a_run_says_what_it_does_and_how_it_ended(vgic_command):
    done = vgic_command("torture", *QUICK, "--design", "hardened")
    first, *periods, total, last = done.stdout.splitlines()
    assert first.startswith("Torture: design=hardened minutes=0.03 seed=7 vcpus=3 its=2 senders=2 ")
    assert f"vgic={vgic.__version__}" in first
    # On a busy machine the end may come a little late, after one more.
    assert len(periods) in (3, 4)
    for period in periods:
        assert re.match(r" *\d+\.\d s: sent .*; RCU: .* oldest \d+\.\d ms; audited \d+ LPIs", period)
    assert total.startswith(f"{len(periods)} periods: sent ")
    assert last == "End of torture: SUCCESS"
    assert (done.returncode, done.stderr) == (0, "")


def test_a_broken_rule_is_status_1_with_the_command_to_run_again(vgic_command, monkeypatch, tmp_path):
    broken(monkeypatch, "leak")
    done = vgic_command("torture", *QUICK, "--design", "v6.10", "--json", "x.json")
    last = done.stdout.splitlines()[-1]
    found = re.fullmatch(r"End of torture: FAILURE: (LPI 8192 has .* references: .*); again: (vgic torture .*)", last)
    assert found, last
    assert found[2] == "vgic torture --design v6.10 --minutes 0.03 --seed 7 --period 0.6"
    assert done.returncode == 1
    data = json.loads((tmp_path / "x.json").read_text())
    assert (data["success"], data["failures"][0], data["command"]) == (False, found[1], found[2])
    assert data["plan"]["design"] == "v6.10"


def test_a_crash_is_a_failure(vgic_command, monkeypatch):
    broken(monkeypatch, "crash")
    done = vgic_command("torture", *QUICK)
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"End of torture: FAILURE: killed by signal {signal.SIGABRT.value} (SIGABRT)")
    assert last.endswith("; again: vgic torture --design v7.3 --minutes 0.03 --seed 7 --period 0.6")


def test_a_thread_without_progress_is_named(vgic_command, monkeypatch):
    broken(monkeypatch, "stick")
    done = vgic_command("torture", *QUICK, "--watchdog", "5")
    assert done.returncode == 1
    assert re.search(
        r"FAILURE: deadlock: no progress for 5 s: .*commander\d \(did last: ", done.stdout.splitlines()[-1]
    )


def test_ctrl_c_ends_with_a_summary(vgic_process):
    with vgic_process("torture", "--minutes", "10", "--period", "0.2", "--seed", "1") as process:
        process.stdout.readline()
        process.stdout.readline()  # A period is over.
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "vgic: interrupted\n"
    last = rest.splitlines()[-1]
    assert last.startswith("End of torture: INTERRUPTED, nothing found until then; again: vgic torture ")


def test_json_on_standard_output_is_json_alone(vgic_command):
    done = vgic_command("torture", *QUICK, "--json", "-")
    data = json.loads(done.stdout)
    assert (data["kind"], data["success"], len(data["periods"])) == ("torture", True, 3)
    assert done.stderr.splitlines()[-1] == "End of torture: SUCCESS"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--design", "patch-51"], "unknown design 'patch-51': did you mean patch-15"),
        (["--design", "v6.7"], "design v6.7 is unsound"),
        (["--minutes", "0"], "minutes: 0 is out of range"),
        (["--minutes", "nan"], "minutes: nan is not a number"),
        (["--vcpus", "1"], "vcpus: 1 is out of range 2 to 64"),
        (["--seed", "-1"], "seed: -1 is out of range"),
        (["--devices", "256", "--events", "1024"], "LPIs"),
        (["--json", "/nonexistent/x.json"], "/nonexistent/x.json: cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_status_2(vgic_command, tmp_path, arguments, message):
    done = vgic_command("torture", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("vgic: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert os.listdir(tmp_path) == []


def test_the_command_to_run_again_is_the_plan():
    plan = vgic.TorturePlan(design="v6.7", seed=3, minutes=2, poison=False, allow_unsound=True, list_registers=1)
    words = shlex.split(plan.command)
    assert words[:8] == ["vgic", "torture", "--design", "v6.7", "--minutes", "2", "--seed", "3"]
    assert words[8:] == ["--list-registers", "1", "--no-poison", "--allow-unsound"]
    assert vgic.TorturePlan().command == "vgic torture --design v7.3 --minutes 1.0 --seed 1"


def test_from_python():
    periods = []
    result = vgic.torture("patch-15", minutes=0.01, period=0.3, seed=5, on_period=periods.append)
    assert result.success, result.failures
    assert result.periods == periods
    assert sum(period.counts["delivered"] for period in periods) > 0


def test_a_period_of_scenarios_says_so_without_an_end_of_any():
    period = TorturePeriod(1, 0.6, 0.5, {}, 0, 0, 0, 0, 0, False, 7, 0.001, 3, 0)
    assert _period(period, True) == "    0.6 s: executions 0/s; RCU: 14/s callbacks, 3 waiting, oldest 1.0 ms"


def test_scenarios_run_on_real_threads(vgic_command):
    done = vgic_command("torture", *QUICK, "--scenario", "all")
    first, *periods, total, last = done.stdout.splitlines()
    assert " scenarios=all " in first
    assert all(re.match(r" *\d+\.\d s: executions .*/s; RCU: ", period) for period in periods)
    assert re.fullmatch(r"\d+ periods: [1-9]\d* executions of \d+ scenarios", total)
    assert last == "End of torture: SUCCESS"
    assert done.returncode == 0
    for arguments, what in (
        (("--scenario", "all", "--design", "v6.10"), "scenarios would use freed memory in v6.10"),
        (("--scenario", "mixx"), "did you mean mix?"),
    ):
        refused = vgic_command("torture", *arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert what in refused.stderr
