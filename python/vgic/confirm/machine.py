"""A kernel booted under QEMU, with the guest program as its first process.

Commands go to the program over the console, and each is answered with a number; what the kernel says in between is
kept. Nothing is left running: QEMU is ended when the block ends, however it ends, and dies with this process.
"""

import errno
import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from vgic.confirm.console import Console, Ended, Heard
from vgic.confirm.cpio import archive, device, directory, program
from vgic.confirm.debian import cache_folder
from vgic.confirm.gdb import Gdb
from vgic.confirm.image import Kernel
from vgic.confirm.qemu import command_line, found_version, needed
from vgic.confirm.symbols import Symbols
from vgic.errors import KernelError, ReplayError

__all__ = ["Answer", "Machine", "Marks", "initrd"]

#: Seconds until the kernel is up, and until a command is answered: only against hanging.
_BOOT, PATIENCE = 1800.0, 900.0
#: Characters of the console that an error shows, and bytes of what QEMU has said that are looked at.
_SHOWN, _LOOKED_AT = 400, 4096
#: What the kernel says if something is wrong with it. What was left out of its words may be of that kind, too.
_TROUBLE = re.compile(
    r"WARNING:|BUG:|Oops|refcount_t:|Unable to handle|corruption|Kernel panic|Call trace:|lines left out"
)


class Answer(NamedTuple):
    """What the guest program says to a command."""

    #: A result, or ``-errno``.
    value: int
    #: What it tells besides.
    lines: list[str]


class Marks(NamedTuple):
    """Addresses: before and after each command of a thread, where a text is shown, where a vCPU leaves the guest."""

    begin: int
    end: int
    text: int
    leaves: int


def initrd() -> bytes:
    """The initramfs: the guest program, and what it needs to begin."""
    guest = files("vgic.confirm").joinpath("guest", "guest").read_bytes()
    folders = ("dev", "proc", "sys")
    return archive([*map(directory, folders), device("dev/console", 5, 1), program("init", guest)])


class Machine:
    """A machine that is up when the ``with`` block begins. One VM at a time runs in it (:meth:`vm`)."""

    def __init__(self, kernel: Kernel, *, cpu: str = "cortex-a57", append: str = "") -> None:
        """``cpu``: a model of QEMU's; ``append``: more words for the kernel's command line."""
        self.kernel = kernel
        self._cpu = cpu
        self._append = append
        self._has_vm = False

    def __enter__(self) -> "Machine":
        self._version = found_version()
        self._folder = tempfile.TemporaryDirectory(prefix="vgic-confirm-")
        self._process: subprocess.Popen[bytes] | None = None
        self._console = Console()
        #: What the kernel has said, by lines; of too many not all are kept.
        self.log = self._console.log
        self._gdb: Gdb | None = None
        try:
            self._start(Path(self._folder.name))
            words, _ = self._next(_BOOT)
            if len(words) != 1 + len(Marks._fields):
                raise ReplayError("the guest program does not come up as it should")
            self.marks = Marks(*(int(word, 16) for word in words[1:]))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def gdb(self) -> Gdb:
        """The connection to QEMU's gdb stub; the first use makes it, and stops the machine."""
        if self._gdb is None:
            try:
                self._gdb = Gdb.connect(Path(self._folder.name) / "gdb")
            except ReplayError as error:
                raise ReplayError(f"{error}; {needed(self._version)}") from None
        return self._gdb

    def command(self, line: str, seconds: float = PATIENCE) -> Answer:
        """Sends a command and waits for its answer; the machine must run. Raises ``ReplayError`` if none comes."""
        self.send(line)
        return self.answer(line, seconds)

    def send(self, line: str) -> None:
        """Sends a command without waiting; the machine need not run."""
        try:
            self._console.send(line)
        except OSError as error:
            raise ReplayError(f"QEMU has gone: {error.strerror or error}") from None

    def answer(self, line: str, seconds: float = PATIENCE) -> Answer:
        """The answer to a command that was sent."""
        if self._gdb is not None and not self._gdb.running:
            self._gdb.go(self._gdb.cpus)
        words, lines = self._next(seconds, line)
        return Answer(int(words[-1]), lines)

    def thread_answers(self, seconds: float = PATIENCE) -> list[tuple[int, int, int]]:
        """What the commands of threads came to, once all have ended: thread, number of the command, value."""
        found = []
        while len(words := self._next(seconds, "go")[0]) == 3:
            found.append((int(words[0]), int(words[1]), int(words[2])))
        return found

    def done(self, line: str) -> Answer:
        """As :meth:`command`, for one that must not fail. Raises ``ReplayError`` if it does."""
        answer = self.command(line)
        if answer.value < 0:
            raise ReplayError(f"{line!r} in the guest: {_name(answer.value)}")
        return answer

    def vm(self, vcpus: int, itses: int = 1) -> None:
        """A new VM in place of the one that is there. Raises :class:`KernelError` if the kernel cannot have one."""
        self.end_vm()
        answer = self.command(f"vm {vcpus} {itses}")
        if answer.value:
            self.answer("vm")  # Its process has ended, too.
            what = answer.lines[0].removeprefix("! ") if answer.lines else "a VM"
            raise KernelError(f"{self.kernel.name}: this kernel gives no {what}: {_name(answer.value)}")
        self._has_vm = True

    def end_vm(self) -> None:
        """Ends the VM, if there is one."""
        if self._has_vm:
            self._has_vm = False
            self.command("end")

    def symbols(self) -> Symbols:
        """The kernel's functions. What a kernel tells is kept in the user's cache, as it takes seconds."""
        kept = cache_folder() / f"{self.kernel.digest}.functions"
        if kept.exists():
            return Symbols(kept.read_text(encoding="utf-8"))
        self.end_vm()
        text = self._text("functions").decode("utf-8", "replace")
        symbols = Symbols(text)
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{time.time_ns()}")
        part.write_text(text, encoding="utf-8")
        part.replace(kept)
        return symbols

    def worked(self) -> float:
        """Seconds of CPU time that QEMU has had; 0 where the system does not tell."""
        if self._process is None:
            return 0.0
        try:
            words = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="latin1").rpartition(")")[2].split()
        except OSError:
            return 0.0
        # utime and stime, proc_pid_stat(5): fields 14 and 15, the first one here being the third.
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def listen(self, seconds: float) -> None:
        """Keeps what the kernel says for so long; the machine must run. It may end meanwhile."""
        self._console.listen(seconds)

    def trouble(self, since: int = 0) -> list[str]:
        """The lines of :attr:`log` from ``since`` on in which the kernel tells of an error of its own."""
        return [line for line in self.log[since:] if _TROUBLE.search(line)]

    def _text(self, command: str) -> bytes:
        """The text that a command shows at the mark, read from the guest's memory."""
        gdb = self.gdb
        if gdb.running:
            gdb.interrupt()
        gdb.add_breakpoint(self.marks.text)
        self.send(command)
        gdb.go(gdb.cpus)
        cpu = gdb.wait(PATIENCE)
        if cpu is None:
            raise ReplayError(f"{command!r} is not answered")
        address, size = gdb.registers(cpu)[:2]
        text = gdb.read(address, size, cpu)
        gdb.remove_breakpoint(self.marks.text)
        self.answer(command)
        return text

    def _start(self, folder: Path) -> None:
        (folder / "Image").write_bytes(self.kernel.image)
        (folder / "initrd").write_bytes(initrd())
        connections: list[str] = []
        for name, use in (("console", "-serial"), ("gdb", "-gdb")):
            connections += ["-chardev", f"socket,path={folder / name},server=on,wait=off,id={name}"]
            connections += [use, f"chardev:{name}"]
        command = command_line(self._cpu, str(folder / "Image"), str(folder / "initrd"), self._append, connections)
        # QEMU dies with us even if we are killed.
        if shutil.which("setpriv"):
            command = ["setpriv", "--pdeathsig=KILL", *command]
        self._errors = (folder / "errors").open("w+b")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            process_group=0,  # Ctrl-C is for us: we end QEMU in order.
        )
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._console.connect(folder / "console")
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    why = f"QEMU does not start: {self._complaint()}; {needed(self._version)}"
                    raise ReplayError(why) from None
                time.sleep(0.02)

    def _end(self) -> None:
        if self._gdb is not None:
            self._gdb.close()
        self._console.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._errors.close()
        with suppress(OSError):
            self._folder.cleanup()

    def _next(self, seconds: float, line: str = "") -> Heard:
        """The program's next answer."""
        try:
            return self._console.next(seconds)
        except TimeoutError:
            doing = f"the guest program does not answer {line!r}" if line else "the kernel does not come up"
            raise ReplayError(f"{doing}; the console ends: {self._console.ending(_SHOWN)}") from None
        except Ended:
            why = self._complaint() or self._console.ending(_SHOWN)
            raise ReplayError(f"the machine has ended: {why}") from None

    def _complaint(self) -> str:
        """The last thing that QEMU itself has said."""
        self._errors.seek(max(self._errors.seek(0, os.SEEK_END) - _LOOKED_AT, 0))
        return " ".join(self._errors.read().decode(errors="replace").split("\n")[-2:]).strip()


def _name(value: int) -> str:
    return errno.errorcode.get(-value, str(value))
