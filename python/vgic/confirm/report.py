"""What was found on a kernel, as a text that a maintainer can use without this program.

It has the form of a bug report: what happens, what was done in which order, where CPUs were held by the symbols of that
kernel, what came of it and what of the control, and the commands of the guest program, which its source explains.
"""

from collections.abc import Iterator, Sequence
from textwrap import fill

from vgic.confirm.image import Kernel
from vgic.confirm.play import Claim, Outcome, claims
from vgic.confirm.run import Confirmation
from vgic.confirm.script import Script, Unknown, guest_setup, plain, script_of
from vgic.prove.defects import defect

__all__ = ["commands_text", "played_script", "report_text", "turns_text"]

_WIDTH = 75


def report_text(kernel: Kernel, found: Sequence[Confirmation]) -> str:
    """A report of each result, one after the other."""
    return ("\n" + "=" * _WIDTH + "\n\n").join("\n".join(_report(kernel, one)) + "\n" for one in found)


def commands_text(one: Confirmation) -> str:
    """The commands of the guest program, in order, with a remark where a thread is held. Empty if there are none."""
    script = played_script(one)
    if script is None:
        return ""
    claim = claims()[one.defect]
    lines = [f"vm {script.all_vcpus} {claim.itses}", *guest_setup(claim.vcpus, claim.itses)]
    lines += [plain(command, claim.vcpus) for command in (*script.before, *claim.also)]
    if script.overlaps or claim.no_memory:
        lines += [f"thread {thread} {command}" for thread, commands in script.threads.items() for command in commands]
        lines += ["go", *(f"# {text}" for text in turns_text(script, claim, one.outcome))]
    else:
        lines += [script.threads[turn.thread][turn.command] for turn in script.turns]
    lines += ["# who was kicked?" if ask == "kicked" else plain(ask, claim.vcpus) for ask in claim.ask]
    drain = [f"ack {vcpu}" for vcpu in range(claim.vcpus)]
    return "\n".join(text for line in lines for text in (drain if line == "drain" else [line])) + "\n"


def played_script(one: Confirmation) -> Script | None:
    """What was played; None if there is no story, or the guest program cannot play it."""
    if one.story is None or one.defect not in claims():
        return None
    claim = claims()[one.defect]
    try:
        return script_of(one.story, claim.vcpus, dict(claim.collections))
    except Unknown:
        return None


def _report(kernel: Kernel, one: Confirmation) -> Iterator[str]:
    outcome = one.outcome
    script = played_script(one)
    yield f"Subject: KVM: arm64: vgic: {one.defect or one.scenario}"
    yield f"Kernel: {kernel.release or kernel.name}, unmodified, under QEMU (TCG)"
    again = f" (played {outcome.tries} times)" if outcome.tries > 1 else ""
    yield fill(f"Verdict: {outcome.verdict}: {outcome.why}{again}", _WIDTH)
    if script is None:
        return
    about = defect(one.defect)
    yield ""
    yield fill(f"What happens: {about.about}.", _WIDTH)
    if about.since or about.fixed:
        since = f"since {about.since}" if about.since else "since when is not known"
        yield fill(f"Kernels: {since}; {f'fixed in {about.fixed_text}' if about.fixed else 'no fix is known'}.", _WIDTH)
    claim = claims()[one.defect]
    yield ""
    yield "How to see it:"
    yield from (f"  before: {text}" for text in script.before_words)
    yield from (f"  {number}. {text}" for number, text in enumerate(turns_text(script, claim, outcome), 1))
    yield ""
    yield from _answers(one, claim)
    yield ""
    yield "Commands of the guest program (a vCPU behind the story's own writes registers):"
    yield from (f"  {line}" for line in commands_text(one).splitlines())


def turns_text(script: Script, claim: Claim, outcome: Outcome) -> Iterator[str]:
    """Who does what, in the order in which it was done."""
    held = iter(text for text in outcome.held if "; held " in text)
    going: set[tuple[int, int]] = set()
    for turn in script.turns:
        words = script.words[turn.thread][turn.command]
        short = "; no memory for nodes of xarrays" if words in claim.no_memory and not turn.hold else ""
        what = f"goes on: {words}" if (turn.thread, turn.command) in going else words
        going.add((turn.thread, turn.command))
        place = next(held, "held").rsplit("; ", 1)[-1] if turn.hold else ""
        yield f"thread {turn.thread} {what}{short}{f' ... {place}' if turn.hold else ''}"


def _answers(one: Confirmation, claim: Claim) -> Iterator[str]:
    outcome = one.outcome
    yield from (f"  {text}" for text in outcome.held if "; held " not in text)
    if outcome.shown:
        yield fill(f"Then the kernel shows: {outcome.shown}", _WIDTH, break_long_words=False)
    if outcome.answers or outcome.control:
        yield "Then a VMM asks (8192...: the LPI taken, 1023: none; 1: an MSI taken in, -16: EBUSY):"
        for at, ask in enumerate(claim.ask):
            story, control = (str(got[at]) if got else "-" for got in (outcome.answers, outcome.control))
            yield f"  {ask:<26} story {story:>6}   control {control:>6}"
    if isinstance(claim.control, tuple):
        yield f"The control is the same without: {'; '.join(claim.control)}."
    else:
        yield f"The control is the same commands {claim.control}, none beside another."
    yield from (f"  {line}" for line in outcome.trouble[:12])
