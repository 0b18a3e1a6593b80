"""``vgic designs A B``: what is different in two designs."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vgic.cli.common import indented
from vgic.cli.links import linked
from vgic.designs import axes
from vgic.difference import Difference, step_text

_KINDS = {"locks": "locks taken", "rmws": "read-modify-writes", "writes": "stores", "reads": "loads"}
_MARKS = {"first": ("-", "red"), "second": ("+", "green"), "both": (" ", "")}


def difference_row(found: Difference) -> dict[str, Any]:
    """A difference as JSON."""
    return asdict(found) | {
        "defects_of_first": [one.id for one in found.defects_of_first],
        "defects_of_second": [one.id for one in found.defects_of_second],
    }


def show_difference(out: Console, found: Difference) -> None:
    """Print it: axes, defects, the hit path with the steps that only one has, and the counts beside each other."""
    first, second = found.first, found.second
    out.print(Text.assemble(("- ", "red"), (first, "bold"), "    ", ("+ ", "green"), (second, "bold")))
    out.print("\nAxes on which they differ" + ("" if found.axes else ": none"))
    about = {one.name: one for one in axes()}
    for axis, ways in found.axes.items():
        out.print(Text.assemble(f"  {axis}", (f"  {about[axis].about}", "dim")), soft_wrap=False)
        for mark, way in zip("-+", ways, strict=True):
            sentence = Text(f"  {about[axis].ways[way]}" if way else "none: it has no such cache or queue", "dim")
            out.print(indented(Text(f"{mark} {way}", "red" if mark == "-" else "green") + sentence, 4))
    only = [("-", found.defects_of_first), ("+", found.defects_of_second)]
    out.print("\nDefects that only one of them has" + ("" if any(rows for _, rows in only) else ": none"))
    for mark, rows in only:
        for one in rows:
            style = "red" if mark == "-" else "green"
            out.print(indented(linked(out, f"{mark} {one.title}: {one.about}", style), 2))
    _path(out, found)
    _counts(out, found)


def _path(out: Console, found: Difference) -> None:
    alone = {of: sum(step.of == of for step in found.hit_path) for of in ("first", "second", "both")}
    out.print(
        f"\nHit path: {alone['both']} steps in both, {alone['first']} only in {found.first}, "
        f"{alone['second']} only in {found.second}",
        markup=False,
    )
    for step in found.hit_path:
        mark, style = _MARKS[step.of]
        out.print(Text(f"{mark} {step_text(step.step)}", style))


def _counts(out: Console, found: Difference) -> None:
    out.print("\nOne LPI sent, taken by the guest and retired")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    for name in (found.first, found.second):
        table.add_column(name, justify="right", no_wrap=True)
    for kind, title in _KINDS.items():
        tally = found.counts[kind]
        totals = (sum(count[at] for count in tally.values()) for at in (0, 1))
        table.add_row(Text(title, "bold"), *(Text(str(total), "bold") for total in totals))
        for what, (a, b) in tally.items():
            # Loads are many; only those that differ are worth a line.
            if kind != "reads" or a != b:
                table.add_row(f"  {what}", str(a), str(b), style="" if a == b else "yellow")
    out.print(table)
