"""Instructions for a send on arm64, beside real kernels: what ``ci/by-hand/arm64-instructions.sh`` counted."""

import json
from typing import Any

from figures.document import table
from figures.tools import ROOT

__all__ = ["COUNTED", "KERNELS", "on_arm64"]

#: What was counted, by ``benches/count_arm64.py``; and of real kernels.
COUNTED = ROOT / "benches" / "arm64_instructions.json"
KERNELS = ROOT / "benches" / "kernel_instructions.json"

#: The kernel beside the design that it has; the other designs follow it.
_BESIDE = {"v6.8-rc1": "6.1", "v6.10": "6.12"}
#: Of the variants: what they are called.
_VARIANTS = {
    "exclusives": "by calls, CPU without LSE",
    "calls": "by calls, CPU with LSE",
    "in-place": "in place",
}
#: The events at which all variants are counted: the last that the VM-wide cache holds.
_EVENTS = 16


def _value(low_and_high: list[int]) -> str:
    low, high = low_and_high
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def on_arm64(counted: dict[str, Any] | None = None) -> str:
    """The part of section 7 that tells them, from the files or of what was counted."""
    counted = counted if counted is not None else json.loads(COUNTED.read_text(encoding="utf-8"))
    kernels = {row["events"]: row for row in json.loads(KERNELS.read_text(encoding="utf-8"))["rows"]}
    instructions: dict[str, dict[str, dict[str, float]]] = counted["instructions"]
    by_events = instructions["exclusives"]
    head = ["events"]
    for design in by_events:
        head += [f"`{design}`", *([f"Linux {_BESIDE[design]}"] if design in _BESIDE else [])]
    rows = []
    for events in next(iter(by_events.values())):
        row = [f"{int(events):,}"]
        for design, counts in by_events.items():
            row.append(f"{counts[events]:,.0f}")
            if design in _BESIDE:
                row.append(_value(kernels[int(events)][_BESIDE[design]]))
        rows.append(row)
    variants = [variant for variant in _VARIANTS if variant in instructions]
    by_variant = [
        (f"`{design}`", *(f"{instructions[variant][design][str(_EVENTS)]:,.0f}" for variant in variants))
        for design in by_events
    ]
    shares = {
        design: by_events[design][str(_EVENTS)] / (sum(kernels[_EVENTS][kernel]) / 2)
        for design, kernel in _BESIDE.items()
    }
    told = ", ".join(f"`{design}` {share:.0%} of {_BESIDE[design]}" for design, share in shares.items())
    return f"""### On the kernel's own instruction set

The same for arm64, counted by executing one guest instruction at a time under {counted["emulator"]} on x86-64
([how, and what is alike](docs/explain/measuring.md#instructions-on-arm64)); {counted["compiler"]}, commit
{counted["commit"]}. The CPU is a Cortex-A57, which has no LSE: a read-modify-write is a call of a helper that chooses,
and then a loop of exclusives. A loop of known length was counted to the last instruction; a second count of each design
with {_EVENTS} events differed by less than one.

{table(head, rows)}

The path is the kernel's from the look-up of the doorbell to the last put. The kernel's counts contain besides what is
left of the ioctl when an empty one is taken off: the copy of the message from user space, the choice of the ioctl, the
routing entry that is made of it, and the hand-over to the ITS. With {_EVENTS} events:
{told}.

By what the [atomics are made of](docs/explain/measuring.md#atomics-on-arm64), with {_EVENTS} events:

{table(("design", *(_VARIANTS[variant] for variant in variants)), by_variant)}
"""
