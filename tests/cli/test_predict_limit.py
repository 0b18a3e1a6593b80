"""``vgic predict --find-limit``."""

import json

import pytest

LOAD = ("--find-limit", "-v", "2", "-d", "2", "-e", "4", "-i", "40", "--machine", "generic-arm64-4")


def test_limits_are_shown_and_written(vgic_command):
    done = vgic_command("predict", *LOAD, "--design", "v6.8-rc1,v6.10,gicv4", "--json", "limits.json")
    assert (done.returncode, done.stderr) == (0, "")
    again = vgic_command("predict", *LOAD, "--design", "v6.8-rc1,v6.10,gicv4", "--json", "-")
    data = json.loads(again.stdout)
    old, new, _ = data["limits"]
    assert old["rate"] < old["beyond"] <= 1.05 * old["rate"]
    assert old["matters_from"] is None
    lines = done.stdout.splitlines()
    (row,) = (line for line in lines if line.startswith("v6.8-rc1 "))
    assert "1.00\N{MULTIPLICATION SIGN}" in row
    told = [line for line in lines if line.startswith("v6.10 ") and "matters from" in line]
    assert bool(told) == (new["matters_from"] is not None)
    # The table of a run whose JSON goes to standard output is beside it.
    assert row in again.stderr


def test_the_gap_of_a_limit_is_one_to_predict_with(vgic_command):
    data = json.loads(vgic_command("predict", *LOAD, "--design", "v6.8-rc1", "--json", "-").stdout)
    (limit,) = data["limits"]
    load = [word for word in LOAD if word != "--find-limit"]
    done = vgic_command("predict", *load, "--gap", str(limit["gap_us"]), "--design", "v6.8-rc1", "--json", "-")
    (result,) = json.loads(done.stdout)["results"]
    assert result["prediction"]["delivered_rate"] >= data["keeps_up"] * limit["rate"]


@pytest.mark.parametrize(
    "option",
    [
        ("--gap", "3"),
        (
            "--closed",
            "each",
        ),
        ("--explain",),
        ("--what-if",),
        ("--free", "vgic_irq[0]"),
        ("--trace", "t.json"),
        ("--report", "r.html"),
    ],
)
def test_an_option_that_has_no_effect_is_refused(vgic_command, option):
    done = vgic_command("predict", "--find-limit", *option)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"vgic: error: {option[0].removeprefix('--')}: only without --find-limit\n"


def test_a_machine_that_is_too_small_is_refused_in_one_line(vgic_command):
    done = vgic_command("predict", "--find-limit", "--machine", "generic-arm64-4")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "vgic: error: vcpus + devices: 32 threads, a core each, but generic-arm64-4 has 4 cores\n"
