"""``vgic machines``: the machine profiles that come along, and one value by value."""

import json as json_module
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vgic.cli.common import check_json, console, write_json
from vgic.cli.options import JsonOption
from vgic.host import host_text, profile_text
from vgic.machines import PARAMETERS, STATUSES, Machine, parameter_rows
from vgic.machines import machine as find
from vgic.machines import machines as all_machines
from vgic.measure.results import machine as this_machine
from vgic.predict.prediction import DEFAULT_MACHINE
from vgic.text import rate_text


def machines(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME|FILE", help="Show this one, value by value; or the file of a profile.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """List the machines that can be predicted: cores, how far they are apart, and what the values rest on.

    The first lines say what this machine is, and which of these it looks like.

    With NAME: that machine, with every value and its source, and the rates that its predictions were compared with.
    """
    check_json(json)
    chosen = [find(name)] if name is not None else [find(known) for known in all_machines()]
    if json is not None:
        data: dict[str, Any] = {"schema": 1, **({"here": this_machine()} if name is None else {})}
        data["machines"] = [_to_dict(machine, whole=name is not None) for machine in chosen]
        write_json(json, json_module.dumps(data, indent=1) + "\n")
        if json == "-":
            return
    out = console()
    if name is not None:
        _one(out, chosen[0])
    else:
        here = this_machine()
        out.print(f"This machine: {host_text(here)}.", markup=False)
        out.print(profile_text(here) or "It looks like none of these.", markup=False)
        out.print()
        _all(out, chosen)


def _to_dict(machine: Machine, *, whole: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": machine.name,
        "title": machine.title,
        "cores": machine.cores,
        "distance": machine.distance.kind,
        "statuses": {status: machine.statuses.get(status, 0) for status in STATUSES},
        "checks": [check.to_dict() for check in machine.checks],
    }
    if whole:
        data["values"] = parameter_rows(machine)
    return data


def _tally(machine: Machine) -> list[str]:
    return [f"{count} {status}" for status, count in machine.statuses.items()]


def _all(out: Console, rows: list[Machine]) -> None:
    grid = Table(show_lines=True, title="Machines, and what their values rest on", title_justify="left")
    grid.add_column("machine", no_wrap=True)
    grid.add_column("what it is", ratio=1)
    grid.add_column(f"of {len(PARAMETERS) + 1} values", no_wrap=True)
    grid.add_column("checked\nagainst", no_wrap=True)
    for row in rows:
        default = "\n[dim]default[/dim]" if DEFAULT_MACHINE.startswith(row.name) else ""
        checks = f"{len(row.checks)} rates" if row.checks else "[dim]nothing[/dim]"
        grid.add_row(
            f"[bold]{escape(row.name)}[/bold]\n[dim]{row.cores} cores, {row.distance.kind}[/dim]{default}",
            escape(row.title),
            "\n".join(_tally(row)),
            checks,
        )
    out.print(grid)
    out.print(
        f"generic-arm64-N has N cores, 1 to 1024; {DEFAULT_MACHINE} is the default. 'vgic machines NAME' shows every "
        "value with its source.",
        markup=False,
    )


def _one(out: Console, row: Machine) -> None:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    facts.add_row("what", escape(row.title))
    facts.add_row("cores", str(row.cores))
    facts.add_row("values", ", ".join(_tally(row)))
    if row.cores > 1:
        pairs = row.pair_statistics()
        facts.add_row(
            "distances",
            f"{row.distance.kind}; of {pairs.pairs} pairs min {pairs.low:.3g} ns, p25 {pairs.p25:.3g}, median "
            f"{pairs.median:.3g}, p95 {pairs.p95:.3g}, max {pairs.high:.3g}",
        )
    out.print(f"[bold]{escape(row.name)}[/bold]")
    out.print(facts)
    out.print()
    if row.checks:
        grid = Table(title="Checked against, LPIs accepted a second", title_justify="left")
        for head in ("what", "measured", "predicted", "ratio", "who measured"):
            grid.add_column(head, justify="left" if head in ("what", "who measured") else "right")
        for check in row.checks:
            numbers = (rate_text(check.measured), rate_text(check.predicted), f"{check.ratio:.2f}")
            grid.add_row(escape(check.what), *numbers, escape(check.source))
        out.print(grid)
    else:
        out.print("Checked against no measured rate.")
    grid = Table(title="Values", title_justify="left", show_lines=True)
    grid.add_column("value", no_wrap=True)
    grid.add_column("rests on", no_wrap=True)
    grid.add_column("what it is, and who says so", ratio=1)
    for one in parameter_rows(row):
        kind = {"measured": "green", "published": "green"}.get(one["status"], "dim")
        grid.add_row(
            f"[bold]{one['name']}[/bold]\n{escape(one['value'])}",
            f"[{kind}]{one['status']}[/{kind}]",
            f"{escape(one['text'])}\n[dim]{escape(one['source'])}[/dim]",
        )
    out.print(grid)
