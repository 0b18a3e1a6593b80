"""Line charts as SVG that needs nothing else: something against cores, a line a design.

The x axis is log2. The y axis is log10, or a share from 0 to 1. Lines are named at their right end, in their colour;
the ideal of a line, if there is one, is dotted, and a bound is dashed. Colours follow the reader's light or dark
scheme.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Line", "line_chart"]

_STYLE = """
.vl{--ink:#1d2430;--soft:#687385;--grid:#e3e7ee;--paper:#fff;--l0:#c8453b;--l1:#d98a1f;--l2:#2f6fde;--l3:#12977c;
--l4:#8a55d0;--l5:#c2448e;--l6:#5f7f1e;--l7:#1b8fb8;--bound:#4a5465;
font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
@media(prefers-color-scheme:dark){.vl{--ink:#e7ebf2;--soft:#97a3b6;--grid:#262e3a;--paper:#12161d;--l0:#f2827a;--l1:#f0b45c;
--l2:#6ea0ff;--l3:#4fcfb0;--l4:#b894f2;--l5:#ec86c0;--l6:#aacb62;--l7:#62c3e6;--bound:#b6c0cf}}
.vl text{fill:var(--ink)}.vl .t{font-weight:600;font-size:14px}.vl .s{fill:var(--soft);font-size:11.5px}
.vl .e{text-anchor:end}.vl .m{text-anchor:middle}.vl .g{stroke:var(--grid)}
.vl .c{fill:none;stroke-width:2.4;stroke-linejoin:round;stroke-linecap:round}.vl .d{stroke-dasharray:7 5;stroke-width:2}
.vl .i{fill:none;stroke-width:1.3;stroke-dasharray:1.5 4;stroke-linecap:round;opacity:.75}
.vl .p{stroke:var(--paper);stroke-width:1.5}.vl .n{font-weight:600;font-size:12.5px}.vl .h{stroke-width:1;opacity:.5}
"""
_COLOURS = 8
_TOP, _BOTTOM, _LEFT = 40, 44, 52
_GAP = 15.5
#: Pixels within which two points are one.
_SAME = 4.0


@dataclass(frozen=True, slots=True)
class Line:
    """What is drawn of one design; x and y are above 0."""

    name: str
    points: Sequence[tuple[float, float]]
    #: Where it would be, were it to grow as at its first point.
    ideal: Sequence[tuple[float, float]] = ()
    #: Whether it is a bound of the others.
    bound: bool = False


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    subtitle: str = "",
    share: bool = False,
    width: int = 920,
    height: int = 460,
    text: Callable[[float], str] = "{:.3g}".format,
) -> str:
    """An ``<svg>`` element; as a file of its own it is a picture too.

    ``share``: the y axis goes from 0 to 1, in per cent. ``text`` writes a y value.
    """
    label_width = max((len(line.name) for line in lines), default=0) * 7.6 + 22
    right, bottom = width - label_width, height - _BOTTOM
    every = [point for line in lines for point in line.points if point[0] > 0 and (share or point[1] > 0)]
    out = [f'<text class="t" x="0" y="14">{escape(title)}</text>']
    if subtitle:
        out.append(f'<text class="s" x="0" y="30">{escape(subtitle)}</text>')
    if every:
        first, last = math.log2(min(x for x, _ in every)), math.log2(max(x for x, _ in every))
        ticks = _share_ticks() if share else _ticks(min(y for _, y in every), max(y for _, y in every))
        low, high = ticks[0][0], ticks[-1][0]

        def place(point: tuple[float, float]) -> tuple[float, float]:
            across = (math.log2(point[0]) - first) / max(last - first, 1e-9)
            up = (
                (point[1] - low) / (high - low)
                if share
                else (math.log10(max(point[1], 1e-12) / low) / math.log10(high / low))
            )
            return _LEFT + across * (right - 12 - _LEFT), bottom - up * (bottom - _TOP)

        for y, label in ticks:
            at = place((2**first, y))[1]
            out.append(f'<line class="g" x1="{_LEFT - 6}" y1="{at:.1f}" x2="{right:.0f}" y2="{at:.1f}"/>')
            out.append(f'<text class="s e" x="{_LEFT - 11}" y="{at + 4:.1f}">{escape(label or _round(text(y)))}</text>')
        taken = -100.0
        for x in sorted({x for x, _ in every}):
            at = place((x, high))[0]
            if at - taken >= 28:
                out.append(f'<text class="s m" x="{at:.1f}" y="{bottom + 18}">{x:g}</text>')
                taken = at
        out.append(f'<text class="s m" x="{(_LEFT + right) / 2:.1f}" y="{bottom + 37}">cores</text>')
        out += _lines(lines, place, _TOP - 6, right, share, text)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="vl" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(title)}"><style>{_STYLE}</style>{"".join(out)}</svg>'
    )


def _lines(
    lines: Sequence[Line],
    place: Callable[[tuple[float, float]], tuple[float, float]],
    top: float,
    right: float,
    share: bool,
    text: Callable[[float], str],
) -> list[str]:
    """Ideals below, then lines with their points, then names."""
    below, above, ends = [], [], []
    colour = 0
    for number, line in enumerate(lines):
        name = "--bound" if line.bound else f"--l{colour % _COLOURS}"
        colour += not line.bound
        points = [point for point in line.points if share or point[1] > 0]
        if not points:
            continue
        if line.ideal:
            below.append(f'<path class="i" stroke="var({name})" d="{_path(map(place, line.ideal), top)}"/>')
        spots = [place(point) for point in points]
        kind = "c d" if line.bound else "c"
        # What lies under others is drawn wider, so that it shows on both sides of them.
        under = 3.2 * sum(_covers(spots, [place(point) for point in other.points]) for other in lines[number + 1 :])
        wide = f' style="stroke-width:{2.4 + under:.1f}"' if under else ""
        above.append(f'<path class="{kind}"{wide} stroke="var({name})" d="{_path(spots)}"/>')
        for (x, y), (size, value) in zip(spots, points, strict=True):
            shown = f"{value:.0%}" if share else text(value)
            above.append(
                f'<circle class="p" fill="var({name})" cx="{x:.1f}" cy="{y:.1f}" '
                f'r="{(3.4 if line.bound else 4.2) + under / 2:.1f}">'
                f"<title>{escape(line.name)}, {size:g} cores: {escape(shown)}</title></circle>"
            )
        ends.append((spots[-1], line.name, name))
    # Those that end at the same height keep their order.
    ends.sort(key=lambda end: round(end[0][1] / _SAME))
    heights = _apart([end[0][1] for end in ends], top + 6)
    for ((x, y), label, name), at in zip(ends, heights, strict=True):
        above.append(
            f'<path class="h" fill="none" stroke="var({name})" d="M{x + 6:.1f} {y:.1f}L{right + 2:.1f} {at:.1f}"/>'
            f'<text class="n" style="fill:var({name})" x="{right + 6:.1f}" y="{at + 4:.1f}">{escape(label)}</text>'
        )
    return below + above


def _covers(spots: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]) -> bool:
    """Whether the others hide most of a line."""
    there = dict(others)
    return sum(x in there and abs(there[x] - y) < _SAME for x, y in spots) > len(spots) / 2


def _path(spots: "Sequence[tuple[float, float]] | map[tuple[float, float]]", top: float = -math.inf) -> str:
    """Through the spots; where it leaves the picture at its top, it ends there."""
    path: list[tuple[float, float]] = []
    for x, y in spots:
        if y < top:
            if path:
                before = path[-1]
                cut = (before[1] - top) / (before[1] - y)
                path.append((before[0] + cut * (x - before[0]), top))
            break
        path.append((x, y))
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in path) if path else ""


def _apart(heights: Sequence[float], top: float) -> list[float]:
    """Names in the same order that do not cover each other, near to where they should be, and not above ``top``."""
    groups: list[tuple[list[int], float]] = []
    for number in range(len(heights)):
        members, middle = [number], max(heights[number], top)
        while groups and middle - groups[-1][1] < (len(members) + len(groups[-1][0])) * _GAP / 2:
            members = groups.pop()[0] + members
            mean = sum(heights[one] for one in members) / len(members)
            middle = max(mean, top + (len(members) - 1) * _GAP / 2)
        groups.append((members, middle))
    return [
        middle + (place - (len(members) - 1) / 2) * _GAP
        for members, middle in groups
        for place, _ in enumerate(members)
    ]


def _round(text: str) -> str:
    """A round value without digits that say nothing: ``5 M`` for ``5.00 M``."""
    return re.sub(r"\.0+\b", "", text)


def _share_ticks() -> list[tuple[float, str]]:
    return [(n / 4, f"{25 * n} %") for n in range(5)]


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """From a round value below to a round one above: decades, or 1, 2 and 5 where there are few of these."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    fine = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    begin = max(value for value in fine if value <= low * (1 + 1e-9))
    end = min(value for value in (*fine, 10.0 ** (last + 1)) if value >= high * (1 - 1e-9) and value > begin)
    if end / begin > 3e3:
        step = 1 + (last - first) // 9
        return [(10.0**power, "") for power in range(first, last + step, step)]
    kept = [value for value in fine if begin <= value <= end]
    if len(kept) > 9:
        kept = [value for value in kept if math.log10(value) % 1 < 1e-9 or value in (begin, end)]
    return [(value, "") for value in kept]
