"""One QEMU for each test process, and settings for hypothesis that do not depend on chance."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from machines import Machine, QemuMachine, VgicMachine

from vgic.conformance.qemu import AgentTarget, start_with_agent
from vgic.conformance.qtest import MISSING, Qemu

_COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="session", autouse=True)
def _needs_qemu() -> None:
    if MISSING:
        pytest.skip(MISSING)


@pytest.fixture(scope="session")
def qemu() -> Iterator[Qemu]:
    with Qemu() as started:
        yield started


@pytest.fixture
def machines(qemu: Qemu) -> list[Machine]:
    return [QemuMachine(qemu), VgicMachine()]


@pytest.fixture(scope="session")
def running_qemu() -> Iterator[Qemu]:
    with start_with_agent() as started:
        yield started


@pytest.fixture
def taking_machines(running_qemu: Qemu) -> Iterator[list[Machine]]:
    yield [QemuMachine(running_qemu, AgentTarget), VgicMachine()]
    # Its vCPUs would go on polling.
    running_qemu.stop()


@pytest.fixture
def examples() -> settings:
    """As the property tests: the same each time, or (``VGIC_HYPOTHESIS=thorough``) more, and others each time."""
    if os.environ.get("VGIC_HYPOTHESIS") == "thorough":
        return settings(max_examples=400, stateful_step_count=100, **_COMMON)
    return settings(max_examples=20, stateful_step_count=30, derandomize=True, **_COMMON)
