"""``vgic confirm``: stories of the checker, played on a real kernel."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from vgic.cli.common import check_json, console, progress, write_json
from vgic.cli.options import JsonOption, completed, listed

if TYPE_CHECKING:
    from vgic.confirm.run import Confirmation

#: Of each verdict, how it is shown.
_STYLES = {"confirmed": "bold", "refuted": "bold", "not possible here": "yellow"}


def _names() -> list[str]:
    from vgic.confirm.play import claims

    return list(claims())


def confirm(
    defects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DEFECT",
            help="Ids of the catalogue, see docs/explain/confirmed.md.",
            autocompletion=completed(_names),
        ),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            "--kernel",
            metavar="NAME|FILE",
            help="debian:6.1, debian:6.12 or debian:sid, which are fetched; or an arm64 Image, vmlinuz or package.",
        ),
    ] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="Every defect that can be tried.")] = False,
    cpu: Annotated[str, typer.Option(metavar="NAME", help="QEMU's model of the CPU.")] = "cortex-a57",
    json: JsonOption = None,
) -> int:
    """Play the story of a defect on a real, unmodified kernel for arm64.

    The kernel boots under QEMU, and a program in it makes KVM's calls on
    several threads. Where the checker's story has a preemption, a CPU is
    held at that place in the kernel while the others run on. Then a VMM
    looks: what MSIs are answered, which LPIs its vCPUs take. The same
    without overlap, or without one step, is the control.

    Confirmed: the story ends as the defect does, the control as it should.
    Refuted: both end as they should. Anything else is not possible here.

    Needs qemu-system-aarch64. The kernel needs KVM and kallsyms, as those
    of distributions have; no debug package.

    Exit status: 0 if each defect was confirmed, 1 if one was not, 130 after
    Ctrl-C.
    """
    from vgic.confirm.debian import find_kernel
    from vgic.confirm.run import check_defects, confirm, confirmations_json

    if all_of_them and defects:
        raise ValueError("--all: there are defects named besides")
    if kernel is None:
        raise ValueError("--kernel is needed: debian:6.12, or a file")
    chosen = check_defects(_names() if all_of_them else listed(defects))
    if not chosen:
        raise ValueError(f"which defect? There are {', '.join(_names())}; or --all")
    check_json(json)
    out = console(json)
    found: list[Confirmation] = []
    with progress("confirm") as update:
        image = find_kernel(kernel, lambda line: update(0, line))
        out.print(f"{escape(image.name)}: {escape(image.release)}", soft_wrap=True)
        for one in confirm(image, chosen, cpu=cpu, tell=lambda line: update(len(found) / len(chosen), line)):
            found.append(one)
            for line in _lines(one):
                out.print(line, soft_wrap=True)
    write_json(json, confirmations_json(image, found))
    count = sum(one.outcome.verdict == "confirmed" for one in found)
    out.print(f"{count} of {len(found)} confirmed")
    return 0 if count == len(found) else 1


def _lines(one: "Confirmation") -> list[str]:
    """A result, with its evidence."""
    outcome = one.outcome
    style = _STYLES[outcome.verdict]
    head = f"\n[bold]{one.defect}[/]: [{style}]{outcome.verdict}[/]   {one.scenario} of {one.design}"
    rows = [f"{head}, {outcome.seconds:.1f} s" if outcome.seconds else head, f"  {escape(outcome.why)}"]
    rows += [f"  held: {escape(text)}" for text in outcome.held]
    if outcome.answers:
        control = outcome.control or ("-",) * len(one.asked)
        rows.append(f"  {'then a VMM asks':<28}{'story':>8}{'control':>10}")
        pairs = zip(one.asked, outcome.answers, control, strict=True)
        rows += [f"    {escape(asked):<26}{answer:>8}{other:>10}" for asked, answer, other in pairs]
    return rows + [f"  the kernel says: {escape(line)}" for line in outcome.trouble[:12]]
