"""The report of a recorded guest: one HTML file that needs nothing else."""

from markupsafe import Markup

from vgic import _core
from vgic.report.over_time import Row, over_time
from vgic.report.template import NARROW, WIDE, fill
from vgic.trace.summary import Summary, VectorSummary

__all__ = ["render_recording"]

#: vCPUs that have a row in the picture.
_MOST_VCPUS = 32
#: Vectors that have a row in the table.
_MOST_ROWS = 1000


def render_recording(summary: Summary, command: str) -> str:
    """What is in a recording, as one HTML page: what happened over time, vectors, vCPUs, phases, how to repeat it."""
    return fill(
        "recording",
        summary=summary,
        command=command,
        chart=_chart(summary, WIDE),
        slim_chart=_chart(summary, NARROW),
        most_rows=_MOST_ROWS,
        hidden=max(0, len(summary.taken_over_time) - _MOST_VCPUS),
        taken=[_taken(vector) for vector in summary.vectors[:_MOST_ROWS]],
        version=_core.VERSION,
    )


def _taken(vector: VectorSummary) -> str:
    """The vCPUs that took it, and how often, the one that took most first."""
    first = ", ".join(f"{vcpu} ({count})" for vcpu, count in vector.taken.most_common(4))
    return (first or "-") + (", ..." if len(vector.taken) > 4 else "")


def _chart(summary: Summary, width: int) -> Markup:
    """Nothing for a recording without times."""
    if not summary.seconds:
        return Markup("")
    rows = [Row("MSIs", summary.msis_over_time)]
    rows += [Row(f"vCPU {vcpu}", counts) for vcpu, counts in list(summary.taken_over_time.items())[:_MOST_VCPUS]]
    if summary.movis:
        rows.append(Row("MOVIs", summary.movis_over_time))
    phases = summary.phases
    edges = [phases[0].begin, *(one.end for one in phases)] if len(phases) > 1 else []
    return Markup(over_time(rows, summary.begin, summary.seconds, edges=edges, width=width))
