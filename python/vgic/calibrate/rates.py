"""Rates that somebody measured: the rows of one design, from a file or from the tables that come with the package.

Each of these has a column that profiles are fitted to and one that predictions are compared with. The second one never
gets into a :class:`RateTable`, and so never into a fit: see :func:`published_rate`.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from vgic.designs import design
from vgic.errors import MachineError
from vgic.machines.distance import read_toml
from vgic.machines.values import hint
from vgic.predict.prediction import PredictedWorkload

__all__ = ["PUBLISHED", "RateRow", "RateTable", "RatesError", "published_rate", "published_tables", "read_rates"]

#: What the name of a table that comes with the package begins with.
PUBLISHED = "published:"
_KEYS = ("title", "source", "design", "entry", "guest", "f_count", "row")
_ROW_KEYS = ("vcpus", "devices", "events", "iterations", "rate")
#: Relative weight of a row with one sender in a fit: it and the vCPU fall into step, so its rate jumps where other
#: rates change smoothly.
SINGLE_WEIGHT = 0.25


class RatesError(ValueError):
    """Rates that cannot be read: a key is missing, unknown or out of range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow:
    """One run: the options of ``vgic_lpi_stress``, and its rate."""

    vcpus: int
    devices: int
    events: int
    iterations: int
    #: LPIs accepted a second.
    rate: float

    @property
    def name(self) -> str:
        """Virtual CPUs, devices and events: ``16/16/17``."""
        return f"{self.vcpus}/{self.devices}/{self.events}"

    @property
    def single(self) -> bool:
        """Whether there is one sender."""
        return self.devices == 1

    @property
    def weight(self) -> float:
        """In a fit."""
        return SINGLE_WEIGHT if self.single else 1.0

    @property
    def sends(self) -> int:
        """How many LPIs it sent."""
        return self.devices * self.events * self.iterations


@dataclass(frozen=True, slots=True)
class RateTable:
    """Measured rates of one design."""

    title: str
    #: Who measured them, and where that is said.
    source: str
    design: str
    entry: str
    guest: str
    rows: tuple[RateRow, ...]
    f_count: str = "cas"
    #: Name under which it comes with the package; empty for a file.
    name: str = ""
    #: Of one that comes with the package: the machine that was fitted to it, and the designs that stand beside.
    machine: str = ""
    beside: tuple[str, ...] = ()

    @property
    def cores(self) -> int:
        """How many cores its largest row needs."""
        return max(row.vcpus + row.devices for row in self.rows)

    def without(self, names: Iterable[str]) -> "RateTable":
        """The table without some rows, by name."""
        left = list(names)
        for name in left:
            if name not in [row.name for row in self.rows]:
                raise RatesError(f"no row {name!r}: {hint(name, [row.name for row in self.rows])}")
        rows = tuple(row for row in self.rows if row.name not in left)
        if not rows:
            raise RatesError("no row is left")
        return replace(self, rows=rows)

    def workload(self, row: RateRow, sends: int | None, *, warmup: int | None = None) -> PredictedWorkload:
        """What a row measured, with at most about ``sends`` sends (None: as many as it had)."""
        rounds = row.iterations
        if sends is not None:
            rounds = min(rounds, max(4, math.ceil(sends / (row.devices * row.events))))
        return PredictedWorkload(
            vcpus=row.vcpus,
            devices=row.devices,
            events=row.events,
            iterations=rounds,
            warmup=warmup,
            guest=self.guest,
            entry=self.entry,
            gap_us=0.0,
            f_count=self.f_count,
            label=row.name,
        )


@cache
def _published() -> Sequence[Mapping[str, Any]]:
    text = (resources.files("vgic.calibrate") / "published.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["table"])


def _row_of(entry: Mapping[str, Any], rate: float) -> RateRow:
    numbers = {key: int(entry[key]) for key in _ROW_KEYS if key != "rate"}
    return RateRow(rate=rate, **numbers)


def published_tables() -> tuple[RateTable, ...]:
    """The tables that come with the package, each with its baseline's rates."""
    return tuple(_published_table(data) for data in _published())


def _published_table(data: Mapping[str, Any]) -> RateTable:
    baseline = data["baseline"]
    beside = dict.fromkeys(name for entry in data["row"] for name in entry["rates"] if name != baseline)
    return RateTable(
        data["title"],
        data["source"],
        baseline,
        data["entry"],
        data["guest"],
        tuple(_row_of(entry, float(entry["rates"][baseline])) for entry in data["row"]),
        name=PUBLISHED + data["name"],
        machine=data["machine"],
        beside=tuple(beside),
    )


def published_rate(table: RateTable, row: RateRow, design_name: str) -> float | None:
    """What was published of another design in the same row, to compare a prediction with; None if nothing was."""
    for data in _published():
        if table.name == PUBLISHED + data["name"]:
            for entry in data["row"]:
                if _row_of(entry, row.rate) == row and design_name in entry["rates"]:
                    return float(entry["rates"][design_name])
    return None


def read_rates(name_or_path: str | Path) -> RateTable:
    """The rates in a TOML file, or of a table that comes with the package (:func:`published_tables`), by its name.

    Raises :class:`RatesError`, in one line.
    """
    name = str(name_or_path)
    if name.startswith(PUBLISHED):
        tables = {table.name: table for table in published_tables()}
        if name in tables:
            return tables[name]
        for table in tables.values():
            if name.removeprefix(PUBLISHED) in table.beside:
                raise RatesError(f"{name}: these rates are there to check predictions, not to fit to; fit {table.name}")
        raise RatesError(f"unknown rates {name[:60]!r}: known: {', '.join(tables)}; or give a FILE.toml")
    path = Path(name)
    try:
        data = read_toml(path, "a table of rates")
    except MachineError as error:
        raise RatesError(str(error)) from None
    try:
        return _parse(data, path)
    except ValueError as error:
        raise RatesError(f"{path}: {error}") from None


def _parse(data: Mapping[str, Any], path: Path) -> RateTable:
    for key in data:
        if key not in _KEYS:
            raise RatesError(f"unknown key {key[:40]!r}: {hint(key, _KEYS)}")
    name = data.get("design")
    if not isinstance(name, str):
        raise RatesError('design: missing; rates are of one design, such as design = "v6.8-rc1"')
    design(name)
    texts = {}
    for key, default in (
        ("title", path.name),
        ("source", path.name),
        ("entry", "ioctl"),
        ("guest", "fixed"),
        ("f_count", "cas"),
    ):
        text = data.get(key, default)
        if not isinstance(text, str) or not text.isprintable() or not text.strip():
            raise RatesError(f"{key}: {str(text)[:40]!r} is not a text of one line")
        texts[key] = text
    entries = data.get("row")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise RatesError("row: missing; write a [[row]] for each rate")
    rows = tuple(_parse_row(number, entry) for number, entry in enumerate(entries, 1))
    names = [row.name for row in rows]
    for row in rows:
        if names.count(row.name) > 1:
            raise RatesError(f"row {row.name}: there twice; give the median")
    table = RateTable(
        texts["title"], texts["source"], name, texts["entry"], texts["guest"], rows, f_count=texts["f_count"]
    )
    for row in rows:
        table.workload(row, None)  # Checks every field.
    return table


def _parse_row(number: int, entry: Mapping[str, Any]) -> RateRow:
    where = f"row {number}"
    for key in entry:
        if key not in _ROW_KEYS:
            raise RatesError(f"{where}: unknown key {key[:40]!r}: {hint(key, _ROW_KEYS)}")
    for key in _ROW_KEYS:
        value = entry.get(key)
        if value is None:
            raise RatesError(f"{where}: {key}: missing")
        wanted = (int, float) if key == "rate" else int
        if isinstance(value, bool) or not isinstance(value, wanted) or not value > 0 or not value < 1e15:
            kind = "a number" if key == "rate" else "a whole number"
            raise RatesError(f"{where}: {key}: {str(value)[:40]!r} is not {kind} above 0")
    return _row_of(entry, float(entry["rate"]))
