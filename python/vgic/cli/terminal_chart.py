"""A line chart for a terminal, of Braille dots: the x axis is log2, the y axis log10."""

import math
from collections.abc import Sequence
from itertools import pairwise

from rich.text import Text

__all__ = ["terminal_chart"]

_COLOURS = ("red", "yellow", "green", "blue", "magenta", "cyan", "white")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: Bits of the dots of a Braille cell, by column and row.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_GUTTER = 7

Points = Sequence[tuple[float, float]]


def terminal_chart(series: Sequence[tuple[str, Points]], *, width: int = 78, height: int = 16) -> Text:
    """Lines by name through points with x and y above 0, each with a letter at its points, and a legend below."""
    drawn = [(name, [(math.log2(x), math.log10(y)) for x, y in points if x > 0 and y > 0]) for name, points in series]
    every = [point for _, points in drawn for point in points]
    if not every:
        return Text("nothing to draw")
    left, right = min(x for x, _ in every), max(x for x, _ in every)
    low, high = math.floor(min(y for _, y in every)), math.ceil(max(y for _, y in every))
    right, high = max(right, left + 1e-9), max(high, low + 1)
    columns = max(8, width - _GUTTER - 1)
    dots: dict[tuple[int, int], int] = {}
    owner: dict[tuple[int, int], int] = {}
    letters: dict[tuple[int, int], str] = {}

    def place(x: float, y: float) -> tuple[int, int]:
        across = round((x - left) / (right - left) * (columns * 2 - 1))
        return across, round((high - y) / (high - low) * (height * 4 - 1))

    for number, (_, points) in enumerate(drawn):
        spots = [place(x, y) for x, y in points]
        for (x0, y0), (x1, y1) in pairwise(spots):
            steps = max(abs(x1 - x0), abs(y1 - y0), 1)
            for step in range(steps + 1):
                x, y = x0 + round((x1 - x0) * step / steps), y0 + round((y1 - y0) * step / steps)
                cell = (y // 4, x // 2)
                dots[cell] = dots.get(cell, 0) | _DOTS[x % 2][y % 4]
                owner[cell] = number
        for x, y in spots:
            beside = ((y // 4, max(0, min(columns - 1, x // 2 + shift))) for shift in (0, 1, -1, 2, -2))
            cell = next((cell for cell in beside if cell not in letters), (y // 4, x // 2))
            letters[cell] = _LETTERS[number % len(_LETTERS)]
            owner[cell] = number

    text = Text()
    decades = {place(left, power)[1] // 4: _decade(power) for power in range(low, high + 1)}
    for row in range(height):
        text.append(f"{decades.get(row, ''):>{_GUTTER - 2}} ", "dim")
        text.append("\N{BOX DRAWINGS LIGHT VERTICAL}", "dim")
        for column in range(columns):
            cell = (row, column)
            colour = _COLOURS[owner[cell] % len(_COLOURS)] if cell in owner else ""
            if cell in letters:
                text.append(letters[cell], f"bold {colour}")
            else:
                text.append(chr(0x2800 + dots[cell]) if cell in dots else " ", colour)
        text.append("\n")
    ticks = [" "] * (columns + 1)
    end = -1
    for size in sorted({x for x, _ in every}):
        label = f"{2**size:.0f}"
        start = min(place(size, low)[0] // 2, columns - len(label) + 1)
        if start > end:
            ticks[start : start + len(label)] = label
            end = start + len(label)
    text.append(" " * _GUTTER + "".join(ticks).rstrip() + "\n", "dim")
    for number, (name, _) in enumerate(drawn):
        text.append(f"{'   ' if number else ' ' * _GUTTER}{_LETTERS[number % len(_LETTERS)]} ", "dim")
        text.append(name, _COLOURS[number % len(_COLOURS)])
    return text


def _decade(power: int) -> str:
    for size, unit in ((9, "G"), (6, "M"), (3, "k")):
        if power >= size:
            return f"{10 ** (power - size)} {unit}"
    return f"{10.0**power:g}"
