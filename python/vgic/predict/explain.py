"""Where the time of a prediction went, as tables: by category and kind of thread, by lock, by contended line.

A contended line is shown as ``perf c2c`` does: which fields share it, how often it moved, how long cores waited for it,
who writes and who reads. What a line is worth is another question: a stall inside of a critical section makes all
others wait as well. :func:`what_if` answers it by a run in which the line costs nothing.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from vgic.machines import Machine
from vgic.predict.prediction import DEFAULT_MACHINE, AnyPredicted, Prediction
from vgic.predict.sweep import Point, Progress, predict_many

__all__ = ["Line", "Lock", "Part", "Spent", "WhatIf", "lines", "locks", "parts", "spent", "what_if"]

#: Shares below this are left out.
SMALLEST_SHARE = 0.005
#: Locks and lines that cost less a send, in ns, are left out.
SMALLEST_NS = 0.5
#: How many lines are shown, and set free in turn.
MOST_LINES = 10

_CATEGORIES = {
    "work": "own work",
    "hits": "hits in the own cache",
    "transfers": "lines under way",
    "queueing": "queueing at lines",
    "grace periods": "grace periods",
    "ipi": "IPIs",
    "guest": "guest",
    "idle": "idle",
}
AT_ITS = "queueing at the ITS"
_FINISHED = "finished before the last"


@dataclass(frozen=True, slots=True)
class Spent:
    """What the threads of one kind did."""

    #: ``sender``, ``vcpu`` or ``other``.
    kind: str
    count: int
    #: Category in words -> share of these threads' time, 0 to 1, the largest first.
    shares: dict[str, float]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the time of the threads of a kind: no part is in another, and all of them are the whole."""

    #: What they did: a category, ``waiting for`` a lock, or a line that they stalled at.
    name: str
    #: ``lock``, ``line`` or empty.
    group: str
    #: Of these threads' time, 0 to 1.
    share: float


@dataclass(frozen=True, slots=True)
class Lock:
    """How long a lock was waited for."""

    name: str
    taken: int
    #: Mean time from the first look until it is held, in ns.
    wait_ns: float
    #: Waiting, a send, in ns: of all threads.
    a_send_ns: float


@dataclass(frozen=True, slots=True)
class Line:
    """A contended line."""

    #: ``object[number of the line in it]``; all objects of that kind are summed up.
    name: str
    #: Fields on it that were missed, the worst first.
    fields: tuple[str, ...]
    #: Misses.
    transfers: int
    #: How long cores waited for it, a send, in ns.
    a_send_ns: float
    #: That of the senders alone, as a share of their time.
    share: float
    #: Misses by kind of thread.
    writers: dict[str, int]
    readers: dict[str, int]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What happens if a line costs nothing to fetch."""

    line: Line
    #: As :attr:`Prediction.rate`, without the line.
    rate: float
    #: That rate over the one with it.
    ratio: float
    #: Median latency without the line, in seconds.
    latency: float


def spent(data: Mapping[str, Any], smallest: float = SMALLEST_SHARE) -> list[Spent]:
    """By kind of thread, from :attr:`Prediction.raw` or :attr:`vgic.Result.prediction`."""
    found = []
    for kind in data["threads"]:
        spent_seconds = sum(kind["seconds"].values())
        # What was under way when the clock stopped is counted whole.
        total = max(kind["count"] * data["seconds"], spent_seconds)
        if total <= 0:
            continue
        shares = {_category(name, data): seconds / total for name, seconds in kind["seconds"].items()}
        if kind["kind"] == "sender":
            shares[_FINISHED] = 1 - spent_seconds / total
        kept = {name: share for name, share in sorted(shares.items(), key=lambda row: -row[1]) if share >= smallest}
        found.append(Spent(kind["kind"], kind["count"], kept))
    return found


def parts(data: Mapping[str, Any], kind: str) -> list[Part]:
    """What the threads of a kind did, with locks and lines by name; from the data that :func:`spent` takes.

    A stall while a thread wants a lock is waiting for the lock, whatever the line. Stalls at lines that are not named
    (beyond those that were kept, and stores that are waited for) are ``other lines``.
    """
    found: list[Part] = []
    at_lines = _CATEGORIES["transfers"], _CATEGORIES["queueing"]
    shares = next((one.shares for one in spent(data, smallest=0.0) if one.kind == kind), {})
    seconds = sum(sum(one["seconds"].values()) for one in data["threads"] if one["kind"] == kind)
    total = max(next((one["count"] for one in data["threads"] if one["kind"] == kind), 0) * data["seconds"], seconds)
    for name, share in shares.items():
        if name not in at_lines:
            found.append(Part(name, "lock" if name.startswith("waiting for ") else "", share))
    for line in data["lines"]:
        if line["outside"].get(kind):
            found.append(Part(f"{line['object']}[{line['line']}]", "line", line["outside"][kind] / total))
    rest = sum(shares.get(name, 0.0) for name in at_lines) - sum(one.share for one in found if one.group == "line")
    if rest > 0:
        found.append(Part("other lines", "line", rest))
    return found


def _category(name: str, data: Mapping[str, Any]) -> str:
    if name == "queueing" and not data["accesses"]:  # Direct injection has no lines.
        return AT_ITS
    return f"waiting for {name.removeprefix('lock ')}" if name.startswith("lock ") else _CATEGORIES.get(name, name)


def locks(data: Mapping[str, Any], most: int = MOST_LINES) -> list[Lock]:
    """Locks, the one most waited for first; those hardly waited for are left out."""
    sends = max(1, data["window"]["sent"])
    return [
        Lock(
            lock["name"],
            lock["taken"],
            1e9 * lock["wait_seconds"] / lock["taken"],
            1e9 * lock["wait_seconds"] / sends,
        )
        for lock in data["locks"][:most]
        if lock["taken"] and 1e9 * lock["wait_seconds"] / sends >= SMALLEST_NS
    ]


def lines(data: Mapping[str, Any], most: int = MOST_LINES) -> list[Line]:
    """Contended lines, the worst first; those that hardly anybody waits for are left out."""
    sends = max(1, data["window"]["sent"])
    senders = sum(kind["count"] for kind in data["threads"] if kind["kind"] == "sender") * data["seconds"]
    return [
        Line(
            f"{line['object']}[{line['line']}]",
            tuple(field["name"] for field in line["fields"] if field["stall_seconds"] > 0),
            line["transfers"],
            1e9 * line["stall_seconds"] / sends,
            line["stalls"].get("sender", 0.0) / senders if senders else 0.0,
            dict(line["writers"]),
            dict(line["readers"]),
        )
        for line in data["lines"][:most]
        if 1e9 * line["stall_seconds"] / sends >= SMALLEST_NS
    ]


def what_if(
    workload: AnyPredicted,
    design: str,
    machine: str | Machine = DEFAULT_MACHINE,
    *,
    seed: int = 1,
    free: Sequence[str] = (),
    most: int = MOST_LINES,
    allow_unsound: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> tuple[Prediction, list[WhatIf]]:
    """Predict, then again for each of the worst lines as if it cost nothing; what gains most comes first.

    ``free``: names that are free in every one of these runs. ``executor`` and ``progress`` are those of
    :func:`vgic.predict_many`.
    """
    point = Point(workload, design, machine, seed, tuple(free), allow_unsound)
    (base,) = predict_many([point], executor)
    worst = lines(base.raw, most)
    points = [replace(point, free=(*free, line.name)) for line in worst]
    found = []
    for line, without in zip(worst, predict_many(points, executor, progress) if points else [], strict=True):
        ratio = without.rate / base.rate if base.rate else 0.0
        found.append(WhatIf(line, without.rate, ratio, without.latency["median_seconds"]))
    return base, sorted(found, key=lambda row: (-row.ratio, row.latency))
