"""``vgic designs``: the table of axes, one design lock by lock, and two beside each other."""

import json as json_module
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from vgic.cli.common import check_json, console, indented, only, write_json
from vgic.cli.design_difference import difference_row, show_difference
from vgic.cli.kernels import show_kernel
from vgic.cli.links import linked
from vgic.cli.options import JsonOption, completed, design_names, kernel_names, machine_names
from vgic.designs import BASELINE_DESIGN, DEFAULT_DESIGN, Axis, Design, axes, changed_axes
from vgic.designs import design as find
from vgic.designs import designs as all_designs
from vgic.difference import difference, step_text
from vgic.kernels import kernel as find_kernel
from vgic.kernels import kernel_here as kernel_of_this_machine
from vgic.predict.prediction import DEFAULT_MACHINE
from vgic.prove.defects import Defect, defects_of, defects_row

#: Below this width a table of three columns is not worth reading.
_NARROW = 80


def designs(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Show this one, lock by lock; or these two beside each other.",
            autocompletion=completed(design_names),
        ),
    ] = None,
    show_axes: Annotated[
        bool, typer.Option("--axes", help="List the axes on which designs differ, with every way of each.")
    ] = False,
    kernel: Annotated[
        str | None,
        typer.Option(
            metavar="RELEASE",
            help="Show which design a kernel is: 6.6.87, 7.3-rc1, or what uname prints.",
            autocompletion=completed(kernel_names),
        ),
    ] = None,
    kernel_here: Annotated[bool, typer.Option("--kernel-here", help="The same for this machine's kernel.")] = False,
    machine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help=f"With --kernel: for which machine loads are predicted ({DEFAULT_MACHINE}).",
            autocompletion=completed(machine_names),
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """List the designs: what each changes, what that fixes, its known defects and its reference.

    With a NAME: that design, with its own defects and those that it
    inherited, every shared access of its hit path, and what one delivered
    LPI costs. With two: what is different, axis by axis, defect by defect
    and step by step. A NAME may be composed: v6.10+drain=put-erased is v6.10
    with another way on one axis; --axes lists them all. With --kernel: the
    design that a kernel is, the fixes that were backported to it, the known
    defects that it has, and what later designs would bring, at which load.
    """
    check_json(json)
    if kernel is not None or kernel_here:
        if names or show_axes or (kernel is not None and kernel_here):
            raise ValueError("kernel: without a name, --axes and the other of --kernel and --kernel-here")
        show_kernel(find_kernel(kernel) if kernel is not None else kernel_of_this_machine(), machine, json)
        return
    only("with --kernel or --kernel-here", False, machine=machine)
    if show_axes:
        if names:
            raise ValueError("--axes lists what all designs are made of: it takes no name")
        _show_axes(json)
        return
    if names is not None and len(names) > 2:
        raise ValueError(f"at most two designs can be shown beside each other, not {len(names)}")
    chosen = [find(name) for name in names] if names else all_designs()
    if json is not None:
        write_json(json, json_module.dumps(_document(chosen, alone=bool(names)), indent=1) + "\n")
        if json == "-":
            return
    out = console()
    if not names:
        _all(out, chosen)
    elif len(chosen) == 1:
        _one(out, chosen[0])
    else:
        show_difference(out, difference(chosen[0].name, chosen[1].name))


def _show_axes(json: str | None) -> None:
    """Each axis, and each way with its sentence and the first design that has it."""
    if json is not None:
        rows = [asdict(one) | {"since": {way: _since(one, way) for way in one.ways}} for one in axes()]
        write_json(json, json_module.dumps({"schema": 1, "axes": rows}, indent=1) + "\n")
    if json == "-":
        return
    out = console()
    for one in axes():
        out.print(Text.assemble((one.name, "bold"), f"  {one.about}"))
        for way, about in one.ways.items():
            first = one.since(way)
            since = f"since {first.name} ({first.reference})" if first else "only composed"
            out.print(indented(linked(out, way, "cyan") + linked(out, f"  {about} ") + linked(out, since, "dim"), 2))


def _since(one: Axis, way: str) -> str:
    first = one.since(way)
    return first.name if first else ""


def _document(chosen: list[Design], *, alone: bool) -> dict[str, Any]:
    """What ``--json`` writes."""
    rows = []
    for row in chosen:
        data: dict[str, Any] = asdict(row) | {"lock_order": row.lock_order, "defects": defects_row(row.name)}
        if alone:
            data["hit_path"] = row.hit_path()
            data["path_counts"] = row.path_counts(deliver=True)
        rows.append(data)
    document: dict[str, Any] = {"schema": 1, "designs": rows}
    if alone and len(chosen) == 2:
        document["difference"] = difference_row(difference(chosen[0].name, chosen[1].name))
    return document


def _all(out: Console, rows: list[Design]) -> None:
    """One block a design. A cell is left out where it is as in the design that it is based on."""
    title = "Designs, in the order of their history"
    if out.width < _NARROW:
        out.print(title, style="italic")
        for row in rows:
            out.print()
            out.print(_name(row, " "))
            out.print(indented(Group(_axes(row), _texts(out, row)), 2))
        return
    grid = Table(show_lines=True, title=title, title_justify="left")
    grid.add_column("design", no_wrap=True)
    grid.add_column("axes that differ from the design it is based on", ratio=2)
    grid.add_column("what changed, what it fixes, known defects, reference", ratio=3)
    for row in rows:
        grid.add_row(_name(row, "\n"), _axes(row), _texts(out, row))
    out.print(grid)


def _name(row: Design, between: str) -> Text:
    mark = {BASELINE_DESIGN: "baseline", DEFAULT_DESIGN: "default"}.get(row.name, "")
    base = f"on {row.based_on}" if row.based_on else ""
    return Text(between).join([Text(row.name, "bold"), *(Text(text, "dim") for text in (base, mark) if text)])


def _axes(row: Design) -> Text:
    if not row.based_on:
        return Text("none: it is the first", "dim")
    changed = changed_axes(find(row.based_on), row)
    lines = [Text.assemble((f"{axis}: ", "dim"), way or "-") for axis, (_, way) in changed.items()]
    return Text("\n").join(lines) if lines else Text("none", "dim")


def _texts(out: Console, row: Design) -> RenderableType:
    texts = [linked(out, row.changed)]
    if row.fixes:
        texts.append(Text("fixes: ", "green") + linked(out, row.fixes))
    if row.defect:
        texts.append(Text("unsound: " if row.unsound else "defect: ", "red") + linked(out, row.defect))
    own, inherited = defects_of(row.name)
    for what, found in (("own", own), ("inherited", inherited)):
        if found:
            texts.append(Text(f"{what}: ", "red") + linked(out, ", ".join(_names(found))))
    return Group(*texts, linked(out, row.reference, "dim"))


def _names(found: list[Defect]) -> list[str]:
    """Numbers of records and ids, each once."""
    return list(dict.fromkeys(one.name for one in found))


def _one(out: Console, row: Design) -> None:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    for what, text in (
        ("based on", row.based_on or "nothing"),
        ("changed", row.changed or row.name.partition("+")[2].replace("+", ", ")),
        ("fixes", row.fixes or ("what 'vgic prove' shows" if row.is_composed else "nothing")),
        ("known defect", (row.defect or "none") + (" (unsound: needs --allow-unsound)" if row.unsound else "")),
        (
            "switching off",
            "races with running vCPUs and commands (kept apart on real threads)" if row.control_races else "safe",
        ),
        ("reference", row.reference),
        ("lock order", " > ".join(row.lock_order)),
        *row.axes.items(),
    ):
        facts.add_row(what, linked(out, text))
    out.print(row.name, style="bold")
    out.print(facts)
    own, inherited = defects_of(row.name)
    if row.is_composed:
        _defects(out, f"Defects of {row.shipped}, of which 'vgic prove' shows what is left", inherited, row.name)
    else:
        _defects(out, "Own defects", own, row.name)
        _defects(out, "Inherited defects", inherited, row.name)
    out.print("\nHit path: one MSI whose translation is cached, every shared access in order")
    for number, step in enumerate(row.hit_path(), start=1):
        out.print(f"{number:4}  {step_text(step)}", markup=False)
    counts = row.path_counts(deliver=True)
    out.print("\nOne LPI sent, taken by the guest and retired")
    for what, key in (("locks taken", "locks"), ("read-modify-writes", "rmws"), ("stores", "writes")):
        tally: dict[str, int] = counts[key]  # type: ignore[literal-required]
        text = ", ".join(f"{what} {count}" for what, count in sorted(tally.items(), key=lambda item: -item[1]))
        out.print(f"  {what} ({sum(tally.values())}): {text or 'none'}", markup=False)
    reads = counts["reads"]
    out.print(f"  loads: {sum(reads.values())}", markup=False)


def _defects(out: Console, title: str, found: list[Defect], name: str) -> None:
    """What each one is, since when there is one, and until when."""
    out.print(f"\n{title}: {len(found) or 'none'}{' in the catalogue' if not found else ''}")
    for one in found:
        out.print(indented(linked(out, one.title, "bold") + linked(out, f"  {one.history(name)}"), 2))
        out.print(indented(linked(out, f"{one.about}. {one.sources}".strip()), 4))
