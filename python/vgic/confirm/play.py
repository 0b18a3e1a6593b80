"""A story, played on a kernel, and what comes of it.

Played twice, in a VM each: first without what makes it a defect, which is the control, then as the story has it. Then a
VMM looks, or the kernel has said something of itself, as in an Oops. Where the story is of the kernel's own design, the
state of LPIs and list registers is compared at each hold and at each end of an operation.

*Confirmed*: the story ends as the defect does, and the control as it should. *Refuted*: both end as they should, or the
kernel's state becomes another one than the story's. Anything else, a place that this kernel does not have, or a thread
that gets nowhere, is *not possible here*, with the reason.
"""

import re
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from vgic.confirm.btf import NoBtf
from vgic.confirm.compare import difference
from vgic.confirm.gdb import LR, PC
from vgic.confirm.hold import Holds
from vgic.confirm.kernel_state import KernelState, Unreadable
from vgic.confirm.script import Script, Turn, Unknown, guest_setup, plain, script_of
from vgic.confirm.stage import LIMIT, Stage, Stuck, Trap, kernel_address
from vgic.prove.story import Story
from vgic.registers import GICR

__all__ = ["ALLOCATES", "KICKS", "OOPS", "Claim", "Outcome", "claims", "play"]

Verdict = Literal["confirmed", "refuted", "not possible here"]
#: A vCPU that takes more LPIs than this has no end.
_MOST = 64
_NOTHING = 1023
_NO_CONTROL = "the control does not end as it should"
_NEITHER = "the story ends neither as the defect does nor as it should"
#: Seconds of QEMU's CPU time until a thread counts as stuck where that is what the defect does, or where many stories
#: are followed, and seconds for the kernel to say what it says.
_STUCK, _FOLLOWED, _LISTEN = 10.0, 4.0, 3.0
#: Where the kernel comes after it has told of an Oops.
OOPS = ("make_task_dead",)
#: What it says if it is of no use afterwards.
_FATAL = re.compile(r"Internal error:|Kernel panic")
#: Where it allocates a node of an xarray, and who asks for one.
ALLOCATES = ("kmem_cache_alloc_lru_noprof", "kmem_cache_alloc_lru")
_FOR_XARRAY = re.compile(r"(__)?xas_")
#: Called with a ``struct kvm_device`` where a VMM reads a register.
_TOUCHES_DEVICE = "vgic_v3_get_attr"
#: What is called to get a vCPU out of the guest.
KICKS = ("__kvm_vcpu_kick", "kvm_vcpu_kick")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a defect shows a VMM: a row of ``claims.toml``."""

    vcpus: int
    sound: tuple[tuple[int, ...], ...]
    #: The words of operations to leave out, ``in turn`` or ``reversed``.
    control: tuple[str, ...] | Literal["in turn", "reversed"]
    ask: tuple[str, ...] = ()
    broken: tuple[int, ...] = ()
    #: Instead of answers: what the kernel says, or where a thread gets nowhere, as a regular expression.
    shows: str = ""
    also: tuple[str, ...] = ()
    collections: tuple[tuple[int, int], ...] = ()
    itses: int = 1
    #: Operations in which the xarray's nodes cannot be allocated, from where they are held on.
    no_memory: tuple[str, ...] = ()
    #: A structure's member, without which a kernel is another one than that of the story.
    needs: str = ""
    #: The design in which the story is looked for; if not given the last one in which the catalogue has it.
    design: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a story on a kernel."""

    verdict: Verdict
    #: Why, in a sentence.
    why: str
    #: What the VMM was answered after the story, and after the control.
    answers: tuple[int, ...] = ()
    control: tuple[int, ...] = ()
    #: Where threads were held, the story's step and the place in the kernel; and which allocations failed.
    held: tuple[str, ...] = ()
    #: What the kernel did instead of answering: a line that it said, or where a thread got nowhere.
    shown: str = ""
    #: At how many points of the story the kernel's state was compared with the engine's, and was the same.
    compared: int = 0
    #: The first difference: at which step, and what each says.
    differs: str = ""
    #: Why it was not compared.
    uncompared: str = ""
    #: What the kernel said of errors of its own meanwhile.
    trouble: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)
    #: Whether the machine is of no use any more.
    lost: bool = False
    #: How often it was played.
    tries: int = 1
    #: The address of each of :attr:`held`: where the thread was held, or where the allocation returns to.
    at: tuple[str, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether another try would end the same.

        An interrupt of the host's makes a vCPU leave the guest at any moment, which is no step of a story's.
        """
        return not self.differs and self.why not in (_NO_CONTROL, _NEITHER)


@cache
def claims() -> dict[str, Claim]:
    """The table, by the ids of the catalogue."""
    raw = tomllib.loads(files("vgic.confirm").joinpath("claims.toml").read_text(encoding="utf-8"))
    return {name: Claim(**{key: _frozen(value) for key, value in row.items()}) for name, row in raw.items()}


def play(stage: Stage, story: Story, claim: Claim, *, uncompared: str = "") -> Outcome:
    """Plays the control of a story, and the story. Raises :class:`~vgic.errors.ReplayError` if the machine is lost.

    ``uncompared``: why the kernel's state is not to be compared with the story's.
    """
    begun, said = time.monotonic(), len(stage.machine.log)
    told, control = _Told(None if uncompared else story, uncompared=uncompared), _Told()
    try:
        _needed(stage, claim)
        script = script_of(story, claim.vcpus, dict(claim.collections))
        _controlled(stage, script, claim, control)
        _played(stage, script, claim, told)
        verdict, why = _judged(claim, told, control)
    except _Differs as error:
        verdict, why = "refuted", f"at {error}"
    except (Unknown, Stuck, NoBtf) as error:
        verdict, why = "not possible here", str(error)
    fatal = _broke(stage, said)
    if fatal and verdict != "confirmed":
        # Whatever was answered since then was answered by a broken kernel.
        verdict, why = "not possible here", f"{why}; the kernel broke: {fatal}"
    outcome = _outcome(stage, told, verdict, why, begun, said)
    return replace(outcome, answers=told.answers, control=control.answers, lost=outcome.lost or control.lost)


def _outcome(stage: Stage, told: "_Told", verdict: Verdict, why: str, begun: float, said: int) -> Outcome:
    """What came of a story; ``begun``: when it began, ``said``: how much the kernel had said by then."""
    return Outcome(
        verdict,
        why,
        held=tuple(told.held),
        shown=told.shown,
        compared=told.compared,
        differs=told.differs,
        uncompared=told.uncompared,
        trouble=tuple(stage.machine.trouble(said)),
        seconds=time.monotonic() - begun,
        lost=told.lost or bool(_broke(stage, said)),
        at=tuple(f"{address:#x}" for address in told.at),
    )


def _broke(stage: Stage, said: int) -> str:
    """The line with which the kernel told that it is of no use any more; empty if it did not."""
    return next((line for line in stage.machine.log[said:] if _FATAL.search(line)), "")


def follow(stage: Stage, story: Story, claim: Claim) -> Outcome:
    """Plays a story alone, for its states: *confirmed* if they are the kernel's, *refuted* at the first difference.

    Raises :class:`~vgic.errors.ReplayError` if the machine is lost.
    """
    begun, said = time.monotonic(), len(stage.machine.log)
    told = _Told(story, limit=_FOLLOWED)
    verdict: Verdict = "confirmed"
    why = "the states are the same"
    try:
        _played(stage, script_of(story, claim.vcpus, dict(claim.collections)), claim, told)
        if not told.compared:
            verdict, why = "not possible here", told.uncompared or "there was nothing to compare"
    except _Differs as error:
        verdict, why = "refuted", f"at {error}"
    except (Unknown, Stuck, NoBtf) as error:
        verdict, why = "not possible here", str(error)
    return _outcome(stage, told, verdict, why, begun, said)


class _Differs(Exception):
    """The kernel's state is another one than the story's."""


@dataclass(slots=True)
class _Told:
    """What is known of a story while it is played."""

    #: The story, if its states are compared, and the kernel's.
    story: Story | None = None
    memory: KernelState | None = None
    compared: int = 0
    differs: str = ""
    uncompared: str = ""
    #: Seconds of QEMU's CPU time until a thread is stuck.
    limit: float = LIMIT
    #: By thread that is held, how many references of which LPIs the story has more.
    ahead: dict[int, Counter[str]] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    answers: tuple[int, ...] = ()
    shown: str = ""
    #: The vCPU that was kicked last.
    kicked: int = -1
    lost: bool = False


def _needed(stage: Stage, claim: Claim) -> None:
    if claim.needs:
        structure, member = claim.needs.split(".", 1)
        try:
            stage.btf.field(structure, member)
        except KeyError:
            raise Unknown(f"this kernel has no {claim.needs}, which the story is about") from None


def _judged(claim: Claim, told: _Told, control: _Told) -> tuple[Verdict, str]:
    if control.answers not in claim.sound or control.shown:
        return "not possible here", _NO_CONTROL
    if told.shown or (not claim.shows and told.answers == claim.broken):
        return "confirmed", "the story ends as the defect does, and the control as it should"
    if told.answers in claim.sound:
        return "refuted", "the story ends as it should, and so does the control"
    return "not possible here", _NEITHER


def _played(stage: Stage, script: Script, claim: Claim, told: _Told, in_turn: Sequence[str] | None = None) -> None:
    """Plays a script as it is, or its commands ``in_turn``, none beside another; and asks."""
    said = len(stage.machine.log)
    _prepared(stage, script, claim, told)
    if in_turn is None and not script.overlaps and not claim.no_memory:
        # The order is the story's, and there is nothing to hold.
        for turn in script.turns:
            stage.machine.command(script.threads[turn.thread][turn.command])
            _compare(stage, turn, told)
    elif in_turn is None:
        try:
            _steered(stage, script, claim, told)
        except Stuck as error:
            if not claim.shows:
                stage.finish()
                raise
            # The thread may never end; the kernel may still say why.
            told.lost = True
            stage.let_go()
            stage.machine.listen(_LISTEN)
            told.shown = _shown(claim, [*stage.machine.log[said:], str(error)])
            if not told.shown:
                raise
            return
        except BaseException:
            stage.finish()
            raise
        stage.finish()
    else:
        for command in in_turn:
            stage.machine.command(command)
    told.answers = _asked(stage, script, claim, told)
    told.shown = _shown(claim, stage.machine.log[said:])


def _shown(claim: Claim, lines: Sequence[str]) -> str:
    return next((line for line in lines if claim.shows and re.search(claim.shows, line)), "")


def _steered(stage: Stage, script: Script, claim: Claim, told: _Told) -> None:
    """Runs the threads one at a time, each up to where it is held."""
    limit = _STUCK if claim.shows else told.limit
    traps = _traps(stage, told)
    stage.begin(script.threads)
    holds = Holds(stage, script, told.memory)
    for number, turn in enumerate(script.turns):
        if turn.hold is None:
            short = script.words[turn.thread][turn.command] in claim.no_memory
            failed: list[int] = []
            these = traps | _without_memory(stage, failed) if short else traps
            try:
                while stage.run(turn.thread, traps=these, limit=limit):
                    pass
            finally:
                told.held += [f"allocation for {stage.symbols.where(back)} failed" for back in failed]
                told.at += failed
            if short and not failed:
                raise Unknown("this kernel allocates no node of an xarray there")
            told.ahead.pop(turn.thread, None)
            _compare(stage, turn, told)
            continue
        held = holds.run(number, traps=traps, limit=limit)
        told.held.append(f"{turn.hold}; held {held.where}")
        told.at.append(held.address)
        told.ahead[turn.thread] = held.ahead
        _compare(stage, turn, told)


def _compare(stage: Stage, turn: Turn, told: _Told) -> None:
    """The kernel's state with the engine's behind a turn. Raises :class:`_Differs`."""
    if told.story is None or told.memory is None or turn.line is None:
        return
    engine = told.story.state_at(turn.line)
    if engine is None:
        return
    stage.stop()
    try:
        kernel, outside = told.memory.read()
    except Unreadable as error:
        told.memory, told.uncompared = None, str(error)
        return
    names = {lpi.name: lpi.intid for lpi in engine.lpis}
    ahead: Counter[int] = Counter()
    for of_thread in told.ahead.values():
        for name, count in of_thread.items():
            ahead[names.get(name, 0)] += count
    found = difference(engine, kernel, outside, ahead)
    if found is not None:
        told.differs = f"step {told.story.lines[turn.line].step}: {found}"
        raise _Differs(told.differs)
    told.compared += 1


def _traps(stage: Stage, told: _Told) -> dict[int, Trap]:
    """What is looked at on the way: who is kicked, and an Oops, which is the end."""

    def kicks(cpu: int, registers: list[int]) -> None:
        number = stage.btf.field("kvm_vcpu", "vcpu_id")
        told.kicked = number.of(stage.machine.gdb.read(registers[0] + number.offset, number.size, cpu))

    def gives_up(cpu: int, registers: list[int]) -> None:
        raise Stuck("the kernel Oopses")

    return _at(stage, KICKS, kicks) | _at(stage, OOPS, gives_up)


def _without_memory(stage: Stage, failed: list[int]) -> dict[int, Trap]:
    """Each node that an xarray needs is not to be had: the allocation returns NULL. ``failed``: where it returns to."""

    def fails(cpu: int, registers: list[int]) -> None:
        back = kernel_address(registers[LR])
        if _FOR_XARRAY.match(stage.symbols.where(back)):
            failed.append(back)
            stage.machine.gdb.set_register(cpu, 0, 0)
            stage.machine.gdb.set_register(cpu, PC, back)

    return _at(stage, ALLOCATES, fails)


def _at(stage: Stage, names: Sequence[str], trap: Trap) -> dict[int, Trap]:
    """The trap at the first of these functions that a kernel has."""
    return next(({stage.symbols.address(name): trap} for name in names if name in stage.symbols), {})


def _controlled(stage: Stage, script: Script, claim: Claim, told: _Told) -> None:
    if isinstance(claim.control, tuple):
        _played(stage, script.without(claim.control), claim, told)
        return
    commands = script.in_turn()
    if claim.control == "reversed":
        commands.reverse()
    _played(stage, script, claim, told, commands)


def _prepared(stage: Stage, script: Script, claim: Claim, told: _Told) -> None:
    """A new VM that has done what comes before the threads."""
    stage.machine.vm(script.all_vcpus, claim.itses)
    for command in guest_setup(script.vcpus, claim.itses):
        stage.machine.done(command)
    if told.story is not None or script.overlaps:
        told.memory = _kernel_state(stage, told)
    for command in (*script.before, *claim.also):
        _obeyed(stage, script, command)


def _kernel_state(stage: Stage, told: _Told) -> KernelState | None:
    """The reader of the VM's state; None, with the reason, where there can be none."""
    try:
        where = stage.btf.field("kvm_device", "kvm")
    except (NoBtf, KeyError) as error:
        told.uncompared = told.uncompared or str(error)
        return None
    registers = stage.seen(f"rd_r 0 {GICR.CTLR:#x}", _TOUCHES_DEVICE)
    if registers is None:
        told.uncompared = told.uncompared or f"this kernel has no {_TOUCHES_DEVICE}"
        return None
    stage.stop()
    address = where.of(stage.machine.gdb.read(registers[0] + where.offset, where.size))
    return KernelState(stage.btf, stage.machine.gdb, address)


def _asked(stage: Stage, script: Script, claim: Claim, told: _Told) -> tuple[int, ...]:
    return tuple(told.kicked if command == "kicked" else _obeyed(stage, script, command) for command in claim.ask)


def _obeyed(stage: Stage, script: Script, command: str) -> int:
    """One command of the guest program, or of a claim, which has a few words of its own."""
    if command == "drain":
        for vcpu in range(script.vcpus):
            for _ in range(_MOST):
                if stage.machine.done(f"ack {vcpu}").value == _NOTHING:
                    break
            else:
                raise Unknown(f"vCPU {vcpu} takes LPIs without end")
        return 0
    value = stage.machine.command(plain(command, script.vcpus)).value
    if command.startswith("byte "):
        return value >> int(command.split()[2]) % 8 & 1
    return value


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
