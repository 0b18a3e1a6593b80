"""The report of a sweep over cores: one HTML file that needs nothing else."""

from markupsafe import Markup

from vgic import _core
from vgic.machines import parameter_rows
from vgic.predict.prediction import GICV4, GICV4_TEXT
from vgic.predict.scale import USL_WARNING, ScaleResult
from vgic.report.lines import Line, line_chart
from vgic.report.template import fill
from vgic.text import rate_text

__all__ = ["rates_chart", "render_scale"]


def render_scale(result: ScaleResult) -> str:
    """A sweep as one HTML page: charts, table, fits, machine, how to repeat it."""
    return fill(
        "scale",
        result=result,
        rates=Markup(rates_chart(result)),
        slim_rates=Markup(rates_chart(result, width=448, height=400)),
        delivered=Markup(_delivered(result)),
        stalled=Markup(_stalled(result)),
        fits=result.fits,
        usl_warning=USL_WARNING,
        gicv4=GICV4,
        gicv4_text=GICV4_TEXT,
        parameters=parameter_rows(result.machine),
        version=_core.VERSION,
    )


def rates_chart(result: ScaleResult, *, width: int = 920, height: int = 460) -> str:
    """LPIs accepted a second against cores, a line a design: an ``<svg>`` element, and as a file a picture."""
    wide = width > 600
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
        subtitle="virtual time; dotted: "
        + ("as many times more as there are cores; " if wide else "ideal; ")
        + f"dashed: GICv4{', direct injection' if wide else ''}",
        width=width,
        height=height,
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
