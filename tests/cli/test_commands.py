import json
import lzma
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import vgic


def test_no_arguments_show_the_help(vgic_command):
    done = vgic_command()
    assert done.returncode == 0
    for command in ("compare", "stress", "replay", "designs"):
        assert command in done.stdout


def test_version(vgic_command):
    assert vgic_command("--version").stdout == f"vgic {vgic.__version__}\n"


@pytest.mark.parametrize(
    "command", ["compare", "stress", "replay", "designs", "machines", "predict", "scale", "calibrate"]
)
def test_each_command_has_a_help(vgic_command, command):
    for flag in ("-h", "--help"):
        done = vgic_command(command, flag)
        assert done.returncode == 0
        assert "Usage" in done.stdout


@pytest.mark.parametrize("mode", ["live", "lockstep", "senders"])
def test_stress_ends_each_design_with_its_rate(vgic_command, mode):
    done = vgic_command("stress", "-i", "100", "--mode", mode, "--design", "v6.8-rc1", "--design", "v6.10")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["v6.8-rc1", "Rate:", "v6.10", "Rate:"]
    assert re.fullmatch(r"Rate: \d+\.\d\d LPIs/sec", lines[1])
    assert re.fullmatch(r"Rate: \d+\.\d\d LPIs/sec", lines[3])
    assert "sent 1600" in lines[0]


def test_stress_warns_when_threads_exceed_cpus(vgic_command):
    cpus = len(os.sched_getaffinity(0))
    done = vgic_command("stress", "-v", str(cpus), "-d", "1", "-i", "10")
    assert done.stderr.startswith("WARNING: ")
    assert "WARNING" not in vgic_command("stress", "-v", str(cpus), "-i", "10", "--mode", "lockstep").stderr


def test_json_on_standard_output_is_json_alone(vgic_command):
    done = vgic_command("stress", "-i", "10", "--repeat", "3", "--mode", "lockstep", "--json", "-")
    file = vgic.ResultFile.from_json(done.stdout)
    assert len(file.results[0].samples) == 3
    assert file.command == "vgic stress -i 10 --repeat 3 --mode lockstep --json -"
    assert "Rate: " in done.stderr


def test_json_in_a_file_leaves_no_other_file(vgic_command, tmp_path):
    assert vgic_command("stress", "-i", "10", "--json", "x.json").returncode == 0
    assert os.listdir(tmp_path) == ["x.json"]
    assert vgic.ResultFile.from_json((tmp_path / "x.json").read_text()).results[0].counts["sent"] == 160


def test_replay_compares_and_then_runs_flat_out(vgic_command):
    done = vgic_command("replay", "virtio-4cpu", "--mode", "lockstep", "--loop", "2")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("virtio-4cpu: 4 vCPUs, 4 devices, 178 ITS commands, 5296 MSIs")
    assert "of 5296 acknowledges as recorded" in lines[1]
    assert "sent 10592" in lines[2]
    assert lines[3].startswith("Rate: ")


def test_designs_lists_every_one(vgic_command):
    listed = vgic_command("designs").stdout
    for design in vgic.designs():
        assert design.name in listed
    data = json.loads(vgic_command("designs", "--json", "-").stdout)
    assert [row["name"] for row in data["designs"]] == [design.name for design in vgic.designs()]


def test_designs_shows_one_lock_by_lock(vgic_command):
    shown = vgic_command("designs", "v6.8-rc1").stdout
    assert "lpi_list_lock" in shown
    assert re.search(r"^ +1  \S+", shown, re.MULTILINE)


def test_compare_writes_a_report_and_a_result(vgic_command, tmp_path):
    done = vgic_command("compare", "--quick", "--design", "v6.8-rc1", "--design", "v6.10", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / "out")) == ["report.html", "result.json"]
    file = vgic.ResultFile.from_json((tmp_path / "out" / "result.json").read_text())
    assert file.designs == ["v6.8-rc1", "v6.10"]
    assert [w["name"] for w in file.workloads] == ["redis-memtier", "single stream", "cache full", "many LPIs"]
    for result in file.results:
        assert 4 <= len(result.samples) <= 8  # More than planned if the machine is busy.
        assert result.rate > 0
        assert result.ratio is not None
    assert file.floor["rate"] > 0
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if not line.startswith("Wrote"))


def test_compare_says_what_a_recording_shows(vgic_command, tmp_path):
    """A design that does not give the guest what it took is status 1, and so is a recording that shows nothing."""
    bundled = Path(vgic.__file__).parent / "trace" / "recordings" / "virtio-4cpu.log.xz"
    lines = lzma.decompress(bundled.read_bytes()).decode().splitlines(keepends=True)
    of_lpis = re.compile(r"(gicv3_icc_iar1_read .* value )0x[2-9a-f][0-9a-f]{3}$", re.MULTILINE)
    first = next(n for n, line in enumerate(lines) if of_lpis.search(line))
    lines[first] = of_lpis.sub(r"\g<1>0x3fff", lines[first])
    (tmp_path / "other.log").write_text("".join(lines))
    told = [line for line in lines if not re.search("gicv3_icc_|translation_write", line)]
    (tmp_path / "silent.log").write_text("".join(told))
    compare = ("compare", "--quick", "--design", "v6.10", "--recording")
    done = vgic_command(*compare, "other.log")
    assert done.returncode == 1
    assert re.search("^vgic: note: 1 acknowledges are of LPIs which no command in the log maps", done.stderr)
    assert "; not the same LPIs on each vCPU" in " ".join(done.stdout.split())
    assert "Wrote report.html and result.json." in done.stdout
    done = vgic_command(*compare, "silent.log")
    assert (done.returncode, done.stderr) == (1, "")
    text = "silent as recorded: nothing to check: the guest acknowledged no LPI."
    assert text in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "arguments",
    [["compare"], ["stress", "--seconds", "40"], ["stress", "--seconds", "40", "--mode", "lockstep"]],
    ids=["compare", "live", "lockstep"],
)
def test_ctrl_c_stops_it_and_leaves_nothing(tmp_path, vgic_process, arguments):
    process = vgic_process(*arguments, "--json", "x.json")
    process.wait_until_busy()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.endswith("vgic: interrupted\n")
    assert "Traceback" not in errors
    assert os.listdir(tmp_path) == []


def test_output_into_a_closed_pipe_is_no_traceback(tmp_path):
    command = f"{sys.executable} -m vgic designs | head -n 1"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
