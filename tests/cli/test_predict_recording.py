"""``vgic predict --recording``: a recorded guest on another machine, and how fast it may get."""

import json

import pytest

#: A second of the bundled guest, 500 times as fast.
SHORT = ("predict", "--recording", "redis-memtier", "--from", "20", "--to", "21")
MACHINE = ("--machine", "generic-arm64-16")


def test_a_recorded_guest_on_another_machine(vgic_command):
    designs = ("--design", "v6.8-rc1,v6.10,gicv4")
    done = vgic_command(*SHORT, *MACHINE, *designs, "--scale-time", "0.001", "--json", "a.json", "--report", "a.html")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1].startswith("redis-memtier from 20 s to 21 s: 4 vCPUs, 1 device, ")
    assert lines[2].startswith("in 0.001 of its time: 8 vectors, 4 vCPUs, ")
    heads = next(line for line in lines if line.startswith("design"))
    assert heads.split() == ["design", "kept", "taken/s", "merged", "median", "p99", "waits", "most", "for"]
    again = vgic_command(*SHORT, *MACHINE, *designs, "--scale-time", "0.001", "--json", "-")
    data = json.loads(again.stdout)
    (load,) = data["workloads"]
    assert (load["kind"], load["scale_time"], load["vectors"], load["vcpus"]) == ("recording", 0.001, 8, 4)
    assert [result["design"] for result in data["results"]] == ["v6.8-rc1", "v6.10", "gicv4"]
    for result in data["results"]:
        assert result["prediction"]["window"]["sent"] == load["msis"]
        assert result["unit"] == "LPIs accepted a second of virtual time"


def test_at_its_own_speed_and_with_more_queues(vgic_command):
    for more, vectors, vcpus in (((), 8, 4), (("--queues-times", "3"), 24, 12)):
        done = vgic_command(*SHORT, "--design", "v6.10", *more)
        assert done.returncode == 0, done.stderr
        assert f"at the recorded speed: {vectors} vectors, {vcpus} vCPUs, " in done.stdout
        (row,) = (line for line in done.stdout.splitlines() if line.startswith("v6.10 "))
        assert float(row.split()[1].rstrip("%")) > 97


def test_how_fast_it_may_get(vgic_command):
    arguments = (*SHORT, *MACHINE, "--speed-up-until-saturated", "--design", "v6.8-rc1,v6.10")
    done = vgic_command(*arguments, "--json", "-")
    assert done.returncode == 0
    data = json.loads(done.stdout)
    old, new = data["limits"]
    assert old["rate"] < new["rate"]
    assert 0 < new["scale_time"] < old["scale_time"] < 1
    assert data["workload"]["recording"] == "redis-memtier from 20 s to 21 s"
    assert "scale_time" not in data["workload"]
    heads = next(line for line in done.stderr.splitlines() if line.startswith("design"))
    assert heads.split()[:6] == ["design", "keeps", "up", "to", "ratio", "speed"]
    assert "v6.10 matters from" in done.stderr
    scale = str(new["scale_time"])
    again = vgic_command(*SHORT, *MACHINE, "--design", "v6.10", "--scale-time", scale)
    (row,) = (line for line in again.stdout.splitlines() if line.startswith("v6.10 "))
    assert float(row.split()[1].rstrip("%")) >= 97


def test_where_its_time_went_and_what_a_line_is_worth(vgic_command):
    done = vgic_command(*SHORT, *MACHINE, "--design", "v6.8-rc1", "--scale-time", "0.001", "--explain")
    assert done.returncode == 0, done.stderr
    assert "v6.8-rc1: where the time went" in done.stdout
    assert "lpi_list_lock" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--phase", "2"], "phase: only with --recording"),
        (["--from", "0"], "from: only with --recording"),
        (["--scale-time", "2"], "scale-time: only with --recording"),
        (["--queues-times", "2"], "queues-times: only with --recording"),
        (["--speed-up-until-saturated"], "speed-up-until-saturated: only with --recording"),
        (["--recording", "redis-memtier", "-v", "4"], "vcpus: only without --recording"),
        (["--recording", "redis-memtier", "-d", "4"], "devices: not with --recording"),
        (["--recording", "redis-memtier", "--queues", "4"], "queues: not with --recording"),
        (["--recording", "redis-memtier", "--closed", "each"], "closed: only without --recording"),
        (["--recording", "redis-memtier", "--find-limit"], "find-limit: only without --recording"),
        (["--recording", "redis-memtier", "--trace", "a.json"], "trace: only without --recording"),
        (
            ["--recording", "redis-memtier", "--speed-up-until-saturated", "--scale-time", "1"],
            "scale-time: only without --speed-up-until-saturated",
        ),
        (["--recording", "redis-memtier", "--scale-time", "-1"], "scale-time: -1 is out of range"),
        (["--recording", "redis-memtier", "--queues-times", "200"], "3,181,800 MSIs are more than 1,000,000"),
        (
            ["--recording", "redis-memtier", "--machine", "generic-arm64-4"],
            "12 threads, a core each, but generic-arm64-4 has 4 cores",
        ),
        (["--recording", "nothing-here"], "nothing-here: no such file"),
        (["--recording", "redis-memtier", "--phase", "7"], "phase: 7 is out of range 1 to 2"),
        (["--recording", "redis-memtier", "--to", "1"], "no MSI in it has an LPI and a vCPU"),
    ],
)
def test_what_is_wrong_is_one_line(vgic_command, arguments, message):
    done = vgic_command("predict", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
