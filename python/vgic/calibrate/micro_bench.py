"""What ``arm/micro-bench`` of kvm-unit-tests prints, as values of a machine.

Its tests run in a guest and give the mean time of an exit and more. Two kinds of values can be had from them:

- *World switch.* ``hvc`` leaves the guest, finds nothing to do, and enters it again: the way out and the way in.
- *IPI.* ``ipi`` goes to another vCPU, which runs: the sender leaves the guest and its host sends an IPI, which makes
  the other leave and enter, and there the handler runs. So ``ipi`` less three one-way world switches and the handler
  is what ``ipi_send``, ``ipi_latency`` and ``ipi_receive`` take together.

A sum is divided as it was before.
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
    "ipi": "IPI",
    "mmio_read_user": "not used: the time of the program that answers is in it",
    "mmio_read_vgic": "not used: no value stands for the emulation of a register",
    "eoi": "not used: the guest's own, a part of guest_interrupt",
    "ipi_hw": "not used: no value stands for an SGI that the hardware delivers",
    "lpi": "not used: an ITS command is in it",
    "timer_10ms": "not used: no value stands for the timer",
}
_NUMBER = r"(\d+(?:\.\d+)?)"
_LINE = re.compile(rf"^\s*([a-z][a-z0-9_]*)\s+{_NUMBER}(?:\s*ns)?\s+{_NUMBER}(?:\s*ns)?\s*$")
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


def read_micro_bench(path: str | Path) -> MicroBench:
    """Read the output of micro-bench; other lines around the table do not matter.

    Raises :class:`vgic.MachineError` if there is no table, or a mean in it is 0 or does not go with its total.
    """
    means: dict[str, float] = {}
    header = False
    for number, line in enumerate(read_text(Path(path)).splitlines(), 1):
        if re.match(r"^\s*name\s+total ns\s+avg ns\s*$", line):
            header = True
        found = _LINE.match(line)
        if not header or not found:
            continue
        name, total, mean = found[1], float(found[2]), float(found[3])
        if not 0 < mean <= total * 1.001:
            raise MachineError(f"{path}: line {number}: {name}: a mean of {mean:g} ns does not go with {total:g} ns")
        if name in means:
            raise MachineError(f"{path}: line {number}: {name}: there twice")
        means[name] = mean
    if not means:
        raise MachineError(f"{path}: no table of arm/micro-bench (name, total ns, avg ns)")
    return MicroBench(Path(path).name, means)


def with_micro_bench(machine: Machine, bench: MicroBench) -> tuple[Machine, list[str]]:
    """The machine with what the tests say, and a line for each that could not be used although it should be."""
    complaints = []
    hvc = bench.means.get("hvc")
    if hvc is None:
        complaints.append("no hvc: world switch and IPI stay as they are")
        return machine, complaints
    machine = _divided(machine, _SWITCH, hvc, f"arm/micro-bench ({bench.path}): hvc, out and in again, {hvc:g} ns")
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
