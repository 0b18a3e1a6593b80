"""``vgic replay`` and ``vgic compare``: what they say of a recording, and their exit status."""

import json

import pytest

from qemu_logs import Guest, log


def taken(told):
    for event in (0, 1):
        told.msi(event)
        told.take(event, 0x2000 + event)


def as_it_was():
    told = Guest()
    told.boot()
    taken(told)
    return log(told.events)


def another():
    """The guest takes an LPI that was not sent."""
    told = Guest()
    told.boot()
    taken(told)
    told.take(0, 0x2002)
    return log(told.events)


def tie():
    """Two are pending, and the guest takes that of the higher INTID first."""
    told = Guest([0])
    told.boot()
    for event in (0, 1):
        told.msi(event)
    told.take(0, 0x2001)
    told.take(0, 0x2000)
    return log(told.events)


def log_order():
    told = Guest()
    told.boot()
    taken(told)
    told.take(0, 0x2000)
    told.msi(0)
    lines = log(told.events).splitlines(keepends=True)
    # All within a millisecond.
    return "".join(line.replace("@" + line.split("@")[1].split(":")[0], "@1795368346.000001") for line in lines)


def without_acknowledges():
    told = Guest()
    told.boot()
    told.msi(0)
    return log(told.events)


def reset():
    told = Guest()
    told.boot()
    taken(told)
    told.msi(0)
    told.boot()
    taken(told)
    return log(told.events)


def seven_zero():
    told = Guest()
    told.boot()
    taken(told)
    return log(told.events, "7.0")


CASES = {
    "as it was": (as_it_was, 0, "2 of 2 acknowledges as recorded (100.00%)"),
    "another": (
        another,
        1,
        "2 of 3 acknowledges as recorded (66.67%), 1 missing; 1 LPIs too few or too many on a vCPU",
    ),
    "tie": (tie, 0, "1 of 2 acknowledges as recorded (50.00%), 1 tie"),
    "log order": (log_order, 0, "2 of 3 acknowledges as recorded (66.67%), 1 log order"),
    "nothing": (without_acknowledges, 1, "nothing to check: the recording has no acknowledge of an LPI"),
    "reset": (reset, 0, "4 of 4 acknowledges as recorded (100.00%)"),
}


@pytest.mark.parametrize("case", CASES)
def test_replay_exits_1_if_the_check_does_not_hold(vgic_command, tmp_path, case):
    made, status, text = CASES[case]
    (tmp_path / "guest.1.log").write_text(made())
    done = vgic_command(
        "replay", "guest.1.log", "--design", "v6.10", "--design", "v7.1.8", "--loop", "0", "--json", "j"
    )
    assert done.returncode == status, done.stderr
    assert done.stdout.splitlines()[0].startswith("guest.1: ")
    assert done.stdout.splitlines()[1:] == [f"v6.10: {text}", f"v7.1.8: {text}"]
    rows = json.loads((tmp_path / "j").read_text())["recorded"]
    assert [row["holds"] for row in rows] == [status == 0] * 2
    assert {row["recording"] for row in rows} == {"guest.1"}
    if case == "nothing":
        assert (rows[0]["acknowledges"], rows[0]["share_in_order"], rows[0]["left"]) == (0, None, 1)


def test_replay_runs_flat_out_also_if_the_check_does_not_hold(vgic_command, tmp_path):
    (tmp_path / "guest.log").write_text(another())
    done = vgic_command("replay", "guest.log", "--mode", "lockstep", "--details")
    assert done.returncode == 1
    assert "  line 56: vCPU 0 acknowledged 0x2002, the engine gave nothing (missing)" in done.stdout.splitlines()
    assert "Rate: " in done.stdout


@pytest.mark.parametrize(("case", "status"), [("as it was", 0), ("another", 1), ("nothing", 1)])
def test_compare_exits_1_if_the_check_does_not_hold(vgic_command, tmp_path, case, status):
    (tmp_path / "guest.log").write_text(CASES[case][0]())
    arguments = ["compare", "--recording", "guest.log", "--quick", "--design", "v6.10", "--design", "v7.1.8"]
    done = vgic_command(*arguments)
    assert done.returncode == status, done.stderr
    rows = json.loads((tmp_path / "result.json").read_text())["recorded"]
    assert [row["holds"] for row in rows] == [status == 0] * 2
    text = "every design gives each vCPU the 2 LPIs that the guest acknowledged"
    assert (text in " ".join(done.stdout.split())) == (status == 0)
    if case == "nothing":
        assert "guest as recorded: nothing to check: the guest acknowledged no LPI." in done.stdout
        assert "nothing to check" in (tmp_path / "report.html").read_text()
    if case == "another":
        assert "guest as recorded, v7.1.8: 2 of 3 acknowledges in the recorded order (1 missing)" in done.stdout


@pytest.mark.parametrize("command", ["replay", "compare"])
def test_a_reset_is_said(vgic_command, tmp_path, command):
    (tmp_path / "guest.log").write_text(reset())
    if command == "replay":
        done = vgic_command("replay", "guest.log", "--loop", "0", "--json", "result.json")
    else:
        done = vgic_command("compare", "--recording", "guest.log", "--quick", "--design", "v7.1.8")
    assert done.returncode == 0
    text = "GITS_BASER0 was written while the ITS was on"
    assert f"vgic: note: line 57: {text}: the machine was reset, the replay starts anew\n" in done.stderr
    rows = json.loads((tmp_path / "result.json").read_text())["recorded"]
    assert rows[0]["resets"] == [{"line": 57, "sign": text}]


def test_what_a_log_lacks_is_said(vgic_command, tmp_path):
    (tmp_path / "guest.log").write_text(seven_zero())
    done = vgic_command("replay", "guest.log", "--loop", "0")
    assert done.returncode == 0
    assert done.stderr == (
        "vgic: note: the log does not have the operands of these commands: 4 INV; they are left out, which changes no "
        "acknowledge\n"
    )
