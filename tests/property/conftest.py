"""Hypothesis profiles: ``VGIC_HYPOTHESIS=thorough`` looks longer, and elsewhere on every run."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

# The table of visible differences is shared with the contract tests.
sys.path.insert(0, str(Path(__file__).parent.parent / "contract"))

_COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("ci", max_examples=50, stateful_step_count=50, derandomize=True, **_COMMON)
settings.register_profile("thorough", max_examples=400, stateful_step_count=100, **_COMMON)
settings.load_profile(os.environ.get("VGIC_HYPOTHESIS", "ci"))
