"""What a story is in commands of the guest program: who does what, in which order, and where somebody is held.

A story's operations become commands. A thread that loses its turn in the middle of an operation is held there; one that
has not done anything yet is held before it, and one that has done everything has ended it, whatever the engine still
looks at. Registers are written, and commands sent, by vCPUs that the story does not have, one for each thread: what a
VMM writes is refused while a vCPU runs (``vgic_v3_attr_regs_access``: EBUSY).
"""

import re
import struct
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from vgic.its.commands import encode
from vgic.prove.story import Story, StoryLine
from vgic.registers import GICR, GITS

__all__ = [
    "Hold",
    "Script",
    "Turn",
    "Unknown",
    "command_of",
    "guest_setup",
    "matters",
    "pending_byte",
    "plain",
    "script_of",
]

_DISTRIBUTOR, _ITS, _ITS_SIZE = 0x0800_0000, 0x0808_0000, 0x2_0000
_REDISTRIBUTOR, _REDISTRIBUTOR_SIZE = 0x0810_0000, 0x2_0000
#: Guest memory, as ``guest/vm.h`` has it, and what is where: 64 KiB each, for each ITS or vCPU.
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
#: What is said of the checker itself: which allocation it fails, what it looks at.
_ASIDE = re.compile(r"allocation \d+ from now on fails|checks what is left|destroys the VM")
#: The story's own threads are 1 to 3.
_MOST_THREADS = 3
#: Behind every line of a story.
_END = 1 << 30


class Unknown(Exception):
    """Something of the story cannot be done by the guest program."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Where a thread loses its turn in the middle of an operation."""

    #: The last step before, with the kernel's function that it is in.
    last: StoryLine
    #: All lines of the operation up to it.
    lines: tuple[StoryLine, ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        return f"step {self.last.step}, {self.last.function}: {self.last.text}"


@dataclass(frozen=True, slots=True)
class Turn:
    """A thread runs: up to where it is held, or to the end of a command."""

    thread: int
    #: The number of the command.
    command: int
    hold: Hold | None = None
    #: The line of the story up to which it runs. None: the story ends before this operation does.
    line: int | None = None


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
    #: What :attr:`before` is, in the story's words.
    before_words: tuple[str, ...] = ()
    #: Whose lines the turns tell.
    story: Story | None = field(default=None, repr=False, compare=False)

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

    def without(self, words: Collection[str]) -> "Script":
        """The same without the operations of these words."""
        kept = {
            thread: [number for number, text in enumerate(texts) if text not in words]
            for thread, texts in self.words.items()
        }

        def pick(rows: Mapping[int, tuple[str, ...]]) -> dict[int, tuple[str, ...]]:
            return {t: tuple(rows[t][number] for number in numbers) for t, numbers in kept.items() if numbers}

        turns = [turn for turn in self.turns if turn.command in kept[turn.thread]]
        before = [pair for pair in zip(self.before, self.before_words, strict=True) if pair[1] not in words]
        return replace(
            self,
            before=tuple(command for command, _ in before),
            before_words=tuple(text for _, text in before),
            threads=pick(self.threads),
            words=pick(self.words),
            turns=tuple(replace(turn, command=kept[turn.thread].index(turn.command)) for turn in turns),
        )

    def begun(self) -> list[tuple[int, int]]:
        """Thread and number of each command in the order in which they begin."""
        return list(dict.fromkeys((turn.thread, turn.command) for turn in self.turns))


def script_of(story: Story, vcpus: int, collections: Mapping[int, int] | None = None) -> Script:
    """The commands of a story with so many vCPUs. Raises :class:`Unknown` if one has none.

    ``collections``: of an event that MAPTI maps, which a story does not tell; 0 if not given. Collection N is vCPU N's.
    """
    mapped = collections or {}
    lines = _threads_lines(story)
    if max((line.thread for _, line in lines), default=0) > _MOST_THREADS:
        raise Unknown(f"the story has more than {_MOST_THREADS} threads")
    # Where what is left is looked at, or no rule was broken, all threads have ended.
    whole = all(line.thread == 0 for line in story.lines if line.kind == "broken")
    words: dict[int, list[str]] = {}
    placed: list[tuple[int, Turn]] = []
    for thread in sorted({line.thread for _, line in lines}):
        of_thread = [(at, line) for at, line in lines if line.thread == thread]
        begins = [index for index, (_, line) in enumerate(of_thread) if line.kind == "operation"]
        words[thread] = [of_thread[index][1].text for index in begins]
        for number, (begin, end) in enumerate(zip(begins, [*begins[1:], len(of_thread)], strict=True)):
            ends = whole or end < len(of_thread)
            placed += _turns(thread, number, of_thread[begin:end], ends=ends)
    before = [command_of(text, vcpus, vcpus, mapped) for text in story.before]
    threads = {
        thread: tuple(command_of(text, vcpus, vcpus + thread, mapped) for text in texts)
        for thread, texts in words.items()
    }
    turns = tuple(turn for _, turn in sorted(placed, key=lambda pair: pair[0]))
    told = {thread: tuple(texts) for thread, texts in words.items()}
    return Script(vcpus, tuple(before), threads, told, turns, tuple(story.before), story)


def _threads_lines(story: Story) -> list[tuple[int, StoryLine]]:
    """What the story's threads do, with the index of each line.

    If only the first one does anything, what it does, as that of one more.
    """
    lines = [(at, line) for at, line in enumerate(story.lines) if line.thread and story.threads[line.thread] != "rcu"]
    if lines:
        return lines
    alone = [(at, line._replace(thread=1)) for at, line in enumerate(story.lines)]
    begins = [at for at, line in alone if line.kind == "operation" and not _ASIDE.match(line.text)]
    # Without the setting up before, and without what is no operation of the guest's.
    return [(at, line) for at, line in alone[begins[0] if begins else 0 :] if not _ASIDE.match(line.text)]


def _turns(thread: int, number: int, lines: list[tuple[int, StoryLine]], *, ends: bool) -> Iterable[tuple[int, Turn]]:
    """The turns of one operation, each with the index of its last line. ``ends``: whether the story has its end."""
    does = [index for index, (_, line) in enumerate(lines) if line.kind in ("step", "waits") and matters(line)]
    last = lines[0][0]
    kinds = [line.kind for _, line in lines[-2:]]
    never_ends = kinds == ["step", "preempted"] and _holds_locks(line for _, line in lines)
    for index, (at, line) in enumerate(lines):
        goes_on = index < does[-1] or (never_ends and index == len(lines) - 1) if does else False
        if line.kind == "preempted" and goes_on and does[0] < index:
            before = max(one for one in does if one < index)
            so_far = tuple(line for _, line in lines[: before + 1])
            yield at, Turn(thread, number, Hold(so_far[-1], so_far), at)
        # An operation ends where it last does something; one that only begins has ended before anybody else's step.
        if index in (0, does[-1] if does else 0):
            last = at
    # What the story leaves in the middle, as it ends with what somebody else does, ends behind all the rest.
    yield _END if never_ends else last, Turn(thread, number, None, last if ends else None)


def _holds_locks(lines: Iterable[StoryLine]) -> bool:
    """Whether somebody who has done that holds a lock, and is in the middle of something."""
    held = 0
    for line in lines:
        if line.kind == "step":
            held += line.text.startswith("lock(") - line.text.startswith("unlock(")
    return held > 0


def matters(line: StoryLine) -> bool:
    """Whether it is more than taking or dropping a lock."""
    return not re.match(r"(un)?lock\(|s?rcu_read_", line.text)


def _its(command: str, by: int, its: int = 0, /, **operands: int) -> str:
    words = struct.unpack("<4Q", encode(command, **operands))
    return f"cmd {its} {by} " + " ".join(f"{word:#x}" for word in words)


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
    r"MAPTI event (\d+) to LPI (\d+) of ITS (\d+)": lambda by, n, of: _its(
        "MAPTI", by, n[2], device_id=0, event_id=n[0], intid=n[1], collection_id=of.get(n[0], 0)
    ),
    r"DISCARD event (\d+) of ITS (\d+)": lambda by, n, of: _its("DISCARD", by, n[1], device_id=0, event_id=n[0]),
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
    r"writes (\d+) to GICR_INVLPIR": lambda by, n, of: _store(_redistributor(0) + GICR.INVLPIR, n[0], by),
    r"GICD_CTLR\.EnableGrp1 = (\d)": lambda by, n, of: _store(
        _DISTRIBUTOR, _DISTRIBUTOR_ON if n[0] else _DISTRIBUTOR_OFF, by
    ),
    r"enables LPI (\d+) in the table": lambda by, n, of: f"mem_w {_configuration(n[0]):#x} 1 {_ENABLED}",
    r"disables LPI (\d+) in the table": lambda by, n, of: f"mem_w {_configuration(n[0]):#x} 1 {_DISABLED}",
    r"runs vCPU (\d+), which takes nothing": lambda by, n, of: f"enter {n[0]}",
    r"enters and leaves the guest on vCPU (\d+), takes nothing": lambda by, n, of: f"enter {n[0]}",
    # One LPI at most.
    r"runs vCPU (\d+), which leaves only if kicked": lambda by, n, of: f"ack {n[0]}",
    r"blocks vCPU (\d+) until it has an LPI": lambda by, n, of: f"ack {n[0]}",
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


def guest_setup(vcpus: int, itses: int = 1) -> list[str]:
    """What a guest does first: tables, LPIs and interrupts on, collection N for vCPU N, device 0 with 32 events.

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
    commands.append(f"dist_w 0 {_DISTRIBUTOR_ON:#x}")
    # What a vCPU touches for the first time makes it leave the guest, which is no step of a story's.
    commands += [f"ack {vcpu}" for vcpu in range(vcpus)]
    for its in range(itses):
        queue = _QUEUES + its * _PAGE
        commands += [
            f"its_w {its} {GITS.BASER0:#x} {_BASER | _DEVICES + its * _PAGE:#x}",
            f"its_w {its} {GITS.BASER1:#x} {_BASER | _COLLECTIONS + its * _PAGE:#x}",
            f"its_w {its} {GITS.CBASER:#x} {_CBASER | queue:#x}",
            f"queue {its} {queue:#x}",
            f"its_w {its} {GITS.CTLR:#x} 1",
            *(_its("MAPC", -1, its, collection_id=vcpu, vcpu=vcpu, valid=True) for vcpu in range(vcpus)),
            _its("MAPD", -1, its, device_id=0, event_bits=5, itt_address=_ITT + its * _PAGE, valid=True),
        ]
    return commands


def plain(command: str, vcpus: int) -> str:
    """A claim's word as a command of the guest program, which it may be already.

    ``pending V INTID`` and ``byte V INTID`` write and read the bit of a pending table, and a word of a story stands for
    its operation.
    """
    words = command.split()
    if words[0] in ("pending", "byte"):
        vcpu, intid = map(int, words[1:])
        address = pending_byte(vcpu, intid)
        return f"mem_w {address:#x} 1 {1 << intid % 8}" if words[0] == "pending" else f"mem_r {address:#x} 1"
    return command_of(command, vcpus, vcpus) if words[0].isupper() else command


def pending_byte(vcpu: int, intid: int) -> int:
    """Where the byte with an LPI's bit is in the pending table of a vCPU."""
    return _PENDING + vcpu * _PAGE + intid // 8
