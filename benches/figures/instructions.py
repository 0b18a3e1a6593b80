"""Instructions for one send against events of the device, beside two real kernels."""

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from figures.arm64 import KERNELS, on_arm64
from figures.chart import Line, log_log
from figures.document import TIMES, Bar, Plan, Section, Update, table
from figures.tools import Failed, architecture, run, target
from vgic.measure.stats import Spread

__all__ = ["instructions"]

_TITLE = "7. Instructions for a send, and the shape of two real kernels"
_EVENTS = (1, 8, 16, 17, 64, 256, 1024, 8192)
#: The design beside the kernel that has it.
_BESIDE = {"v6.8-rc1": "6.1", "v6.10": "6.12"}
#: Sends of the shorter run, at least one round of all events: many where a send is cheap, as frees by a thread of the
#: engine's own add some thousand instructions at random to each run.
_SENDS = {"v6.8-rc1": 8192, "v6.10": 65536}
_CHART = "docs/images/instructions.svg"

Counts = dict[str, dict[int, float]]


def _count(binary: Path, design: str, events: int, rounds: int) -> int:
    """Instructions of a whole run."""
    with tempfile.TemporaryDirectory(prefix="vgic-callgrind-") as directory:
        out = Path(directory) / "out"
        run(
            (
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={out}",
                binary,
                design,
                "1",
                str(events),
                str(rounds),
            ),
            300,
        )
        found = re.search(r"^summary: (\d+)", out.read_text(), re.MULTILINE)
    if found is None:
        raise Failed("callgrind wrote no summary")
    return int(found[1])


def _measure(update: Update) -> tuple[Counts, Counts]:
    run(("cargo", "build", "--release", "--quiet", "-p", "vgic-lab", "--bin", "vgic-instructions"), 600)
    binary = target() / "release" / "vgic-instructions"
    again: Counts = {design: {} for design in _BESIDE}
    first: Counts = {design: {} for design in _BESIDE}
    steps = [(design, events) for events in _EVENTS for design in _BESIDE]
    for step, (design, events) in enumerate(steps):
        update(step / len(steps), f"instructions, {events} events, {design}")
        rounds = max(1, _SENDS[design] // events)
        once = _count(binary, design, events, rounds)
        again[design][events] = (_count(binary, design, events, 2 * rounds) - once) / (rounds * events)
        if events >= 16:  # of few events nothing would be left but the run's own start
            one = once if rounds == 1 else _count(binary, design, events, 1)
            first[design][events] = (one - _count(binary, design, events, 0)) / events
    update(1.0, "instructions")
    return again, first


def _linear(counts: dict[int, float]) -> tuple[float, float, float]:
    """Of the misses: the price of a miss without a walk, the price of an event, and the worst deviation of a point.

    The line goes through 64 and 8192 events, and the points between and beside are what it is tested with.
    """
    slope = (counts[8192] - counts[64]) / (8192 - 64)
    start = counts[64] - 64 * slope
    worst = max(abs(counts[events] / (start + slope * events) - 1) for events in (17, 64, 256, 1024, 8192))
    return start, slope, worst


def _exact(value: float) -> Spread:
    return Spread(value, value, value)


def instructions(_plan: Plan, update: Update) -> Section:
    """Section 7: counted by callgrind; always in full, since counts cannot be quick and rough."""
    if shutil.which("valgrind") is None:
        text = "Skipped: `valgrind` is not installed (Debian: `apt-get install valgrind`)."
        return Section("instructions", _TITLE, text, (), {"skipped": "valgrind is not installed"})
    try:
        again, first = _measure(update)
    except Failed as failed:
        return Section("instructions", _TITLE, f"Skipped: {failed}.", (), {"skipped": str(failed)})
    known: dict[str, Any] = json.loads(KERNELS.read_text())
    kernels = {kernel: {row["events"]: sum(row[kernel]) / 2 for row in known["rows"]} for kernel in _BESIDE.values()}
    kernel_first = {kernel: {row["events"]: row[f"first {kernel}"] for row in known["rows"]} for kernel in kernels}

    base, last = again["v6.8-rc1"], again["v6.10"]
    start, slope, worst = _linear(base)
    kernel_start, kernel_slope, kernel_worst = _linear(kernels["6.1"])
    flat = max(last.values()) / min(last.values()) - 1
    kernel_flat = max(kernels["6.12"].values()) / min(kernels["6.12"].values()) - 1
    cliff, kernel_cliff = base[17] / base[16], kernels["6.1"][17] / kernels["6.1"][16]
    bars = [
        Bar("cliff", f"cliff: `v6.8-rc1`, 17 events to 16 (6.1: {kernel_cliff:.2f})", _exact(cliff), least=1.5),
        Bar(
            "linear",
            f"`v6.8-rc1`, a miss is linear in events: worst deviation (6.1: {100 * kernel_worst:.0f} %)",
            _exact(100 * worst),
            most=15,
            unit="%",
        ),
        Bar(
            "flat",
            f"`v6.10` is flat: dearest to cheapest, less one (6.12: {100 * kernel_flat:.0f} %)",
            _exact(100 * flat),
            most=15,
            unit="%",
        ),
    ]
    rows = []
    for events in _EVENTS:
        row = [f"{events:,}"]
        for design, kernel in _BESIDE.items():
            row += [f"{again[design][events]:,.0f}", f"{kernels[kernel][events]:,.0f}"]
        for design, kernel in _BESIDE.items():
            known_first = first[design].get(events)
            row += ["" if known_first is None else f"{known_first:,.0f}", f"{kernel_first[kernel][events]:,.0f}"]
        rows.append(row)
    head = ["events"]
    for prefix in ("", "first, "):
        for design, kernel in _BESIDE.items():
            head += [f"{prefix}`{design}`", f"{prefix}Linux {kernel}"]
    lines = []
    for colour, (design, kernel) in enumerate(_BESIDE.items()):
        lines.append(Line(f"vgic {design}", sorted(again[design].items()), colour))
        lines.append(Line(f"Linux {kernel}", sorted(kernels[kernel].items()), colour, dashed=True))
    chart = log_log(
        lines,
        title="Instructions for one MSI, by events of the device",
        subtitle=f"1 vCPU that does not run, 1 device, events in turn. vgic: {architecture()}, the library. "
        "Linux: arm64, the ioctl less an empty one. Both axes logarithmic.",
        x_title="events of the device",
        x_ticks=_EVENTS,
        mark=(16.5, "the VM-wide cache holds 16"),
    )
    low, high = min(last.values()), max(last.values())
    kernel_low, kernel_high = min(kernels["6.12"].values()), max(kernels["6.12"].values())
    text = f"""
![Instructions for one MSI by events of the device, four curves]({_CHART})

Counted with `valgrind --tool=callgrind`: the program `vgic-instructions DESIGN 1 EVENTS ROUNDS` is run for N rounds
and for 2N, and the difference divided by its sends, so that set-up, the first misses and the end cancel. Counts are
repeatable to some per cent, whatever else the machine does. `first` is the first send of each event, which no cache
holds: one round less none. One vCPU that does not run, one device, events in turn; "Linux" are instructions of
`KVM_SIGNAL_MSI` in Debian's arm64 kernels 6.1 and 6.12, counted by an emulator, an empty ioctl subtracted
([data and origin](benches/kernel_instructions.json)).

{table(head, rows)}

Compare shapes, not heights: these are {architecture()} instructions of a library in user space; the kernel's are
arm64, with what is left of the ioctl's path (the copy of the message, the routing layer) and its checks. Under valgrind
`membarrier` is missing, so a read section has a fence instead.

- **The cliff.** From 16 events to 17 `v6.8-rc1` rises {cliff:.2f} times, Linux 6.1 {kernel_cliff:.2f} times.
- **A miss is linear.** Above it, `v6.8-rc1` costs {start:,.0f} + {slope:.2f} {TIMES} events, Linux 6.1
  {kernel_start:,.0f} + {kernel_slope:.2f} {TIMES} events (the line through 64 and 8192; the other points deviate by
  {100 * worst:.1f} % and {100 * kernel_worst:.1f} % at most): the walk of the device's translations, one by one.
- **The xarray is flat.** `v6.10` goes from {low:,.0f} to {high:,.0f} instructions ({100 * flat:.1f} %), Linux 6.12
  from {kernel_low:,.0f} to {kernel_high:,.0f} ({100 * kernel_flat:.1f} %).

{on_arm64()}"""
    data = {"instructions": again, "first": first, "kernels": kernels}
    return Section("instructions", _TITLE, text, bars, data, {_CHART: chart})
