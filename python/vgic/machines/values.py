"""What a machine is made of: the parameters, their units and ranges, and a value with its source.

Times are in nanoseconds here (grace periods in milliseconds), ratios are plain numbers. The core takes integers:
picoseconds and thousandths.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vgic import _core
from vgic.errors import MachineError

__all__ = [
    "PARAMETERS",
    "STATUSES",
    "TIMES",
    "Parameter",
    "Sourced",
    "Value",
    "hint",
    "parse_value",
    "status_of",
    "text_of",
]

#: What a value may rest on -> in words, for several.
STATUSES = {
    "measured": "measured",
    "published": "published",
    "derived": "derived",
    "fitted": "fitted to rates",
    "guessed": "guessed",
    "given": "given without a source",
}
#: Those that a measurement stands for: one's own, or a published one of the machine or of its kind of core.
_VERIFIED = ("measured", "published")
#: Nanoseconds that each unit of time has.
TIMES = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that a machine has a value for."""

    #: As in a profile, and as a keyword of :meth:`Machine.with_values`.
    name: str
    #: ``ns``, ``ms``, ``ratio``, ``count`` or ``choice``.
    unit: str
    #: What it is, in one line.
    text: str
    #: Smallest value.
    low: float
    #: Largest value.
    high: float
    #: What a choice may be.
    choices: tuple[str, ...] = ()
    #: What the core takes is a value times this, rounded.
    scale: int = 1

    def check(self, value: object) -> float | int | str:
        """``value`` as a number (or choice) in range, or :class:`MachineError`."""
        if self.unit == "choice":
            if not isinstance(value, str) or value not in self.choices:
                raise MachineError(f"{self.name}: {value!r} is unknown (one of: {', '.join(self.choices)})")
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise MachineError(f"{self.name}: {str(value)[:40]!r} is not a number")
        if not self.low <= value <= self.high:
            unit = f" {self.unit}" if self.unit in TIMES else ""
            shown = f"{value:g}" if isinstance(value, float) or abs(value) < 1e15 else "a huge number"
            if value < 0:
                raise MachineError(f"{self.name}: {shown} is negative")
            raise MachineError(f"{self.name}: {shown}{unit} is out of range {self.low:g} to {self.high:g}{unit}")
        if self.unit == "count":
            if not isinstance(value, int):
                raise MachineError(f"{self.name}: {value!r} is not a whole number")
            return value
        return float(value)

    def to_core(self, value: float | int | str) -> int | str:
        """As the core takes it: picoseconds, thousandths, a count or a choice."""
        return value if isinstance(value, str) else round(value * self.scale)


def _parameter(row: "_core.MachineParameter") -> Parameter:
    return Parameter(
        row["name"], row["unit"], row["text"], row["low"], row["high"], tuple(row["choices"]), row["scale"]
    )


#: Every parameter but the distances, by name. The simulator has the list.
PARAMETERS: dict[str, Parameter] = {row["name"]: _parameter(row) for row in _core.machine_parameters()}


class Sourced:
    """What says where it comes from."""

    __slots__ = ()
    status: str

    @property
    def verified(self) -> bool:
        """Whether a published or own measurement says so, of this machine or of its kind of core."""
        return self.status in _VERIFIED


@dataclass(frozen=True, slots=True)
class Value(Sourced):
    """A value, in the unit of its parameter, and where it comes from."""

    #: The number, or the choice.
    value: float | int | str
    #: As in :class:`Parameter`.
    unit: str
    #: Who says so, in words; ``given`` for what a caller has set.
    source: str
    #: What it rests on (:data:`STATUSES`).
    status: str

    def __str__(self) -> str:
        """The value with its unit, to read."""
        if self.unit in TIMES:
            return f"{self.value:g} {self.unit}" if isinstance(self.value, float) else f"{self.value} {self.unit}"
        return f"{self.value:g}" if isinstance(self.value, float) else str(self.value)

    def toml(self) -> str:
        """As an inline table."""
        value = quoted(self.value) if isinstance(self.value, str) else repr(self.value)
        return f"{{ {self.unit} = {value}, source = {quoted(self.source)}, status = {quoted(self.status)} }}"


def quoted(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def hint(name: str, known: Iterable[str]) -> str:
    """``did you mean ...?``, or all that is known."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}? (known: {', '.join(names)})" if close else f"known: {', '.join(names)}"


def text_of(data: Mapping[str, Any], key: str, default: str, where: str = "") -> str:
    """A text of one line, or ``default`` if there is none."""
    text = data.get(key, default)
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise MachineError(f"{where}{key}: {str(text)[:40]!r} is not a text of one line")
    return text


def status_of(data: Mapping[str, Any], name: str, default: str = "given") -> str:
    """What a value rests on, of its table."""
    status = data.get("status", default)
    if status not in STATUSES:
        raise MachineError(f"{name}: status: {str(status)[:40]!r} is unknown (one of: {', '.join(STATUSES)})")
    return str(status)


def parse_value(parameter: Parameter, entry: object, source: str) -> Value:
    """A value from its table in a profile; ``source`` is taken if the table names none."""
    name = parameter.name
    example = {
        "ratio": "{ ratio = 0.5 }",
        "count": "{ count = 8 }",
        "choice": f"{{ choice = {quoted(parameter.choices[0]) if parameter.choices else ''} }}",
    }.get(parameter.unit, f"{{ {parameter.unit} = 2.5 }}")
    units = tuple(TIMES) if parameter.unit in TIMES else (parameter.unit,)
    if not isinstance(entry, Mapping):
        raise MachineError(f"{name}: write it with its unit, as {name} = {example}")
    for key in entry:
        if key not in (*units, "source", "status"):
            raise MachineError(f"{name}: unknown key {key[:40]!r}: {hint(key, (*units, 'source', 'status'))}")
    found = [unit for unit in units if unit in entry]
    if len(found) != 1:
        raise MachineError(f"{name}: {'two units' if found else 'no value'}; write {name} = {example}")
    number = entry[found[0]]
    if parameter.unit in TIMES and found[0] != parameter.unit and isinstance(number, (int, float)):
        number = _converted(number, found[0], parameter.unit)
    value = parameter.check(number)
    return Value(value, parameter.unit, text_of(entry, "source", source, f"{name}: "), status_of(entry, name))


def _converted(number: float | int, unit: str, into: str) -> float | int:
    """In another unit of time; what is not a sane number stays what it is, and is refused later."""
    if isinstance(number, bool) or not -1e12 < number < 1e12:
        return number
    return number * (TIMES[unit] / TIMES[into])
