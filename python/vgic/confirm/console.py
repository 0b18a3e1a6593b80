"""The console of a machine: what the guest program answers, and what the kernel says in between.

A kernel that is lost may print for ever, also a line that never ends. What is kept of it has a bound.
"""

import re
import socket
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import NamedTuple

__all__ = ["Console", "Ended", "Heard", "Log"]

#: Lines that are kept: the first ones, and as many of the last. A boot has some hundreds.
KEPT = 4000
#: Characters of a line that are kept; the kernel's own are shorter (``PRINTKRB_RECORD_MAX``).
LONGEST = 1024
#: What the guest program says at most between two commands: further lines count as the kernel's.
_MOST = 1 << 14
#: The guest program's answers, as ``guest/main.c`` has them.
_ANSWER = re.compile(r"= (up(?: 0x[0-9a-f]{1,16}){4}|(?:[0-9]{1,9} [0-9]{1,9} )?-?[0-9]{1,19})")


class Ended(Exception):
    """The machine has ended: nothing will ever come."""


class Heard(NamedTuple):
    """An answer of the guest program."""

    words: list[str]
    #: What it told before.
    lines: list[str]


class Log:
    """Lines that were said, one after the other. A line's number stays what it is when others are left out."""

    def __init__(self, kept: int = KEPT) -> None:
        """``kept``: so many of the first lines stay, and so many of the last."""
        self._kept = kept
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=kept)
        self._count = 0
        self._lock = Lock()

    def __len__(self) -> int:
        """How many lines were said, also those that were left out."""
        return self._count

    def append(self, line: str) -> None:
        """One more line."""
        with self._lock:
            (self._first if self._count < self._kept else self._last).append(line)
            self._count += 1

    def __getitem__(self, part: slice) -> list[str]:
        """The lines from a number on, ``log[number:]``. In place of what was left out a line says how much it was."""
        with self._lock:
            begin = part.indices(self._count)[0]
            last = self._count - len(self._last)
            missing = last - max(begin, len(self._first))
            note = [f"... {missing} lines left out ..."] if missing > 0 else []
            return self._first[begin:] + note + list(self._last)[max(begin - last, 0) :]


class Console:
    """A connection to the console."""

    def __init__(self) -> None:
        """Nobody is there yet."""
        #: What the kernel has said.
        self.log = Log()
        self._socket = socket.socket(socket.AF_UNIX)
        self._rest = ""
        self._lines: list[str] = []
        self._heard: SimpleQueue[Heard | None] = SimpleQueue()
        # At all times, as QEMU stands still while what it writes finds no room.
        self._hearing = Thread(target=self._hear, daemon=True)

    def connect(self, path: Path) -> None:
        """To QEMU at a Unix socket. Raises ``OSError`` if it is not there."""
        self._socket.connect(str(path))
        self._hearing.start()

    def send(self, line: str) -> None:
        """Sends a line. Raises ``OSError`` if nobody is there."""
        self._socket.sendall(f"{line}\n".encode())

    def next(self, seconds: float) -> Heard:
        """The next answer. Raises ``TimeoutError`` if none comes in that time, :class:`Ended` if none ever will."""
        try:
            heard = self._heard.get(timeout=max(seconds, 0.001))
        except Empty:
            raise TimeoutError from None
        if heard is None:
            self._heard.put(None)
            raise Ended
        return heard

    def listen(self, seconds: float) -> None:
        """Lets so much time pass, in which answers are of no interest. The machine may end meanwhile."""
        end = time.monotonic() + seconds
        with suppress(TimeoutError, Ended):
            while (left := end - time.monotonic()) > 0:
                self.next(left)

    def ending(self, size: int) -> str:
        """The last characters that were said."""
        return " / ".join([*self.log[-4:], self._rest])[-size:]

    def close(self) -> None:
        """Ends the connection."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # Wakes who reads.
        if self._hearing.ident is not None:
            self._hearing.join()
        self._socket.close()

    def _hear(self) -> None:
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                self._heard.put(None)
                return
            *lines, rest = (self._rest + data.decode("latin1").replace("\r", "")).split("\n")
            # One more than is kept of a line tells that it is longer.
            self._rest = rest[: LONGEST + 1]
            for line in filter(None, lines):
                self._said(line if len(line) <= LONGEST else f"{line[:LONGEST]} ...")

    def _said(self, line: str) -> None:
        if line.startswith(("| ", "! ")) and len(self._lines) < _MOST:
            self._lines.append(line)
        elif (found := _ANSWER.fullmatch(line)) and self._heard.qsize() < _MOST:
            self._heard.put(Heard(found[1].split(), self._lines))
            self._lines = []
        else:
            self.log.append(line)
