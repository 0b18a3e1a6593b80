"""The example that runs a guest under Unicorn does what it says, and its guest is made from the source beside it."""

import os
import re
import runpy
import shutil
import subprocess
import sys

import pytest
from pages import ROOT

EXAMPLE = ROOT / "examples" / "unicorn_its.py"
SOURCE = ROOT / "examples" / "unicorn_guest" / "guest.S"
IMAGE = SOURCE.with_suffix(".bin")

OUTPUT = """\
guest: the ITS is ready
guest: took LPI 8192
guest: took LPI 8193
guest: took LPI 8192
guest: took LPI 8193
guest: took LPI 8192
guest: took LPI 8193
guest: that was enough, power off
vgic: 6 MSIs sent, 6 LPIs delivered, 0 pending
"""


def run(*arguments, path=""):
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments],
        env=os.environ | {"PYTHONPATH": str(path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_guest_takes_its_interrupts():
    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (0, OUTPUT, "")


def test_verbose_adds_the_accesses():
    done = run("--verbose")
    assert (done.returncode, done.stderr) == (0, "")
    accesses = [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]
    assert OUTPUT.splitlines() == [line for line in done.stdout.splitlines() if not line.startswith("    ")]
    accesses = [re.sub(" +", " ", access) for access in accesses]
    expected = [
        "ICC_IGRPEN1_EL1 <- 0x1",
        "GICD_CTLR <- 0x12",
        "GICR_PROPBASER <- 0x4001000d",
        "GICR_CTLR <- 0x1",
        "GITS_CBASER+4 <- 0x80000000",
        "GITS_CTLR <- 0x1",
        "GITS_CWRITER <- 0xe0",
        "GITS_CREADR -> 0xe0",
        "DOORBELL <- 0x0",
        "ICC_IAR1_EL1 -> 0x2000",
        "ICC_EOIR1_EL1 <- 0x2000",
        "DOORBELL <- 0x1",
        "ICC_IAR1_EL1 -> 0x2001",
    ]
    positions = [accesses.index(access) for access in expected]
    assert positions == sorted(positions)


def test_help_says_what_it_is():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--verbose" in done.stdout


def test_without_unicorn_it_says_so_in_one_line(tmp_path):
    (tmp_path / "unicorn.py").write_text("raise ImportError\n", encoding="utf-8")
    done = run(path=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "unicorn_its.py: Unicorn is not installed: pip install unicorn\n"


def test_guest_and_machine_have_the_same_addresses():
    machine = runpy.run_path(str(EXAMPLE))
    guest = dict(re.findall(r"\.equ\s+(\w+),\s+(\w+)", SOURCE.read_text(encoding="utf-8")))
    for name in ("GICD", "GITS", "GICR", "UART", "DEVICE", "DEVICE_ID"):
        assert int(guest[name], 0) == machine[name], name
    for name in ("STACK_TOP", "CONFIG_TABLE", "PENDING_TABLE", "QUEUE", "DEVICE_TABLE", "COLLECTIONS", "ITT"):
        assert machine["RAM"] < int(guest[name], 0) < machine["RAM"] + machine["RAM_SIZE"], name


TOOLS = ("aarch64-linux-gnu-as", "aarch64-linux-gnu-objcopy")


@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason="the binutils for aarch64-linux-gnu are not installed")
def test_the_guest_is_made_from_its_source(tmp_path):
    commands = re.findall(r"^ \*     (aarch64-linux-gnu-.*)$", SOURCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [command.split()[0] for command in commands] == list(TOOLS)
    shutil.copy(SOURCE, tmp_path)
    for command in commands:
        subprocess.run(command.split(), cwd=tmp_path, check=True)
    assert (tmp_path / IMAGE.name).read_bytes() == IMAGE.read_bytes()
