"""vgic: KVM/arm64's LPI routing and injection as a library, with every locking design selectable by name.

>>> import vgic
>>> vm = vgic.Vm(vcpus=4, design="v6.10")
>>> result = vgic.run(vgic.StressWorkload(vcpus=2, devices=2, events=16, seconds=0.1), "patch-15")
"""

from vgic._core import VERSION as __version__
from vgic.bisect import Bisection, bisect
from vgic.defects import Defect, defects, defects_of
from vgic.designs import BASELINE_DESIGN, DEFAULT_DESIGN, Axis, Design, axes, design, designs
from vgic.errors import (
    CommandError,
    ConservationError,
    Interrupted,
    MachineError,
    MeasurementError,
    RecordingError,
    ResultError,
    TableError,
    UnknownDesign,
    UnsoundDesign,
    WorkloadError,
)
from vgic.history import DefectResult, prove_history
from vgic.its import CommandFault, ItsFrame
from vgic.machines import Machine, machine, machines
from vgic.measure import Effort
from vgic.memory import GuestMemory
from vgic.predict import GICV4, ClosedWorkload, PredictedWorkload, Prediction, predict
from vgic.prove import Proof, ProofPlan, Scenario, ScenarioFile, prove, read_scenario, scenarios
from vgic.redist import RedistributorFrame
from vgic.registers import GICR, GITS
from vgic.results import Result, ResultFile, Sample
from vgic.run import COMPARED_DESIGNS, compare, default_workloads, replay_recorded, run, run_in_turn
from vgic.scale import ScalePoint, ScaleResult, scale
from vgic.state import SavedState
from vgic.story import Story
from vgic.sweep import Point, dask_executor, local_executor, predict_many
from vgic.torture import TorturePeriod, TorturePlan, TortureResult, torture
from vgic.trace import Check, Recording, check, read_recording, recordings
from vgic.usl import Usl, fit_usl
from vgic.vm import Its, Vcpu, Vm
from vgic.workload import ReplayWorkload, StressWorkload, Workload

__all__ = [
    "BASELINE_DESIGN",
    "COMPARED_DESIGNS",
    "DEFAULT_DESIGN",
    "GICR",
    "GICV4",
    "GITS",
    "Axis",
    "Bisection",
    "Check",
    "ClosedWorkload",
    "CommandError",
    "CommandFault",
    "ConservationError",
    "Defect",
    "DefectResult",
    "Design",
    "Effort",
    "GuestMemory",
    "Interrupted",
    "Its",
    "ItsFrame",
    "Machine",
    "MachineError",
    "MeasurementError",
    "Point",
    "PredictedWorkload",
    "Prediction",
    "Proof",
    "ProofPlan",
    "Recording",
    "RecordingError",
    "RedistributorFrame",
    "ReplayWorkload",
    "Result",
    "ResultError",
    "ResultFile",
    "Sample",
    "SavedState",
    "ScalePoint",
    "ScaleResult",
    "Scenario",
    "ScenarioFile",
    "Story",
    "StressWorkload",
    "TableError",
    "TorturePeriod",
    "TorturePlan",
    "TortureResult",
    "UnknownDesign",
    "UnsoundDesign",
    "Usl",
    "Vcpu",
    "Vm",
    "Workload",
    "WorkloadError",
    "__version__",
    "axes",
    "bisect",
    "check",
    "compare",
    "dask_executor",
    "default_workloads",
    "defects",
    "defects_of",
    "design",
    "designs",
    "fit_usl",
    "local_executor",
    "machine",
    "machines",
    "predict",
    "predict_many",
    "prove",
    "prove_history",
    "read_recording",
    "read_scenario",
    "recordings",
    "replay_recorded",
    "run",
    "run_in_turn",
    "scale",
    "scenarios",
    "torture",
]
