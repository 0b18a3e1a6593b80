"""Stacked bars as SVG that needs nothing else: where the time of the threads of a kind went, a bar a design.

What is alike has colours that are alike: waiting for locks is red to orange, stalling at lines blue to violet, and what
is left is neither. A segment that has room says its share, and one with more room its name; the legend has all of them,
in the order of the bars. Colours are dark or light enough for the text in them and against light and dark paper.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from vgic.predict.explain import Part

__all__ = ["FILLS", "Stack", "contrast", "ink_on", "stacked_bars"]

_STYLE = """
.vs{--ink:#1d2430;--soft:#687385;font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
@media(prefers-color-scheme:dark){.vs{--ink:#e7ebf2;--soft:#97a3b6}}
.vs text{fill:var(--ink)}.vs .t{font-weight:600;font-size:14px}.vs .s{fill:var(--soft);font-size:12px}
.vs .e{text-anchor:end}.vs .m{text-anchor:middle;font-size:12px;font-variant-numeric:tabular-nums}
"""
#: Ink on a dark fill and on a light one.
_WHITE, _BLACK = "#ffffff", "#10141a"
#: Contrast that small text needs (WCAG 2, level AA).
_READABLE = 4.5
_LOCKS = ("#c8382c", "#e2732b", "#ab4c32", "#d2811f")
_LINES = ("#2f6fd6", "#a07ce0", "#17828f", "#4f93e0", "#7a52cc")
_OTHERS = {"lock": ("other locks", "#ad5d59"), "line": ("other lines", "#6f86ad"), "": ("the rest", "#7d6b5d")}
_FIXED = {
    "queueing at the ITS": "#0f8577",
    "grace periods": "#c03a86",
    "hits in the own cache": "#2c8446",
    "own work": "#53a058",
    "IPIs": "#857315",
    "guest": "#b58d1c",
    "finished before the last": "#69748a",
    "idle": "#8790a0",
}
#: Every fill.
FILLS = (*_LOCKS, *_LINES, *(fill for _, fill in _OTHERS.values()), *_FIXED.values())
#: A part that is smaller in every bar is one of the rest.
_SMALLEST = 0.01
#: Below this width of the picture, in pixels, names of bars stand above them.
_NARROW = 600
_BAR, _GAP, _HEAD, _LEGEND_ROW = 24, 12, 44, 21
#: About how wide a letter is, in pixels, of names and of what stands in a bar.
_LETTER, _SMALL_LETTER = 7.2, 6.7


@dataclass(frozen=True, slots=True)
class Stack:
    """A bar."""

    name: str
    #: Shares that add up to 1 or a little less.
    parts: Sequence[Part]


def contrast(a: str, b: str) -> float:
    """Of two colours, ``#rrggbb``: 1 to 21, as WCAG 2 has it."""
    one, other = sorted((_luminance(a), _luminance(b)))
    return (other + 0.05) / (one + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_on(fill: str) -> str:
    """The colour of text on a fill."""
    return _WHITE if contrast(fill, _WHITE) >= _READABLE else _BLACK


def stacked_bars(stacks: Sequence[Stack], *, title: str, subtitle: str = "", width: int = 920) -> str:
    """An ``<svg>`` element of that width in pixels; as a file of its own it is a picture too."""
    shown = _gathered(stacks)
    fills = _fills(shown)
    narrow = width < _NARROW
    left = 0.0 if narrow else max((len(stack.name) for stack in stacks), default=0) * _LETTER + 14
    row = _BAR + _GAP + (18 if narrow else 0)
    out = [f'<text class="t" x="0" y="14">{escape(title)}</text>']
    if subtitle:
        out.append(f'<text class="s" x="0" y="31">{escape(subtitle)}</text>')
    for number, (name, parts) in enumerate(shown):
        top = _HEAD + number * row
        if narrow:
            out.append(f'<text x="0" y="{top + 12}">{escape(name)}</text>')
            top += 18
        else:
            out.append(f'<text class="e" x="{left - 10:.1f}" y="{top + 17}">{escape(name)}</text>')
        out += _bar(name, parts, fills, left, top, width - left)
    legend = list(_legend(fills, _HEAD + len(shown) * row + 4, width))
    out += [text for text, _ in legend]
    height = (legend[-1][1] if legend else _HEAD + len(shown) * row) + _LEGEND_ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="vs" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(title)}"><style>{_STYLE}</style>{"".join(out)}</svg>'
    )


def _gathered(stacks: Sequence[Stack]) -> list[tuple[str, dict[str, float]]]:
    """The bars, each with shares by name in one order for all of them; what is small or too many is summed up."""
    most: dict[str, dict[str, float]] = {"lock": {}, "line": {}, "": {}}
    for stack in stacks:
        for part in stack.parts:
            group = most[part.group]
            group[part.name] = max(group.get(part.name, 0.0), part.share)
    kept: list[str] = []
    for kind, limit in (("lock", len(_LOCKS)), ("line", len(_LINES))):
        others = _OTHERS[kind][0]
        largest = sorted(most[kind].items(), key=lambda row: (-row[1], row[0]))
        kept += [*[name for name, share in largest if share >= _SMALLEST and name != others][:limit], others]
    kept += [*(name for name in _FIXED if most[""].get(name, 0.0) >= _SMALLEST), _OTHERS[""][0]]
    bars = []
    for stack in stacks:
        shares = dict.fromkeys(kept, 0.0)
        for part in stack.parts:
            shares[part.name if part.name in shares else _OTHERS[part.group][0]] += part.share
        bars.append((stack.name, shares))
    used = [name for name in kept if any(shares[name] >= 0.001 for _, shares in bars)]
    return [(bar, {name: shares[name] for name in used}) for bar, shares in bars]


def _fills(bars: Sequence[tuple[str, dict[str, float]]]) -> dict[str, str]:
    """A colour for each name."""
    locks, lines = iter(_LOCKS), iter(_LINES)
    others = dict(_OTHERS.values())
    found: dict[str, str] = {}
    for name in bars[0][1] if bars else ():
        if name in others or name in _FIXED:
            found[name] = others.get(name) or _FIXED[name]
        else:
            found[name] = next(locks if name.startswith("waiting for ") else lines)
    return found


def _bar(
    bar: str, shares: dict[str, float], fills: dict[str, str], left: float, top: float, width: float
) -> Iterator[str]:
    x = left
    for name, share in shares.items():
        size = share * width
        if size <= 0:
            continue
        fill = fills[name]
        told = f"{share:.1%}"
        yield (
            f'<rect x="{x:.2f}" y="{top}" width="{max(size - (1.5 if size > 4 else 0), 0.5):.2f}" height="{_BAR}" '
            f'fill="{fill}"><title>{escape(bar)}: {escape(name)} {told}</title></rect>'
        )
        percent = f"{share:.0%}"
        both = f"{name} {percent}"
        text = next((text for text in (both, percent) if len(text) * _SMALL_LETTER + 8 <= size), "")
        if text:
            yield (
                f'<text class="m" style="fill:{ink_on(fill)}" x="{x + size / 2:.1f}" y="{top + 16}">'
                f"{escape(text)}</text>"
            )
        x += size


def _legend(fills: dict[str, str], top: float, width: float) -> Iterator[tuple[str, float]]:
    """Swatches with names, in rows; each with where its row begins."""
    x, y = 0.0, top
    for name, fill in fills.items():
        size = len(name) * _LETTER + 32
        if x > 0 and x + size - 12 > width:
            x, y = 0.0, y + _LEGEND_ROW
        yield (
            f'<rect x="{x:.1f}" y="{y}" width="12" height="12" rx="2" fill="{fill}"/>'
            f'<text x="{x + 18:.1f}" y="{y + 11}">{escape(name)}</text>',
            y,
        )
        x += size
