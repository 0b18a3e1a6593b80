"""Machines by name or file: a profile is a TOML file with a distance and a value, with its source, for each parameter.

A profile may be based on another (``base = "generic-arm64"``) and then says only what differs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from vgic.errors import MachineError
from vgic.machines.checks import Check, checks_text, checks_toml, parse_checks
from vgic.machines.distance import (
    MAX_CORES,
    Classes,
    Distance,
    Matrix,
    PairStatistics,
    distance_to_core,
    distance_toml,
    pair_statistics,
    parse_distance,
    read_toml,
)
from vgic.machines.values import PARAMETERS, STATUSES, Parameter, Value, hint, parse_value, quoted, status_of, text_of

__all__ = ["MAX_CORES", "Machine", "machine", "machines", "parameter_rows"]

_SUFFIX = ".toml"
_GENERIC = "generic-arm64"
_KEYS = ("name", "title", "base", "cores", "distance", "values", "checks")
_CLASSES = ("cluster", "socket", "within_cluster", "within_socket", "across")
_CORES = Parameter("cores", "count", "how many cores there are", low=1, high=MAX_CORES)
#: How many profiles may be based on each other.
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Machine:
    """What everything costs on a machine. Made by :func:`machine`; every value says where it comes from."""

    #: What to select it by.
    name: str
    #: What it is, in one line.
    title: str
    #: 1 to 1024.
    cores: int
    #: Between cores.
    distance: Distance
    #: Everything else, by name of the parameter (:data:`vgic.machines.PARAMETERS`), in its unit.
    values: Mapping[str, Value]
    #: What predictions for it were compared with. They are those of its values: with other ones it has none.
    checks: tuple[Check, ...] = ()

    def __post_init__(self) -> None:
        """Check what concerns more than one value."""
        _CORES.check(self.cores)
        size = self.distance.size
        if size is not None and size < self.cores:
            raise MachineError(f"{self.name}: has {size} cores, not {self.cores}")
        for name in PARAMETERS:
            if name not in self.values:
                raise MachineError(f"{self.name}: {name}: missing")
        low, high = self.number("grace_period_min"), self.number("grace_period_max")
        if low > high:
            raise MachineError(f"{self.name}: grace_period_min: {low:g} ms is above grace_period_max, {high:g} ms")

    def number(self, name: str) -> float:
        """The value of a parameter that is a number, in its unit."""
        value = self.values[name].value
        if isinstance(value, str):
            raise MachineError(f"{name}: {value!r} is not a number")
        return value

    @property
    def unverified(self) -> tuple[str, ...]:
        """Names of the values that no measurement stands for, ``distance`` first."""
        names = ["distance"] if not self.distance.verified else []
        return (*names, *(name for name in PARAMETERS if not self.values[name].verified))

    @property
    def statuses(self) -> dict[str, int]:
        """How many values rest on what (:data:`vgic.machines.STATUSES`), those with none left out."""
        found = [self.distance.status, *(self.values[name].status for name in PARAMETERS)]
        return {status: found.count(status) for status in STATUSES if status in found}

    @property
    def trust(self) -> str:
        """What its values rest on, and what its predictions were checked against, in two sentences."""
        kinds = ", ".join(f"{count} {STATUSES[status]}" for status, count in self.statuses.items())
        checked = checks_text([check.to_dict() for check in self.checks])
        return f"Its {len(PARAMETERS) + 1} values: {kinds}. {checked[0].upper()}{checked[1:]}."

    def matrix(self) -> tuple[tuple[float, ...], ...]:
        """Nanoseconds from each core to each."""
        return self.distance.matrix(self.cores)

    def pair_statistics(self) -> PairStatistics:
        """Minimum, percentiles and maximum of the distances of all pairs; :class:`MachineError` for one core."""
        return pair_statistics(self.matrix())

    def to_core(self) -> dict[str, Any]:
        """As the simulator takes it: times in picoseconds, ratios in thousandths."""
        values = {name: parameter.to_core(self.values[name].value) for name, parameter in PARAMETERS.items()}
        return {"cores": self.cores, **distance_to_core(self.distance, self.cores), **values}

    def with_cores(self, cores: int) -> "Machine":
        """The first ``cores`` cores of it; where distances go by classes, also more than there are."""
        if isinstance(self.distance, Matrix):
            _CORES.check(cores)
            if cores <= self.cores:
                return replace(self, cores=cores, distance=replace(self.distance, cells=self.distance.matrix(cores)))
        return replace(self, cores=cores)

    def with_values(self, *, source: str = "given", status: str = "given", **values: float | str | None) -> "Machine":
        """A copy with other values, each in the unit of its parameter (ns, but grace periods in ms); None is skipped.

        ``cluster``, ``socket``, ``within_cluster``, ``within_socket`` and ``across`` can be given where distances go
        by classes. ``status`` says what they rest on (:data:`vgic.machines.STATUSES`).
        """
        given = {name: value for name, value in values.items() if value is not None}
        text_of({"source": source}, "source", "")
        status_of({"status": status}, "values")
        changed = dict(self.values)
        distance = self.distance
        places: dict[str, Any] = {}
        for name, value in given.items():
            if name in _CLASSES:
                places[name] = value
                continue
            if name not in PARAMETERS:
                raise MachineError(f"unknown value {name!r}: {hint(name, PARAMETERS)}")
            parameter = PARAMETERS[name]
            changed[name] = Value(parameter.check(value), parameter.unit, source, status)
        if places:
            if not isinstance(distance, Classes):
                raise MachineError(f"{next(iter(places))}: distances of {self.name} are a {distance.kind}, not classes")
            distance = replace(distance, **places, source=source, status=status)
        return replace(self, values=changed, distance=distance, checks=())

    def with_matrix(
        self, rows: Sequence[Sequence[float]], *, source: str = "given", status: str = "measured"
    ) -> "Machine":
        """A copy with the distances (ns) of a matrix, as :func:`vgic.machines.read_matrix` reads it, and its cores."""
        data = {"kind": "matrix", "ns": [list(row) for row in rows], "status": status}
        distance = parse_distance(data, None, source)
        return replace(self, cores=len(rows), distance=distance, checks=())

    def with_checks(self, checks: Iterable[Check]) -> "Machine":
        """A copy with further checks; one of the same rate takes the place of the one before."""
        found = {(check.what, check.source): check for check in (*self.checks, *checks)}
        return replace(self, checks=tuple(found.values()))

    def renamed(self, name: str, title: str) -> "Machine":
        """A copy with another name and title."""
        data = {"name": name, "title": title}
        return replace(self, name=text_of(data, "name", ""), title=text_of(data, "title", ""))

    def to_toml(self) -> str:
        """A complete profile, in one file; :func:`machine` reads it back."""
        lines = [f"name = {quoted(self.name)}", f"title = {quoted(self.title)}", f"cores = {self.cores}", ""]
        lines += [*distance_toml(self.distance), "", "[values]"]
        lines += [f"{name} = {self.values[name].toml()}" for name in PARAMETERS]
        lines += checks_toml(self.checks)
        return "\n".join(lines) + "\n"


def parameter_rows(machine: Machine) -> list[dict[str, Any]]:
    """Every value of a machine, the distances first, as written into a result file and shown in tables.

    Each row has ``name``, ``value`` (with its unit), ``text`` (what it is), ``status`` and ``source``.
    """
    distance = machine.distance
    first = {
        "name": "distance",
        "value": distance.summary,
        "text": "to fetch a line that another core has written",
        "status": distance.status,
        "source": distance.source,
    }
    rows = [
        {"name": name, "value": str(value), "text": parameter.text, "status": value.status, "source": value.source}
        for name, parameter in PARAMETERS.items()
        for value in [machine.values[name]]
    ]
    return [first, *rows]


def machines() -> dict[str, str]:
    """The machines that come with the package: name -> title."""
    return {name: _shipped(name).title for name in _files()}


def machine(name_or_path: str | Path) -> Machine:
    """A machine by name (:func:`machines`, or ``generic-arm64-N`` for N cores), or the profile in a file.

    Raises :class:`vgic.MachineError`, in one line, if there is none or something in it is wrong.
    """
    name = str(name_or_path)
    if isinstance(name_or_path, str):
        found = _by_name(name)
        if found is not None:
            return found
    path = Path(name)
    if not name or (
        isinstance(name_or_path, str) and "/" not in name and not name.endswith(_SUFFIX) and not _exists(path)
    ):
        known = [*_files(), f"{_GENERIC}-N"]
        raise MachineError(f"unknown machine {name[:60]!r}: {hint(name[:60], known)}; or give a FILE{_SUFFIX}")
    return _read(path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


@cache
def _files() -> dict[str, Path]:
    folder = Path(str(resources.files("vgic") / "machines"))
    return {path.name.removesuffix(_SUFFIX): path for path in sorted(folder.glob(f"*{_SUFFIX}"))}


@cache
def _shipped(name: str) -> Machine:
    return _read(_files()[name])


def _by_name(name: str) -> Machine | None:
    if name in _files():
        return _shipped(name)
    match = re.fullmatch(rf"{_GENERIC}-(\d+)", name, re.ASCII)
    if not match:
        return None
    cores = int(match[1]) if len(match[1]) < 10 else MAX_CORES + 1
    if not 1 <= cores <= MAX_CORES:
        raise MachineError(f"{name[:40]}: cores are out of range 1 to {MAX_CORES}")
    generic = _shipped(_GENERIC)
    return replace(generic.with_cores(cores), name=f"{_GENERIC}-{cores}", title=f"{generic.title}, {cores} cores")


def _read(path: Path, depth: int = 0) -> Machine:
    """The profile in a file; its errors name the file."""
    data = read_toml(path, "a profile")
    try:
        return _build(data, path, depth)
    except MachineError as error:
        text = str(error)
        raise MachineError(text if text.startswith(str(path)) else f"{path}: {text}") from None


def _build(data: Mapping[str, Any], path: Path, depth: int) -> Machine:
    for key in data:
        if key not in _KEYS:
            raise MachineError(f"unknown key {key[:40]!r}: {hint(key, _KEYS)}")
    entries = data.get("values", {})
    if not isinstance(entries, Mapping):
        raise MachineError("values: not a table")
    for key in entries:
        if key not in PARAMETERS:
            raise MachineError(f"values: unknown key {key[:40]!r}: {hint(key, PARAMETERS)}")
    base = _base(data["base"], path, depth) if "base" in data else None
    source = f"given in {path.name}"
    values = dict(base.values) if base else {}
    for key, entry in entries.items():
        values[key] = parse_value(PARAMETERS[key], entry, source)
    for key in PARAMETERS:
        if key not in values:
            raise MachineError(f'{key}: missing, and no base = "..." to take it from')
    if "distance" in data:
        distance = parse_distance(data["distance"], path.parent, source)
        size = distance.size
    elif base:
        distance, size = base.distance, base.cores
    else:
        raise MachineError('distance: missing, and no base = "..." to take it from')
    cores = data.get("cores", size or (base.cores if base else None))
    if cores is None:
        raise MachineError("cores: missing")
    cores = int(_CORES.check(cores))
    if isinstance(distance, Matrix) and cores != distance.size:
        if "distance" in data:
            raise MachineError(f"{cores} cores, but the matrix is that of {distance.size}")
        if cores < distance.size:
            distance = replace(distance, cells=distance.matrix(cores))
    name = text_of(data, "name", path.name.removesuffix(_SUFFIX) or "machine")
    checks = parse_checks(data.get("checks", []))
    return Machine(name, text_of(data, "title", name), cores, distance, values, checks)


def _base(name: object, path: Path, depth: int) -> Machine:
    """What a profile is based on: a machine that comes with the package, or a file beside the profile."""
    if not isinstance(name, str):
        raise MachineError(f"base: {str(name)[:40]!r} is not the name of a machine")
    if depth >= _DEPTH:
        raise MachineError(f"base: more than {_DEPTH} profiles are based on each other")
    found = _by_name(name)
    if found is not None:
        return found
    if name.endswith(_SUFFIX):
        return _read(path.parent / name, depth + 1)
    raise MachineError(f"base: unknown machine {name[:60]!r}: {hint(name[:60], _files())}; or a FILE{_SUFFIX}")
