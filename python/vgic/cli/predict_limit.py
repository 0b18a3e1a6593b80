"""``vgic predict --find-limit``: up to which load designs keep up, and from which one on a design matters."""

import json as json_module
from collections.abc import Sequence
from contextlib import nullcontext
from os import sched_getaffinity
from typing import Any

from rich.console import Console
from rich.table import Table

from vgic.cli.common import Update, about_recording, console, progress, write_json
from vgic.cli.predict_tables import plain_table, waits_for
from vgic.errors import Interrupted
from vgic.machines import Machine
from vgic.predict.limit import KEEPS_UP, Limit, Paced, find_limits
from vgic.predict.prediction import RecordedWorkload
from vgic.predict.sweep import Point, local_executor
from vgic.text import rate_text, ratio_text, time_text

#: What a workload says of its pace, which a search chooses.
_OF_A_PACE = ("gap_us", "scale_time", "offered", "expected")
#: A cost (see :attr:`vgic.Point.cost`) of one load from which processes are worth their start; some seconds.
_MUCH = 1e6


def predict_limits(
    names: Sequence[str],
    target: Machine,
    workload: Paced,
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
        "workload": {name: value for name, value in workload.to_dict().items() if name not in _OF_A_PACE},
        "seeds": list(seeds),
        "keeps_up": KEEPS_UP,
        "limits": [one.to_dict() | {"matters_from": one.matters_from(found[0])} for one in found],
    }
    write_json(json, json_module.dumps(document, indent=1) + "\n")


def limits_of(
    names: Sequence[str],
    target: Machine,
    workload: Paced,
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


def _load_text(workload: Paced) -> str:
    if isinstance(workload, RecordedWorkload):
        return (
            f"{about_recording(workload.recording)}\n"
            f"{workload.vectors} vectors, {workload.vcpus} vCPUs. A design keeps up if {KEEPS_UP:.0%} of the LPIs that "
            "the recorded guest took reach it in their time. Found by bisection of the speed, to 5 %."
        )
    arrives = "" if workload.masked else ", and reaches the guest one by one"
    who = "one sender sends" if workload.devices == 1 else f"{workload.devices} senders send"
    kept = f"A design keeps up if {KEEPS_UP:.0%} of what {who} is accepted{arrives}."
    return f"{kept} Found by bisection of the pace, to 5 %."


def limits_table(found: Sequence[Limit]) -> Table:
    """A row a design, with the ratio to the first."""
    latency = any(one.latency is not None for one in found)
    recorded = any(isinstance(one.workload, RecordedWorkload) for one in found)
    heads = ["design", "keeps up to", "ratio", "speed" if recorded else "a sender, once in"]
    heads += ["median there"] if latency else []
    grid = plain_table(*heads)
    if recorded:
        grid.add_column("waits most for", justify="right")
    first = found[0].rate
    for one in found:
        if one.rate is None or one.workload is None or one.result is None:
            grid.add_row(one.design, "nothing")
            continue
        cells = [one.design, f"{rate_text(one.rate)}/s", ratio_text(one.rate / first) if first else ""]
        if isinstance(one.workload, RecordedWorkload):
            cells.append(f"{rate_text(1 / one.workload.scale_time)}\N{MULTIPLICATION SIGN}")
        else:
            cells.append(time_text(one.workload.gap_us / 1e6))
        cells += [time_text(one.latency or 0.0)] if latency else []
        grid.add_row(*cells, *([waits_for(one.result.prediction or {})] if recorded else []))
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
