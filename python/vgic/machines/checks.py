"""What predictions for a machine were compared with: measured rates, none of which went into its values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vgic.errors import MachineError
from vgic.machines.values import hint, quoted, text_of

__all__ = ["Check", "checks_text", "checks_toml", "parse_checks"]

_NUMBERS = ("measured", "predicted")
_KEYS = ("what", *_NUMBERS, "source")


@dataclass(frozen=True, slots=True)
class Check:
    """One rate, measured and predicted."""

    #: Design and load, in a few words.
    what: str
    #: LPIs accepted a second, above 0.
    measured: float
    #: The same in a prediction for the machine: a median over seeds.
    predicted: float
    #: Who measured.
    source: str

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted / self.measured

    def to_dict(self) -> dict[str, Any]:
        """As written into a result file."""
        return {**{key: getattr(self, key) for key in _KEYS}, "ratio": self.ratio}


def parse_checks(entries: object) -> tuple[Check, ...]:
    """The ``[[checks]]`` of a profile."""
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise MachineError("checks: write a [[checks]] for each")
    return tuple(_parse(entry, f"checks, number {number}: ") for number, entry in enumerate(entries, 1))


def _parse(entry: Mapping[str, Any], where: str) -> Check:
    for key in entry:
        if key not in _KEYS:
            raise MachineError(f"{where}unknown key {key[:40]!r}: {hint(key, _KEYS)}")
    for key in _KEYS:
        if key not in entry:
            raise MachineError(f"{where}{key}: missing")
    for key in _NUMBERS:
        value = entry[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e15:
            raise MachineError(f"{where}{key}: {str(value)[:40]!r} is not a number above 0")
    return Check(
        text_of(entry, "what", "", where),
        float(entry["measured"]),
        float(entry["predicted"]),
        text_of(entry, "source", "", where),
    )


def checks_toml(checks: Sequence[Check]) -> list[str]:
    """The lines of ``[[checks]]``."""
    lines = []
    for check in checks:
        lines += ["", "[[checks]]", f"what = {quoted(check.what)}"]
        lines += [f"{key} = {getattr(check, key)!r}" for key in _NUMBERS]
        lines.append(f"source = {quoted(check.source)}")
    return lines


def checks_text(checks: Sequence[Mapping[str, Any]]) -> str:
    """What was compared (as :meth:`Check.to_dict` has it), and how far off it was, in one line."""
    if not checks:
        return "checked against no measured rate"
    by_source: dict[str, list[str]] = {}
    for check in checks:
        by_source.setdefault(check["source"], []).append(f"{check['ratio']:.2f} ({check['what']})")
    parts = [f"{source}, predicted over measured {', '.join(found)}" for source, found in by_source.items()]
    return f"checked against {'; '.join(parts)}"
