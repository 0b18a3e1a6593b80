"""A short measurement on this machine: distances between its CPUs, hits, a fence, a system call."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from typing import Any

from vgic import _core
from vgic.arguments import real
from vgic.errors import Interrupted
from vgic.machines import Machine
from vgic.measure.results import machine as this_machine

__all__ = ["check_seconds", "measure_here", "with_here"]

#: Value of a profile, whose key in the measurement ends in _ns -> what the core takes samples of.
_COSTS = {
    "hit_load": "load",
    "hit_store": "store",
    "hit_rmw": "rmw",
    "fence": "store_and_fence",
    "syscall": "syscall",
}
#: Most CPUs of which pairs are measured.
_MOST_CPUS = 16
#: Samples of each thing, at least. Of more seconds come more samples: Ctrl-C is heard, and a quiet moment is met.
_SAMPLES = 7
_LONGEST_SAMPLE_SECONDS = 0.05


def check_seconds(seconds: float) -> float:
    """How long to measure, 0.1 to 600 seconds; raises ``ValueError`` for anything else."""
    real("seconds", seconds, 0.1, 600)
    return seconds


def measure_here(seconds: float = 2.0, *, progress: Callable[[float, str], None] | None = None) -> dict[str, Any]:
    """Measure for about so many seconds (0.1 to 600).

    Returns nanoseconds by key: ``hit_load_ns``, ``hit_store_ns``, ``hit_rmw_ns``, ``fence_ns``, ``syscall_ns``, and for
    the CPUs in ``cpus`` (at most 16) ``matrix_ns``: half a round of compare-and-swap from one to another, 0 from one to
    itself. ``progress`` is called with the share done (0 to 1) and what is being measured.

    Ctrl-C comes out as :class:`vgic.Interrupted` with the keys that were finished.
    """
    check_seconds(seconds)
    cpus = list(_core.usable_cpus())[:_MOST_CPUS]
    pairs = list(combinations(range(len(cpus)), 2))
    begun = time.monotonic()

    def best(what: str, sample: Callable[[float], float], share: float) -> float:
        """The best of several samples: what disturbs a sample only makes it longer."""
        length = min(share / _SAMPLES, _LONGEST_SAMPLE_SECONDS)
        values = []
        for _ in range(round(share / length)):
            values.append(sample(length))
            if progress is not None:
                progress(min(1.0, (time.monotonic() - begun) / seconds), f"measuring {what}")
        return min(values)

    found: dict[str, Any] = {}
    try:
        for name, what in _COSTS.items():
            cost = best(name, partial(_core.sample_cost, what), seconds / 2 / len(_COSTS))
            found[f"{name}_ns"] = max(0.0, cost - found["hit_store_ns"]) if name == "fence" else cost
        matrix = [[0.0] * len(cpus) for _ in cpus]
        for a, b in pairs:
            sample = partial(_core.sample_ping_pong, cpus[a], cpus[b])
            matrix[a][b] = matrix[b][a] = best(f"CPU {cpus[a]} to {cpus[b]}", sample, seconds / 2 / len(pairs))
    except KeyboardInterrupt:
        raise Interrupted(found) from None
    return {**found, "cpus": cpus, "matrix_ns": matrix}


def with_here(machine: Machine, measured: Mapping[str, Any], *, distances: bool = True) -> Machine:
    """The machine with what was measured; with ``distances`` it has the CPUs that were measured, if there were two."""
    cpu = str(this_machine()["cpu"])
    source = f"measured here by vgic calibrate, on {cpu}"
    values = {name: float(measured[f"{name}_ns"]) for name in _COSTS}
    machine = machine.with_values(source=source, status="measured", **values)
    matrix = measured["matrix_ns"]
    if distances and len(matrix) > 1:
        cpus = ", ".join(map(str, measured["cpus"]))
        machine = machine.with_matrix(matrix, source=f"{source}, between CPUs {cpus}")
    return machine.renamed("here", f"measured on {cpu}, the rest from {machine.name}")
