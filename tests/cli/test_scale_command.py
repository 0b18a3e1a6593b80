import csv
import os
import signal
import time
from pathlib import Path

import pytest

import vgic

SMALL = ("scale", "--machine", "generic-arm64-16", "--cores", "1..8", "--sends", "400", "--design", "v6.8-rc1")


def test_scale_prints_a_chart_a_table_and_fits(vgic_command, tmp_path):
    done = vgic_command(*SMALL, "--design", "v6.10", "--json", "x.json", "--csv", "x.csv", "--report", "x.html")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path)) == ["x.csv", "x.html", "x.json"]
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    for text in ("a v6.8-rc1   b v6.10   c gicv4", "ideal", "delivered", "stalled", "kappa", "A fit explains nothing"):
        assert text in done.stdout
    file = vgic.ResultFile.from_json((tmp_path / "x.json").read_text())
    assert file.designs == ["v6.8-rc1", "v6.10", "gicv4"]
    with (tmp_path / "x.csv").open() as rows:
        assert [int(row["cores"]) for row in csv.DictReader(rows)] == [1, 2, 4, 8] * 3
    assert (tmp_path / "x.html").read_text().startswith("<!doctype html>")


def test_jobs_and_seeds_give_the_same_numbers(vgic_command):
    outputs = []
    for more in ((), ("--jobs", "2")):
        done = vgic_command(*SMALL, "--seeds", "2", "--seed", "7", "--json", "-", *more)
        assert done.returncode == 0, done.stderr
        file = vgic.ResultFile.from_json(done.stdout)
        assert file.method["seeds"] == [7, 8]
        outputs.append([result.to_dict() for result in file.results])
    assert outputs[0] == outputs[1]


def test_the_cores_follow_the_machine(vgic_command):
    done = vgic_command("scale", "--machine", "generic-arm64-12", "--sends", "400", "--design", "v6.10", "--json", "-")
    assert done.returncode == 0, done.stderr
    file = vgic.ResultFile.from_json(done.stdout)
    assert file.method["cores"] == [2, 4, 8, 12]
    rates = [point["rate"] for point in file.method["points"] if point["design"] == "v6.10"]
    assert len(set(rates)) == 4
    assert "Checked against no measured rate." in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--csv", "x", "--report", "x"), "csv and report: both are x"),
        (("--sends", "500"), "sends: 500 are less than a round on 128 cores, 1024"),
        (("--cores", "1..128", "--machine", "graviton2"), "cores: 128 are asked for, but graviton2 has 64"),
        (("--cores", "5"), "cores: 5 is odd"),
        (("--cores", "a"), "cores: 'a' is not a number"),
        (("--machine", "none"), "unknown machine 'none'"),
        (("--design", "v6.99"), "unknown design 'v6.99'"),
        (("--entry", "x"), "entry: 'x' is unknown"),
        (("--entry", "ioctl-many:1025"), "entry ioctl-many: 1025 is out of range 1 to 1024"),
        (("--gap", "-1"), "gap: -1 us is out of range"),
        (("--seeds", "0"), "seeds: 0 is out of range"),
        (("--jobs", "0"), "jobs: 0 is out of range"),
        (("--jobs", "2", "--dask", "tcp://127.0.0.1:1"), "dask and jobs: give one of them"),
        (("--csv", "no/such/x.csv"), "cannot be written"),
        (("--report", "."), "cannot be written"),
    ],
)
def test_bad_input_is_one_line(vgic_command, tmp_path, arguments, message):
    done = vgic_command("scale", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("vgic: error: ")
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert os.listdir(tmp_path) == []


def stat(pid):
    """State, parent and so on of a process; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def children(pid):
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            state = stat(int(name))
            if state and int(state[1]) == pid:
                found.append(int(name))
    return found


def alive(pid):
    state = stat(pid)
    return bool(state) and state[0] != "Z"


def test_ctrl_c_stops_it_and_leaves_nothing(tmp_path, vgic_process):
    process = vgic_process("scale", "--sends", "10000000", "--jobs", "2", "--json", "x.json")
    workers = []
    while len(workers) < 3:  # two, and multiprocessing's tracker of resources
        assert process.poll() is None
        workers = children(process.pid)
        time.sleep(0.1)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    for worker in workers:  # A terminal sends it to all of them.
        os.kill(worker, signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "vgic: interrupted\n"
    assert os.listdir(tmp_path) == []
    while any(map(alive, workers)):  # The tracker ends when it notices.
        time.sleep(0.1)


def test_workers_end_with_a_caller_that_is_killed(vgic_process):
    process = vgic_process("scale", "--sends", "10000000", "--jobs", "2")
    workers = []
    while len(workers) < 3:
        assert process.poll() is None
        workers = children(process.pid)
        time.sleep(0.1)
    time.sleep(1.0)
    process.kill()
    process.communicate()
    while any(map(alive, workers)):
        time.sleep(0.1)
