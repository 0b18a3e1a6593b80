"""Arguments that are numbers: whatever is refused is named, in one line.

A value of another type is a ``TypeError``; a number out of range is a ``ValueError``, or a subclass of it that the
caller names. The Rust core does the same for what it takes.
"""

import math
import operator
from typing import Any

__all__ = ["integer", "real", "whole"]

#: Characters of a value that are shown.
_MOST_TEXT = 60


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python does not write out a number of thousands of digits.
        return "a number that long"
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."


def whole(
    name: str, value: object, least: int, most: int, why: str = "", *, error: type[ValueError] = ValueError
) -> int:
    """``value`` if it is an ``int`` from ``least`` to ``most``. For what is kept: no ``bool``, and no NumPy number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: {_shown(value)} is not a whole number")
    if not least <= value <= most:
        raise error(f"{name}: {_shown(value)} is out of range {least} to {most}{why}")
    return value


def integer(
    name: str,
    value: Any,
    least: int | None = None,
    most: int | None = None,
    *,
    error: type[ValueError] = ValueError,
) -> int:
    """``value`` as an ``int``, if it is a whole number to Python. For what is used at once: NumPy's numbers will do."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}") from None
    if (least is not None and number < least) or (most is not None and number > most):
        raise error(f"{name} must be {least} to {most}, not {_shown(number)}")
    return number


def real(
    name: str,
    value: object,
    least: float,
    most: float,
    *,
    above: bool = False,
    unit: str = "",
    error: type[ValueError] = ValueError,
) -> float:
    """``value`` if it is a finite number from ``least`` (with ``above``: above ``least``) to ``most``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: {_shown(value)} is not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise error(f"{name}: {value!r} is not a number")
    if value < least or (above and value == least) or value > most:
        shown = f"{value:g}" if isinstance(value, float) else _shown(value)
        bounds = f", above {least:g} to {most:g}" if above else f" {least:g}{unit} to {most:g}"
        raise error(f"{name}: {shown}{unit} is out of range{bounds}{unit}")
    return value
