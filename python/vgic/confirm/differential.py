"""Small guests drawn at random, played on the engine and on a kernel, all state compared.

A guest has a few mapped events, and two threads of a few operations each. The engine executes it, once without a
preemption, then with one or two at places that the kernel has, too: by name (``places.toml``), or behind a change of
memory (``align.py``); then the kernel does. The state
of LPIs and list registers is compared at each hold and behind each operation. A seed tells the guest and its
preemptions.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from vgic.confirm.align import begin_of, point_of
from vgic.confirm.booted import Booted
from vgic.confirm.image import Kernel
from vgic.confirm.members import is_watched
from vgic.confirm.places import LPI, place_of
from vgic.confirm.play import Claim, follow
from vgic.confirm.run import design_of
from vgic.confirm.script import Hold, Script, Turn, Unknown, matters, script_of
from vgic.confirm.stage import Stage
from vgic.errors import KernelError, ReplayError
from vgic.prove.proof import trace
from vgic.prove.story import State, Story, StoryLine

__all__ = ["Comparison", "Guest", "compare", "draw"]

Result = Literal["same", "differs", "not possible here"]
#: Of each VM.
_VCPUS = 2
#: The guest program's vCPU leaves the guest once before it takes an LPI, and the story's does not.
_FOLD = "vgic_v3_fold_lr_state"
_NOTHING = State(0, (), ())
_RUNS = "runs vCPU"
#: How often a guest is played that is not the same.
_TRIES = 4
#: How many guests are drawn until one has a preemption that both sides can make.
_DRAWS = 200
#: One of so many guests has two preemptions.
_TWICE = 3


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest, as the text of a scenario, and one execution of it."""

    seed: int
    text: str
    #: Of each event that is mapped, its collection.
    collections: tuple[tuple[int, int], ...]
    story: Story


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of one guest on a kernel."""

    seed: int
    result: Result
    #: The first difference, or why it was not possible.
    why: str
    #: At how many points the state was the same.
    compared: int
    #: Where threads were held.
    held: tuple[str, ...]
    #: How often it was played: what does not come each time is no difference of the two.
    tries: int
    #: The guest, as the text of a scenario, and the schedule: ``vgic prove --scenario-file FILE --replay SCHEDULE``.
    text: str
    schedule: str


def compare(
    kernel: Kernel,
    count: int,
    seed: int,
    *,
    cpu: str = "cortex-a57",
    tell: Callable[[int, str], None] = lambda done, line: None,
) -> Iterator[Comparison]:
    """Plays ``count`` guests, those of the seeds from ``seed`` on, and yields what comes of each.

    Whatever is not the same is played again, up to four times in all: an interrupt of the host's makes a vCPU leave the
    guest at any moment, which is no step of the guest's.

    ``cpu`` is a model of QEMU's. ``tell`` is told how many are done. Raises :class:`~vgic.errors.KernelError` if it is
    not known which design the kernel has, or if it lacks what is needed.
    """
    design = design_of(kernel)
    if design is None:
        raise KernelError(f"{kernel.name}: this kernel does not tell its release, so that its design is not known")
    with Booted(kernel, cpu) as booted:
        for done in range(count):
            guest = draw(seed + done, design.composed)
            tell(done, f"guest {guest.seed}" if booted.is_up else f"booting {kernel.release}")
            for tries in range(1, _TRIES + 1):
                found, lost = _played(booted.stage(), guest, tries)
                if lost:
                    booted.lose()
                if found.result == "same":
                    break
            yield found


def _played(stage: Stage, guest: Guest, tries: int) -> tuple[Comparison, bool]:
    """What comes of a guest, and whether the machine is lost."""
    claim = Claim(_VCPUS, ((),), "in turn", collections=guest.collections)
    schedule = guest.story.schedule
    try:
        outcome = follow(stage, guest.story, claim)
    except ReplayError as error:
        why = f"the machine was lost: {error}"
        return Comparison(guest.seed, "not possible here", why, 0, (), tries, guest.text, schedule), True
    result: Result = "same" if outcome.verdict == "confirmed" else "differs" if outcome.differs else "not possible here"
    found = Comparison(guest.seed, result, outcome.why, outcome.compared, outcome.held, tries, guest.text, schedule)
    return found, outcome.lost


def draw(seed: int, design: str) -> Guest:
    """The guest of a seed in a design: the same each time."""
    random = Random(seed)
    for _ in range(_DRAWS):
        text, collections = _program(random)
        story = trace("random", design, text)
        for _ in range(1 + (random.randrange(_TWICE) == 0)):
            story = _preempted(random, design, text, story, collections) or story
        if story.preemptions and not story.what:
            return Guest(seed, text, tuple(sorted(collections.items())), story)
    raise AssertionError(f"no guest of {_DRAWS} can be preempted where a place is known")


def _program(random: Random) -> tuple[str, dict[int, int]]:
    """A guest as the text of a scenario, and the collection of each event."""
    events = random.choice([1, 1, 2])
    collections = {event: random.randrange(_VCPUS) for event in range(events)}
    before = [f"mapti {event} {event} {collection}" for event, collection in collections.items()]
    before += [_operation(random, collections, range(_VCPUS)) for _ in range(random.randrange(3))]
    # A vCPU is one thread's: a VMM's second KVM_RUN of it would wait for the first.
    shift = random.randrange(_VCPUS)
    threads = [
        [_operation(random, collections, [(thread + shift) % _VCPUS]) for _ in range(random.randint(1, 3))]
        for thread in range(2)
    ]
    lines = [f"vcpus {_VCPUS}", *before]
    for name, operations in zip(("one", "two"), threads, strict=True):
        lines += [f"thread {name}", *(f"  {operation}" for operation in operations)]
    return "\n".join(lines) + "\n", collections


def _operation(random: Random, collections: dict[int, int], runs: Sequence[int]) -> str:
    """One operation; ``runs``: the vCPUs that the thread may run."""
    event, vcpu = random.randrange(len(collections)), random.randrange(_VCPUS)
    words = [
        *["send {event}"] * 4,
        *["lpis off {vcpu}", "lpis on {vcpu}"] * 2,
        "mapti {event} {event} {collection}",
        "movi {event} {vcpu}",
        "movi {event} {vcpu}",
        "discard {event}",
        "clear {event}",
        "int {event}",
        "configure {event} {switch}",
        "inv {event}",
        "inv {event}",
        "invall {vcpu}",
        "movall {vcpu} {other}",
        "mapc {vcpu} {other}",
        "save",
    ]
    if len(collections) == 1:
        # With several LPIs the engine's vCPU takes all that it sees, the guest program's the first one.
        words += [f"run {random.choice(runs)}"] * 3
    return random.choice(words).format(
        event=event,
        vcpu=vcpu,
        other=1 - vcpu,
        collection=collections[event],
        switch=random.choice(["on", "off"]),
    )


def _preempted(random: Random, design: str, text: str, story: Story, collections: dict[int, int]) -> Story | None:
    """The same guest with one more preemption; None if there is none that both sides can make."""
    threads = [number for number, name in enumerate(story.threads) if name in ("one", "two")]
    choices = "" if story.schedule == "-" else f"{story.schedule},"
    behind = int(story.schedule.rsplit(",", 1)[-1].split(":")[0]) if choices else 0
    # Functions in turn, since nearly every guest enters one of them.
    candidates: dict[str, list[tuple[int, int]]] = {}
    for step, thread, function in _places(story, threads):
        if step > behind:
            candidates.setdefault(function, []).append((step, thread))
    for _ in range(min(8, sum(map(len, candidates.values())))):
        function = random.choice(list(candidates))
        step, thread = candidates[function].pop(random.randrange(len(candidates[function])))
        if not candidates[function]:
            del candidates[function]
        other = next(one for one in threads if one != thread)
        try:
            told = trace("random", design, text, f"{choices}{step}:{other}")
        except ValueError:
            continue  # Nobody has a choice there.
        waits = any(line.kind == "waits" and line.thread in threads for line in told.lines)
        if told.what or waits:
            continue
        try:
            script = script_of(told, _VCPUS, collections)
            held = [number for number, turn in enumerate(script.turns) if turn.hold]
            if len(held) == told.preemptions and all(_is_exact(script, number) for number in held):
                return told
        except Unknown:
            continue
    return None


def _is_exact(script: Script, number: int) -> bool:
    """Whether a kernel has been through the same when it is held. Raises :class:`Unknown` if it cannot be held there.

    The guest program's vCPU leaves the guest several times before it takes an LPI. Each exit takes off its queue what
    is not due there: what should go to another vCPU, or nowhere. The story's only exit is still to come.
    """
    turn, story = script.turns[number], script.story
    assert turn.hold is not None
    assert turn.line is not None
    assert story is not None
    word = script.words[turn.thread][turn.command]
    try:
        place = place_of(turn.hold)
    except Unknown:
        begin = story.state_at(begin_of(script, number)) or _NOTHING
        point_of(script, number, lambda access: is_watched(access, begin))
        return not word.startswith(_RUNS) or not _left(script, turn, story)
    # A walk comes by once for each LPI, and the kernel is held the first time.
    if len(_named(line for line in turn.hold.lines if line.kind == "step" and place.fits(Hold(line)))) > 1:
        return False
    state = story.state_at(turn.line)
    if not place.guest or state is None:
        return True
    vcpu = _vcpu_of(word)
    taken = {lr.intid for lr in state.registers if lr.vcpu == vcpu}
    queued = [lpi for lpi in state.lpis if lpi.vcpu == vcpu]
    due = [lpi.active or lpi.intid in taken or (lpi.pending and lpi.enabled) for lpi in queued]
    return all(due) and all(lpi.target in (vcpu, None) for lpi in queued)


def _left(script: Script, turn: Turn, story: Story) -> bool:
    """Whether the story's vCPU leaves the guest although an LPI waits for it; the guest program's takes it next."""
    vcpu = _vcpu_of(script.words[turn.thread][turn.command])
    ends = [one.line for one in script.turns if (one.thread, one.command) == (turn.thread, turn.command)]
    state = story.state_at(ends[-1]) if ends[-1] is not None else None
    return state is None or any(lpi.vcpu == vcpu and lpi.pending and lpi.enabled for lpi in state.lpis)


def _vcpu_of(word: str) -> int:
    """Who runs, in a story's words."""
    return int(word.split()[-1])


def _named(lines: Iterable[StoryLine]) -> set[str]:
    """The LPIs that some lines name."""
    return {name for line in lines for name in LPI.findall(line.text)}


def _places(story: Story, threads: list[int]) -> Iterator[tuple[int, int, str]]:
    """Where a thread can be held: the step before which it loses its turn, the thread, and what the place is.

    That is a function, if the place has a name there, or else a member that the thread has changed just before.
    """
    for thread in threads:
        lines = [line for line in story.lines if line.thread == thread]
        begin = 0
        for at, line in enumerate(lines):
            if line.kind == "operation":
                begin = at
            after = next((one for one in lines[at + 1 :] if one.step > line.step), None)
            if line.kind != "step" or after is None:
                continue
            if line.access is not None and line.access.changes:
                yield after.step, thread, line.access.member
            if not matters(line) or (line.function == _FOLD and lines[begin].text.startswith(_RUNS)):
                continue
            try:
                place_of(Hold(line))
            except Unknown:
                continue
            yield after.step, thread, line.function
