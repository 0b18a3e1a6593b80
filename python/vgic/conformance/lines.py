"""A target that is a program: it reads verbs on its standard input and answers each on its standard output.

A request is a line, numbers are decimal or ``0x...``, bytes are hexadecimal digits. The answer is a line, too:

=====================================  ============================================================================
``describe``                           ``ok``, and any of ``name=TEXT`` (no spaces), ``vcpus=N``, ``devices=D,D,...``
                                       and the :class:`~vgic.conformance.target.Places`: ``gits=0x8080000`` and so on
``read A S``                           ``ok V``
``load A N``                           ``ok BYTES``
``pending N``, ``acknowledge N``       ``ok I``, or ``ok nothing``
``reset``, ``write A S V``,            ``ok``
``store A BYTES``, ``msi D E``,
``end N I``, ``settle``
=====================================  ============================================================================

What cannot be done is answered with ``error TEXT``. The program ends when its input does.
"""

import shlex
import subprocess
from contextlib import suppress

from vgic.conformance.target import VIRT, Places, Target, TargetError

__all__ = ["LinesTarget"]

#: Longest answer, in characters: the kit loads little at a time.
_LONGEST = 1 << 20


class LinesTarget(Target):
    """The program."""

    def __init__(self, command: str) -> None:
        """Start ``command``, words of which are as in a shell. Raises ``OSError`` and :class:`TargetError`."""
        words = shlex.split(command)
        if not words:
            raise ValueError("target 'program:': a command line is missing")
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="ascii", errors="replace"
        )
        self.name = words[0].rpartition("/")[2]
        try:
            self._describe()
        except BaseException:
            self.close()
            raise

    def _describe(self) -> None:
        facts = {}
        for word in self._ask("describe").split():
            key, _, value = word.partition("=")
            facts[key] = value
        self.name = facts.pop("name", self.name)
        places = {}
        for key, value in facts.items():
            if key == "vcpus":
                self.vcpus = self._number(value)
            elif key == "devices":
                self.devices = [self._number(text) for text in value.split(",")]
            elif key in Places._fields:
                places[key] = self._number(value)
            else:
                raise TargetError(f"{self.name}: describe: {key!r} is no fact that the kit knows")
        self.places = VIRT._replace(**places)

    def _ask(self, request: str) -> str:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(request + "\n")
            stdin.flush()
            answer = stdout.readline(_LONGEST)
        except BrokenPipeError:
            answer = ""
        shown = request if len(request) < 80 else request[:76] + " ..."
        if not answer.endswith("\n"):
            how = f"more than {_LONGEST} characters" if len(answer) == _LONGEST else "the program has ended"
            raise TargetError(f"{self.name}: {shown}: no answer: {how}")
        kind, _, rest = answer.strip().partition(" ")
        if kind != "ok":
            raise TargetError(f"{self.name}: {shown}: {answer.strip()[:200]!r}")
        return rest.strip()

    def _number(self, text: str) -> int:
        try:
            return int(text, 0)
        except ValueError:
            raise TargetError(f"{self.name}: {text[:80]!r} is no number") from None

    def _intid(self, text: str) -> int | None:
        return None if text == "nothing" else self._number(text)

    def reset(self) -> None:
        """Ask it."""
        self._ask("reset")

    def read(self, address: int, size: int) -> int:
        """Ask it."""
        return self._number(self._ask(f"read {address:#x} {size}"))

    def write(self, address: int, size: int, value: int) -> None:
        """Ask it."""
        self._ask(f"write {address:#x} {size} {value:#x}")

    def load(self, address: int, size: int) -> bytes:
        """Ask it."""
        try:
            data = bytes.fromhex(self._ask(f"load {address:#x} {size}"))
        except ValueError:
            data = b""
        if len(data) != size:
            raise TargetError(f"{self.name}: load {address:#x} {size}: {len(data)} bytes")
        return data

    def store(self, address: int, data: bytes) -> None:
        """Ask it."""
        self._ask(f"store {address:#x} {data.hex()}")

    def msi(self, device_id: int, event_id: int) -> None:
        """Ask it."""
        self._ask(f"msi {device_id:#x} {event_id}")

    def pending(self, vcpu: int) -> int | None:
        """Ask it."""
        return self._intid(self._ask(f"pending {vcpu}"))

    def acknowledge(self, vcpu: int) -> int | None:
        """Ask it."""
        return self._intid(self._ask(f"acknowledge {vcpu}"))

    def end(self, vcpu: int, intid: int) -> None:
        """Ask it."""
        self._ask(f"end {vcpu} {intid}")

    def settle(self) -> None:
        """Ask it."""
        self._ask("settle")

    def close(self) -> None:
        """End its input; a program that does not end then is killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
