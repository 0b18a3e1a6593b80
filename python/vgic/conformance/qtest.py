"""A client of QEMU's qtest protocol: a machine driven register by register.

The protocol is lines of text: one request, one reply. Requests may be sent ahead of the replies, so :class:`Batch`
collects many of them for one round trip, which is what makes a run of 100,000 ITS commands a matter of a minute.
"""

import base64
import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from vgic.conformance.target import TargetError

__all__ = ["EDU_IDS", "MISSING", "PATIENCE", "VCPUS", "Batch", "Qemu", "QemuConnection", "QemuError", "arguments"]

BINARY = "qemu-system-aarch64"
#: Why QEMU cannot be started, or None.
MISSING = None if shutil.which(BINARY) else f"{BINARY} is not installed (Debian: apt-get install qemu-system-arm)"

VCPUS = 4
#: Requester ids of the `edu` devices, whose MSIs carry them as DeviceIDs: slot << 3 | function.
EDU_IDS = (0x18, 0x19, 0x1F, 0x28)

#: highmem=off puts the PCIe configuration space at 0x3f000000, below 4 GiB.
MACHINE = "virt,gic-version=3,its=on,highmem=off"

#: Requests that are sent before the first reply is read. Both socket buffers hold more than this, so neither side can
#: block the other for ever.
AHEAD = 32 << 10
#: A reply that takes longer than this is not coming, in seconds: QEMU answers within milliseconds.
PATIENCE = 600.0
#: A monitor that has said nothing after so many seconds will not.
GREETING = 60.0

Decode = Callable[[str], Any]


class QemuError(TargetError):
    """QEMU died, or refused a request."""


def _nothing(reply: str) -> None:
    return None


def _number(reply: str) -> int:
    return int(reply, 16)


class Batch:
    """Requests for one round trip; :meth:`QemuConnection.run` returns what the reads among them found."""

    def __init__(self) -> None:
        """No request yet."""
        self.lines: list[str] = []
        self.decoders: list[Decode] = []

    def _add(self, line: str, decode: Decode = _nothing) -> Self:
        self.lines.append(line)
        self.decoders.append(decode)
        return self

    def read(self, address: int, size: int) -> Self:
        """Read a register, or memory."""
        return self._add(f"read{'_bw_l___q'[size]} {address:#x}", _number)

    def write(self, address: int, size: int, value: int) -> Self:
        """Write a register, or memory."""
        return self._add(f"write{'_bw_l___q'[size]} {address:#x} {value:#x}")

    def load(self, address: int, size: int) -> Self:
        """Read memory."""
        return self._add(f"b64read {address:#x} {size:#x}", base64.b64decode)

    def store(self, address: int, data: bytes) -> Self:
        """Write memory."""
        return self._add(f"b64write {address:#x} {len(data):#x} {base64.b64encode(data).decode()}")

    def fill(self, address: int, size: int, byte: int = 0) -> Self:
        """Fill memory with a byte."""
        return self._add(f"memset {address:#x} {size:#x} {byte:#x}")


def arguments() -> list[str]:
    """What QEMU's command line has for the machine: CPUs, the GIC, devices that send MSIs."""
    found = ["-M", MACHINE, "-cpu", "cortex-a57", "-smp", str(VCPUS), "-m", "64"]
    found += ["-accel", "tcg,thread=single,tb-size=16", "-nodefaults", "-display", "none", "-serial", "none"]
    # The log says why a command was ignored; it goes to stderr.
    found += ["-d", "guest_errors", "-S"]
    for requester in EDU_IDS:
        found += ["-device", f"edu,addr={requester >> 3:x}.{requester & 7},multifunction=on"]
    return found


class QemuConnection:
    """The qtest and QMP sockets of a QEMU that runs already."""

    def __init__(self, requests: socket.socket, monitor: socket.socket) -> None:
        """``requests``: that of qtest; ``monitor``: that of QMP, which has not been talked to."""
        self._requests, self._monitor = requests, monitor
        for end in (self._requests, self._monitor):
            end.settimeout(PATIENCE)
        self._replies = self._requests.makefile("r", encoding="ascii", newline="\n")
        self._events = self._monitor.makefile("r", encoding="utf-8", newline="\n")
        try:
            #: Major and minor.
            self.version = self._greeting()
            self._ask("qmp_capabilities")
        except BaseException:
            self.close()
            raise

    @classmethod
    def to(cls, requests: str, monitor: str) -> Self:
        """Connect to sockets by their paths. Raises ``OSError`` and :class:`QemuError`."""
        found = []
        for path in (requests, monitor):
            found.append(end := socket.socket(socket.AF_UNIX))
            try:
                end.connect(path)
            except OSError as error:
                for opened in found:
                    opened.close()
                raise OSError(error.errno, error.strerror, path) from None
        return cls(*found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _greeting(self) -> tuple[int, int]:
        """What a monitor says first. One that has another client says nothing."""
        self._monitor.settimeout(GREETING)
        message = self._message()
        self._monitor.settimeout(PATIENCE)
        try:
            version = message["QMP"]["version"]["qemu"]
            return version["major"], version["minor"]
        except (KeyError, TypeError):
            raise QemuError("what answers is no QMP monitor") from None

    def log(self, lines: int = 10) -> str:
        """What QEMU has said, where that is known."""
        return ""

    def _died(self) -> QemuError:
        return QemuError("QEMU gave no answer")

    def _message(self) -> dict[str, Any]:
        """The monitor's next line."""
        try:
            line = self._events.readline()
        except OSError:
            line = ""
        if not line:
            raise self._died()
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError:
            raise QemuError("what answers is no QMP monitor") from None
        if "error" in message:
            raise QemuError(message["error"]["desc"])
        return message

    def _ask(self, command: str, event: str | None = None, **arguments: object) -> None:
        """Run a command of the monitor; wait for its answer and, before or after it, an event."""
        try:
            self._monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        except OSError:
            raise self._died() from None
        awaited = {"return"} | ({event} if event else set())
        while awaited:
            message = self._message()
            awaited -= {"return"} if "return" in message else {message.get("event")}

    def reset(self) -> None:
        """Reset every device (about a millisecond). RAM keeps what is in it."""
        # The answer only says that a reset was asked for; the event comes when it is done.
        self._ask("system_reset", "RESET")

    def cont(self) -> None:
        """Let the vCPUs run."""
        self._ask("cont")

    def stop(self) -> None:
        """Halt the vCPUs."""
        self._ask("stop")

    def dump(self, path: Path) -> None:
        """Write all RAM into an ELF core."""
        self._ask("dump-guest-memory", paging=False, protocol=f"file:{path}")

    def save(self, path: Path, address: int, size: int) -> None:
        """Write a piece of RAM into a raw file."""
        self._ask("pmemsave", val=address, size=size, filename=str(path))

    def run(self, batch: Batch) -> list[Any]:
        """Run the requests; what the reads returned, in their order."""
        found = []
        start = 0
        while start < len(batch.lines):
            end = start
            size = 0
            while end < len(batch.lines) and (end == start or size + len(batch.lines[end]) < AHEAD):
                size += len(batch.lines[end])
                end += 1
            try:
                self._requests.sendall(("\n".join(batch.lines[start:end]) + "\n").encode())
                replies = [self._replies.readline() for _ in range(start, end)]
            except OSError:
                raise self._died() from None
            if not replies[-1].endswith("\n"):
                raise self._died()
            for line, decode, reply in zip(batch.lines[start:end], batch.decoders[start:end], replies, strict=True):
                if not reply.startswith("OK"):
                    raise QemuError(f"{line}: {reply.strip()}")
                if decode is not _nothing:
                    found.append(decode(reply[3:-1]))
            start = end
        return found

    def close(self) -> None:
        """Leave QEMU alone."""
        for each in (self._replies, self._events, self._requests, self._monitor):
            each.close()


class Qemu(QemuConnection):
    """One QEMU process. It ends with :meth:`close`, and at the latest with the thread that started it."""

    def __init__(self, *more: str, binary: str = BINARY) -> None:
        """``more``: of QEMU's command line. Raises ``OSError`` and :class:`QemuError`."""
        requests, qtest_end = socket.socketpair()
        monitor, monitor_end = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with QEMU)
        ends = (qtest_end.fileno(), monitor_end.fileno())
        # setpriv is in Debian's essential util-linux. Without it an interrupted run may leave a QEMU behind.
        leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        command = [*leash, binary, *arguments()]
        command += ["-chardev", f"socket,id=qtest,fd={ends[0]}", "-object", "qtest,id=q,chardev=qtest,log=none"]
        command += ["-chardev", f"socket,id=qmp,fd={ends[1]}", "-mon", "qmp,mode=control"]
        command += more
        try:
            # A session of its own: Ctrl-C is for us, who then end QEMU.
            self._process = subprocess.Popen(
                command,
                pass_fds=ends,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
            )
        except OSError:
            for each in (requests, monitor, self._errors):
                each.close()
            raise
        finally:
            qtest_end.close()
            monitor_end.close()
        super().__init__(requests, monitor)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def log(self, lines: int = 10) -> str:
        """The end of what QEMU has said: guest errors, and why it ended if it did."""
        size = self._errors.seek(0, 2)
        self._errors.seek(max(0, size - 4096))
        return "\n".join(self._errors.read().decode(errors="replace").splitlines()[-lines:])

    def _died(self) -> QemuError:
        try:
            status: object = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            status = "none, it is still there"
        return QemuError(f"QEMU gave no answer (exit status: {status})\n{self.log()}".rstrip())

    def close(self) -> None:
        """Stop QEMU and wait for its end."""
        if self._process.poll() is None:
            # Nothing here is worth a graceful end: no disk, no snapshot.
            self._process.kill()
        self._process.wait()
        super().close()
        self._errors.close()
