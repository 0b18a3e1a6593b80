"""What happened over time, as SVG that needs nothing else: a row of bars for each kind, above one axis.

Each row has its own scale, and its highest bar says of how many a second it is. Phases are marked by turns.
"""

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from vgic.report.svg import STYLE, step
from vgic.text import rate_text

__all__ = ["Row", "over_time"]

_STYLE = """
.vg .q{fill:var(--grid);opacity:.45}
"""
_HEIGHT, _GAP, _FOOT, _TOP = 44, 14, 26, 18


class Row(NamedTuple):
    """One kind of events: how many in each part of the time, all parts as long as each other."""

    name: str
    counts: Sequence[int]


def over_time(
    rows: Sequence[Row], begin: float, seconds: float, *, edges: Sequence[float] = (), width: int = 920
) -> str:
    """An ``<svg>`` element; as a file of its own it is a picture too.

    ``begin`` and ``seconds``: where the time begins, and how long it is, above 0. ``edges``: of phases.
    """
    left = max((len(row.name) for row in rows), default=0) * 7.6 + 12
    right = width - 74
    bottom = _TOP + len(rows) * (_HEIGHT + _GAP)

    def place(time: float) -> float:
        return left + (time - begin) / seconds * (right - left)

    out = []
    for number, (first, last) in enumerate(pairwise(edges), 1):
        x, wide = place(first), place(last) - place(first)
        if number % 2 == 0:
            out.append(f'<rect class="q" x="{x:.1f}" y="{_TOP}" width="{wide:.1f}" height="{bottom - _TOP - _GAP}"/>')
        if wide >= 14:
            out.append(f'<text class="s m" x="{x + wide / 2:.1f}" y="{_TOP - 6}">{number}</text>')
    for number, row in enumerate(rows):
        out += _row(row, _TOP + number * (_HEIGHT + _GAP), left, right, begin, seconds)
    size = step(seconds)
    for number in range(int(begin / size) + 1, int((begin + seconds) / size + 1e-9) + 1):
        x = place(number * size)
        out.append(f'<text class="s m" x="{x:.1f}" y="{bottom + 6}">{number * size:.6g} s</text>')
    height = bottom + _FOOT - _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="vg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="Events over time"><style>{STYLE}{_STYLE}</style>{"".join(out)}</svg>'
    )


def _row(row: Row, top: float, left: float, right: float, begin: float, seconds: float) -> list[str]:
    base = top + _HEIGHT
    most = max(row.counts, default=0)
    part = seconds / max(len(row.counts), 1)
    wide = (right - left) / max(len(row.counts), 1)
    out = [
        f'<text class="e" x="{left - 8:.1f}" y="{base - 4}">{escape(row.name)}</text>',
        f'<text class="s v" x="{right + 8:.1f}" y="{top + 9}">{escape(rate_text(most / part))}/s</text>',
        f'<line class="g" x1="{left:.1f}" y1="{base}" x2="{right}" y2="{base}"/>',
    ]
    for number, count in enumerate(row.counts):
        if not count:
            continue
        # Whatever is not nothing is seen.
        high = max(1.0, count / most * _HEIGHT)
        since = begin + number * part
        out.append(
            f'<rect class="b1" x="{left + number * wide + 0.5:.1f}" y="{base - high:.1f}" width="{wide - 1:.1f}" '
            f'height="{high:.1f}"><title>{escape(row.name)}, {since:.4g} to {since + part:.4g} s: {count}, '
            f"{escape(rate_text(count / part))}/s</title></rect>"
        )
    return out
