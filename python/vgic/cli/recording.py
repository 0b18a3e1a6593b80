"""``vgic recording``: what is in a recorded guest."""

import json as json_module
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vgic.cli.common import (
    about_recording,
    check_outputs,
    command_line,
    console,
    progress,
    read_stretch,
    recording_notes,
    warn,
    write_json,
    write_whole,
)
from vgic.cli.options import FromOption, JsonOption, PhaseOption, ToOption
from vgic.cli.predict_tables import plain_table
from vgic.text import rate_text, time_text
from vgic.trace import Recording, summarize
from vgic.trace.summary import Summary

#: Rows that are shown of vectors and of vCPUs.
_MOST_ROWS = 40
_BARS = " \N{LOWER ONE EIGHTH BLOCK}\N{LOWER ONE QUARTER BLOCK}\N{LOWER THREE EIGHTHS BLOCK}\N{LOWER HALF BLOCK}"
_BARS += "\N{LOWER FIVE EIGHTHS BLOCK}\N{LOWER THREE QUARTERS BLOCK}\N{LOWER SEVEN EIGHTHS BLOCK}\N{FULL BLOCK}"


def recording(
    name: Annotated[str, typer.Argument(metavar="RECORDING", help="A bundled name, a QEMU trace log, or -.")],
    begin: FromOption = None,
    end: ToOption = None,
    phase: PhaseOption = None,
    json: JsonOption = None,
    report: Annotated[str | None, typer.Option(metavar="FILE", help="Write an HTML page.")] = None,
) -> None:
    """Say what is in a recorded guest: its vectors, vCPUs, rates, gaps and phases.

    RECORDING is a log of QEMU with -trace 'gicv3_*', plain or compressed (xz, gzip, bzip2, zstd), a name (see replay),
    or - for standard input. A phase is a time of much the same rate.
    """
    check_outputs(json, report=report)
    read = read_stretch(name, begin, end, phase)
    with progress("counting") as update:
        summary = summarize(read, progress=update)
    out = console(json)
    for line in recording_notes(read):
        warn(f"vgic: note: {line}")
    _show(out, read, summary)
    if report is not None:
        from vgic.report.recording_page import render_recording  # loads a template engine: only when needed

        write_whole(Path(report), render_recording(summary, command_line()))
        out.print(f"Wrote {report}.", soft_wrap=True, markup=False)
    write_json(json, json_module.dumps(summary.to_dict(), indent=1) + "\n")


def _show(out: Console, read: Recording, summary: Summary) -> None:
    out.print(about_recording(read), soft_wrap=True, markup=False)
    out.print(_told(summary), soft_wrap=True, markup=False)
    if summary.seconds:
        out.print()
        out.print(_picture(summary), soft_wrap=True)
    if len(summary.phases) > 1:
        out.print()
        out.print(_phases(summary))
    for grid, left, what in (
        (_vectors(summary), len(summary.vectors) - _MOST_ROWS, "vectors"),
        (_vcpus(summary), len(summary.vcpus) - _MOST_ROWS, "vCPUs"),
    ):
        out.print()
        out.print(grid)
        if left > 0:
            out.print(f"and {left} more {what}: --json has them", markup=False)


def _told(summary: Summary) -> str:
    """What became of the MSIs, in one line."""
    parts = [f"{rate_text(summary.rate(summary.msis))} MSIs/s"] if summary.seconds else []
    parts.append(f"{summary.merged} merged with one that was pending")
    if summary.unmapped:
        parts.append(f"{summary.unmapped} of no LPI")
    parts.append(f"{summary.movis} MOVIs" + (f", {summary.movis_pending} of pending LPIs" if summary.movis else ""))
    if summary.gaps.number and summary.seconds:
        gaps = summary.gaps
        times = (gaps.p10, gaps.median, gaps.p90, gaps.p99)
        parts.append("gaps p10, p50, p90, p99: " + ", ".join(_us(time) for time in times))
    return "; ".join(parts)


def _us(microseconds: int) -> str:
    return time_text(microseconds / 1e6)


def _picture(summary: Summary) -> Text:
    """Rates over time: a row of bars each."""
    rows = [("MSIs", summary.msis_over_time)]
    rows += [(f"vCPU {vcpu} takes", counts) for vcpu, counts in islice(summary.taken_over_time.items(), _MOST_ROWS)]
    if summary.movis:
        rows.append(("MOVIs", summary.movis_over_time))
    width = max(len(name) for name, _ in rows)
    parts = len(summary.msis_over_time)
    begin, end = (f"{seconds:.4g} s" for seconds in (summary.begin, summary.begin + summary.seconds))
    text = Text(" " * (width + 2) + begin + end.rjust(parts - len(begin)), "dim")
    for name, counts in rows:
        most = max(counts)
        text.append(f"\n{name:<{width}}  ", "none")
        text.append(_bars(counts), "cyan")
        text.append(f"  most {rate_text(most * parts / summary.seconds)}/s", "dim")
    return text


def _bars(counts: Sequence[int]) -> str:
    """A bar for each; whatever is not nothing is seen."""
    most = max(max(counts), 1)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in counts)


def _phases(summary: Summary) -> Table:
    grid = plain_table("phase", "from", "to", "MSIs", "MSIs/s")
    for one in summary.phases:
        grid.add_row(str(one.number), f"{one.begin:.1f} s", f"{one.end:.1f} s", str(one.msis), rate_text(one.rate))
    return grid


def _vectors(summary: Summary) -> Table:
    """A row a vector; times are medians. vCPUs are those that took it, the one that took most first."""
    grid = plain_table("vector", "LPI", "MSIs", "merged", "gap", "until taken", "p99", "vCPUs", "MOVIs")
    for vector in summary.vectors[:_MOST_ROWS]:
        vcpus = ", ".join(str(vcpu) for vcpu, _ in vector.taken.most_common(4))
        vcpus += ", ..." if len(vector.taken) > 4 else ""
        grid.add_row(
            vector.name,
            str(vector.intid or "-"),
            *(str(vector.msis), str(vector.merged)),
            *(_us(time) for time in (vector.gaps.median, vector.latency.median, vector.latency.p99)),
            *(vcpus or "-", str(vector.movis)),
        )
    return grid


def _vcpus(summary: Summary) -> Table:
    """A row a vCPU; a handler is the time from an acknowledge to its end."""
    grid = plain_table("vCPU", "taken", "a second", "in handlers", "handler", "p99")
    for vcpu in summary.vcpus[:_MOST_ROWS]:
        grid.add_row(
            str(vcpu.number),
            *(str(vcpu.taken), rate_text(summary.rate(vcpu.taken)), f"{vcpu.handling:.1%}"),
            *(_us(vcpu.handler.median), _us(vcpu.handler.p99)),
        )
    return grid
