"""Finding defects: the model checker's searches and stories, the catalogue of known ones, torture of real threads."""

from vgic.prove.bisect import Bisection, bisect
from vgic.prove.defects import Defect, Fix, defects, defects_of
from vgic.prove.history import DefectResult, prove_history
from vgic.prove.proof import Proof, ProofPlan, Scenario, ScenarioFile, prove, prove_all, read_scenario, scenarios
from vgic.prove.story import Story
from vgic.prove.torture import TorturePeriod, TorturePlan, TortureResult, torture

__all__ = [
    "Bisection",
    "Defect",
    "DefectResult",
    "Fix",
    "Proof",
    "ProofPlan",
    "Scenario",
    "ScenarioFile",
    "Story",
    "TorturePeriod",
    "TorturePlan",
    "TortureResult",
    "bisect",
    "defects",
    "defects_of",
    "prove",
    "prove_all",
    "prove_history",
    "read_scenario",
    "scenarios",
    "torture",
]
