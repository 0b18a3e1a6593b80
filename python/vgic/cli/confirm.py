"""``vgic confirm``: stories of the checker, played on a real kernel."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from vgic.cli.common import check_folder, check_outputs, console, progress, write_folder, write_json, write_whole
from vgic.cli.options import JsonOption, completed, listed

if TYPE_CHECKING:
    from vgic.confirm.run import Case, Confirmation

#: Of each verdict, how it is shown.
_STYLES = {"confirmed": "bold", "refuted": "bold", "not possible here": "yellow"}


def _names() -> list[str]:
    from vgic.confirm.play import claims

    return list(claims())


def confirm(
    defects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DEFECT|STORY.json",
            help="Ids of the catalogue, see docs/explain/confirmed.md; or a file of 'vgic prove --json' with stories.",
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
    random: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1_000_000, help="Instead of defects: N small guests drawn at random."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", min=0, max=1 << 53, help="Of the first of these guests.")] = 1,
    cpu: Annotated[str, typer.Option(metavar="NAME", help="QEMU's model of the CPU.")] = "cortex-a57",
    json: JsonOption = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what was found as a bug report, with what shows it.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a new folder to repeat it by hand: machine, commands, gdb scripts."),
    ] = None,
) -> int:
    """Play the story of a defect on a real, unmodified kernel for arm64.

    The kernel boots under QEMU, and a program in it makes KVM's calls on
    several threads. Where the checker's story has a preemption, a CPU is
    held at that place in the kernel while the others run on. Then a VMM
    looks: what MSIs are answered, which LPIs its vCPUs take. The same
    without overlap, or without one step, is the control.

    Confirmed: the story ends as the defect does, the control as it should.
    Refuted: both end as they should, or the kernel's state becomes another
    one than the story's. Anything else is not possible here. What ends
    otherwise is played up to three times, as an interrupt can have done it.

    With --random guests are drawn, each with a preemption or two, and the
    state of LPIs and list registers is compared with the engine's at each
    hold and behind each operation. Exit status: 0 if nothing differs.

    Needs qemu-system-aarch64, 2.10 or later. The kernel needs KVM,
    kallsyms, and for some stories BTF, as those of distributions have; no
    debug package.

    Exit status: 0 if each defect was confirmed, 1 if one was not, 130 after
    Ctrl-C.
    """
    from vgic.confirm.debian import find_kernel
    from vgic.confirm.export import export_files
    from vgic.confirm.report import report_text
    from vgic.confirm.run import confirm, confirmations_json

    if all_of_them and defects:
        raise ValueError("--all: there are defects named besides")
    if kernel is None:
        raise ValueError("--kernel is needed: debian:6.12, or a file")
    if random is not None:
        from vgic.cli.confirm_random import confirm_random

        if defects or all_of_them or report is not None or export is not None:
            raise ValueError("--random: it plays guests of its own, and no defects, and writes no report or export")
        return confirm_random(kernel, random, seed, cpu, json)
    chosen = _cases(_names() if all_of_them else listed(defects))
    if not chosen:
        raise ValueError(f"which defect? There are {', '.join(_names())}; or --all")
    check_outputs(json, report=report)
    if export is not None:
        check_folder("export", export, json=json, report=report)
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
    if report is not None:
        write_whole(report, report_text(image, found))
    if export is not None:
        write_folder(export, export_files(image, cpu, found))
    count = sum(one.outcome.verdict == "confirmed" for one in found)
    out.print(f"{count} of {len(found)} confirmed")
    return 0 if count == len(found) else 1


def _cases(names: list[str]) -> "list[Case]":
    """What was named: defects, and the stories of files."""
    from vgic.confirm.run import cases_of, check_defects
    from vgic.confirm.stories import read_stories

    ids = check_defects(name for name in names if not name.endswith(".json"))
    files = dict.fromkeys(name for name in names if name.endswith(".json"))
    return ids + [case for name in files for case in cases_of(read_stories(Path(name)))]


def _lines(one: "Confirmation") -> list[str]:
    """A result, with its evidence."""
    outcome = one.outcome
    style = _STYLES[outcome.verdict]
    of = f"{one.scenario} of {_short(one.design)}"
    head = f"\n[bold]{one.defect or 'a story'}[/]: [{style}]{outcome.verdict}[/]   {of}"
    head += f", {outcome.seconds:.1f} s" * bool(outcome.seconds) + f", played {outcome.tries} times" * (
        outcome.tries > 1
    )
    rows = [head, f"  {escape(outcome.why)}"]
    rows += [f"  {escape(text)}" for text in outcome.held]
    if outcome.compared:
        points = f"{outcome.compared} point{'s' * (outcome.compared > 1)}"
        rows.append(f"  at {points} of the story the kernel's state was the engine's")
    if outcome.uncompared:
        rows.append(f"  the kernel's state was not compared: {escape(outcome.uncompared)}")
    if outcome.shown:
        rows.append(f"  shown: {escape(outcome.shown)}")
    if one.asked and (outcome.answers or outcome.control):
        answers, control = (got or ("-",) * len(one.asked) for got in (outcome.answers, outcome.control))
        rows.append(f"  {'then a VMM asks':<28}{'story':>8}{'control':>10}")
        pairs = zip(one.asked, answers, control, strict=True)
        rows += [f"    {escape(asked):<26}{answer:>8}{other:>10}" for asked, answer, other in pairs]
    return rows + [f"  the kernel says: {escape(line)}" for line in outcome.trouble[:12]]


def _short(design: str) -> str:
    """A design with as many other ways as a stable kernel has of later ones, without their names."""
    name, *ways = design.split("+")
    return f"{name} with {len(ways)} backport{'s' * (len(ways) > 1)}" if ways else name
