"""A bare-metal guest tests the ITS from inside: introspection, trigger, migration, pending migration.

It runs on our frames in every design, and, to see that it is right itself, on QEMU.
"""

import re
import subprocess
from pathlib import Path

import pytest

import vgic
from vgic.conformance.qtest import BINARY, MISSING

pytest.importorskip("unicorn")
from two_cpus import Board

SOURCE = Path(__file__).with_name("guest.S")
IMAGE = SOURCE.with_suffix(".bin")
DESIGNS = [design.name for design in vgic.designs() if not design.unsound]
#: A walk of all LPIs finds none in these, so MOVALL does nothing.
WITHOUT_WALK = ("v2", "call-rcu")


def checks():
    """The texts of the checks, in order."""
    return re.findall(r'^ +check_(?:true|taken) .*"(.*)"$', SOURCE.read_text(), re.MULTILINE)


def expect_all_passed(printed):
    lines = printed.splitlines()
    assert lines == [*(f"PASS {text}" for text in checks()), f"passed: {len(checks())}", "failed: 0"]


@pytest.mark.parametrize("design", [name for name in DESIGNS if name not in WITHOUT_WALK])
def test_on_our_frames(design):
    expect_all_passed(Board(IMAGE.read_bytes(), design).run())


def test_there_are_checks_of_each_kind():
    kinds = [text.partition(":")[0] for text in checks()]
    assert set(kinds) == {"introspection", "trigger", "migration", "pending", "discard"}
    assert len(kinds) > 25


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_on_qemu():
    machine = ["-M", "virt,gic-version=3,its=on", "-cpu", "cortex-a57", "-smp", "2", "-m", "64"]
    # On one thread a `yield` lets the other CPU run: nothing depends on how fast the machine is.
    machine += ["-accel", "tcg,thread=single"]
    devices = ["-display", "none", "-nodefaults", "-serial", "stdio"]
    loader = ["-device", f"loader,file={IMAGE},addr=0x40200000,cpu-num=0,force-raw=on"]
    done = subprocess.run(
        [BINARY, *machine, *devices, *loader],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    expect_all_passed(done.stdout)


#: A command that is lost, and what the guest says of it.
DEAF = {
    0x01: "FAIL migration: MOVI, and CPU 1 takes the LPI",
    0x03: "FAIL trigger: CPU 0 takes the LPI of its collection",
    0x0C: "FAIL trigger: it was pending, and is taken when it is enabled",
    0x0F: "FAIL discard: the event is not mapped any more",
}


class Deaf:
    """A VM that sees a SYNC instead of a certain command."""

    def __init__(self, board, opcode):
        self.board, self.opcode, self.vm = board, opcode, board.vm

    def __getattr__(self, name):
        return getattr(self.vm, name)

    def mmio_write(self, address, size, value):
        for at in range(0x4_0000, 0x4_2000, 32):  # the queue
            if self.board.ram[at] == self.opcode:
                self.board.ram[at] = 0x05
        self.vm.mmio_write(address, size, value)


@pytest.mark.parametrize("opcode", DEAF)
def test_a_command_that_does_nothing_is_found(opcode, monkeypatch):
    # What does not come is waited for.
    monkeypatch.setattr("two_cpus.MOST_TURNS", 100_000)
    board = Board(IMAGE.read_bytes(), "v7.3")
    for cpu in board.cpus:
        cpu.vm = Deaf(board, opcode)
    printed = board.run()
    assert DEAF[opcode] in printed.splitlines()
    assert "failed: 0\n" not in printed


def test_the_binary_is_made_from_the_source(tmp_path):
    assembler, copy = "aarch64-linux-gnu-as", "aarch64-linux-gnu-objcopy"
    object_file, binary = tmp_path / "guest.o", tmp_path / "guest.bin"
    try:
        subprocess.run([assembler, "-o", object_file, SOURCE], check=True)
    except FileNotFoundError:
        pytest.skip(f"{assembler} is not installed (Debian: apt-get install binutils-aarch64-linux-gnu)")
    subprocess.run([copy, "-O", "binary", "-j", ".text", object_file, binary], check=True)
    assert binary.read_bytes() == IMAGE.read_bytes()
