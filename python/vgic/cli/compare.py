"""``vgic compare``: the main job. What each design is worth, on a recorded guest and under stress."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vgic.cli.common import (
    check_json,
    check_outputs,
    command_line,
    console,
    notes,
    percent_text,
    progress,
    read_stretch,
    recording_notes,
    warn,
    write_json,
    write_whole,
)
from vgic.cli.options import (
    DesignsOption,
    FromOption,
    JsonOption,
    PhaseOption,
    ToOption,
    UnsoundOption,
    listed_designs,
)
from vgic.designs import check_names
from vgic.errors import Interrupted
from vgic.measure.results import ResultFile, busy_text
from vgic.measure.rounds import Effort
from vgic.measure.run import COMPARED_DESIGNS, default_workloads
from vgic.measure.run import compare as measure_all
from vgic.text import rate_text, ratio_text
from vgic.trace import MAIN_RECORDING


def compare(
    design: DesignsOption = None,
    recording: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The recorded guest: a bundled one, a QEMU trace log, or -.")
    ] = MAIN_RECORDING,
    begin: FromOption = None,
    end: ToOption = None,
    phase: PhaseOption = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="Where report.html and result.json go.")
    ] = ".",
    quick: Annotated[bool, typer.Option("--quick", help="Some seconds only; ratios are rough.")] = False,
    json: JsonOption = None,
    allow_unsound: UnsoundOption = False,
) -> int:
    """Compare designs on a recorded guest and three stress workloads; write report.html and result.json.

    The first design is the baseline of the ratios. Designs run in turn, on one pinned CPU at a time, in several
    processes; takes about a minute, and up to twice that on a busy machine.

    Exit status: 0, or 1 if a design does not do what the recorded guest saw
    (see replay).
    """
    from vgic.report import render  # loads a template engine: only when needed

    names = check_names(listed_designs(design) or COMPARED_DESIGNS, allow_unsound=allow_unsound, measured=True)
    folder = Path(output)
    report, result_json = folder / "report.html", folder / "result.json"
    check_json(json)
    read = read_stretch(recording, begin, end, phase)
    workloads = default_workloads(read)
    for line in recording_notes(read):
        warn(f"vgic: note: {line}")
    out = console(json)
    made = _make_folder(folder)
    try:
        check_outputs(json, report=report, result=result_json)
        try:
            with progress("measuring") as update:
                results = measure_all(
                    names,
                    workloads,
                    Effort.quick() if quick else Effort(),
                    allow_unsound=allow_unsound,
                    progress=update,
                    command=command_line(),
                )
        except Interrupted as stopped:
            if stopped.finished is not None:
                out.print("Until it was interrupted:")
                out.print(table(stopped.finished))
            raise
        html = render(results)
    except BaseException:
        if made:
            folder.rmdir()
        raise
    write_whole(result_json, results.to_json())
    write_whole(report, html)
    write_json(json, results.to_json())
    busy = busy_text(results.results)
    if busy:
        out.print(f"{busy}.", markup=False)
    out.print(table(results))
    _tell_recorded(results.recorded, out)
    if results.method["extra_processes"]:
        extra, planned = results.method["extra_processes"], results.method["processes"]
        out.print(f"As the machine was busy, {extra} more processes ran than the {planned} planned", markup=False)
    for line in notes(results.results, brief=True):
        out.print(line, markup=False)
    out.print(f"Wrote {report} and {result_json}.", soft_wrap=True, markup=False)
    return int(not all(row["holds"] for row in results.recorded))


def _tell_recorded(rows: Sequence[dict[str, Any]], out: Console) -> None:
    """Whether each design did what the recorded guest saw."""
    if not rows:
        return
    name, acknowledges = rows[0]["recording"], rows[0]["acknowledges"]
    if not acknowledges:
        out.print(f"{name} as recorded: nothing to check: the guest acknowledged no LPI.", soft_wrap=True, markup=False)
        return
    for row in rows:
        if row["in_order"] != acknowledges or not row["holds"]:
            why = ", ".join(f"{count} {reason}" for reason, count in row["mismatches"].items())
            text = f"{row['in_order']} of {acknowledges} acknowledges in the recorded order ({why})"
            text += "" if row["same_multiset"] else "; not the same LPIs on each vCPU"
            out.print(f"{name} as recorded, {row['design']}: {text}", soft_wrap=True, markup=False)
    if all(row["holds"] for row in rows):
        text = f"every design gives each vCPU the {acknowledges} LPIs that the guest acknowledged."
        out.print(f"{name} as recorded: {text}", markup=False)


def _make_folder(folder: Path) -> bool:
    """Make the folder if it is not there; whether it was made."""
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(20, "cannot be written: not a directory", str(folder)) from None
        return False
    except OSError as error:
        raise OSError(error.errno, f"cannot be written: {error.strerror}", str(folder)) from None
    return True


def table(results: ResultFile) -> Table:
    """Designs by workloads: ratio to the baseline over median rate and spread."""
    baseline = results.designs[0]
    grid = Table(
        title=f"Ratio to {baseline}, and LPIs a CPU second (median, half the interquartile range)",
        title_justify="left",
        show_lines=True,
    )
    grid.add_column("design", no_wrap=True)
    for workload in results.workloads:
        mode = {"lockstep": "delivered", "senders": "sent"}.get(workload["mode"], "accepted, wall time")
        grid.add_column(f"{escape(workload['name'])}\n[dim]{mode}[/dim]", justify="right")
    for design in results.designs:
        cells = []
        for workload in results.workloads:
            result = results.result(design, workload["name"])
            cells.append(f"[bold]{ratio_text(result.ratio)}[/bold]\n{rate_text(result.rate)} {percent_text(result)}")
        grid.add_row(design, *cells)
    return grid
