"""How fast the simulator is: shared accesses a CPU second, and a large point of a sweep."""

import time
from typing import Any

from figures.document import Bar, Plan, Section, Update, number, table
from vgic import _core
from vgic.machines import machine
from vgic.measure.stats import Spread, spread_of

__all__ = ["simulator"]

_TITLE = "10. The simulator"

#: Design, senders, entry, gap in picoseconds: each with as many vCPUs, one event a sender, LPIs spread and taken.
_POINTS = (
    ("v6.8-rc1", 8, "irqfd", 5_000_000),
    ("v6.10", 8, "irqfd", 0),
    ("v7.1.8", 8, "irqfd", 5_000_000),
    ("v6.8-rc1", 64, "irqfd", 5_000_000),
    ("v6.10", 64, "irqfd", 0),
    ("v7.1.8", 64, "irqfd", 5_000_000),
)
_BARS = {16: 10e6, 128: 5e6}


def _point(design: str, senders: int, entry: str, gap: int, sends: int) -> tuple[int, int, float]:
    """Accesses, sends in the measured time, CPU seconds."""
    profile = machine("generic-arm64-128").to_core()
    begin = time.process_time()
    raw: dict[str, Any] = dict(
        _core.predict(
            design,
            profile,
            vcpus=senders,
            devices=senders,
            events=1,
            iterations=max(1, sends // senders),
            warmup=10,
            entry=entry,
            gap_ps=gap,
        )
    )
    return raw["accesses"], raw["accepted"], time.process_time() - begin


def simulator(plan: Plan, update: Update) -> Section:
    """Section 10: in this process, on one CPU."""
    samples, sends = (2, 4_000) if plan.quick else (5, 40_000)
    rates: dict[tuple[str, int, str, int], Spread] = {}
    for number_of, (design, senders, entry, gap) in enumerate(_POINTS):
        update(number_of / (len(_POINTS) + 2), f"{design} on {2 * senders} simulated cores")
        runs = [_point(design, senders, entry, gap, sends) for _ in range(samples)]
        rates[design, senders, entry, gap] = spread_of([accesses / seconds / 1e6 for accesses, _, seconds in runs])
    bars = []
    for cores, least in _BARS.items():
        slowest = min(
            (rate for (_, senders, *_), rate in rates.items() if 2 * senders == cores), key=lambda r: r.median
        )
        bars.append(
            Bar(
                f"simulator-{cores}",
                f"{cores} cores, the slowest point below",
                slowest,
                least / 1e6,
                unit="M accesses/s",
            )
        )
    million = 50_000 if plan.quick else 1_000_000
    millions = {}
    for done, (how, gap) in enumerate((("flood", 0), ("open loop, 5 us", 5_000_000))):
        update((len(_POINTS) + done) / (len(_POINTS) + 2), f"a million sends on 128 cores, {how}")
        accesses, accepted, seconds = _point("v6.10", 64, "irqfd", gap, million)
        millions[how] = (accesses, seconds * 1_000_000 / accepted)
        took = Spread(*[seconds * 1_000_000 / accepted] * 3)
        text = f"a million sends of `v6.10`, 128 cores, {how}"
        bars.append(Bar(f"simulator-million-{how.split(',')[0].replace(' ', '-')}", text, took, most=10, unit="s"))
    rows = [
        (
            f"`{design}`",
            str(2 * senders),
            "open loop, 5 us" if gap else "flood",
            f"{rate.median:.1f} ({rate.low:.1f} to {rate.high:.1f})",
        )
        for (design, senders, _, gap), rate in rates.items()
    ]
    scaled = ", scaled up" if plan.quick else ""
    counted = ", ".join(f"{number(accesses)} ({how})" for how, (accesses, _) in millions.items())
    text = f"""
One process, one CPU; million shared accesses a second of CPU time, median and quartiles of {samples} runs of
{number(sends)} sends. Half of the cores send, one event each, by irqfd, and the other half run vCPUs; LPIs are spread
and taken (`vgic predict -v N -d N -e 1`). The last bars are one run each{scaled}; accesses: {counted}.

{table(("design", "cores", "sends", "M accesses/s"), rows, left=3)}

An access that misses costs several times one that hits: its line has to be asked for, and the core's coroutine stops
and goes on. `cargo run --release -p vgic-sim --example speed` shows the simulator without the engine.
"""
    data = {
        "accesses_per_cpu_second_in_millions": {
            f"{design} {2 * senders} {gap}": rate._asdict() for (design, senders, _, gap), rate in rates.items()
        },
        "million_sends_seconds": {how: seconds for how, (_, seconds) in millions.items()},
    }
    return Section("simulator", _TITLE, text, tuple(bars), data)
