"""``vgic kernels`` and ``vgic designs --kernel``."""

import json

import pytest

import vgic

#: A machine on which a prediction takes no time.
SMALL = ("--machine", "generic-arm64-4")


def test_every_series_is_listed(vgic_command):
    done = vgic_command("kernels")
    assert done.returncode == 0, done.stderr
    data = json.loads(vgic_command("kernels", "--json", "-").stdout)
    assert [row["series"] for row in data["kernels"]] == [one.name for one in vgic.kernels()]
    for row in data["kernels"]:
        (line,) = (line for line in done.stdout.splitlines() if line.split()[:1] == [row["series"]])
        assert row["design"] in line
        assert str(row["defects_at_first"]) == line.split()[-1]
        assert row["newest"] in line


def test_a_kernel_is_shown_with_what_it_has_and_what_it_would_gain(vgic_command):
    done = vgic_command("designs", "--kernel", "6.6.87", *SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    assert "6.6.87 its LPI code is nearest to that of v6.8-rc1" in text
    assert "CVE-2024-26598 in 6.6.14 (65b201bf3e9a)" in text
    assert "CVE-2026-72289 fixed in 6.6.145" in text
    assert "lpi_list_lock 5 -> 0" in text
    assert "CVE-2026-46316 (fix: 7.1, 13031fb6b835)" in text
    assert "predicted for generic-arm64-4" in text
    data = json.loads(vgic_command("designs", "--kernel", "6.6.87", *SMALL, "--json", "-").stdout)
    assert data["kernel"]["design"] == "v6.8-rc1"
    assert {row["cve"] for row in data["kernel"]["defects"]} >= {"CVE-2026-72288", "CVE-2026-89912"}
    row = next(row for row in data["gains"] if row["design"] == "v6.10")
    assert row["keeps_up_to"]["rate"] > data["keeps_up_to"]["rate"]
    assert data["machine"] == "generic-arm64-4"


def test_what_a_name_hides_is_said(vgic_command):
    done = vgic_command("designs", "--kernel", "6.1.0-37-arm64", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "note: the stable release cannot be known from 6.1.0-37-arm64" in " ".join(done.stdout.split())


def test_this_machine_has_a_kernel(vgic_command):
    data = json.loads(vgic_command("designs", "--kernel-here", *SMALL, "--json", "-").stdout)
    assert data["kernel"]["release"] == str(vgic.kernel_here().release)


def test_a_narrow_terminal_loses_nothing(vgic_command):
    for arguments in (("kernels",), ("designs", "--kernel", "6.12.117", *SMALL)):
        narrow = vgic_command(*arguments, columns=60)
        assert max(len(line.rstrip()) for line in narrow.stdout.splitlines()) <= 60
        assert "…" not in narrow.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--kernel", "nonsense"], "kernel: 'nonsense' is no release such as 6.6.87"),
        (["--kernel", ""], "kernel: '' is no release"),
        (["--kernel", "6.6\x1b[31m"], r"kernel: '6.6\x1b[31m' is no release"),
        (["--kernel", "6.6", "v6.10"], "kernel: without a name"),
        (["--kernel", "6.6", "--kernel-here"], "kernel: without a name"),
        (["--kernel-here", "--axes"], "kernel: without a name"),
        (["--machine", "graviton3"], "machine: only with --kernel or --kernel-here"),
        (["--kernel", "6.6", "--machine", "nope"], "unknown machine 'nope'"),
        (["--kernel", "6.6", "--machine", "generic-arm64-1"], "machine: a vCPU and a sender need two cores"),
    ],
)
def test_bad_input_is_one_line(vgic_command, arguments, why):
    done = vgic_command("designs", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"vgic: error: {why}")
    assert done.stderr.count("\n") == 1
