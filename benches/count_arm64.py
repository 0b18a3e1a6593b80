"""Count the arm64 instructions of a send under QEMU's user mode, and write ``benches/arm64_instructions.json``.

Run by ``ci/by-hand/arm64-instructions.sh``. QEMU makes each guest instruction a block of its own and writes a line with
its address before it executes one; the lines of the main thread, which sends, are counted. A program runs for some
rounds and for twice as many. One round is like another, so what an address was executed more often is a whole number
of times the further rounds; it is rounded to that, which takes away what threads do while they start and wait.
"""

import argparse
import fcntl
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

DESIGNS = ("v6.8-rc1", "v6.10", "v7.1.8", "hardened")
#: Of each variant: the build, the emulated CPU, and the events of the device. On a CPU without LSE the helpers choose
#: loops of exclusives. The VM-wide cache holds 16 events.
VARIANTS = {
    "exclusives": ("generic", "cortex-a57", (1, 16, 17)),
    "calls": ("generic", "neoverse-n1", (16,)),
    "in-place": ("lse", "neoverse-n1", (16,)),
}
#: Rounds of the shorter run. A thread that waits executes some instructions tens of times more often on a busy machine:
#: that has to be far from half of them.
_ROUNDS = 256
#: Two counts of the same may differ by so much of an instruction a send.
_SAME = 1.0

Counts = Counter[int]

_LINE = re.compile(rb"Trace 0: \S+ \[[0-9a-f]+/([0-9a-f]+)/")

#: N times: a pair of exclusives and an atomic of LSE, so that each is seen to count once.
_LOOP = """
.arch armv8.1-a
.globl _start
_start: ldr x0, =ROUNDS
    adr x1, word
again: ldaxr x2, [x1]
    add x2, x2, #1
    stlxr w3, x2, [x1]
    cbnz w3, again
    ldaddal x2, x4, [x1]
    subs x0, x0, #1
    b.ne again
    mov x8, #93
    svc #0
    .ltorg
.section .data
.balign 8
word: .quad 0
"""
_LOOP_BODY, _LOOP_REST = 7, 4


class Failed(Exception):
    """What went wrong, in one line."""


def one_by_one(usage: str) -> str:
    """The emulator's option for blocks of one instruction, by what it prints for ``-h``."""
    for option in ("-one-insn-per-tb", "-singlestep"):
        if option in usage:
            return option
    raise Failed("this emulator cannot execute single instructions")


def executed(lines: Iterable[bytes]) -> Counts:
    """How often each address was executed by the main thread, from the emulator's log."""
    return Counter(int(found[1], 16) for line in lines if (found := _LINE.match(line)))


def difference(short: Counts, long: Counts, rounds: int) -> tuple[int, int]:
    """Instructions of one round, of a run and one that is ``rounds`` longer; and how many belong to no round.

    Raises :class:`Failed` if those are more than one in ten: then rounds are not alike.
    """
    per_round = rest = 0
    for address in short.keys() | long.keys():
        more = long[address] - short[address]
        times = (2 * more + rounds) // (2 * rounds)
        per_round += times
        rest += abs(more - times * rounds)
    if 10 * rest > per_round * rounds:
        raise Failed(f"{rest} of {per_round * rounds} instructions belong to no round")
    return per_round, rest


class Emulator:
    """QEMU's user mode, with the libraries of the other architecture."""

    def __init__(self, emulator: Path, root: Path) -> None:
        self._command = [str(emulator), "-L", str(root)]
        self._option = one_by_one(self._says("-h"))
        self.version = f"QEMU {self._says('--version').split()[2]}"

    def _says(self, option: str) -> str:
        return subprocess.run([*self._command, option], capture_output=True, text=True).stdout

    def count(self, cpu: str, program: Sequence[str]) -> Counts:
        """Addresses of a whole run."""
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
        log = ["-d", "exec,nochain", "-D", f"/dev/fd/{writer}"]
        command = [*self._command, "-cpu", cpu, self._option, *log, *program]
        running = subprocess.Popen(command, pass_fds=[writer], stdout=subprocess.DEVNULL)
        os.close(writer)
        with os.fdopen(reader, "rb") as lines:
            counts = executed(lines)
        if running.wait() != 0:
            raise Failed(f"{program[0]} failed with status {running.returncode}")
        return counts


def check(emulator: Emulator, compiler: Path, folder: Path) -> None:
    """A loop of known length is counted to the last instruction."""
    rounds, program = 1000, folder / "loop"
    source = _LOOP.replace("ROUNDS", str(rounds))
    build = [str(compiler), "-nostdlib", "-static", "-x", "assembler", "-o", str(program), "-"]
    subprocess.run(build, input=source, text=True, check=True)
    counted, known = emulator.count("neoverse-n1", [str(program)]).total(), _LOOP_REST + _LOOP_BODY * rounds
    if counted != known:
        raise Failed(f"a loop of {known} instructions was counted as {counted}")
    print(f"a loop of {known:,} instructions: counted exactly")


def count(emulator: Emulator, cpu: str, binary: Path, design: str, events: int) -> float:
    """Instructions of one send."""
    short, long = (
        emulator.count(cpu, [str(binary), design, "1", str(events), str(times)]) for times in (_ROUNDS, 2 * _ROUNDS)
    )
    per_round, rest = difference(short, long, _ROUNDS)
    print(f"{design}, {events} events: {per_round / events:.2f}; {rest} belong to no round", flush=True)
    return per_round / events


def count_variant(emulator: Emulator, cpu: str, binary: Path, all_events: Sequence[int]) -> dict[str, dict[int, float]]:
    """The same for all designs and events. Raises :class:`Failed` if a second count is another."""
    found: dict[str, dict[int, float]] = {}
    for design in DESIGNS:
        for events in all_events:
            once = count(emulator, cpu, binary, design, events)
            if events == 16 and abs((again := count(emulator, cpu, binary, design, events)) - once) > _SAME:
                raise Failed(f"{design}, {events} events: {once:.2f} instructions, and then {again:.2f}")
            found.setdefault(design, {})[events] = round(once, 2)
    return found


def main() -> int:
    """Count all, and write them."""
    parser = argparse.ArgumentParser(description="Count the arm64 instructions of a send.")
    for name in ("emulator", "root", "compiler", "generic", "lse", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--rustc", required=True, help="what built the programs, for the data")
    options = parser.parse_args()
    try:
        emulator = Emulator(options.emulator, options.root)
        check(emulator, options.compiler, options.generic.parent)
        counts: dict[str, Any] = {}
        for variant, (build, cpu, events) in VARIANTS.items():
            print(f"{variant}:", flush=True)
            counts[variant] = count_variant(emulator, cpu, getattr(options, build), events)
    except (Failed, OSError, subprocess.CalledProcessError) as failed:
        print(f"count_arm64: error: {failed}", file=sys.stderr)
        return 1
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True)
    origin = {
        "commit": commit.stdout.strip(),
        "compiler": " ".join(options.rustc.split()[:2]),
        "emulator": emulator.version,
    }
    options.output.write_text(json.dumps({**origin, "instructions": counts}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
