"""Figures of the Python package: what one call costs, and one MSI of many."""

import timeit
from array import array
from collections.abc import Callable

from figures.document import Bar, Plan, Section, Update, number, spread, table
from vgic import DEFAULT_DESIGN, Vm
from vgic.measure.stats import Spread, spread_of

__all__ = ["calls"]

_BATCH = 4096


class _Plain:
    def empty(self, a: int, b: int) -> None:
        pass


def _guest() -> Vm:
    vm = Vm(vcpus=1)
    vm.enable()
    its = vm.its[0]
    its.mapc(0, 0)
    its.mapd(0, 5)
    its.mapti(0, 0, 8192, 0)
    if vm.signal_msi(0, 0) != 1:
        raise RuntimeError("the MSI was not taken")
    return vm


def calls(plan: Plan, update: Update) -> Section:
    """Section 6: from Python."""
    vm, zeros = _guest(), array("I", bytes(4 * _BATCH))
    names = {"vm": vm, "plain": _Plain(), "table": {}, "zeros": zeros}
    statements = {
        "nothing (the loop of `timeit`)": ("pass", 1),
        "`def empty(self, a, b): pass`": ("plain.empty(0, 0)", 1),
        "`dict.get`, a method written in C": ("table.get(0, 0)", 1),
        "`vm.signal_msi`": ("vm.signal_msi(0, 0)", 1),
        f"`vm.signal_msis`, {_BATCH} MSIs, each": ("vm.signal_msis(zeros, zeros)", _BATCH),
    }
    repeats, target = (7, 0.005) if plan.quick else (41, 0.02)
    timers: dict[str, tuple[Callable[[int], float], int, int]] = {}
    for label, (statement, each) in statements.items():
        timer = timeit.Timer(statement, globals=names)
        loops = max(1, int(64 * target / max(timer.timeit(64), 1e-9)))
        timers[label] = (timer.timeit, loops, each)
    taken: dict[str, list[float]] = {label: [] for label in timers}
    for turn in range(repeats):
        for label, (run, loops, each) in timers.items():
            taken[label].append(1e9 * run(loops) / loops / each)
        update((turn + 1) / repeats, "calls from Python")
    least = {label: min(values) for label, values in taken.items()}
    loop, empty, native, one, many = least
    net = {label: value - least[loop] for label, value in least.items()}
    net[many] = least[many]
    bound = 4 * net[empty] / 10

    def bar(key: str, text: str, value: float, **limit: float) -> Bar:
        return Bar(key, text, Spread(value, value, value), **limit)  # type: ignore[arg-type]

    bars = [
        bar("python-call", "`signal_msi` to an empty method of a Python class", net[one] / net[empty], most=4),
        bar("python-batch", "`signal_msi` to `signal_msis`, for one MSI", net[one] / net[many], least=10),
    ]
    rows = [
        (label, number(least[label]), spread(spread_of(taken[label])), number(net[label]) if label != loop else "")
        for label in least
    ]
    text = f"""
Each is called with two ints (0, 0), in turn, {repeats} times, in one process; nanoseconds a call. As usual with
`timeit` the least counts, as others only ever make a call slower; the median stands beside it. For the bars the time
of the empty loop is taken off, which makes the first one harder. `vm` has one vCPU that does not run and the default
design, `{DEFAULT_DESIGN}`, so every MSI coalesces: what is left is the call, and the send of section 1.

{table(("call", "least", "median (quartiles)", "least, without the loop"), rows)}

`signal_msi` costs {net[one] / net[native]:.2f} times the method written in C. A send in a batch is nearly all the
engine's own work, so the second ratio is (call + send) / send, and a cheaper *call* makes it smaller: both bars are met
only if a send costs less than {number(bound)} ns (four empty calls, divided by ten) on a machine where an empty call
costs {number(net[empty])} ns. It costs {number(net[many])} ns here.
"""
    return Section("python", "6. Calls from Python", text, bars, {"ns_least": least, "ns_all": taken})
