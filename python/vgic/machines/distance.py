"""How far cores are from each other: what it takes to fetch a line that another core has written, in nanoseconds.

Three kinds: a *matrix*, as core-to-core tools measure it; a *mesh*, from which a matrix is computed; *classes*, by
place (cluster, socket, machine).
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from vgic.arguments import whole
from vgic.errors import MachineError
from vgic.machines.values import Parameter, Sourced, hint, parse_value, quoted, status_of, text_of

__all__ = [
    "MAX_CORES",
    "Classes",
    "Distance",
    "Matrix",
    "Mesh",
    "PairStatistics",
    "distance_to_core",
    "distance_toml",
    "pair_statistics",
    "parse_distance",
    "read_matrix",
    "read_text",
    "read_toml",
]

#: Most cores that a machine may have.
MAX_CORES = 1024
#: Largest profile or matrix that is read.
_MAX_BYTES = 32 << 20
#: Range of a distance, in nanoseconds.
_LEAST, _MOST = 0.001, 1e10

Rows = tuple[tuple[float, ...], ...]


class PairStatistics(NamedTuple):
    """Of the distances of all pairs of cores, in nanoseconds; percentiles by nearest rank."""

    pairs: int
    low: float
    p25: float
    median: float
    p95: float
    high: float


def pair_statistics(rows: Sequence[Sequence[float]]) -> PairStatistics:
    """Statistics of a square matrix of at least two cores; a pair's distance is the mean of its two directions."""
    pairs = sorted((rows[a][b] + rows[b][a]) / 2 for a in range(len(rows)) for b in range(a))
    if not pairs:
        raise MachineError("one core has no pairs")

    def rank(share: float) -> float:
        return pairs[max(0, math.ceil(share * len(pairs)) - 1)]

    return PairStatistics(len(pairs), pairs[0], rank(0.25), rank(0.5), rank(0.95), pairs[-1])


@dataclass(frozen=True, slots=True)
class Classes(Sourced):
    """By place: cores of a cluster have numbers in a row, and so have the clusters of a socket."""

    kind: ClassVar[str] = "classes"
    #: Cores of a cluster, and of a socket: 1 to 1024, the first divides the second.
    cluster: int
    socket: int
    #: Nanoseconds.
    within_cluster: float
    within_socket: float
    across: float
    source: str
    #: As that of a :class:`Value`.
    status: str

    def __post_init__(self) -> None:
        """Check every field."""
        _check_fields(self)
        if self.socket % self.cluster:
            raise MachineError(f"distance: clusters of {self.cluster} cores do not divide a socket of {self.socket}")

    @property
    def summary(self) -> str:
        """In a few words."""
        return f"{self.within_cluster:.3g}, {self.within_socket:.3g}, {self.across:.3g} ns by place"

    @property
    def size(self) -> int | None:
        """Any number of cores."""
        return None

    def matrix(self, cores: int) -> Rows:
        """The matrix of the first ``cores`` cores."""
        whole("cores", cores, 1, self.size or MAX_CORES, error=MachineError)
        return tuple(tuple(self._between(a, b) for b in range(cores)) for a in range(cores))

    def _between(self, a: int, b: int) -> float:
        if a == b:
            return 0.0
        if a // self.socket != b // self.socket:
            return self.across
        return self.within_socket if a // self.cluster != b // self.cluster else self.within_cluster


@dataclass(frozen=True, slots=True)
class Mesh(Sourced):
    """Crosspoints in columns and rows, each with some cores; sockets (or dies) lie side by side.

    Cores have numbers crosspoint by crosspoint, row by row, socket by socket; second threads of the cores come after
    all first ones. A hop is one step along a row or a column.
    """

    kind: ClassVar[str] = "mesh"
    #: Of one socket, 1 to 1024 each.
    columns: int
    rows: int
    cores_per_crosspoint: int
    #: Nanoseconds between cores of one crosspoint.
    same_crosspoint: float
    #: Nanoseconds between others of a socket: ``base`` and ``hop`` for each hop.
    base: float
    hop: float
    source: str
    #: As that of a :class:`Value`.
    status: str
    #: Sockets (or dies); between them it is ``across`` and ``hop`` for each hop.
    sockets: int = 1
    across: float | None = None
    #: Threads of a core that count as cores, and nanoseconds between them.
    threads: int = 1
    sibling: float | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        _check_fields(self)
        if self.size > MAX_CORES:
            raise MachineError(f"distance: {self.size} cores are more than {MAX_CORES}")
        for name, count, value in (("across", self.sockets, self.across), ("sibling", self.threads, self.sibling)):
            if count > 1 and value is None:
                raise MachineError(f"distance.{name}: missing")

    @property
    def summary(self) -> str:
        """In a few words."""
        return f"mesh, {self.base:.3g} ns + {self.hop:.3g} a hop"

    @property
    def size(self) -> int:
        """How many cores there are."""
        return self.columns * self.rows * self.cores_per_crosspoint * self.sockets * self.threads

    def matrix(self, cores: int) -> Rows:
        """The matrix of the first ``cores`` cores."""
        whole("cores", cores, 1, self.size or MAX_CORES, error=MachineError)
        points = self.columns * self.rows
        once = points * self.cores_per_crosspoint * self.sockets
        place = [core % once // self.cores_per_crosspoint for core in range(cores)]
        used = sorted(set(place))
        between = {(a, b): self._between(a, b) for a in used for b in used}
        rows = []
        for a in range(cores):
            row = [between[place[a], point] for point in place]
            for b in range(a % once, cores, once):
                row[b] = self.sibling or 0.0
            row[a] = 0.0
            rows.append(tuple(row))
        return tuple(rows)

    def _between(self, a: int, b: int) -> float:
        """Between two crosspoints."""
        if a == b:
            return self.same_crosspoint
        socket_a, at_a = divmod(a, self.columns * self.rows)
        socket_b, at_b = divmod(b, self.columns * self.rows)
        row_a, column_a = divmod(at_a, self.columns)
        row_b, column_b = divmod(at_b, self.columns)
        along = abs(socket_a * self.columns + column_a - socket_b * self.columns - column_b)
        start = self.base if socket_a == socket_b else self.across or 0.0
        return start + self.hop * (along + abs(row_a - row_b))


@dataclass(frozen=True, slots=True)
class Matrix(Sourced):
    """Measured: from each core (row) to each (column); 0 on the diagonal."""

    kind: ClassVar[str] = "matrix"
    cells: Rows
    source: str
    #: As that of a :class:`Value`.
    status: str

    @property
    def summary(self) -> str:
        """In a few words."""
        if self.size < 2:
            return "matrix of one"
        return f"matrix of {self.size}, median {pair_statistics(self.cells).median:.3g} ns"

    @property
    def size(self) -> int:
        """How many cores there are."""
        return len(self.cells)

    def matrix(self, cores: int) -> Rows:
        """The matrix of the first ``cores`` cores."""
        whole("cores", cores, 1, self.size or MAX_CORES, error=MachineError)
        return tuple(row[:cores] for row in self.cells[:cores])


Distance = Classes | Mesh | Matrix

_KINDS: dict[str, type[Classes] | type[Mesh]] = {"classes": Classes, "mesh": Mesh}
_COUNTS = {"cluster", "socket", "columns", "rows", "cores_per_crosspoint", "sockets", "threads"}
_OPTIONAL = {"sockets", "across", "threads", "sibling"}


def _parameter(key: str) -> Parameter:
    name = f"distance.{key}"
    if key in _COUNTS:
        return Parameter(name, "count", "", low=1, high=MAX_CORES)
    return Parameter(name, "ns", "", 0.0 if key == "hop" else _LEAST, _MOST)


def _check_fields(distance: "Classes | Mesh") -> None:
    for field in fields(distance):
        value = getattr(distance, field.name)
        if field.name not in ("source", "status") and value is not None:
            object.__setattr__(distance, field.name, _parameter(field.name).check(value))


def parse_distance(data: object, folder: Path | None, source: str) -> Distance:
    """The ``[distance]`` of a profile that lies in ``folder``."""
    if not isinstance(data, Mapping):
        raise MachineError("distance: not a table")
    kind = data.get("kind")
    if kind not in ("matrix", *_KINDS):
        raise MachineError(f"distance.kind: {str(kind)[:40]!r} is unknown (one of: matrix, {', '.join(_KINDS)})")
    status = status_of(data, "distance")
    source = text_of(data, "source", source, "distance.")
    own = ["csv", "ns"] if kind == "matrix" else [field.name for field in fields(_KINDS[kind])]
    known = list(dict.fromkeys(["kind", *own, "source", "status"]))
    for key in data:
        if key not in known:
            raise MachineError(f"distance: unknown key {key[:40]!r}: {hint(key, known)}")
    if kind == "matrix":
        return Matrix(_matrix_of(data, folder), source, status)
    values: dict[str, Any] = {"source": source, "status": status}
    for field in fields(_KINDS[kind]):
        key = field.name
        if key in values:
            continue
        if key not in data:
            if key in _OPTIONAL:
                continue
            raise MachineError(f"distance.{key}: missing")
        parameter = _parameter(key)
        entry = data[key]
        values[field.name] = (
            parameter.check(entry) if parameter.unit == "count" else parse_value(parameter, entry, source).value
        )
    return _KINDS[kind](**values)


def distance_toml(distance: Distance) -> list[str]:
    """The lines of ``[distance]``."""
    lines = ["[distance]", f"kind = {quoted(distance.kind)}"]
    if isinstance(distance, Matrix):
        cells = distance.cells
        mirrored = all(cells[a][b] == cells[b][a] for a in range(len(cells)) for b in range(a))
        lines.append("# A line a core" + (": to those before it." if mirrored else "."))
        lines.append("ns = [")
        lines += [f"  [{', '.join(map(repr, row[:a] if mirrored else row))}]," for a, row in enumerate(cells)]
        lines.append("]")
    else:
        for field in fields(distance):
            value = getattr(distance, field.name)
            key = field.name
            if key in ("source", "status") or value is None:
                continue
            lines.append(f"{key} = {value}" if key in _COUNTS else f"{key} = {{ ns = {value!r} }}")
    lines.append(f"source = {quoted(distance.source)}")
    lines.append(f"status = {quoted(distance.status)}")
    return lines


def _matrix_of(data: Mapping[str, Any], folder: Path | None) -> Rows:
    if ("csv" in data) == ("ns" in data):
        raise MachineError('distance: a matrix has either csv = "FILE" or ns = [[...], ...]')
    if "csv" in data:
        name = text_of(data, "csv", "", "distance.")
        return read_matrix((folder or Path()) / name)
    table = data["ns"]
    if not isinstance(table, list) or not all(isinstance(row, list) for row in table):
        raise MachineError("distance.ns: not a list of lists")
    return _square([[None if cell == "" else cell for cell in row] for row in table], "distance.ns")


def read_text(path: Path) -> str:
    """The text of a regular file of sane size, or :class:`MachineError`."""
    where = str(path) if str(path).isprintable() else repr(str(path))
    try:
        if not path.exists():
            raise MachineError(f"{where}: no such file")
        if not path.is_file():
            raise MachineError(f"{where}: not a regular file")
        if path.stat().st_size > _MAX_BYTES:
            raise MachineError(f"{where}: larger than {_MAX_BYTES >> 20} MiB")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MachineError(f"{where}: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, MachineError):
            raise
        raise MachineError(f"{where}: not a text file") from None


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """What is in a TOML file, or :class:`MachineError`, which says that it is not ``what``."""
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else error
        raise MachineError(f"{path}: not {what}: {why}") from None


def read_matrix(path: str | Path) -> Rows:
    """Read a matrix of nanoseconds as core-to-core tools write it: CSV, a line a core.

    The diagonal is not looked at. Cells of one triangle may be empty; they are taken from the other. Lines that start
    with ``#`` are skipped. Raises :class:`vgic.MachineError` with the line that is wrong.
    """
    path = Path(path)
    lines = [line for line in read_text(path).splitlines() if not line.startswith("#")]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise MachineError(f"{path}: empty")
    if len(lines) > MAX_CORES:
        raise MachineError(f"{path}: {len(lines)} cores are more than {MAX_CORES}")
    table: list[list[object]] = []
    for line in lines:
        cells: list[object] = []
        for cell in line.split(","):
            try:
                cells.append(float(cell) if cell.strip() else None)
            except ValueError:
                cells.append(cell.strip())
        table.append(cells)
    return _square(table, str(path))


def _square(table: Sequence[Sequence[object]], where: str) -> Rows:
    """A full matrix from a full one or a triangle; None is an empty cell."""
    size = len(table)
    if size > MAX_CORES:
        raise MachineError(f"{where}: {size} cores are more than {MAX_CORES}")
    if not size:
        raise MachineError(f"{where}: empty")
    triangle = all(cell is None for at, row in enumerate(table) for cell in row[at + 1 :])
    for at, row in enumerate(table):
        if len(row) > size or (not triangle and len(row) != size):
            raise MachineError(f"{where}: not square: line {at + 1} has {len(row)} values, there are {size} lines")
    sparse = [[*row, *[None] * (size - len(row))] for row in table]
    cells = [[0.0] * size for _ in range(size)]
    for a in range(size):
        for b in range(size):
            if a == b:
                continue
            value = sparse[a][b] if sparse[a][b] is not None else sparse[b][a]
            if value is None:
                raise MachineError(f"{where}: no value for cores {b} and {a}")
            if type(value) is float and _LEAST <= value <= _MOST:
                cells[a][b] = value
            else:
                cells[a][b] = float(Parameter(f"{where}: cores {a} and {b}", "ns", "", _LEAST, _MOST).check(value))
    return tuple(tuple(row) for row in cells)


def distance_to_core(distance: Distance, cores: int) -> dict[str, Any]:
    """The keys of it that the core takes; beside a matrix the core does not look at the classes."""
    if isinstance(distance, Classes):
        classes = {name: getattr(distance, name) for name in ("within_cluster", "within_socket", "across")}
        matrix = None
        cluster, socket = distance.cluster, distance.socket
    else:
        rows = distance.matrix(cores)
        matrix = [round(cell * 1000) for row in rows for cell in row]
        median = pair_statistics(rows).median if cores > 1 else 0.0
        classes = dict.fromkeys(("within_cluster", "within_socket", "across"), median)
        cluster, socket = 1, cores
    times = {name: round(value * 1000) for name, value in classes.items()}
    return {"matrix": matrix, "cluster": cluster, "socket": socket, **times}
