"""The chart of a comparison, as SVG that needs nothing else: a panel a workload, a bar a design.

A bar is the ratio to the baseline, its whisker the quartiles over the rounds, and the number beside it the ratio. It is
grey if 1 lies within the quartiles: such a design cannot be told from the baseline. Each
panel has its own scale, since one workload's ratios are near 1 and another's near 100: linear from 0, or logarithmic
(and then from 1, to the left for slower) if its ratios span more than a factor of ten. Colours follow the reader's
light or dark scheme.
"""

import math
from collections.abc import Sequence
from html import escape
from textwrap import wrap

from vgic.measure.results import Result, ResultFile

__all__ = ["STYLE", "bar_chart", "step"]

#: Of pictures with class ``vg``: colours of the reader's light or dark scheme.
STYLE = """
.vg{--ink:#1d2430;--soft:#687385;--grid:#dde2ea;--base:#9aa5b5;--bar:#2f6fde;--slow:#c8553d;--ref:#1d2430;
font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
@media(prefers-color-scheme:dark){.vg{--ink:#e7ebf2;--soft:#97a3b6;--grid:#2d3644;--base:#66728a;--bar:#6ea0ff;
--slow:#ef8a72;--ref:#e7ebf2}}
.vg text{fill:var(--ink)}.vg .t{font-weight:600;font-size:14px}.vg .s{fill:var(--soft);font-size:11px}
.vg .v{font-variant-numeric:tabular-nums}.vg .e{text-anchor:end}.vg .m{text-anchor:middle}
.vg .g{stroke:var(--grid)}.vg .r{stroke:var(--ref);stroke-dasharray:3 3;opacity:.55}
.vg .w{stroke:var(--ink);stroke-width:1.3;fill:none}
.vg .b0{fill:var(--base)}.vg .b1{fill:var(--bar)}.vg .b2{fill:var(--slow)}
"""
_ROW = 24
_FOOT = 30
_GAP = 36


def bar_chart(results: ResultFile, *, width: int = 920, columns: int = 2) -> str:
    """An ``<svg>`` element; as a file of its own it is a picture too. Workloads without ratios are left out."""
    designs = results.designs
    panels = []
    for workload in results.workloads:
        bars = [r for r in results.results if r.workload == workload["name"] and r.ratio is not None]
        if bars:
            panels.append((workload, bars))
    columns = max(1, min(columns, len(panels)))
    panel_width = (width - _GAP * (columns - 1)) / columns
    heads = [_Head(w["name"], w["flags"] + (", log scale" if _is_log(bars) else ""), panel_width) for w, bars in panels]
    head_height = max((head.height for head in heads), default=0.0)
    panel_height = head_height + _ROW * len(designs) + _FOOT
    rows = math.ceil(len(panels) / columns)
    height = rows * panel_height + max(rows - 1, 0) * 12
    gutter = max((len(design) for design in designs), default=8) * 7.6 + 10
    parts = []
    for number, (_, bars) in enumerate(panels):
        x = (number % columns) * (panel_width + _GAP)
        y = (number // columns) * (panel_height + 12)
        body = heads[number].text + _panel(bars, gutter, panel_width, head_height)
        parts.append(f'<g transform="translate({x:.1f} {y:.1f})">{body}</g>')
    label = f"Ratio to {designs[0]} by workload and design" if designs else "No results"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="vg" viewBox="0 0 {width} {height:.0f}" width="{width}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(label)}"><style>{STYLE}</style>{"".join(parts)}</svg>'
    )


class _Head:
    """Name and flags of a workload, in as many lines as they need."""

    def __init__(self, title: str, flags: str, width: float) -> None:
        names = wrap(title, max(8, int(width / 8.2)))
        more = [line for line in wrap(flags, max(8, int(width / 6.2))) if flags != title]
        tops = [14 + 16 * number for number in range(len(names) + len(more))]
        kinds = ["t"] * len(names) + ["s"] * len(more)
        lines = zip(kinds, tops, [*names, *more], strict=True)
        self.text = "".join(f'<text class="{kind}" x="0" y="{y}">{escape(line)}</text>' for kind, y, line in lines)
        self.height = 14 + tops[-1]


def _is_log(bars: Sequence[Result]) -> bool:
    ratios = [bar.ratio for bar in bars if bar.ratio]
    return bool(ratios) and max(ratios) / min(ratios) > 10


def _panel(bars: Sequence[Result], gutter: float, width: float, head: float) -> str:
    values = [v for bar in bars for v in (bar.ratio, bar.ratio_low, bar.ratio_high) if v is not None and v > 0]
    logarithmic = _is_log(bars)
    left, right = gutter, width - 58
    low, high = (min([*values, 1.0]), max([*values, 1.0])) if values else (0.0, 1.0)
    if logarithmic:
        first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
        ticks = [10.0**power for power in range(first, last + 1)]
        if len(ticks) > 6:
            ticks = ticks[:: math.ceil(len(ticks) / 6)]

        def place(value: float) -> float:
            share = (math.log10(max(value, 10.0**first)) - first) / max(last - first, 1)
            return left + share * (right - left)

        start = place(1.0)
    else:
        size = step(high)
        top = math.ceil(high / size - 1e-9) * size
        ticks = [n * size for n in range(round(top / size) + 1)]

        def place(value: float) -> float:
            return left + value / top * (right - left)

        start = left
    bottom = head + _ROW * len(bars)
    out = []
    for tick in ticks:
        x = place(tick)
        out.append(f'<line class="g" x1="{x:.1f}" y1="{head - 4:.0f}" x2="{x:.1f}" y2="{bottom:.0f}"/>')
        out.append(f'<text class="s m" x="{x:.1f}" y="{bottom + 15:.0f}">{tick:g}\N{MULTIPLICATION SIGN}</text>')
    out.append(f'<line class="r" x1="{place(1):.1f}" y1="{head - 4:.0f}" x2="{place(1):.1f}" y2="{bottom:.0f}"/>')
    for number, bar in enumerate(bars):
        if bar.ratio is None or bar.ratio_low is None or bar.ratio_high is None:
            continue
        y = head + number * _ROW
        end = place(bar.ratio)
        kind = _kind(bar)
        out.append(f'<text class="e" x="{left - 8:.1f}" y="{y + 15}">{escape(bar.design)}</text>')
        out.append(
            f'<rect class="b{kind}" x="{min(start, end):.1f}" y="{y + 3}" rx="2" height="{_ROW - 7}" '
            f'width="{max(abs(end - start), 1.5):.1f}"><title>{escape(bar.design)}: {bar.ratio:.3g} times '
            f"{escape(bar.baseline or '')}, quartiles {bar.ratio_low:.3g} to {bar.ratio_high:.3g}</title></rect>"
        )
        edge = end
        if bar.design != bar.baseline:
            a, b, middle = place(bar.ratio_low), place(bar.ratio_high), y + 3 + (_ROW - 7) / 2
            if b - a >= 1:
                out.append(
                    f'<path class="w" d="M{a:.1f} {middle}H{b:.1f}M{a:.1f} {middle - 4}v8M{b:.1f} {middle - 4}v8"/>'
                )
            edge = max(end, b)
        out.append(f'<text class="v" x="{max(edge, start) + 6:.1f}" y="{y + 15}">{_short(bar.ratio)}</text>')
    return "".join(out)


def _kind(bar: Result) -> int:
    """0: the baseline, or what cannot be told from it, as 1 lies within the quartiles; 1: faster; 2: slower."""
    assert bar.ratio is not None
    assert bar.ratio_low is not None
    assert bar.ratio_high is not None
    if bar.design == bar.baseline or bar.ratio_low <= 1 <= bar.ratio_high:
        return 0
    return 1 if bar.ratio > 1 else 2


def _short(ratio: float) -> str:
    digits = 0 if ratio >= 100 else 1 if ratio >= 10 else 2 if ratio >= 0.1 else 3 if ratio >= 0.01 else 4
    return f"{ratio:.{digits}f}"


def step(high: float) -> float:
    """A round step that gives three to six ticks."""
    rough = high / 4
    size = 10.0 ** math.floor(math.log10(rough))
    return next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough)
