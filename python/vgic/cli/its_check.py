"""``vgic its check``: the conformance kit."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from vgic.cli.common import check_json, console, indented, progress, write_json
from vgic.cli.options import JsonOption, listed, names_option
from vgic.conformance.cases import CASES, Case
from vgic.conformance.choices import CHOICES
from vgic.conformance.report import Outcome, Report, check, chosen
from vgic.conformance.target import open_target

__all__ = ["check_its"]


def _names() -> list[str]:
    """For shells."""
    return [*CASES, *CHOICES]


def check_its(
    target: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET",
            help="qtest: start QEMU. qtest:SOCKET,MONITOR: a QEMU that runs, by its qtest and QMP sockets. "
            "program:COMMAND: a program that reads verbs. python:MODULE[:TEXT]: the module's function target().",
        ),
    ] = None,
    case: Annotated[list[str] | None, names_option("case", "These only.", _names)] = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="Print what was done, verb by verb, for each difference.")
    ] = False,
    list_cases: Annotated[bool, typer.Option("--list", help="Print the cases, and leave.")] = False,
    json: JsonOption = None,
) -> int:
    """Check an ITS against the architecture (Arm IHI 0069), rule by rule.

    Each rule is looked at from reset on, through registers, memory, MSIs and
    what vCPUs take. Then the ITS is asked what it does where the architecture
    leaves it open. Exit status 1 if a rule is not kept, unless the target
    says itself that it does not.
    """
    names = listed(case)
    if list_cases:
        if target is not None or json is not None:
            raise ValueError("--list: without --target and --json")
        _list(names)
        return 0
    if target is None:
        raise ValueError("--target: what is to be checked? qtest, program:COMMAND or python:MODULE")
    check_json(json)
    chosen(names)
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)  # As for python -m: a target of one's own is often here.
    with closing(open_target(target)) as opened, progress("checking") as update:
        report = check(opened, names, update)
    if json is not None:
        write_json(json, report.to_json() + "\n")
    _print(report, json, steps=steps)
    return 1 if report.differences else 0


def _list(names: list[str]) -> None:
    out = console()
    table = Table("case", "section", "rule, or question")
    for one in chosen(names):
        table.add_row(one.name, one.section, one.rule if isinstance(one, Case) else one.question)
    out.print(table)


def _print(report: Report, json: str | None, *, steps: bool) -> None:
    out = console(json)
    if report.outcomes:
        known = f", {len(report.known)} of them known" if report.known else ""
        found = len(report.differences) + len(report.known)
        out.print(f"{report.target}: {_count(len(report.outcomes), 'rule')}, {_count(found, 'difference')}{known}")
    for outcome in (*report.differences, *report.known):
        out.print()
        _print_difference(out, outcome, steps=steps)
    if report.answers:
        out.print()
        table = Table("where the architecture leaves it open", report.target)
        for answer in report.answers:
            table.add_row(f"{answer.choice.question} ({answer.choice.section})", answer.text)
        out.print(table)


def _print_difference(out: Console, outcome: Outcome, *, steps: bool) -> None:
    out.print(f"{outcome.case.name} ({outcome.case.section})", markup=False)
    out.print(indented(outcome.case.rule, 2))
    out.print(indented(f"Seen: {outcome.difference}", 2), markup=False)
    if outcome.known:
        out.print(indented(f"Known: {outcome.known}", 2), markup=False)
    if steps:
        for line in outcome.lines:
            out.print(f"    {line}", markup=False, soft_wrap=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
