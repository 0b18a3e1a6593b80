"""``vgic kernels``, and ``vgic designs --kernel``: which design a kernel is, and what it has."""

import json as json_module
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vgic.cli.common import check_json, console, indented, progress, write_json
from vgic.cli.links import linked
from vgic.cli.options import JsonOption
from vgic.cli.predict_limit import limits_of
from vgic.cli.predict_tables import plain_table
from vgic.designs import DEFAULT_DESIGN
from vgic.kernels import Kernel, Standing
from vgic.kernels import kernels as all_kernels
from vgic.kernels.gain import Gain, gains
from vgic.machines import Machine, machine
from vgic.predict.limit import Limit
from vgic.predict.prediction import DEFAULT_MACHINE, PredictedWorkload
from vgic.prove.defects import Defect
from vgic.text import rate_text, ratio_text

#: vCPUs, and senders, that designs are tried with, if the machine has the cores.
_PAIRS = 16
#: Sends of each try.
_SENDS = 1024


def kernels(json: JsonOption = None) -> None:
    """List the kernels that are known: which design each one is, and how many known defects it has.

    What one of them has in particular: vgic designs --kernel 6.6.87.
    """
    check_json(json)
    rows = all_kernels()
    if json is not None:
        data = [
            {
                "series": one.name,
                "kind": one.kind,
                "newest": one.newest,
                "design_at_first": one.first.design,
                "design": one.last.design,
                "defects_at_first": len(one.first.defects),
                "defects": len(one.last.defects),
                "cves": list(one.last.cves),
                "note": one.note,
            }
            for one in rows
        ]
        write_json(json, json_module.dumps({"schema": 1, "kernels": data}, indent=1) + "\n")
        if json == "-":
            return
    out = console()
    grid = plain_table("series", "kind", "design", "newest", "defects", "CVEs", "first")
    for one in rows:
        grid.add_row(
            one.name,
            one.kind,
            one.last.design,
            one.newest or "-",
            str(len(one.last.defects)) if one.newest else "-",
            str(len(one.last.cves)) if one.newest else "-",
            str(len(one.first.defects)),
        )
    out.print(grid)
    out.print(
        "\nDesign, known defects and those with a CVE are of the newest release that is known here; 'first' are the "
        "defects of the mainline's. A series without a newest one is known as the mainline released it.",
        markup=False,
    )


def show_kernel(found: Kernel, machine_name: str | None, json: str | None) -> None:
    """What a kernel is and has, and what later designs would bring it, up to which load on a machine."""
    target = machine(machine_name or DEFAULT_MACHINE)
    load = _load(target)
    rows = gains(found)
    out = console(json)
    if json != "-":
        _about(out, found)
        _standings(out, "Fixes that its stable series has", found.backports)
        _standings(out, "Known defects", found.defects)
        _gains(out, rows)
    with progress("bisecting the load") as update:
        names = [found.design, *(row.design for row in rows)]
        limits = limits_of(names, target, load, (1,), update, allow_unsound=True)
    if json is not None:
        write_json(json, json_module.dumps(_document(found, rows, limits, target, load), indent=1) + "\n")
    if json != "-":
        _loads(out, limits, target, load)


def _load(target: Machine) -> PredictedWorkload:
    """What designs are tried with on a machine: some 1,000 sends each time, so that the answer is there in seconds."""
    pairs = min(_PAIRS, target.cores // 2)
    if pairs < 1:
        raise ValueError(f"machine: a vCPU and a sender need two cores, but {target.name} has {target.cores}")
    return PredictedWorkload(vcpus=pairs, devices=pairs, iterations=_SENDS // (16 * pairs))


def _document(
    found: Kernel, rows: Sequence[Gain], limits: Sequence[Limit], target: Machine, load: PredictedWorkload
) -> dict[str, Any]:
    mine = limits[0]
    return {
        "schema": 1,
        "kernel": found.to_dict(),
        "machine": target.name,
        "workload": {name: value for name, value in load.to_dict().items() if name != "gap_us"},
        "keeps_up_to": mine.to_dict(),
        "gains": [
            row.to_dict() | {"keeps_up_to": limit.to_dict(), "matters_from": limit.matters_from(mine)}
            for row, limit in zip(rows, limits[1:], strict=True)
        ],
    }


def _about(out: Console, found: Kernel) -> None:
    out.print(
        Text.assemble((str(found.release), "bold"), "  its LPI code is nearest to that of ", (found.design, "bold"))
    )
    if found.composed != found.design:
        out.print(indented(Text(f"with what it has of later designs: {found.composed}"), 2))
    for note in found.notes:
        out.print(indented(Text(f"note: {note}", "yellow"), 2))


def _standings(out: Console, title: str, standings: Sequence[Standing]) -> None:
    out.print(f"\n{title}: {len(standings) or 'none'}")
    for one in standings:
        fix = one.fix
        if one.state == "has":
            when = one.until
        else:
            assert fix is not None
            when = f"in {fix}" + (f" ({', '.join(fix.commits)})" if fix.commits else "")
        out.print(indented(linked(out, one.defect.title, "bold") + linked(out, f"  {when}"), 2))
        out.print(indented(linked(out, one.defect.about, "dim"), 4))


def _gains(out: Console, rows: Sequence[Gain]) -> None:
    out.print("\nWhat later designs would bring" + ("" if rows else ": there is none"))
    for row in rows:
        follows = f" ({row.release})" if row.release else " (no kernel has it)"
        out.print(indented(Text(row.design, "bold") + Text(follows, "dim"), 2))
        changed = {lock: counts for lock, counts in row.locks.items() if counts[0] != counts[1]}
        text = ", ".join(f"{lock} {before} -> {after}" for lock, (before, after) in changed.items())
        out.print(indented(Text(f"locks of one LPI: {text or 'the same'}"), 4))
        for what, ones, style in (("mends", row.mends, "green"), ("brings in", row.brings_in, "red")):
            if ones:
                out.print(indented(Text(f"{what}: ", style) + linked(out, _listed(ones, fixes=style == "red")), 4))


def _listed(ones: Sequence[Defect], *, fixes: bool) -> str:
    """Their names; with ``fixes``, what has to be taken with them."""
    texts = []
    for one in ones:
        commit = f" (fix: {one.fixed[0].kernel}, {' '.join(one.fixed[0].commits)})" if fixes and one.fixed else ""
        texts.append(one.title + commit)
    return ", ".join(texts)


def _loads(out: Console, limits: Sequence[Limit], target: Machine, load: PredictedWorkload) -> None:
    mine, *others = limits
    out.print(f"\nAt which load: {load.devices} senders, {load.vcpus} vCPUs, predicted for {target.name}", markup=False)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(f"  {mine.design}", f"keeps up to {rate_text(mine.rate or 0.0)} LPIs/s")
    for one in others:
        start = one.matters_from(mine)
        ratio = f" ({ratio_text(one.rate / mine.rate)})" if one.rate and mine.rate else ""
        upto = f"keeps up to {rate_text(one.rate or 0.0)} LPIs/s{ratio}"
        grid.add_row(f"  {one.design}", upto + (f": matters from {rate_text(start)} on" if start else ""))
    out.print(grid)
    last = others[-1].design if others else DEFAULT_DESIGN
    more = f"vgic predict --find-limit --machine {target.name} --design {mine.design},{last}"
    out.print(indented(Text(f"By bisection, to 5 %, of short runs; longer ones: {more}", "dim"), 2))
