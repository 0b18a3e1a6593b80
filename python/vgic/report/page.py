"""Filling in the page."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from vgic.designs import changed_axes, design
from vgic.errors import UnknownDesign
from vgic.host import host_text
from vgic.measure.results import Result, ResultFile, busy_text, noise
from vgic.predict.explain import lines, locks, parts, spent
from vgic.predict.prediction import GICV4, GICV4_TEXT
from vgic.prove.defects import defects_of
from vgic.report.stack import Stack, stacked_bars
from vgic.report.svg import bar_chart
from vgic.report.template import NARROW, WIDE, fill

__all__ = ["render"]

_SHARES = "share of their time in the window, of the first seed"


def render(results: ResultFile) -> str:
    """The report of a comparison as one HTML page: chart, table, designs, method, how to repeat it."""
    cells: dict[str, dict[str, Result]] = {name: {} for name in results.designs}
    for result in results.results:
        cells[result.design][result.workload] = result
    return fill(
        "page",
        file=results,
        chart=Markup(bar_chart(results)),
        slim_chart=Markup(bar_chart(results, width=NARROW, columns=1)),
        baseline=results.designs[0] if results.designs else "",
        cells=cells,
        units={result.workload: result.unit for result in results.results},
        designs=[_describe(name) for name in results.designs],
        floor=_floor(results),
        waits=[r for r in results.results if r.waited_for_grace_periods],
        flagged=[r for r in results.results if r.doubts],
        busy=busy_text(results.results),
        noise=noise(results.results),
        predicted=bool(results.machine.get("predicted")),
        host=host_text(results.machine),
        explained=[_explain(result) for result in results.results if result.prediction],
        stacks=_stacks([result for result in results.results if result.prediction]),
        gicv4=GICV4_TEXT if GICV4 in results.designs else "",
    )


#: Kinds of threads whose time is drawn, with a title.
_STACKS = (("sender", "Where the senders' time went"), ("vcpu", "Where the vCPUs' time went"))


def _stacks(results: Sequence[Result]) -> list[tuple[Markup, Markup]]:
    """Stacked bars of each kind of thread: wide and narrow."""
    found = []
    for kind, title in _STACKS:
        stacks = [Stack(result.design, parts(result.prediction or {}, kind)) for result in results]
        if any(stack.parts for stack in stacks):
            both = (stacked_bars(stacks, title=title, subtitle=_SHARES, width=width) for width in (WIDE, NARROW))
            wide, narrow = map(Markup, both)
            found.append((wide, narrow))
    return found


def _explain(result: Result) -> dict[str, Any]:
    """Where the time of a prediction went."""
    data = result.prediction or {}
    kinds = spent(data)
    shares: dict[str, list[float]] = {}
    for number, kind in enumerate(kinds):
        for name, share in kind.shares.items():
            shares.setdefault(name, [0.0] * len(kinds))[number] = share
    return {
        "result": result,
        "data": data,
        "kinds": kinds,
        "shares": dict(sorted(shares.items(), key=lambda row: [-share for share in row[1]])),
        "locks": locks(data),
        "lines": lines(data),
    }


def _describe(name: str) -> dict[str, Any]:
    """A design's row; only its name if this version does not have it (a result file of another version)."""
    try:
        row = design(name)
    except UnknownDesign:
        return {"name": name, "row": None}
    own, inherited = defects_of(name)
    changed = changed_axes(design(row.based_on), row) if row.based_on else {}
    return {
        "name": name,
        "row": row,
        "axes": {axis: way for axis, (_, way) in changed.items()},
        "defects": {"own": own, "inherited": inherited},
    }


def _floor(results: ResultFile) -> list[dict[str, Any]]:
    """Rows of cost as a multiple of the floor, for workloads in CPU time."""
    rows = []
    for name in results.designs:
        multiples = {}
        for result in results.results:
            multiple = results.floor_multiple(result)
            if result.design == name and multiple is not None:
                multiples[result.workload] = multiple
        rows.append({"name": name, "multiples": multiples})
    return rows if results.floor else []
