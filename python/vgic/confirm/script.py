"""What a story is in commands of the guest program: who does what, in which order, and where somebody is held.

A story's operations become commands. A thread that loses its turn in the middle of an operation is held there; one that
has not done anything yet is held before it, and one that has done everything has ended it, whatever the engine still
looks at. Registers are written, and commands sent, by vCPUs that the story does not have, one for each thread: what a
VMM writes is refused while a vCPU runs (``vgic_v3_attr_regs_access``: EBUSY).
"""

import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from vgic.its.commands import encode
from vgic.prove.story import Story, StoryLine
from vgic.registers import GICR, GITS

__all__ = ["Hold", "Script", "Turn", "Unknown", "command_of", "guest_setup", "pending_byte", "script_of"]

_DISTRIBUTOR, _ITS, _ITS_SIZE = 0x0800_0000, 0x0808_0000, 0x2_0000
_REDISTRIBUTOR, _REDISTRIBUTOR_SIZE = 0x0810_0000, 0x2_0000
#: Guest memory, as ``guest/vm.h`` has it, and what is where: 64 KiB each, for each ITS or vCPU, but for the last.
_RAM, _PAGE = 0x4000_0000, 0x1_0000
_QUEUES, _DEVICES, _COLLECTIONS = _RAM, _RAM + 2 * _PAGE, _RAM + 4 * _PAGE
_CONFIGURATION, _PENDING, _ITT = _RAM + 6 * _PAGE, _RAM + 8 * _PAGE, _RAM + 16 * _PAGE
_FIRST_LPI = 8192
#: Of a byte of the configuration table: priority 0xa0, and whether it is enabled (Arm IHI 0069, 5.1.1).
_ENABLED, _DISABLED = 0xA3, 0xA2
#: GITS_BASER<n> and GITS_CBASER: valid, cacheable, inner shareable; a table of pages of 64 KiB, a queue of 32 KiB.
_BASER = 1 << 63 | 7 << 59 | 1 << 53 | 0x600
_CBASER = 1 << 63 | 7 << 59 | 0x407
#: GICD_CTLR: affinity routing, and group 1.
_DISTRIBUTOR_OFF, _DISTRIBUTOR_ON = 0x10, 0x12
#: The story's own threads are 1 to 3.
_MOST_THREADS = 3


class Unknown(Exception):
    """Something of the story cannot be done by the guest program."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Where a thread loses its turn in the middle of an operation."""

    #: The last step before, with the kernel's function that it is in.
    last: StoryLine

    def __str__(self) -> str:
        return f"step {self.last.step}, {self.last.function}: {self.last.text}"


@dataclass(frozen=True, slots=True)
class Turn:
    """A thread runs: up to where it is held, or to the end of a command."""

    thread: int
    #: The number of the command.
    command: int
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A story as commands."""

    #: vCPUs of the story; those that write registers come behind them.
    vcpus: int
    #: What is done before the threads begin, and ``drain`` for each vCPU taking what there is.
    before: tuple[str, ...]
    #: The commands of each thread.
    threads: Mapping[int, tuple[str, ...]]
    #: The operations that they are, in the story's words.
    words: Mapping[int, tuple[str, ...]]
    turns: tuple[Turn, ...]

    @property
    def all_vcpus(self) -> int:
        """How many vCPUs the VM has."""
        return self.vcpus + 1 + max(self.threads, default=0)

    @property
    def overlaps(self) -> bool:
        """Whether a thread is held anywhere."""
        return any(turn.hold for turn in self.turns)

    def in_turn(self) -> list[str]:
        """All commands of the threads in the order in which they begin, none beside another."""
        return [self.threads[thread][command] for thread, command in self.begun()]

    def begun(self) -> list[tuple[int, int]]:
        """Thread and number of each command in the order in which they begin."""
        return list(dict.fromkeys((turn.thread, turn.command) for turn in self.turns))


def script_of(story: Story, vcpus: int, collections: Mapping[int, int] | None = None) -> Script:
    """The commands of a story with so many vCPUs. Raises :class:`Unknown` if one has none.

    ``collections``: of an event that MAPTI maps, which a story does not tell; 0 if not given. Collection N is vCPU N's.
    """
    mapped = collections or {}
    lines = [line for line in story.lines if line.thread and story.threads[line.thread] != "rcu"]
    if max((line.thread for line in lines), default=0) > _MOST_THREADS:
        raise Unknown(f"the story has more than {_MOST_THREADS} threads")
    words: dict[int, list[str]] = {}
    placed: list[tuple[int, Turn]] = []
    for thread in sorted({line.thread for line in lines}):
        of_thread = [(at, line) for at, line in enumerate(lines) if line.thread == thread]
        begins = [index for index, (_, line) in enumerate(of_thread) if line.kind == "operation"]
        words[thread] = [of_thread[index][1].text for index in begins]
        for number, (begin, end) in enumerate(zip(begins, [*begins[1:], len(of_thread)], strict=True)):
            placed += _turns(thread, number, of_thread[begin:end])
    before = [command_of(text, vcpus, vcpus, mapped) for text in story.before]
    threads = {
        thread: tuple(command_of(text, vcpus, vcpus + thread, mapped) for text in texts)
        for thread, texts in words.items()
    }
    turns = tuple(turn for _, turn in sorted(placed, key=lambda pair: pair[0]))
    told = {thread: tuple(texts) for thread, texts in words.items()}
    return Script(vcpus, tuple(before), threads, told, turns)


def _turns(thread: int, number: int, lines: list[tuple[int, StoryLine]]) -> Iterable[tuple[int, Turn]]:
    """The turns of one operation, each with the index of its last line."""
    does = [index for index, (_, line) in enumerate(lines) if line.kind in ("step", "waits") and _matters(line)]
    last = lines[0][0]
    for index, (at, line) in enumerate(lines):
        if line.kind == "preempted" and does and does[0] < index < does[-1]:
            before = max(one for one in does if one < index)
            yield at, Turn(thread, number, Hold(lines[before][1]))
        # An operation ends where it last does something; one that only begins has ended before anybody else's step.
        if index in (0, does[-1] if does else 0):
            last = at
    yield last, Turn(thread, number)


def _matters(line: StoryLine) -> bool:
    """Whether it is more than taking or dropping a lock."""
    return not re.match(r"(un)?lock\(|s?rcu_read_", line.text)


def _its(command: str, by: int, /, **operands: int) -> str:
    words = struct.unpack("<4Q", encode(command, **operands))
    return f"cmd 0 {by} " + " ".join(f"{word:#x}" for word in words)


def _event(command: str) -> Callable[[int, list[int], Mapping[int, int]], str]:
    return lambda by, n, of: _its(command, by, device_id=0, event_id=n[0])


def _store(address: int, value: int, by: int) -> str:
    return f"store {by} {address:#x} 4 {value:#x}"


def _redistributor(vcpu: int) -> int:
    return _REDISTRIBUTOR + vcpu * _REDISTRIBUTOR_SIZE


def _configuration(intid: int) -> int:
    return _CONFIGURATION + intid - _FIRST_LPI


#: The words of a story, and the command that they are: of a vCPU, the numbers in the words, and collections of events.
_OPERATIONS: dict[str, Callable[[int, list[int], Mapping[int, int]], str]] = {
    r"sends event (\d+)": lambda by, n, of: f"msi 0 0 {n[0]}",
    r"INT event (\d+)": _event("INT"),
    r"MAPTI event (\d+) to LPI (\d+)": lambda by, n, of: _its(
        "MAPTI", by, device_id=0, event_id=n[0], intid=n[1], collection_id=of.get(n[0], 0)
    ),
    r"MOVI event (\d+) to vCPU (\d+)": lambda by, n, of: _its(
        "MOVI", by, device_id=0, event_id=n[0], collection_id=n[1]
    ),
    r"MOVALL from vCPU (\d+) to (\d+)": lambda by, n, of: _its("MOVALL", by, vcpu=n[0], to_vcpu=n[1]),
    r"MAPC collection (\d+) to vCPU (\d+)": lambda by, n, of: _its(
        "MAPC", by, collection_id=n[0], vcpu=n[1], valid=True
    ),
    r"DISCARD event (\d+)": _event("DISCARD"),
    r"CLEAR event (\d+)": _event("CLEAR"),
    r"INV event (\d+)": _event("INV"),
    r"INVALL collection (\d+)": lambda by, n, of: _its("INVALL", by, collection_id=n[0]),
    r"GITS_CTLR\.Enabled = (\d)": lambda by, n, of: _store(_ITS + GITS.CTLR, n[0], by),
    r"GICR_CTLR\.EnableLPIs = (\d) of vCPU (\d+)": lambda by, n, of: _store(_redistributor(n[1]) + GICR.CTLR, n[0], by),
    r"GICR_INVALLR": lambda by, n, of: _store(_redistributor(0) + GICR.INVALLR, 0, by),
    r"GICD_CTLR\.EnableGrp1 = (\d)": lambda by, n, of: _store(
        _DISTRIBUTOR, _DISTRIBUTOR_ON if n[0] else _DISTRIBUTOR_OFF, by
    ),
    r"enables LPI (\d+) in the table": lambda by, n, of: f"mem_w {_configuration(n[0]):#x} 1 {_ENABLED}",
    r"disables LPI (\d+) in the table": lambda by, n, of: f"mem_w {_configuration(n[0]):#x} 1 {_DISABLED}",
    r"runs vCPU (\d+), which takes nothing": lambda by, n, of: f"enter {n[0]}",
    r"enters and leaves the guest on vCPU (\d+), takes nothing": lambda by, n, of: f"enter {n[0]}",
    # One LPI at most.
    r"runs vCPU (\d+)": lambda by, n, of: f"ack {n[0]}",
    r"lets all vCPUs take what there is": lambda by, n, of: "drain",
    r"saves the pending tables": lambda by, n, of: "save_pending",
}


def command_of(text: str, vcpus: int, by: int, collections: Mapping[int, int] | None = None) -> str:
    """The guest program's command for a story's words, registers being written by the vCPU ``by``.

    Raises :class:`Unknown` if there is none.
    """
    for pattern, make in _OPERATIONS.items():
        if found := re.fullmatch(pattern, text):
            numbers = [int(number) for number in found.groups()]
            return make(by, numbers, collections or {})
    raise Unknown(f"the guest program has no command for {text!r}")


def guest_setup(vcpus: int) -> list[str]:
    """What a guest does first: tables, LPIs and interrupts on, collection N for vCPU N, device 0 with 16 events.

    One LPI, 8223, is disabled in the table, as in the checker's scenarios.
    """
    disabled = _FIRST_LPI + 31
    commands = [f"fill {_CONFIGURATION:#x} {_PAGE:#x} {_ENABLED}", f"mem_w {_configuration(disabled):#x} 1 {_DISABLED}"]
    for vcpu in range(vcpus):
        commands += [
            f"rd_w {vcpu} {GICR.PROPBASER:#x} {_CONFIGURATION | 0x70F:#x}",
            f"rd_w {vcpu} {GICR.PROPBASER + 4:#x} 0",
            f"rd_w {vcpu} {GICR.PENDBASER:#x} {_PENDING + vcpu * _PAGE:#x}",
            f"rd_w {vcpu} {GICR.PENDBASER + 4:#x} 0",
            f"rd_w {vcpu} {GICR.CTLR:#x} 1",
        ]
    commands += [
        f"dist_w 0 {_DISTRIBUTOR_ON:#x}",
        f"its_w 0 {GITS.BASER0:#x} {_BASER | _DEVICES:#x}",
        f"its_w 0 {GITS.BASER1:#x} {_BASER | _COLLECTIONS:#x}",
        f"its_w 0 {GITS.CBASER:#x} {_CBASER | _QUEUES:#x}",
        f"queue 0 {_QUEUES:#x}",
        f"its_w 0 {GITS.CTLR:#x} 1",
        *(_its("MAPC", -1, collection_id=vcpu, vcpu=vcpu, valid=True) for vcpu in range(vcpus)),
        _its("MAPD", -1, device_id=0, event_bits=4, itt_address=_ITT, valid=True),
    ]
    return commands


def pending_byte(vcpu: int, intid: int) -> int:
    """Where the byte with an LPI's bit is in the pending table of a vCPU."""
    return _PENDING + vcpu * _PAGE + intid // 8
