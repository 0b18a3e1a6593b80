"""What ``arm/micro-bench`` of kvm-unit-tests prints, as values of a machine.

Its tests run in a guest and give the mean time of an exit and more. Two kinds of values can be had from them:

- *World switch.* ``hvc`` leaves the guest, finds nothing to do, and enters it again: the way out and the way in. Since
  2025 it is called ``hyp_call``, for at EL2 it is an SMC.
- *IPI.* ``ipi`` goes to another vCPU, which runs: the sender leaves the guest and its host sends an IPI, which makes
  the other leave and enter, and there the handler runs. So ``ipi`` less three one-way world switches and the handler
  is what ``ipi_send``, ``ipi_latency`` and ``ipi_receive`` take together.

A sum is divided as it was before.

The table is read by its heading: whatever columns there are, the one of the mean counts, in the unit that the heading
names; a total is compared with it. What else stands in the output, as of ``run_tests.sh`` or a serial console, does not
matter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vgic.errors import MachineError
from vgic.machines import Machine
from vgic.machines.distance import read_text

__all__ = ["MicroBench", "read_micro_bench", "with_micro_bench"]

#: Tests that say something, and what they are used for.
_USES = {
    "hvc": "world switch",
    "hyp_call": "world switch",
    "ipi": "IPI",
    "mmio_read_user": "not used: the time of the program that answers is in it",
    "mmio_read_vgic": "not used: no value stands for the emulation of a register",
    "eoi": "not used: the guest's own, a part of guest_interrupt",
    "ipi_hw": "not used: no value stands for an SGI that the hardware delivers",
    "lpi": "not used: an ITS command is in it",
    "timer_10ms": "not used: no value stands for the timer",
}
#: What a test has been called, the newest name last.
_HYPERVISOR_CALL = ("hvc", "hyp_call")
_NUMBER = r"\d+(?:\.\d+)?"
_HEADING = re.compile(r"^\s*(?:name|test)\b(?=.*\b(?:avg|average|mean)\b)", re.IGNORECASE)
_COLUMN = re.compile(
    r"\b(total|avg|average|mean|min|max|median)\b\s*\(?(ns|nsec|us|usec|\N{MICRO SIGN}s|ms|cycles|ticks)?\b",
    re.IGNORECASE,
)
_OUTPUT_IN = re.compile(r"\(Output in (nano|micro)seconds\)")
_ROW = re.compile(rf"^\s*([a-z][\w-]*)((?:\s+{_NUMBER}(?:\s*[numµ]?s)?)+)\s*$")
_DRAFT = re.compile(r"^\s*[a-z]\w*:\s+avg\s+\d+\.\d\s+min\s")
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NANOSECONDS = {"ns": 1, "nsec": 1, "us": 1000, "usec": 1000, "\N{MICRO SIGN}s": 1000, "ms": 1_000_000}
_SWITCH = ("world_switch_in", "world_switch_out")
_IPI = ("ipi_send", "ipi_latency", "ipi_receive")


@dataclass(frozen=True, slots=True)
class MicroBench:
    """Means in nanoseconds by test."""

    path: str
    means: Mapping[str, float]

    def uses(self) -> dict[str, str]:
        """What each test is used for."""
        return {name: _USES.get(name, "not used: unknown test") for name in self.means}


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a table, without the one of the names."""

    number: int
    mean: int
    total: int | None
    #: Nanoseconds in the units of the mean and of the total.
    units: tuple[float, float]


def read_micro_bench(path: str | Path) -> MicroBench:
    """Read the output of micro-bench; other lines around the table do not matter.

    Raises :class:`vgic.MachineError` if there is no table, its unit is not one of time, or a mean in it is 0 or does
    not go with its total.
    """
    means: dict[str, float] = {}
    columns = None
    unit = "ns"
    for number, text in enumerate(read_text(Path(path)).splitlines(), 1):
        line = _COLOURS.sub("", text)
        if output := _OUTPUT_IN.search(line):
            unit = {"nano": "ns", "micro": "us"}[output[1]]
        if _DRAFT.match(line):
            raise MachineError(
                f"{path}: line {number}: from a draft of arm/micro-bench, whose times are wrong (every tick is 10 ns)"
            )
        if _HEADING.match(line):
            columns = _columns(f"{path}: line {number}", line, unit)
            continue
        found = _ROW.match(line)
        if columns is None or not found:
            continue
        name, values = found[1], [float(value) for value in re.findall(_NUMBER, found[2])]
        if len(values) != columns.number:
            continue
        mean = values[columns.mean] * columns.units[0]
        total = mean if columns.total is None else values[columns.total] * columns.units[1]
        if not 0 < mean <= total * 1.001:
            raise MachineError(f"{path}: line {number}: {name}: a mean of {mean:g} ns does not go with {total:g} ns")
        if name in means:
            raise MachineError(f"{path}: line {number}: {name}: there twice")
        means[name] = mean
    if not means:
        raise MachineError(f"{path}: no table of arm/micro-bench (name, total ns, avg ns)")
    return MicroBench(Path(path).name, means)


def _columns(where: str, heading: str, unit: str) -> _Columns:
    """What a heading says; ``unit`` is that of a column without one."""
    found = [(label.lower(), (of or unit).lower()) for label, of in _COLUMN.findall(heading)]
    labels = [label for label, _ in found]
    mean = next(place for place, label in enumerate(labels) if label in ("avg", "average", "mean"))
    total = labels.index("total") if "total" in labels else None
    units = []
    for place in (mean, mean if total is None else total):
        of = found[place][1]
        if of not in _NANOSECONDS:
            raise MachineError(f"{where}: times in {of}: how long one takes is not in the output")
        units.append(_NANOSECONDS[of])
    return _Columns(len(found), mean, total, (units[0], units[1]))


def with_micro_bench(machine: Machine, bench: MicroBench) -> tuple[Machine, list[str]]:
    """The machine with what the tests say, and a line for each that could not be used although it should be."""
    complaints = []
    name = next((name for name in reversed(_HYPERVISOR_CALL) if name in bench.means), None)
    if name is None:
        complaints.append(f"no {' or '.join(_HYPERVISOR_CALL)}: world switch and IPI stay as they are")
        return machine, complaints
    hvc = bench.means[name]
    machine = _divided(machine, _SWITCH, hvc, f"arm/micro-bench ({bench.path}): {name}, out and in again, {hvc:g} ns")
    ipi = bench.means.get("ipi")
    if ipi is None:
        complaints.append("no ipi: the IPI's values stay as they are")
        return machine, complaints
    out = machine.number("world_switch_out")
    rest = ipi - out - hvc - machine.number("guest_interrupt")
    if rest <= 0:
        complaints.append(f"ipi, {ipi:g} ns, leaves nothing for the IPI beside the world switches: it stays as it is")
        return machine, complaints
    text = f"arm/micro-bench ({bench.path}): ipi, {ipi:g} ns, less three one-way world switches and the handler"
    return _divided(machine, _IPI, rest, text), complaints


def _divided(machine: Machine, names: tuple[str, ...], total: float, source: str) -> Machine:
    """Values that make up a total, in the proportions of before; equal ones where all were 0."""
    before = [machine.number(name) for name in names]
    whole = sum(before)
    shares = [one / whole for one in before] if whole else [1 / len(names)] * len(names)
    text = f"{source}; divided as before"
    return machine.with_values(
        source=text, status="measured", **{name: share * total for name, share in zip(names, shares, strict=True)}
    )
