"""A short measurement on this machine: distances between its CPUs, hits, a fence, a system call."""

from collections.abc import Mapping
from typing import Any

from vgic import _core
from vgic.arguments import real
from vgic.machines import Machine
from vgic.measure.results import machine as this_machine

__all__ = ["measure_here", "with_here"]

#: Value of a profile -> key of the measurement.
_KEYS = {
    "hit_load": "hit_load_ns",
    "hit_store": "hit_store_ns",
    "hit_rmw": "hit_rmw_ns",
    "fence": "fence_ns",
    "syscall": "syscall_ns",
}


def measure_here(seconds: float = 2.0) -> dict[str, Any]:
    """Measure for about so many seconds (0.1 to 600)."""
    real("seconds", seconds, 0.1, 600)
    return dict(_core.measure_here(seconds))


def with_here(machine: Machine, measured: Mapping[str, Any], *, distances: bool = True) -> Machine:
    """The machine with what was measured; with ``distances`` it has the CPUs that were measured, if there were two."""
    cpu = str(this_machine()["cpu"])
    source = f"measured here by vgic calibrate, on {cpu}"
    values = {name: float(measured[key]) for name, key in _KEYS.items()}
    machine = machine.with_values(source=source, status="measured", **values)
    matrix = measured["matrix_ns"]
    if distances and len(matrix) > 1:
        cpus = ", ".join(map(str, measured["cpus"]))
        machine = machine.with_matrix(matrix, source=f"{source}, between CPUs {cpus}")
    return machine.renamed("here", f"measured on {cpu}, the rest from {machine.name}")
