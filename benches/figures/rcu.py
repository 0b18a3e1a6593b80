"""What read-copy-update costs, beside crossbeam-epoch and seize: the medians of `crates/vgic-bench/benches/rcu.rs`."""

import json
import tempfile
from pathlib import Path
from typing import Any

from figures.document import Plan, Section, Update, spread, table
from figures.tools import Failed, run
from vgic.measure.stats import Spread, spread_of

__all__ = ["rcu"]

_TITLE = "8. RCU"
_COMMAND = ("cargo", "bench", "-p", "vgic-bench", "--bench", "rcu")
_NAMES = {"read section": "read section: enter and leave", "small": "for scale"}


def _estimates(home: Path) -> dict[str, dict[str, Spread]]:
    """Group -> benchmark -> nanoseconds an iteration, in the order of their measurement."""
    found: list[tuple[float, str, str, Spread]] = []
    for path in home.rglob("new/benchmark.json"):
        about: dict[str, Any] = json.loads(path.read_text())
        sample: dict[str, list[float]] = json.loads((path.parent / "sample.json").read_text())
        each = [time / count for time, count in zip(sample["times"], sample["iters"], strict=True)]
        name = " ".join(part for part in (about["function_id"], about["value_str"]) if part)
        found.append((path.stat().st_mtime, about["group_id"], name, spread_of(each)))
    groups: dict[str, dict[str, Spread]] = {}
    for _, group, name, value in sorted(found, key=lambda one: one[0]):
        groups.setdefault(group, {})[name] = value
    return groups


def rcu(plan: Plan, update: Update) -> Section:
    """Section 8: by criterion."""
    update(0.0, "RCU: building")
    warm_up, seconds = ("0.05", "0.2") if plan.quick else ("0.5", "1.5")
    options = ("--noplot", "--warm-up-time", warm_up, "--measurement-time", seconds)
    try:
        run((*_COMMAND, "--no-run", "--quiet"), 900)
        update(0.3, "RCU: measuring")
        with tempfile.TemporaryDirectory(prefix="vgic-criterion-") as home:
            run((*_COMMAND, "--quiet", "--", *options), 600, CRITERION_HOME=home)
            groups = _estimates(Path(home))
        if not groups:
            raise Failed("criterion wrote no estimates")
    except Failed as failed:
        return Section("rcu", _TITLE, f"Skipped: {failed}.", (), {"skipped": str(failed)})
    update(1.0, "RCU")
    rows = []
    for group, values in groups.items():
        for name, value in values.items():
            rows.append((_NAMES.get(group, group), name, spread(value)))
    text = f"""
`{" ".join(_COMMAND)}`, {seconds} s each, not pinned, in wall time; nanoseconds an iteration, median and quartiles
of the samples. `Membarrier`: a read section is two plain stores, and who waits for readers makes a system call that
orders them; `Fences`: each read section has a full fence, for systems without that call. "Alone", nobody else is
registered, and the wait ends at once.

{table(("what", "which", "ns"), rows, left=2)}

The other two crates have no counterpart of `synchronize`: they free later, in batches, and never wait. A deferred free
here allocates by the engine's allocator and, when the backlog reaches its bound, waits; theirs is unbounded while a
reader stalls.
"""
    data = {"ns": {group: {name: one._asdict() for name, one in values.items()} for group, values in groups.items()}}
    return Section("rcu", _TITLE, text, (), data)
