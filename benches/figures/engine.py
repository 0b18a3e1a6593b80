"""Figures of the engine: the series in a single stream, the overcommitted cache, the big VM, and live threads."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from figures.document import Bar, Plan, Section, Update, number, spread, table, times
from vgic import BASELINE_DESIGN, Result, StressWorkload, design, designs
from vgic.measure import measure
from vgic.measure.results import make_result
from vgic.measure.stats import Spread, spread_of

__all__ = ["live", "lockstep", "mapped", "overcommitted", "senders"]

BASE = BASELINE_DESIGN
Measured = dict[tuple[str, str], Result]


def _sound() -> list[str]:
    """Every sound design in the order of their history, the baseline first (ratios are relative to the first)."""
    names = [row.name for row in designs() if not row.unsound]
    return [BASE, *(name for name in names if name != BASE)]


def _measure(
    workloads: Sequence[StressWorkload], names: Sequence[str], plan: Plan, update: Update
) -> tuple[Measured, dict[str, float]]:
    effort = plan.live if workloads[0].mode == "live" else plan.pinned
    results, floor = measure(workloads, names, effort, progress=update)
    return {(result.workload, result.design): result for result in results}, floor


def _ratio(result: Result, to: Result, *, clock: str = "") -> Spread:
    """How many times the rate of ``to``: round by round, then the median; ``clock``: by another clock."""
    if clock:
        result, to = (_by(clock, one) for one in (result, to))
    made = make_result(
        result.design,
        result.workload,
        result.mode,
        result.samples,
        baseline=to.design,
        baseline_samples=to.samples,
    )
    if made.ratio is None or made.ratio_low is None or made.ratio_high is None:
        raise ValueError(f"{result.design} and {to.design} have no round in common")
    return Spread(made.ratio, made.ratio_low, made.ratio_high)


def _by(clock: str, result: Result) -> Result:
    samples = [replace(one, rate=one.counts["accepted"] / one.counts[clock]) for one in result.samples]
    return replace(result, samples=tuple(samples))


def _ns(result: Result) -> Spread:
    """Nanoseconds for one LPI."""
    return Spread(1e9 / result.rate, 1e9 / result.rate_high, 1e9 / result.rate_low)


def _floors(result: Result, floor: dict[str, float]) -> Spread:
    return Spread(
        floor["rate"] / result.rate,
        floor["rate"] / result.rate_high,
        floor["rate"] / result.rate_low,
    )


def _data(results: Measured, floor: dict[str, float]) -> dict[str, Any]:
    return {"floor": floor, "results": [result.to_dict() for result in results.values()]}


def _command(workload: StressWorkload) -> str:
    return f"`vgic stress {workload.flags}`"


def _history(names: Sequence[str]) -> list[str]:
    """In the order of their history, for tables."""
    return [row.name for row in designs() if row.name in names]


def _series_table(results: Measured, workload: StressWorkload, names: list[str], floor: dict[str, float]) -> str:
    rows = []
    for name in _history(names):
        result = results[workload.name, name]
        rows.append(
            (
                f"`{name}`",
                spread(_ns(result)),
                "1" if name == BASE else times(_ratio(result, results[workload.name, BASE])),
                number(_floors(result, floor).median),
            )
        )
    return table(("design", "ns", f"ratio to `{BASE}`", "floors"), rows)


def _accesses(names: Sequence[str], *, deliver: bool) -> str:
    rows = []
    for name in _history(names):
        counts = design(name).path_counts(deliver=deliver)
        locks = ", ".join(f"{lock} {n}" for lock, n in sorted(counts["locks"].items()))
        rows.append(
            (
                f"`{name}`",
                locks,
                *(f"{sum(kind.values()):g}" for kind in (counts["rmws"], counts["writes"], counts["reads"])),
            )
        )
    return table(("design", "locks taken", "other read-modify-writes", "stores", "loads"), rows, left=2)


_APART = (BASE, "patch-15", "v6.10", "v7.3", *(f"next-{number:02}" for number in range(1, 6)))
_EXPLAINED = (BASE, "patch-05", "patch-10", "patch-15", "v2", "v6.10", "v7.1.8", "next-01", "next-05")


def senders(plan: Plan, update: Update) -> Section:
    """Section 1: what routing alone costs."""
    one = StressWorkload(events=1, mode="senders")
    many = StressWorkload(events=16, mode="senders")
    apart = StressWorkload(devices=4, events=1, mode="senders")
    names = _sound()
    results, floor = _measure([one, many], names, plan, update)
    results_apart, floor_apart = _measure([apart], _APART, plan, update)
    rate = Spread(floor["rate"], floor["rate_low"], floor["rate_high"])
    ns = Spread(1e9 / rate.median, 1e9 / rate.high, 1e9 / rate.low)
    last, middle = results[one.name, "v6.10"], results[one.name, "patch-15"]
    bars = [
        Bar("senders-patch-15", f"`patch-15` to `{BASE}`, `-e 1`", _ratio(middle, results[one.name, BASE]), least=1.35),
        Bar("senders-v6.10", "`v6.10` to `patch-15`, `-e 1`", _ratio(last, middle), least=0.7),
        Bar("floors-v6.10", "`v6.10`, cost of a send, `-e 1`", _floors(last, floor), most=8, unit="floors"),
        Bar(
            "senders-v6.10-16",
            "`v6.10` to `patch-15`, `-e 16`",
            _ratio(results[many.name, "v6.10"], results[many.name, "patch-15"]),
            least=1.1,
        ),
        Bar(
            "floors-next-05",
            "`next-05`, cost of a send, `-e 1`",
            _floors(results[one.name, "next-05"], floor),
            most=2,
            unit="floors",
        ),
    ]
    text = f"""
One thread sends; no vCPU runs, so every send but the first finds its LPI queued and coalesces. Nanoseconds of thread
CPU time for one send. The floor, measured between the same samples, is one array index, one atomic OR and one branch:
{spread(ns)} ns a send on this machine.

{_command(one)}, one event:

{_series_table(results, one, names, floor)}

{_command(many)}, sixteen events, as many as the VM-wide caches have room for:

{_series_table(results, many, names, floor)}

{_command(apart)}: four senders, each with a device and an LPI of its own. The DeviceIDs are 0 to 3, and what is above 0
makes the cache's tree as deep as most devices do:

{_series_table(results_apart, apart, list(_APART), floor_apart)}

What one such send (`-e 1`) does to shared memory, counted by running the same engine on a platform that counts; each
lock is two more atomic accesses, one to take and one to release:

{_accesses(_EXPLAINED, deliver=False)}
"""
    data = _data({**results, **results_apart}, floor)
    return Section("senders", "1. A single stream: routing alone", text, bars, data)


def lockstep(plan: Plan, update: Update) -> Section:
    """Section 2: what delivery costs."""
    workload = StressWorkload(events=1, mode="lockstep")
    many = StressWorkload(events=16, mode="lockstep")
    names = _sound()
    results, floor = _measure([workload, many], names, plan, update)
    bars = [
        Bar(
            "lockstep-patch-15",
            f"`patch-15` to `{BASE}`, delivered",
            _ratio(results[workload.name, "patch-15"], results[workload.name, BASE]),
            least=1.15,
        ),
        *(
            Bar(
                f"lockstep-next-05-{of.events}",
                f"`next-05` to `v6.10`, delivered, `-e {of.events}`",
                _ratio(results[of.name, "next-05"], results[of.name, "v6.10"]),
                least=2,
            )
            for of in (workload, many)
        ),
    ]
    text = f"""
One thread sends one LPI, then runs the vCPU, which takes and ends it: queue, list register, acknowledge, fold, prune.
Nanoseconds of thread CPU time for one LPI delivered; {_command(workload)}:

{_series_table(results, workload, names, floor)}

The same for sixteen, of which four have a list register at a time; {_command(many)}:

{_series_table(results, many, names, floor)}

Shared accesses of one LPI from send to prune:

{_accesses(_EXPLAINED, deliver=True)}
"""
    return Section("lockstep", "2. A single stream: delivered", text, bars, _data(results, floor))


_CACHES = (
    *(BASE, "patch-10", "patch-13", "patch-14", "patch-15", "v2", "rwlock", "call-rcu", "v6.9", "v6.10", "v7.1.8"),
    "next-05",
)


def overcommitted(plan: Plan, update: Update) -> Section:
    """Section 3: one event more than the cache holds."""
    workload = StressWorkload(events=17, mode="senders")
    results, floor = _measure([workload], _CACHES, plan, update)
    got = {name: results[workload.name, name] for name in _CACHES}
    cpu, wall, periods = [], [], []
    for name in _history(_CACHES):
        result = got[name]
        counts = result.counts
        sends = max(counts["accepted"], 1.0)
        per_send = counts["grace_periods"] / sends
        each = 1e6 * counts["grace_period_seconds"] / counts["grace_periods"] if counts["grace_periods"] else 0.0
        in_wall = spread_of([1e9 * one.counts["seconds"] / max(one.counts["accepted"], 1.0) for one in result.samples])
        waits = result.waited_for_grace_periods
        cpu.append(
            (
                f"`{name}`",
                spread(_ns(result)),
                spread(in_wall),
                times(_ratio(result, got[BASE])),
                times(_ratio(result, got[BASE], clock="seconds")),
                f"{counts['cache_misses'] / max(counts['sent'], 1.0):.0%}",
            )
        )
        wall.append(in_wall)
        periods.append(
            (
                f"`{name}`",
                f"{counts['grace_periods']:,.0f}",
                f"{per_send:.3f}" if waits else "0, but for set-up",
                f"{each:.2f} us" if waits else "",
                f"{counts['grace_period_seconds'] / counts['seconds']:.0%}" if counts["seconds"] and waits else "",
            )
        )
    bars = []
    for other, least in (("patch-15", 10.0), ("v2", 10.0), (BASE, 3.0)):
        key, name = f"overcommitted-{other}", f"`v6.10` to `{other}`"
        bars.append(Bar(key, f"{name}, by CPU time", _ratio(got["v6.10"], got[other]), least=least))
        if other != BASE:
            by_wall = _ratio(got["v6.10"], got[other], clock="seconds")
            bars.append(Bar(f"{key}-wall", f"{name}, by wall time", by_wall, least=least))
    text = f"""
Seventeen events in turn and a cache of sixteen entries a vCPU: in the VM-wide caches every send misses where the
victim is the oldest entry or the one used least. (`patch-13` never counts its entries, so its limit does not hold.)
`patch-14`, `patch-15` and `v2` wait for a grace period on each miss, with `its_lock` held.
{_command(workload)}, nanoseconds a send:

{table(("design", "ns, CPU time", "ns, wall time", "ratio, CPU time", "ratio, wall time", "misses"), cpu)}

A wait may sleep, which takes no CPU time: where the two clocks differ, the wall clock is what a guest would feel.
Grace periods that the sender waited for, over all samples:

{table(("design", "grace periods", "a send", "each took", "share of wall time"), periods)}

A grace period is short here because nobody else reads: one thread sends, so what is paid is the wait's fixed cost,
the system call `membarrier` before all, which finds no other thread of the process running. A reader that the scheduler
has taken off its CPU inside a read section makes it last until that reader runs again, milliseconds; in the kernel,
which waits for every CPU to pass through its scheduler, it takes milliseconds always. So the ratios to `patch-15` and
`v2` are the least that one can see.
"""
    return Section("overcommitted", "3. An overcommitted cache", text, bars, _data(results, floor))


_STORES = (BASE, "patch-01", "patch-02", "patch-05", "patch-15", "v6.10", "v7.1.8", "next-05")


def mapped(plan: Plan, update: Update) -> Section:
    """Section 4: many LPIs that nobody sends."""
    one = StressWorkload(events=1, mode="lockstep", mapped=4096)
    many = StressWorkload(vcpus=4, devices=4, events=16, mode="lockstep", mapped=4096)
    # 16 events a device on 4 vCPUs; the VM-wide cache has 16 entries a vCPU, so both fit their caches.
    results, floor = _measure(
        [one, many], ("patch-01", *(name for name in _STORES if name != "patch-01")), plan, update
    )
    bars = [
        Bar(
            f"mapped-{workload.vcpus}",
            f"`patch-02` to `patch-01`, `-v {workload.vcpus} -d {workload.devices} -e {workload.events}`",
            _ratio(results[workload.name, "patch-02"], results[workload.name, "patch-01"]),
            least=20,
        )
        for workload in (one, many)
    ]
    parts = []
    for workload in (one, many):
        rows = []
        for name in _history(_STORES):
            result = results[workload.name, name]
            ratio = _ratio(result, results[workload.name, "patch-01"])
            rows.append((f"`{name}`", spread(_ns(result)), "1" if name == "patch-01" else times(ratio)))
        parts.append(f"{_command(workload)}:\n\n{table(('design', 'ns', 'ratio to `patch-01`'), rows)}")
    text = f"""
4096 LPIs are mapped first and never sent; then the LPIs that are sent. Up to `patch-01` the fold of a list register
finds its LPI by a walk of the list of all of them; from `patch-02` on it loads from the xarray. Nanoseconds of thread
CPU time for one LPI delivered, in a cache that holds all events that are sent.

{parts[0]}

{parts[1]}
"""
    return Section("mapped", "4. A big VM", text, bars, _data(results, floor))


def live(plan: Plan, update: Update) -> Section:
    """Section 5: senders and vCPUs as threads."""
    free = StressWorkload(vcpus=2, devices=2, events=16, mode="live")
    window = replace(free, window=16)
    names = (BASE, "patch-15", "v6.10")
    # Apart, so that both have the same neighbours in their rounds.
    results, _ = _measure([free, window], names, plan, update)
    parts = []
    for workload in (free, window):
        rows = []
        for name in names:
            result = results[workload.name, name]
            counts = result.counts
            seconds = counts["seconds"] or 1.0
            rates = [one.rate / 1e6 for one in result.samples]
            delivered = spread_of([one.counts["delivered"] / one.counts["seconds"] / 1e6 for one in result.samples])
            entries = counts["guest_entries"] + counts["entries_cancelled"]
            rows.append(
                (
                    f"`{name}`",
                    spread(Spread(result.rate / 1e6, result.rate_low / 1e6, result.rate_high / 1e6)),
                    f"{number(min(rates))} to {number(max(rates))}",
                    "1" if name == BASE else times(_ratio(result, results[workload.name, BASE])),
                    spread(delivered),
                    f"{counts['coalesced'] / max(counts['sent'], 1.0):.0%}",
                    number(counts["guest_exits"] / seconds / 1e3),
                    f"{counts['entries_cancelled'] / entries:.0%}" if entries else "",
                    str(sum(1 for one in result.samples if one.flags)),
                )
            )
        head = ("design", "M sends/s", "all samples", "ratio", "M delivered/s", "coalesced", "k vCPU exits/s")
        parts.append(
            f"{_command(workload)}:\n\n{table((*head, 'entries cancelled', 'samples with a doubt'), rows)}",
        )
    cpus, taken = len(os.sched_getaffinity(0)), len(results[free.name, BASE].samples)
    text = f"""
Two sender threads and two vCPU threads on {cpus} CPUs, in wall time, not pinned: {taken} samples of
{plan.live.seconds:g} s a design, designs in turn. There is no bar here: these figures are reported, and **must not be
used to rank designs**. Four threads share {cpus} CPUs, so that

- a higher rate of sends can mean that the vCPU threads ran less: hence exits and deliveries stand beside it;
- with a send every few tens of nanoseconds there is nearly always a new request between the vCPU's last look and its
  entry, which cancels the entry: deliveries a second can *fall* as a design gets faster;
- a thread that is taken off its CPU inside a lock or a read section holds up others for a time slice.

{parts[0]}

With at most {window.window} sends in flight senders wait for the guest, so that sends and deliveries go hand in
hand; what is measured then is a round trip through the scheduler more than a design:

{parts[1]}
"""
    data = _data(results, {})
    return Section("live", "5. Live threads (reported, not ranked)", text, (), data)
