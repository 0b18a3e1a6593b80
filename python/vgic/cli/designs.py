"""``vgic designs``: the table of axes, and one design lock by lock."""

import json as json_module
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vgic.cli.common import JsonOption, check_json, console, write_json
from vgic.designs import BASELINE_DESIGN, DEFAULT_DESIGN, Design
from vgic.designs import design as find
from vgic.designs import designs as all_designs

_AXES = ("lpi_store", "get", "put", "free", "cache", "cache_reference", "walk", "queue")


def designs(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show this one, lock by lock.")] = None,
    json: JsonOption = None,
) -> None:
    """List the designs: what each changes, what that fixes, its known defect and its reference.

    With NAME: that design, with every shared access of its hit path and what one delivered LPI costs.
    """
    check_json(json)
    chosen = [find(name)] if name is not None else all_designs()
    if json is not None:
        rows = []
        for row in chosen:
            data: dict[str, Any] = asdict(row)
            if name is not None:
                data["hit_path"] = row.hit_path()
                data["path_counts"] = row.path_counts(deliver=True)
            rows.append(data)
        write_json(json, json_module.dumps({"schema": 1, "designs": rows}, indent=1) + "\n")
        if json == "-":
            return
    out = console()
    if name is not None:
        _one(out, chosen[0])
    else:
        _all(out, chosen)


def _label(axis: str) -> str:
    return {"lpi_store": "LPI store"}.get(axis, axis.replace("_", " "))


def _all(out: Console, rows: list[Design]) -> None:
    """One block a design. A cell is left out where it is as in the design that it is based on."""
    grid = Table(show_lines=True, title="Designs, in the order of their history", title_justify="left")
    grid.add_column("design", no_wrap=True)
    grid.add_column("axes that differ from the design it is based on", ratio=2)
    grid.add_column("what changed, what it fixes, known defect, reference", ratio=3)
    by_name = {row.name: row for row in rows}
    for row in rows:
        base = by_name.get(row.based_on)
        axes = [
            f"[dim]{_label(axis)}:[/dim] {escape(getattr(row, axis))}"
            for axis in _AXES
            if base is None or getattr(row, axis) != getattr(base, axis)
        ]
        texts = [escape(row.changed)]
        if row.fixes:
            texts.append(f"[green]fixes:[/green] {escape(row.fixes)}")
        if row.defect:
            texts.append(f"[red]{'unsound' if row.unsound else 'defect'}:[/red] {escape(row.defect)}")
        texts.append(f"[dim]{escape(row.reference)}[/dim]")
        mark = {BASELINE_DESIGN: "\n[dim]baseline[/dim]", DEFAULT_DESIGN: "\n[dim]default[/dim]"}.get(row.name, "")
        base_text = f"\n[dim]on {row.based_on}[/dim]" if row.based_on else ""
        grid.add_row(
            f"[bold]{row.name}[/bold]{base_text}{mark}", "\n".join(axes) or "[dim]none[/dim]", "\n".join(texts)
        )
    out.print(grid)


def _one(out: Console, row: Design) -> None:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    for label, text in (
        ("based on", row.based_on or "nothing"),
        ("changed", row.changed),
        ("fixes", row.fixes or "nothing"),
        ("known defect", (row.defect or "none") + (" (unsound: needs --allow-unsound)" if row.unsound else "")),
        (
            "switching off",
            "races with running vCPUs and commands (kept apart on real threads)" if row.control_races else "safe",
        ),
        ("reference", row.reference),
        ("lock order", " > ".join(row.lock_order)),
        *((_label(axis), getattr(row, axis)) for axis in _AXES),
    ):
        facts.add_row(label, escape(text))
    out.print(f"[bold]{row.name}[/bold]")
    out.print(facts)
    out.print("\nHit path: one MSI whose translation is cached, every shared access in order")
    for number, step in enumerate(row.hit_path(), start=1):
        where = ": ".join(part for part in (step["object"], step["field"]) if part)
        out.print(f"{number:4}  {'  ' * step['depth']}{step['kind']:<7} {where}", markup=False)
    counts = row.path_counts(deliver=True)
    out.print("\nOne LPI sent, taken by the guest and retired")
    for label, key in (("locks taken", "locks"), ("read-modify-writes", "rmws"), ("stores", "writes")):
        tally: dict[str, int] = counts[key]  # type: ignore[literal-required]
        text = ", ".join(f"{what} {count}" for what, count in sorted(tally.items(), key=lambda item: -item[1]))
        out.print(f"  {label} ({sum(tally.values())}): {text or 'none'}", markup=False)
    reads = counts["reads"]
    out.print(f"  loads: {sum(reads.values())}", markup=False)
