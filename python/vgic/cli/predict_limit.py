"""``vgic predict --find-limit``: up to which load designs keep up, and from which one on a design matters."""

import json as json_module
from collections.abc import Sequence
from contextlib import nullcontext
from os import sched_getaffinity
from typing import Any

from rich.console import Console
from rich.table import Table

from vgic.cli.common import Update, console, progress, rate_text, write_json
from vgic.cli.predict_tables import plain_table, time_text
from vgic.errors import Interrupted
from vgic.machines import Machine
from vgic.predict.limit import KEEPS_UP, Limit, find_limits
from vgic.predict.prediction import PredictedWorkload
from vgic.predict.sweep import Point, local_executor
from vgic.text import ratio_text

#: A cost (see :attr:`vgic.Point.cost`) of one load from which processes are worth their start; some seconds.
_MUCH = 1e6


def predict_limits(
    names: Sequence[str],
    target: Machine,
    workload: PredictedWorkload,
    *,
    seeds: Sequence[int],
    json: str | None,
    allow_unsound: bool,
    command: str,
    about: str,
) -> None:
    """Find the limit of each design, and print them."""
    out = console(json)
    try:
        with progress("bisecting the load") as update:
            found = limits_of(names, target, workload, seeds, update, allow_unsound=allow_unsound)
    except Interrupted as stopped:
        if stopped.finished:
            out.print(limits_table(stopped.finished))
        raise
    out.print(about, soft_wrap=True, markup=False)
    out.print(_load_text(workload), soft_wrap=True, markup=False)
    out.print()
    out.print(limits_table(found))
    _matters(out, found)
    document = {
        "schema": 1,
        "command": command,
        "machine": target.name,
        "workload": {name: value for name, value in workload.to_dict().items() if name != "gap_us"},
        "seeds": list(seeds),
        "keeps_up": KEEPS_UP,
        "limits": [one.to_dict() | {"matters_from": one.matters_from(found[0])} for one in found],
    }
    write_json(json, json_module.dumps(document, indent=1) + "\n")


def limits_of(
    names: Sequence[str],
    target: Machine,
    workload: PredictedWorkload,
    seeds: Sequence[int],
    update: Update,
    *,
    allow_unsound: bool = False,
) -> list[Limit]:
    """The limits, in this process or, if that takes long, on all CPUs."""
    workers = min(len(sched_getaffinity(0)), len(names) * len(seeds))
    much = max(Point(workload, name).cost for name in names) * len(names) * len(seeds) >= _MUCH
    pool: Any = local_executor(workers) if much and workers > 1 else nullcontext()
    with pool as executor:
        return find_limits(
            names, target, workload, seeds=seeds, executor=executor, allow_unsound=allow_unsound, progress=update
        )


def _load_text(workload: PredictedWorkload) -> str:
    arrives = "" if workload.masked else ", and reaches the guest one by one"
    who = "one sender sends" if workload.devices == 1 else f"{workload.devices} senders send"
    kept = f"A design keeps up if {KEEPS_UP:.0%} of what {who} is accepted{arrives}."
    return f"{kept} Found by bisection of the pace, to 5 %."


def limits_table(found: Sequence[Limit]) -> Table:
    """A row a design, with the ratio to the first."""
    latency = any(one.latency is not None for one in found)
    grid = plain_table("design", "keeps up to", "ratio", "a sender, once in", *(["median there"] if latency else []))
    first = found[0].rate
    for one in found:
        if one.rate is None or one.workload is None:
            grid.add_row(one.design, "nothing", "", "", *([""] if latency else []))
            continue
        ratio = ratio_text(one.rate / first) if first else ""
        cells = [one.design, f"{rate_text(one.rate)}/s", ratio, time_text(one.workload.gap_us / 1e6)]
        grid.add_row(*cells, *([time_text(one.latency or 0.0)] if latency else []))
    return grid


def _matters(out: Console, found: Sequence[Limit]) -> None:
    """From which load on each later design is worth something, against the first."""
    first = found[0]
    if len(found) > 1:
        out.print()
    for one in found[1:]:
        start = one.matters_from(first)
        if start is not None and one.rate is not None:
            text = (
                f"{one.design} matters from {rate_text(start)}/s on: there {first.design} does not keep up, "
                f"{one.design} does to {rate_text(one.rate)}/s"
            )
        else:
            text = f"{one.design} keeps up to about the load that {first.design} does, or less"
        out.print(text, soft_wrap=True, markup=False)
