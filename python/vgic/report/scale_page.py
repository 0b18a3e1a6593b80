"""The report of a sweep over cores: one HTML file that needs nothing else."""

from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from vgic import _core
from vgic.machines import PARAMETERS
from vgic.predict import GICV4, GICV4_TEXT
from vgic.report.lines import Line, line_chart
from vgic.scale import USL_WARNING, ScaleResult

__all__ = ["render_scale"]


def render_scale(result: ScaleResult) -> str:
    """A sweep as one HTML page: charts, table, fits, machine, how to repeat it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["rate"] = rate_text
    environment.filters["time"] = _time
    text = (resources.files("vgic.report") / "scale.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        result=result,
        rates=Markup(_rates(result)),
        delivered=Markup(_delivered(result)),
        stalled=Markup(_stalled(result)),
        fits=result.fits,
        usl_warning=USL_WARNING,
        gicv4=GICV4,
        gicv4_text=GICV4_TEXT,
        unverified=set(result.machine.unverified),
        parameters=PARAMETERS,
        version=_core.VERSION,
    )


def _rates(result: ScaleResult) -> str:
    lines = [
        Line(
            name,
            [(point.cores, point.rate) for point in result.of(name)],
            () if name == GICV4 else [(point.cores, point.ideal) for point in result.of(name)],
            bound=name == GICV4,
        )
        for name in result.designs
    ]
    return line_chart(
        lines,
        title="LPIs accepted a second",
        subtitle="virtual time; dotted: as many times more as there are cores; dashed: GICv4, direct injection",
        text=rate_text,
    )


def _delivered(result: ScaleResult) -> str:
    lines = [
        Line(name, [(point.cores, point.delivered) for point in result.of(name)], bound=name == GICV4)
        for name in result.designs
    ]
    return line_chart(
        lines,
        title="Delivered a second",
        subtitle="what the guest took; points without any are left out",
        width=448,
        height=330,
        text=rate_text,
    )


def _stalled(result: ScaleResult) -> str:
    lines = [
        Line(name, [(point.cores, point.stalled) for point in result.of(name)], bound=name == GICV4)
        for name in result.designs
    ]
    return line_chart(
        lines,
        title="Stalled",
        subtitle="share of the senders' time that is waiting for others",
        width=448,
        height=330,
        share=True,
    )


def rate_text(rate: float) -> str:
    """A rate in three significant digits: ``12.3 M``."""
    for unit, size in ((" G", 1e9), (" M", 1e6), (" k", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g}{unit}" if rate / size < 999.5 else f"{rate / size:.0f}{unit}"
    return f"{rate:.3g}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
