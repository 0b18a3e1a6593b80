"""Measuring on this machine: workloads, runs on real threads, results that are compared."""

from vgic.measure.results import Result, ResultFile, Sample
from vgic.measure.rounds import Effort, measure
from vgic.measure.run import COMPARED_DESIGNS, compare, default_workloads, replay_recorded, run, run_in_turn
from vgic.measure.workload import ReplayWorkload, StressWorkload, Workload

__all__ = [
    "COMPARED_DESIGNS",
    "Effort",
    "ReplayWorkload",
    "Result",
    "ResultFile",
    "Sample",
    "StressWorkload",
    "Workload",
    "compare",
    "default_workloads",
    "measure",
    "replay_recorded",
    "run",
    "run_in_turn",
]
