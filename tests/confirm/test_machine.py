import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from test_image import image

from vgic.confirm.console import KEPT, LONGEST
from vgic.confirm.image import Kernel
from vgic.confirm.machine import Machine
from vgic.errors import KernelError, ReplayError

KERNEL = Kernel("a kernel", image())


@pytest.fixture
def qemu(tmp_path, monkeypatch):
    """A program that is called as QEMU is; called with what it is to do."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "qemu-system-aarch64"
    script = Path(__file__).parent / "fake_qemu.py"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def behave(how):
        monkeypatch.setenv("FAKE_QEMU", how)
        return tmp_path

    return behave


def left(folder):
    """What a machine left: folders, and processes that name them."""
    folders = [str(path) for path in folder.glob("vgic-confirm-*")]
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return folders, [line for line in running.splitlines() if f"{folder}/vgic-confirm-" in line]


def test_commands_are_answered_and_what_the_kernel_says_is_kept(qemu):
    folder = qemu("")
    with Machine(KERNEL) as machine:
        assert machine.marks == (0x100, 0x200, 0x300, 0x400)
        machine.vm(2)
        assert machine.command("ack 0") == (2, [])
        said = len(machine.log)
        assert machine.command("state") == (2, ["| 8192 0", "| 8193 1"])
        assert machine.trouble() == machine.trouble(said) == ["[    1.1] WARNING: CPU: 0"]
        assert machine.log[:][0] == "[    0.1] Booting Linux"
        machine.send("go")
        assert machine.thread_answers() == [(1, 0, 5), (2, 0, -16)]
        with pytest.raises(ReplayError, match="'what' in the guest: ENOSYS"):
            machine.done("what")
    assert left(folder) == ([], [])


def test_functions_are_read_through_the_stub_and_kept(qemu):
    qemu("")
    for _ in range(2):
        with Machine(KERNEL) as machine:
            symbols = machine.symbols()
            assert symbols.names(0xFFFF_8000_8000_0000) == ["kvm_init"]
            assert machine.command("ack 0").value == 2


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (
            "does not start",
            "QEMU does not start: qemu-system-aarch64: no such machine; this is 7.2.22, and 2.10 or a later one is",
        ),
        ("too old", "^QEMU is too old: this is 2.9.1, and 2.10 or a later one is needed$"),
        ("tells no version", "no such machine; its version is not known, and 2.10 or a later one is needed$"),
        ("panics", "the machine has ended: .*Kernel panic - not syncing: no init"),
        ("dies", "the machine has ended: .*Booting Linux"),
        ("hangs", "the guest program does not answer 'msi 0 0 0'; the console ends: .*BUG: soft lockup"),
    ],
)
def test_a_machine_that_is_lost_says_why_and_leaves_nothing(qemu, how, why):
    folder = qemu(how)
    with pytest.raises(ReplayError, match=why), Machine(KERNEL) as machine:  # noqa: PT012
        machine.vm(1)
        # The limit is the test's subject: nothing will ever come.
        machine.command("msi 0 0 0", seconds=0.5)
    assert left(folder) == ([], [])


def test_a_stub_that_cannot_run_single_cpus_is_named_with_the_version(qemu):
    folder = qemu("no single CPUs")
    why = r"this QEMU cannot run CPUs one by one \(vCont\); this is 7.2.22, and 2.10 or a later one is needed$"
    with Machine(KERNEL) as machine, pytest.raises(ReplayError, match=why):
        machine.gdb  # noqa: B018
    assert left(folder) == ([], [])


def test_a_qemu_that_cannot_be_run_is_one_line(qemu):
    folder = qemu("")
    (folder / "bin" / "qemu-system-aarch64").write_bytes(b"\x7fELF nonsense")
    with pytest.raises(ReplayError, match=r"qemu-system-aarch64 --version: .*Exec format error"), Machine(KERNEL):
        pass


def test_a_kernel_that_prints_without_end_takes_a_bounded_memory(qemu):
    """And what is said later is still found by its number."""
    folder = qemu("floods")
    with Machine(KERNEL) as machine:
        machine.vm(1)
        said = len(machine.log)
        assert machine.command("msi 0 0 0").value == 1
        assert len(machine.log) == said + 100_001
        kept = machine.log[said:]
        assert kept[: KEPT - said] == [f"[    2.0] line {number}" for number in range(KEPT - said)]
        assert kept[KEPT - said] == f"... {100_001 + said - 2 * KEPT} lines left out ..."
        assert kept[-2:] == ["[    2.0] line 99999", "x" * LONGEST + " ..."]
        assert len(kept) == 2 * KEPT - said + 1
        assert machine.trouble(said) == [kept[KEPT - said]]
        # And on, while nobody looks at what is said.
        machine.send("its_w 0 0 0")
        while len(machine.log) < 200_000:
            time.sleep(0.01)
        assert len(machine.log[:]) == 2 * KEPT + 1
    assert left(folder) == ([], [])


def test_a_kernel_without_kvm_is_named(qemu):
    qemu("no kvm")
    with (
        Machine(KERNEL) as machine,
        pytest.raises(KernelError, match="a kernel: this kernel gives no /dev/kvm: ENOENT"),
    ):
        machine.vm(1)


def test_ctrl_c_leaves_nothing(qemu):
    folder = qemu("")
    with pytest.raises(KeyboardInterrupt), Machine(KERNEL):
        raise KeyboardInterrupt
    assert left(folder) == ([], [])


def test_without_qemu_the_package_is_named(qemu, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ReplayError, match="apt-get install qemu-system-arm"), Machine(KERNEL):
        pass
