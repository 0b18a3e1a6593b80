"""A chart of lines on two logarithmic axes, as SVG that needs nothing else.

Plain class rules and no CSS variables, so that simple renderers draw it too; dark readers get their colours by the
same media query as the charts of the package.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

__all__ = ["Line", "log_log"]

_STYLE = """
.vg{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.vg text{fill:#1d2430}.vg .p{fill:#ffffff}.vg .t{font-weight:600;font-size:14px}.vg .s{fill:#687385;font-size:11px}
.vg .e{text-anchor:end}.vg .m{text-anchor:middle}.vg .g{stroke:#dde2ea}.vg .r{stroke:#687385;stroke-dasharray:2 4}
.vg .l{fill:none;stroke-width:2;stroke-linejoin:round}.vg .k{stroke-dasharray:6 4;stroke-width:1.6}
.vg .l0{stroke:#c8553d}.vg .l1{stroke:#2f6fde}.vg .d0{fill:#c8553d}.vg .d1{fill:#2f6fde}
.vg .h{stroke-width:1.6}.vg .h.d0{stroke:#c8553d;fill:#ffffff}.vg .h.d1{stroke:#2f6fde;fill:#ffffff}
.vg text.d0{fill:#b04730}.vg text.d1{fill:#2459ba}
@media(prefers-color-scheme:dark){.vg text{fill:#e7ebf2}.vg .p{fill:#12161d}.vg .s{fill:#97a3b6}.vg .g{stroke:#2d3644}
.vg .r{stroke:#97a3b6}.vg .l0{stroke:#ef8a72}.vg .l1{stroke:#6ea0ff}.vg .d0{fill:#ef8a72}.vg .d1{fill:#6ea0ff}
.vg .h.d0{stroke:#ef8a72;fill:#12161d}.vg .h.d1{stroke:#6ea0ff;fill:#12161d}
.vg text.d0{fill:#ef8a72}.vg text.d1{fill:#6ea0ff}}
"""
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 128, 62, 48
_LABEL = 16.0


@dataclass(frozen=True, slots=True)
class Line:
    """Points of one line with its label."""

    label: str
    points: Sequence[tuple[float, float]]
    #: 0 or 1: its colour.
    colour: int
    #: Dashed, with hollow points.
    dashed: bool = False


def log_log(
    lines: Sequence[Line],
    *,
    title: str,
    subtitle: str,
    x_title: str,
    x_ticks: Sequence[float],
    mark: tuple[float, str] | None = None,
    width: int = 920,
    height: int = 470,
) -> str:
    """An SVG file. ``mark``: a vertical line at an x, and what it is."""
    values = [y for line in lines for _, y in line.points]
    low, high = (math.log10(v) for v in (min(values), max(values)))
    first, last = math.floor(low), math.ceil(high)
    x_low, x_high = math.log10(x_ticks[0]), math.log10(x_ticks[-1])
    right, bottom = width - _RIGHT, height - _BOTTOM

    def x_of(x: float) -> float:
        return _LEFT + 10 + (math.log10(x) - x_low) / (x_high - x_low) * (right - _LEFT - 20)

    def y_of(y: float) -> float:
        return bottom - (math.log10(y) - first) / (last - first) * (bottom - _TOP)

    out = [
        f'<rect class="p" width="{width}" height="{height}" rx="6"/>',
        f'<text class="t" x="16" y="26">{escape(title)}</text>',
        f'<text class="s" x="16" y="44">{escape(subtitle)}</text>',
    ]
    for power in range(first, last + 1):
        y = y_of(10.0**power)
        out.append(f'<line class="g" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        out.append(f'<text class="s e" x="{_LEFT - 8}" y="{y + 4:.1f}">{10**power:,}</text>')
    edge = -math.inf
    for tick in x_ticks:
        x = x_of(tick)
        out.append(f'<line class="g" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 5}"/>')
        if x - edge >= 22:  # else the label would touch the one before
            out.append(f'<text class="s m" x="{x:.1f}" y="{bottom + 18}">{tick:g}</text>')
            edge = x
    out.append(f'<text class="s m" x="{(_LEFT + right) / 2:.0f}" y="{height - 10}">{escape(x_title)}</text>')
    if mark is not None:
        x = x_of(mark[0])
        out.append(f'<line class="r" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        out.append(f'<text class="s" x="{x + 6:.1f}" y="{_TOP + 12}">{escape(mark[1])}</text>')
    for line in lines:
        path = "L".join(f"{x_of(x):.1f} {y_of(y):.1f}" for x, y in line.points)
        out.append(f'<path class="l l{line.colour}{" k" if line.dashed else ""}" d="M{path}"/>')
        for x, y in line.points:
            out.append(
                f'<circle class="{"h " if line.dashed else ""}d{line.colour}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" '
                f'r="3.4"><title>{escape(line.label)}, {x:g}: {y:,.0f}</title></circle>'
            )
    for line, y in zip(lines, _apart([y_of(line.points[-1][1]) for line in lines]), strict=True):
        out.append(f'<text class="d{line.colour}" x="{right + 4}" y="{y + 4:.1f}">{escape(line.label)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="vg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(title)}"><style>{_STYLE}</style>{"".join(out)}</svg>\n'
    )


def _apart(places: Sequence[float]) -> list[float]:
    """The places, moved so that no two are nearer than a label is high."""
    moved = list(places)
    for _ in range(50):
        order = sorted(range(len(moved)), key=lambda n: (moved[n], n))
        for above, below in pairwise(order):
            short = _LABEL - (moved[below] - moved[above])
            if short > 0:
                moved[above] -= short / 2
                moved[below] += short / 2
    return moved
