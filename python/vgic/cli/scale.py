"""``vgic scale``: sweeps over cores, in virtual time."""

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vgic.cli.common import check_outputs, command_line, console, progress, write_json, write_whole
from vgic.cli.options import (
    GUEST_HELP,
    DesignsOption,
    EntryOption,
    JsonOption,
    UnsoundOption,
    completed,
    listed_designs,
    machine_names,
)
from vgic.cli.terminal_chart import terminal_chart
from vgic.errors import Interrupted, WorkloadError
from vgic.machines import machine as find_machine
from vgic.predict.prediction import PredictedWorkload
from vgic.predict.scale import SCALED_DESIGNS, SCALED_MACHINE, USL_WARNING, ScalePoint, ScaleResult, cores_of
from vgic.predict.scale import scale as sweep
from vgic.predict.sweep import dask_executor, local_executor
from vgic.text import rate_text, time_text


def scale(
    design: DesignsOption = None,
    cores: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Numbers (2,4,6), FIRST..LAST (doubling), FIRST..LAST..STEP (2 to all of the machine)."
        ),
    ] = None,
    machine: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="The machine: a name, or the file of a profile.",
            autocompletion=completed(machine_names),
        ),
    ] = SCALED_MACHINE,
    entry: EntryOption = None,
    gap: Annotated[
        float | None,
        typer.Option(metavar="US", help="Each sender sends once every so many us; 0 is as fast as it goes (5)."),
    ] = None,
    guest: Annotated[str, typer.Option(metavar="GUEST", help=GUEST_HELP)] = "fixed",
    events: Annotated[int, typer.Option("-e", "--events", metavar="N", help="Events of each device.")] = 16,
    sends: Annotated[
        int | None, typer.Option(metavar="N", help="Sends in all at each point (default: about 20,000).")
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="Run with so many seeds; rates are then medians.")] = 1,
    seed: Annotated[int, typer.Option(metavar="N", help="The first seed.")] = 1,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Use the Dask cluster whose scheduler is there.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(metavar="N", help="Processes (default: one for each usable CPU).")] = None,
    json: JsonOption = None,
    csv: Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write the points as CSV.")] = None,
    report: Annotated[
        str | None, typer.Option("--report", metavar="FILE.html", help="Write a page with charts and tables.")
    ] = None,
    allow_unsound: UnsoundOption = False,
) -> None:
    """Predict how designs scale: the same load on more and more cores of a machine that need not be at hand.

    Half of the cores run vCPUs, half send; 1 stands for one of each. Each sender has a pace, so the question is up to
    how many cores a design keeps up; with --gap 0 it is what the design accepts at most. The same seed gives the same
    numbers, however many processes or workers compute them.
    """
    target = find_machine(machine)
    sizes = None if cores is None else cores_of(cores)
    given: dict[str, Any] = {"entry": entry, "gap_us": gap}
    workload = PredictedWorkload(events=events, guest=guest, **{k: v for k, v in given.items() if v is not None})
    if not 1 <= seeds <= 1000:
        raise WorkloadError(f"seeds: {seeds} is out of range 1 to 1000")
    if dask is not None and jobs is not None:
        raise WorkloadError("dask and jobs: give one of them, not both")
    check_outputs(json, csv=csv, report=report)
    executor = (
        dask_executor(dask) if dask is not None else local_executor(jobs) if jobs is not None else nullcontext(None)
    )
    with executor as pool, progress("predicting") as update:
        try:
            result = sweep(
                listed_designs(design) or SCALED_DESIGNS,
                sizes,
                machine=target,
                workload=workload,
                sends=sends,
                seeds=range(seed, seed + seeds),
                executor=pool,
                allow_unsound=allow_unsound,
                progress=update,
                command=command_line(),
            )
        except Interrupted as stopped:
            out = console(json)
            if stopped.finished:
                out.print("Until it was interrupted; ideal is from the fewest cores that were finished:", markup=False)
                out.print(table(stopped.finished))
            raise
    _show(console(json), result)
    if csv is not None:
        write_whole(Path(csv), result.to_csv())
    if report is not None:
        from vgic.report.scale_page import render_scale  # loads a template engine: only when needed

        write_whole(Path(report), render_scale(result))
    write_json(json, result.to_file().to_json())


def _show(out: Console, result: ScaleResult) -> None:
    width = min(out.width, 100)
    out.print("LPIs accepted a second of virtual time, by cores:", markup=False)
    lines = [(name, [(p.cores, p.rate) for p in result.of(name)]) for name in result.designs]
    out.print(terminal_chart(lines, width=width))
    out.print(table(result.points))
    if result.starved:
        out.print(
            "Where next to nothing is delivered, each send of a pending LPI makes a request to its vCPU, and a vCPU "
            "with a request does not enter the guest.",
            markup=False,
        )
    out.print("Universal Scalability Law, in pairs of a sender and a vCPU:", markup=False)
    for name, fit in result.fits.items():
        if fit is None:
            out.print(f"  {name}: no fit", markup=False)
            continue
        peak = "no peak so far" if result.peak(name) is None else f"peak at {result.peak(name):.0f} cores"
        text = f"  {name}: lambda {rate_text(fit.rate)}, sigma {fit.sigma:.3g}, kappa {fit.kappa:.3g}, "
        out.print(f"{text}R2 {fit.r2:.3f}, {peak}", markup=False, soft_wrap=True)
    out.print(USL_WARNING, markup=False)
    out.print(
        f"Predicted for {result.machine.name}. {result.machine.trust} Trust the order of the designs and the shape of "
        "a curve before a number.",
        markup=False,
    )


def table(points: Sequence[ScalePoint]) -> Table:
    """A section a design, a row a number of cores."""
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("design", no_wrap=True)
    for name in ("cores", "accepted", "ideal", "delivered", "stalled", "median", "p99"):
        grid.add_column(name, justify="right", no_wrap=True)
    for name, rows in groupby(points, lambda point: point.design):
        grid.add_section()
        for number, point in enumerate(rows):
            grid.add_row(
                name if number == 0 else "",
                str(point.cores),
                _spread(point),
                rate_text(point.ideal),
                rate_text(point.delivered),
                f"{point.stalled:.0%}",
                time_text(point.latency),
                time_text(point.latency_p99),
            )
    return grid


def _spread(point: ScalePoint) -> str:
    result = point.result
    percent = f" \N{PLUS-MINUS SIGN}{100 * result.spread / result.rate:.0f} %" if result.spread and result.rate else ""
    return f"{rate_text(point.rate)}{percent}"
