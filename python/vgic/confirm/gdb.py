"""The gdb remote protocol, as much of it as holding QEMU's CPUs needs.

To QEMU a CPU is a thread, 1, 2, ... It answers only while the machine stands: whatever it is told makes a machine that
runs stop. ``vCont`` with a list of CPUs lets these run and holds the others. If two CPUs stop at once, it tells of one.
(GDB manual, "Remote Protocol".)
"""

import socket
import time
from collections.abc import Iterable
from pathlib import Path

from vgic.errors import ReplayError

__all__ = ["BadAddress", "Decoder", "Gdb", "packet"]

_ESCAPE, _REPEAT = 0x7D, 0x2A
#: Seconds until an answer must have come: only against hanging.
PATIENCE = 600.0
#: Bytes of memory that a packet holds, two digits each.
_CHUNK = 0x800
#: x0 to x30, sp, pc.
_REGISTERS = 33
LR, PC = 30, 32


class BadAddress(Exception):
    """No CPU can see this address, as it is now."""


def packet(body: bytes) -> bytes:
    """A packet with its checksum, what must be escaped being escaped."""
    escaped = bytearray()
    for byte in body:
        escaped += bytes([_ESCAPE, byte ^ 0x20]) if byte in b"#$}*" else bytes([byte])
    return b"$%b#%02x" % (bytes(escaped), sum(escaped) & 0xFF)


class Decoder:
    """Bodies of packets out of bytes that come in pieces; what stands between packets is passed over."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are whole with these bytes. Raises :class:`~vgic.errors.ReplayError` for a bad one."""
        self._rest += data
        found: list[bytes] = []
        while True:
            begin = self._rest.find(b"$")
            end = self._rest.find(b"#", begin)
            if begin < 0 or end < 0 or len(self._rest) < end + 3:
                return found
            body = bytes(self._rest[begin + 1 : end])
            if self._rest[end + 1 : end + 3].lower() != b"%02x" % (sum(body) & 0xFF):
                raise ReplayError("a packet of QEMU's gdb stub has a wrong checksum")
            del self._rest[: end + 3]
            found.append(_unescaped(body))


def _unescaped(body: bytes) -> bytes:
    out = bytearray()
    bytes_of_it = iter(body)
    for byte in bytes_of_it:
        if byte == _ESCAPE:
            out.append(next(bytes_of_it, 0x20) ^ 0x20)
        elif byte == _REPEAT:
            out += out[-1:] * max(next(bytes_of_it, 29) - 29, 0)
        else:
            out.append(byte)
    return bytes(out)


class Gdb:
    """A connection to QEMU's stub. Connecting stops the machine."""

    def __init__(self, connection: socket.socket) -> None:
        """``connection``: to the stub, nothing having been said yet. It is closed by :meth:`close`."""
        self._socket = connection
        self._decoder = Decoder()
        self._packets: list[bytes] = []
        self._cpu = 0
        self._running = False
        #: How many packets were sent.
        self.sent = 0
        #: Whether what stopped the machine last was a watchpoint.
        self.watched = False
        # A stop comes unasked, before the first answer.
        self._send(b"qSupported:swbreak+;hwbreak+;vContSupported+")
        while b"PacketSize" not in (answer := self._receive(PATIENCE)):
            if not answer.startswith((b"T", b"S")):
                raise ReplayError(f"QEMU's gdb stub answers {answer[:40]!a}")
        # Only who has asked for the names of the registers may write one.
        self.command(b"qXfer:features:read:target.xml:0,ffb")
        if b";c" not in self.command(b"vCont?"):
            raise ReplayError("this QEMU cannot run CPUs one by one (vCont)")
        self.cpus = self._threads()

    @classmethod
    def connect(cls, path: Path) -> "Gdb":
        """To the stub at a Unix socket. Raises :class:`~vgic.errors.ReplayError` if nobody is there."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
            return cls(connection)
        except OSError as error:
            connection.close()
            raise ReplayError(f"QEMU's gdb stub cannot be reached: {error.strerror or error}") from None
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Ends the connection; the machine stays as it is."""
        self._socket.close()

    @property
    def running(self) -> bool:
        """Whether the machine runs, as far as it has told."""
        return self._running

    # What stands.

    def registers(self, cpu: int) -> list[int]:
        """x0 to x30, sp and pc of a CPU."""
        self._select(cpu)
        raw = bytes.fromhex(self.command(b"g").decode("ascii")[: 16 * _REGISTERS])
        if len(raw) < 8 * _REGISTERS:
            raise ReplayError("QEMU's gdb stub tells too few registers: is this qemu-system-aarch64?")
        return [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]

    def pc(self, cpu: int) -> int:
        """The address of the next instruction of a CPU."""
        return self.registers(cpu)[PC]

    def set_register(self, cpu: int, number: int, value: int) -> None:
        """Writes x0 to x30, sp (31) or pc (32) of a CPU."""
        self._select(cpu)
        self._acknowledged(b"P%x=%b" % (number, value.to_bytes(8, "little").hex().encode()))

    def read(self, address: int, size: int, cpu: int | None = None) -> bytes:
        """Memory as a CPU sees it, or any one that can. Raises :class:`BadAddress` if none can.

        A CPU in user space, or in the hypervisor's part of KVM, sees nothing of the kernel.
        """
        got = bytearray()
        while len(got) < size:
            at, count = address + len(got), min(_CHUNK, size - len(got))
            candidates = [cpu] if cpu is not None else [self._cpu or self.cpus[0], *self.cpus]
            for candidate in candidates:
                self._select(candidate)
                answer = self.command(b"m%x,%x" % (at, count))
                if not answer.startswith(b"E"):
                    got += bytes.fromhex(answer.decode("ascii"))
                    break
            else:
                raise BadAddress(f"{at:#x}")
        return bytes(got)

    def add_breakpoint(self, address: int) -> None:
        """Every CPU stops before the instruction there; memory is not changed."""
        self._acknowledged(b"Z1,%x,4" % address)

    def remove_breakpoint(self, address: int) -> None:
        """The opposite of :meth:`add_breakpoint`."""
        self._acknowledged(b"z1,%x,4" % address)

    def add_watchpoint(self, address: int, size: int) -> None:
        """Every CPU stops before an instruction that loads or stores any of these bytes.

        One that stores them only if they are as they were (``STXR``) is not always seen: QEMU before 8.1 looks at none.
        """
        self._acknowledged(b"Z4,%x,%x" % (address, size))

    def remove_watchpoint(self, address: int, size: int) -> None:
        """The opposite of :meth:`add_watchpoint`."""
        self._acknowledged(b"z4,%x,%x" % (address, size))

    # What runs.

    def go(self, cpus: Iterable[int]) -> None:
        """Lets these CPUs run; the others stay where they are."""
        self._send(b"vCont;" + b";".join(b"c:%x" % cpu for cpu in cpus))
        self._running = True

    def wait(self, seconds: float) -> int | None:
        """The CPU that has stopped the machine; None if it still runs after that time."""
        try:
            answer = self._receive(seconds)
        except TimeoutError:
            return None
        self._running = False
        if answer[:1] not in (b"T", b"S"):
            raise ReplayError(f"the machine ended: {answer[:40]!a}")
        self.watched = b"watch:" in answer
        _, found, rest = answer.partition(b"thread:")
        return int(rest.split(b";")[0], 16) if found else self.cpus[0]

    def interrupt(self) -> int:
        """Stops the machine; the CPU that it tells of, which may have met a breakpoint just then."""
        self._socket.sendall(b"\x03")
        cpu = self.wait(PATIENCE)
        if cpu is None:
            raise ReplayError("QEMU does not stop the machine")
        return cpu

    def step(self, cpu: int) -> None:
        """One instruction of one CPU; no interrupt is taken."""
        self._send(b"vCont;s:%x" % cpu)
        if self.wait(PATIENCE) is None:
            raise ReplayError(f"CPU {cpu} does not end an instruction")

    # Packets.

    def command(self, body: bytes) -> bytes:
        """Sends a packet to a machine that stands; the answer."""
        self._send(body)
        try:
            return self._receive(PATIENCE)
        except TimeoutError:
            raise ReplayError(f"QEMU's gdb stub does not answer {body[:40]!a}") from None

    def _acknowledged(self, body: bytes) -> None:
        answer = self.command(body)
        if answer != b"OK":
            raise ReplayError(f"QEMU's gdb stub answers {answer[:40]!a} to {body[:40]!a}")

    def _select(self, cpu: int) -> None:
        if self._cpu != cpu:
            self._acknowledged(b"Hg%x" % cpu)
            self._cpu = cpu

    def _threads(self) -> list[int]:
        found: list[int] = []
        answer = self.command(b"qfThreadInfo")
        while answer.startswith(b"m"):
            found += [int(number, 16) for number in answer[1:].split(b",")]
            answer = self.command(b"qsThreadInfo")
        if not found:
            raise ReplayError("QEMU's gdb stub tells of no CPU")
        return found

    def _send(self, body: bytes) -> None:
        if self._running:
            raise ReplayError("the machine runs: it must be stopped before it is asked anything")
        self._write(packet(body))
        self.sent += 1

    def _write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ReplayError(f"QEMU has gone: {error.strerror or error}") from None

    def _receive(self, seconds: float) -> bytes:
        """The next packet. Raises ``TimeoutError`` if none comes in that time."""
        end = time.monotonic() + seconds
        while not self._packets:
            self._socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                raise
            except OSError as error:
                raise ReplayError(f"QEMU has gone: {error.strerror or error}") from None
            if not data:
                raise ReplayError("QEMU has gone")
            self._packets += self._decoder.feed(data)
        self._write(b"+")
        return self._packets.pop(0)
