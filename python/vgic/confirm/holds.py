"""A script for gdb that plays a story by hand: it holds each CPU where it was held, on that very kernel.

gdb knows no more than the addresses, so it needs no file with symbols. With ``scheduler-locking`` a CPU runs while all
the others stand, also those that hold no thread: the story needs none of them, as no thread waits for another.
"""

from collections.abc import Iterable, Iterator, Sequence

from vgic.confirm.btf import Btf
from vgic.confirm.hold import BY_CHANGE
from vgic.confirm.image import Kernel
from vgic.confirm.places import place_of
from vgic.confirm.play import ALLOCATES, KICKS, OOPS, Claim, claims
from vgic.confirm.report import played_script, turns_text
from vgic.confirm.run import Confirmation
from vgic.confirm.script import Hold
from vgic.confirm.symbols import Symbols
from vgic.errors import KernelError

__all__ = ["STUB", "holds_script"]

#: The socket of QEMU's gdb stub, in the folder in which gdb is started.
STUB = "gdb.socket"
#: A link register may have bits of pointer authentication.
_LINK = "($x30 | 0xffff000000000000)"
_NO_KICK = "# This kernel does not tell where a structure has what: look at vcpu_id of the kvm_vcpu at $x0."

#: An address at which a CPU is stopped on its way, and what is done there before it goes on.
_Trap = tuple[int, list[str]]


def holds_script(kernel: Kernel, one: Confirmation) -> str:
    """The commands for gdb; empty if nobody was held, and no allocation failed."""
    script, outcome = played_script(one), one.outcome
    if script is None or not outcome.at or one.marks is None or one.symbols is None:
        return ""
    return "\n".join(_indented(_lines(kernel, one, one.symbols))) + "\n"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    """The lines, those in a block further in."""
    depth = 0
    for line in lines:
        depth -= line == "end"
        yield "  " * depth + line
        depth += line.startswith(("if ", "while "))


def _lines(kernel: Kernel, one: Confirmation, symbols: Symbols) -> Iterator[str]:
    script, claim, outcome, marks = played_script(one), claims()[one.defect], one.outcome, one.marks
    assert script is not None
    assert marks is not None
    yield f"# {one.defect} on {kernel.release or kernel.name}: {outcome.verdict}. How it is used is told in README.txt."
    yield "# The addresses are those of this Image, booted with nokaslr. CPU N is gdb's thread N + 1."
    yield from ("set pagination off", "set confirm off", "set architecture aarch64", f"target remote {STUB}")
    yield from _heading("Each thread of the story is picked up before its first command, on a CPU of its own.")
    yield f"hbreak *{marks.begin:#x}"
    yield _echo("Type 'go' at the console.")
    yield from ("continue", "set scheduler-locking on")
    for thread in script.threads:
        yield from (f"thread {thread + 1}", f"if $pc != {marks.begin:#x}", "continue", "end")
    yield "delete"
    kicks = list(_kicks(kernel, claim, symbols))
    held = [(text, int(at, 16)) for text, at in zip(outcome.held, outcome.at, strict=True)]
    places = iter([(text.rsplit("; ", 1)[1], at) for text, at in held if "; held " in text])
    callers = dict.fromkeys(at for text, at in held if "; held " not in text)
    for turn, text in zip(script.turns, turns_text(script, claim, outcome), strict=True):
        yield from _heading(text)
        yield f"thread {turn.thread + 1}"
        if turn.hold is None:
            short = script.words[turn.thread][turn.command] in claim.no_memory
            yield from _run(marks.end, kicks + list(_fails(symbols, list(callers)) if short else ()), claim, symbols)
            continue
        place = next(places, None)
        if place is None:
            yield f"# Not on this kernel: {outcome.why}"
            break
        yield _found(place[0], turn.hold)
        yield from _run(place[1], kicks, claim, symbols)
    yield from _heading("Everything goes on.")
    yield from ("delete", "set scheduler-locking off", "detach")
    yield _echo("The console tells what each command came to. Type there what commands.txt has behind 'go'.")


def _found(where: str, hold: Hold) -> str:
    """How this place is found again in another kernel."""
    if BY_CHANGE in where:
        return f"# {where}. If the CPU comes by here before that: continue."
    place = place_of(hold)
    if place.guest:
        what = "the vCPU has done what it came for"
    elif place.store:
        what = f"before the store to {place.store}"
    else:
        what = f"{'behind' if place.behind else 'before'} the call of {' or '.join(place.call)}"
    inside = "" if place.guest else f" in {' or '.join(place.within)}"
    return f"# {where}: {what}{inside}; {place.why}"


def _heading(text: str) -> list[str]:
    return ["", _echo(text)]


def _echo(text: str) -> str:
    r"""A line at gdb's terminal. In gdb's words ``\`` has a meaning, and a blank at the end is lost."""
    return "echo \\n" + text.replace("\\", "\\\\") + "\\n"


def _run(until: int, traps: Sequence[_Trap], claim: Claim, symbols: Symbols) -> Iterator[str]:
    """Lets the thread run up to an address."""
    oops = _address(symbols, OOPS)
    if claim.shows:
        # Not each of these comes back.
        yield _echo("If it does not come back, that is the defect: stop it by Ctrl-C, and look at $pc and $x30.")
        if oops is not None:
            yield from ("# An Oops ends here.", f"thbreak *{oops:#x}")
    yield f"thbreak *{until:#x}"
    for at, _ in traps:
        yield f"hbreak *{at:#x}"
    yield "continue"
    if traps:
        # Each time the CPU comes by there.
        yield "while " + " || ".join(f"$pc == {at:#x}" for at, _ in traps)
        for at, does in traps:
            yield from does if len(traps) == 1 else (f"if $pc == {at:#x}", *does, "end")
        yield from ("continue", "end")
    yield "delete"


def _kicks(kernel: Kernel, claim: Claim, symbols: Symbols) -> Iterator[_Trap]:
    """Tells who is kicked, where that is the question."""
    at = _address(symbols, KICKS)
    if "kicked" not in claim.ask or at is None:
        return
    try:
        number = Btf.of_image(kernel.image).field("kvm_vcpu", "vcpu_id")
    except (KernelError, KeyError):
        yield at, [_NO_KICK]
        return
    yield at, [f'printf "vCPU %d is kicked\\n", *(int *)($x0 + {number.offset})']


def _fails(symbols: Symbols, callers: Sequence[int]) -> Iterator[_Trap]:
    """Nodes of xarrays cannot be allocated: to their callers NULL is returned."""
    at = _address(symbols, ALLOCATES)
    if at is None or not callers:
        return
    names = ", ".join(symbols.where(caller) for caller in callers)
    fits = " || ".join(f"{_LINK} == {caller:#x}" for caller in callers)
    yield (
        at,
        [f"# Called from {names}: there is no memory.", f"if {fits}", "set $x0 = 0", f"set $pc = {_LINK}", "end"],
    )


def _address(symbols: Symbols, names: Sequence[str]) -> int | None:
    """Where the first of these functions is that a kernel has."""
    return next((symbols.address(name) for name in names if name in symbols), None)
