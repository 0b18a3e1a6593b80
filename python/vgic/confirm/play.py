"""A story, played on a kernel, and what comes of it.

Played twice, in a VM each: as the story has it, and once more without what makes it a defect, which is the control.
Then a VMM looks. *Confirmed*: the story ends as the defect does, and the control as it should. *Refuted*: both end as
they should. Anything else, a place that this kernel does not have, or a thread that gets nowhere, is *not possible
here*, with the reason.
"""

import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from vgic.confirm.places import place_of
from vgic.confirm.script import Script, Unknown, command_of, guest_setup, pending_byte, script_of
from vgic.confirm.stage import Stage, Stuck
from vgic.prove.story import Story

__all__ = ["Claim", "Outcome", "claims", "play"]

Verdict = Literal["confirmed", "refuted", "not possible here"]
#: A vCPU that takes more LPIs than this has no end.
_MOST = 64
_NOTHING = 1023


@dataclass(frozen=True, slots=True)
class Claim:
    """What a defect shows a VMM: a row of ``claims.toml``."""

    vcpus: int
    ask: tuple[str, ...]
    broken: tuple[int, ...]
    sound: tuple[tuple[int, ...], ...]
    #: The words of operations to leave out, ``in turn`` or ``reversed``.
    control: tuple[str, ...] | Literal["in turn", "reversed"]
    also: tuple[str, ...] = ()
    collections: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a story on a kernel."""

    verdict: Verdict
    #: Why, in a sentence.
    why: str
    #: What the VMM was answered after the story, and after the control.
    answers: tuple[int, ...] = ()
    control: tuple[int, ...] = ()
    #: Where threads were held: the story's step, and the place in the kernel.
    held: tuple[str, ...] = ()
    #: What the kernel said of errors of its own meanwhile.
    trouble: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)


@cache
def claims() -> dict[str, Claim]:
    """The table, by the ids of the catalogue."""
    raw = tomllib.loads(files("vgic.confirm").joinpath("claims.toml").read_text(encoding="utf-8"))
    return {name: Claim(**{key: _frozen(value) for key, value in row.items()}) for name, row in raw.items()}


def play(stage: Stage, story: Story, claim: Claim) -> Outcome:
    """Plays a story, and its control. Raises :class:`~vgic.errors.ReplayError` if the machine is lost."""
    begun, said = time.monotonic(), len(stage.machine.log)
    held: list[str] = []
    answers: tuple[int, ...] = ()
    control: tuple[int, ...] = ()
    try:
        script = script_of(story, claim.vcpus, dict(claim.collections))
        answers = _played(stage, script, claim, held)
        control = _controlled(stage, script, claim)
        verdict, why = _judged(claim, answers, control)
    except (Unknown, Stuck) as error:
        verdict, why = "not possible here", str(error)
    trouble = tuple(stage.machine.trouble(said))
    return Outcome(verdict, why, answers, control, tuple(held), trouble, time.monotonic() - begun)


def _judged(claim: Claim, answers: tuple[int, ...], control: tuple[int, ...]) -> tuple[Verdict, str]:
    if control not in claim.sound:
        return "not possible here", "the control does not end as it should"
    if answers == claim.broken:
        return "confirmed", "the story ends as the defect does, and the control as it should"
    if answers in claim.sound:
        return "refuted", "the story ends as it should, and so does the control"
    return "not possible here", "the story ends neither as the defect does nor as it should"


def _played(stage: Stage, script: Script, claim: Claim, held: list[str]) -> tuple[int, ...]:
    _prepared(stage, script, claim, script.before)
    if not script.overlaps:
        # The order is the story's, and there is nothing to hold.
        order = [(turn.thread, turn.command) for turn in script.turns]
        _in_turn(stage, [script.threads[thread][command] for thread, command in order])
        return _asked(stage, script, claim)
    stage.begin(script.threads)
    try:
        for turn in script.turns:
            if turn.hold is None:
                while stage.run(turn.thread):
                    pass
                continue
            place = place_of(turn.hold).address(stage.code)
            if not stage.run(turn.thread, place):
                raise Unknown(f"thread {turn.thread} does not come to {stage.symbols.where(place)} ({turn.hold})")
            held.append(f"{turn.hold}; held at {stage.where(turn.thread)}")
    finally:
        stage.finish()
    return _asked(stage, script, claim)


def _controlled(stage: Stage, script: Script, claim: Claim) -> tuple[int, ...]:
    left_out = claim.control if isinstance(claim.control, tuple) else ()
    names = [script.words[thread][command] for thread, command in script.begun()]
    commands = [command for name, command in zip(names, script.in_turn(), strict=True) if name not in left_out]
    if claim.control == "reversed":
        commands.reverse()
    gone = {command_of(name, script.vcpus, script.vcpus, dict(claim.collections)) for name in left_out}
    _prepared(stage, script, claim, [command for command in script.before if command not in gone])
    _in_turn(stage, commands)
    return _asked(stage, script, claim)


def _prepared(stage: Stage, script: Script, claim: Claim, before: Sequence[str]) -> None:
    """A new VM that has done what comes before the threads."""
    stage.machine.vm(script.all_vcpus)
    for command in guest_setup(script.vcpus):
        stage.machine.done(command)
    for command in before:
        _obeyed(stage, script, command)
    for command in claim.also:
        _obeyed(stage, script, command)


def _in_turn(stage: Stage, commands: Sequence[str]) -> None:
    for command in commands:
        stage.machine.command(command)


def _asked(stage: Stage, script: Script, claim: Claim) -> tuple[int, ...]:
    return tuple(_obeyed(stage, script, command) for command in claim.ask)


def _obeyed(stage: Stage, script: Script, command: str) -> int:
    """One command of the guest program, or of a claim, which has a few words of its own."""
    words = command.split()
    if command == "drain":
        for vcpu in range(script.vcpus):
            for _ in range(_MOST):
                if stage.machine.done(f"ack {vcpu}").value == _NOTHING:
                    break
            else:
                raise Unknown(f"vCPU {vcpu} takes LPIs without end")
        return 0
    if words[0] in ("pending", "byte"):
        vcpu, intid = map(int, words[1:])
        address, bit = pending_byte(vcpu, intid), 1 << intid % 8
        if words[0] == "pending":
            return stage.machine.done(f"mem_w {address:#x} 1 {bit}").value
        return int(bool(stage.machine.done(f"mem_r {address:#x} 1").value & bit))
    if words[0].isupper():
        command = command_of(command, script.vcpus, script.vcpus)
    return stage.machine.command(command).value


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
