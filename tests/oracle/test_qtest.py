"""The client of QEMU itself."""

import os
import signal
import socket
import subprocess

import commands
import pytest
from layout import GITS, TABLES

import vgic
from vgic.conformance.qemu import BYTES
from vgic.conformance.qtest import Batch, Qemu, QemuConnection, QemuError


def test_a_batch_returns_what_its_reads_found(qemu):
    batch = Batch().store(TABLES, b"0123456789").fill(TABLES + 2, 3, 0x41).load(TABLES, 10)
    batch.write(TABLES, 4, 0x01020304).read(TABLES, 4).read(TABLES, 1).read(TABLES, 8)
    assert qemu.run(batch) == [b"01AAA56789", 0x01020304, 4, int.from_bytes(b"\x04\x03\x02\x01A567", "little")]


def test_many_requests_do_not_block(qemu):
    batch = Batch()
    for n in range(20_000):
        batch.write(TABLES, 8, n).read(TABLES, 8)
    assert qemu.run(batch) == list(range(20_000))


def test_reset_resets_the_its_but_not_memory(qemu):
    qemu.run(Batch().store(TABLES, b"kept").write(GITS, 4, 1))
    qemu.reset()
    assert qemu.run(Batch().load(TABLES, 4).read(GITS, 4)) == [b"kept", 1 << 31]


def test_a_refused_request_is_named(qemu):
    with pytest.raises(QemuError, match="nonsense: FAIL Unknown command"):
        qemu.run(Batch().read(TABLES, 4)._add("nonsense").read(TABLES, 4))
    # The replies behind it were read, too.
    qemu.run(Batch().write(TABLES, 4, 7))
    assert qemu.run(Batch().read(TABLES, 4)) == [7]


def test_qemu_that_dies_is_an_error_with_its_status():
    with Qemu() as qemu:
        os.kill(qemu.pid, signal.SIGKILL)
        with pytest.raises(QemuError, match="exit status: -9"):
            qemu.run(Batch().read(GITS, 4))
        with pytest.raises(QemuError, match="exit status: -9"):
            qemu.reset()


def test_qemu_that_does_not_start_is_an_error_that_says_why():
    with pytest.raises(QemuError, match=r"exit status: 1(.|\n)*no-such-option"):
        Qemu("-no-such-option")


def test_the_agent_is_what_its_source_says(tmp_path):
    assembler, copy = "aarch64-linux-gnu-as", "aarch64-linux-gnu-objcopy"
    object_file, binary = tmp_path / "agent.o", tmp_path / "agent.bin"
    try:
        subprocess.run([assembler, "-o", object_file, BYTES.with_suffix(".S")], check=True)
    except FileNotFoundError:
        pytest.skip(f"{assembler} is not installed (Debian: apt-get install binutils-aarch64-linux-gnu)")
    subprocess.run([copy, "-O", "binary", object_file, binary], check=True)
    assert binary.read_bytes() == BYTES.read_bytes()


ENCODED = [
    (commands.mapd(0x18, 4, 0x4030_0000, True), ("MAPD", 0x18, 5, 0x4030_0000, True)),
    (commands.mapd(0xFFFF_FFFF, 31, 0, False), ("MAPD", 0xFFFF_FFFF, 32, 0, False)),
    (commands.mapc(3, 2, True), ("MAPC", 3, 2, True)),
    (commands.mapc(0xFFFF, 0xFFFF_FFFF, False), ("MAPC", 0xFFFF, 0xFFFF_FFFF, False)),
    (commands.mapti(7, 9, 8200, 3), ("MAPTI", 7, 9, 8200, 3)),
    (commands.mapi(7, 8192, 3), ("MAPI", 7, 8192, 3)),
    (commands.movi(7, 9, 3), ("MOVI", 7, 9, 3)),
    (commands.movall(1, 2), ("MOVALL", 1, 2)),
    (commands.discard(7, 9), ("DISCARD", 7, 9)),
    (commands.clear(7, 9), ("CLEAR", 7, 9)),
    (commands.int_(7, 9), ("INT", 7, 9)),
    (commands.inv(7, 9), ("INV", 7, 9)),
    (commands.invall(3), ("INVALL", 3)),
    (commands.sync(2), ("SYNC", 2)),
]


@pytest.mark.parametrize(("command", "wanted"), ENCODED, ids=[wanted[0] for _, wanted in ENCODED])
def test_the_packages_encoder_agrees_with_the_one_here(command, wanted):
    name, *operands = wanted
    _, names = vgic.its.COMMANDS[name]
    assert vgic.its.encode(name, **dict(zip(names, operands, strict=True))) == command


@pytest.mark.parametrize("answer", [b"OK\n", b"{}\n", b'{"QMP": 5}\n', b""])
def test_what_is_no_monitor_is_an_error(answer):
    ours, theirs = socket.socketpair()
    requests, other = socket.socketpair()
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    with other, theirs, pytest.raises(QemuError, match=r"no QMP monitor|gave no answer"):
        QemuConnection(requests, ours)
