"""What ``vgic predict`` prints: results side by side, where the time went, what a line is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from vgic.machines import Machine
from vgic.measure.results import Result
from vgic.predict.explain import AT_ITS, SMALLEST_NS, Line, WhatIf, lines, locks, parts, spent
from vgic.predict.prediction import Prediction, RecordedWorkload
from vgic.predict.reliance import reliance
from vgic.text import rate_text, ratio_text, time_text

__all__ = [
    "comparison",
    "explanation",
    "plain_table",
    "recorded_comparison",
    "reliance_table",
    "waits_for",
    "what_if_table",
]

_KINDS = {"vcpu": "vCPU", "other": "other"}
#: Fields of a line that are named.
_MOST_FIELDS = 4
#: The longest name of what is waited for, beside other columns.
_SHORT_NAME = 19
#: The longest name of a line.
_NAME_WIDTH = 31


def plain_table(*columns: str, wide: bool = False) -> Table:
    """A plain table: the first column is text, the others are numbers; ``wide``: there are many."""
    grid = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1 if wide else 2, 0, 0))
    for number, column in enumerate(columns):
        if number == 0:
            grid.add_column(column, min_width=_NAME_WIDTH if wide else None, no_wrap=not wide, vertical="bottom")
        else:
            grid.add_column(column, justify="right", no_wrap=True)
    return grid


def comparison(results: Sequence[Result], *, closed: bool, latency: bool) -> Table:
    """A row a design, with the ratio to the first."""
    seeds = len(results[0].samples)
    heads = ["design", "requests/s" if closed else "accepted/s", "ratio"]
    heads += [f"over {seeds} seeds"] if seeds > 1 else []
    heads += ["delivered/s"] if seeds > 1 else ["delivered/s", "coalesced"]
    heads += ["median", "p99"] if latency else []
    grid = plain_table(*heads)
    for result in results:
        more = result.prediction or {}
        cells = [result.design, rate_text(result.rate), f"[bold]{ratio_text(result.ratio)}[/]"]
        if seeds > 1:
            cells.append(f"{rate_text(more['lowest_rate'])} to {rate_text(more['highest_rate'])}")
        cells.append(rate_text(more["delivered_rate"]))
        if seeds == 1:
            cells.append(f"{more['coalesced_share']:.1%}")
        if latency:
            times = more["response"] if closed else more["latency"]
            cells += [time_text(times["median_seconds"]), time_text(times["p99_seconds"])]
        grid.add_row(*cells)
    return grid


def recorded_comparison(results: Sequence[Result], workload: RecordedWorkload) -> Table:
    """A row a design: what it keeps of the recorded guest's rate."""
    grid = plain_table("design", "kept", "taken/s", "merged", "median", "p99")
    grid.add_column("waits most for", justify="right")
    for result in results:
        more = result.prediction or {}
        taken = more["delivered_rate"]
        kept = "-" if workload.expected is None else f"{min(1.0, taken / workload.expected):.1%}"
        times = more["latency"]
        grid.add_row(
            result.design,
            *(kept, rate_text(taken), f"{more['coalesced_share']:.1%}"),
            *(time_text(times["median_seconds"]), time_text(times["p99_seconds"]), waits_for(more)),
        )
    return grid


def waits_for(data: Mapping[str, Any]) -> str:
    """The lock or line that the senders wait for most, and how long, a send; ``-`` if they hardly wait."""
    waits = [part for part in parts(data, "sender") if part.group or part.name == AT_ITS]
    worst = max(waits, key=lambda part: part.share, default=None)
    senders = sum(kind["count"] for kind in data["threads"] if kind["kind"] == "sender")
    a_send = worst.share * senders * data["seconds"] / max(1, data["window"]["sent"]) if worst else 0.0
    if worst is None or a_send * 1e9 < SMALLEST_NS:
        return "-"
    name = worst.name.removeprefix("waiting for ")
    name = name if len(name) <= _SHORT_NAME else f"{name[: _SHORT_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
    return f"{name}, {time_text(a_send)}"


def _count_text(count: int) -> str:
    for unit, size in (("M", 10**6), ("k", 1000)):
        if count >= size:
            return f"{count / size:.{1 if count < 10 * size else 0}f}{unit}"
    return str(count)


def _who(misses: Mapping[str, int]) -> str:
    rows = sorted(misses.items(), key=lambda row: -row[1])
    return "\n".join(f"{_KINDS.get(kind, kind)} {_count_text(number)}" for kind, number in rows) or "-"


def _name(line: Line) -> str:
    """A line and, below it, its fields."""
    fields = ", ".join(line.fields[:_MOST_FIELDS])
    more = len(line.fields) - _MOST_FIELDS
    return f"{escape(line.name)}\n[dim]{escape(fields)}{f', {more} more' if more > 0 else ''}[/]"


def reliance_table(machine: Machine, charged: Sequence[Mapping[str, float]]) -> RenderableType:
    """The values that an answer hangs on, and what each rests on."""
    grid = plain_table("the answer hangs on", "value", "share of the time", "which is")
    for one in reliance(machine, charged):
        value = machine.distance.summary if one.name == "distance" else str(machine.values[one.name])
        grid.add_row(one.name, value, f"{one.share:.1%}", one.status)
    return grid


def explanation(prediction: Prediction) -> RenderableType:
    """Where the time went: by category, by lock, by line."""
    parts: list[RenderableType] = [f"[bold]{escape(prediction.design)}: where the time went[/]"]
    kinds = [kind for kind in spent(prediction.raw) if kind.kind != "other" or kind.shares]
    names = {name: max(kind.shares.get(name, 0.0) for kind in kinds) for kind in kinds for name in kind.shares}
    heads = [f"{kind.count} {_KINDS.get(kind.kind, kind.kind)}{'s' * (kind.count > 1)}" for kind in kinds]
    grid = plain_table("share of the threads' time", *heads)
    first = kinds[0].shares if kinds else {}
    for name in sorted(names, key=lambda name: (-first.get(name, 0.0), -names[name])):
        grid.add_row(name, *(f"{kind.shares[name]:.1%}" if name in kind.shares else "" for kind in kinds))
    parts += ["", grid]
    waits = locks(prediction.raw)
    if waits:
        grid = plain_table("lock", "taken", "mean wait", "waits, a send")
        for lock in waits:
            grid.add_row(
                lock.name, _count_text(lock.taken), time_text(lock.wait_ns / 1e9), time_text(lock.a_send_ns / 1e9)
            )
        parts += ["", grid]
    worst = lines(prediction.raw)
    if worst:
        grid = plain_table(
            "contended line\nand its fields",
            "misses",
            "stall,\na send",
            "senders'\ntime",
            "written by",
            "read by",
            wide=True,
        )
        for line in worst:
            grid.add_row(
                _name(line),
                _count_text(line.transfers),
                time_text(line.a_send_ns / 1e9),
                f"{line.share:.1%}",
                _who(line.writers),
                _who(line.readers),
            )
        parts += [
            "",
            grid,
            "[dim]A line is all objects of that kind. A stall is that of all threads, also while they wait for a "
            "lock; the share is that of the senders. What a line is worth, --what-if says.[/]",
        ]
    return Group(*parts)


def what_if_table(base: Prediction, rows: Sequence[WhatIf]) -> RenderableType:
    """A row a line, the one that gains most first."""
    title = f"[bold]{escape(base.design)}: if one line cost nothing[/]"
    if not rows:
        return Group(title, "No line is contended.")
    latency = base.latency["samples"] > 0
    more = ["median\nlatency"] if latency else []
    grid = plain_table("without this line\n", "stall of\nsenders'", "rate", "speed-up", *more, wide=True)
    grid.add_row(
        "[dim](with all of them)[/]",
        "",
        rate_text(base.rate),
        ratio_text(1.0),
        *([time_text(base.latency["median_seconds"])] if latency else []),
    )
    for row in rows:
        grid.add_row(
            _name(row.line),
            f"{row.line.share:.1%}",
            rate_text(row.rate),
            f"[bold]{ratio_text(row.ratio)}[/]",
            *([time_text(row.latency)] if latency else []),
        )
    return Group(title, "", grid, "[dim]Each line alone: speed-ups do not add up.[/]")
