"""What is done to one vCPU, or moves something from one to another, leaves the other vCPUs' LPIs alone."""

from collections.abc import Callable

import pytest
from quirks import quirks

import vgic

#: Of each vCPU: an LPI at rest, one that is queued, one that is pending and disabled, one whose configuration was
#: changed since it was read, and one that is pending in the table.
REST, QUEUED, DISABLED, CHANGED, SAVED = EVENTS = range(5)
#: Who does it, and to whom; the others are bystanders.
FIRST, SECOND = 0, 1


def lpi(vcpu: int, event: int) -> int:
    return 8192 + len(EVENTS) * vcpu + event


def booted(design: str, vcpus: int) -> vgic.Vm:
    """A VM with a device and a collection for each vCPU."""
    vm = vgic.Vm(vcpus, design)
    vm.enable()
    its = vm.its[0]
    for vcpu in range(vcpus):
        vm.write_config(lpi(vcpu, DISABLED), 0xA0)
        its.mapc(vcpu, vcpu)
        its.mapd(vcpu, 4)
        for event in EVENTS:
            its.mapti(vcpu, event, lpi(vcpu, event), vcpu)
    for vcpu in range(vcpus):
        for event in (QUEUED, DISABLED):
            assert vm.signal_msi(vcpu, event) == 1
        vm.write_config(lpi(vcpu, CHANGED), 0x41)
        vm.write_pending_table(vcpu, lpi(vcpu, SAVED), True)
    return vm


def off_and_on(vm: vgic.Vm) -> None:
    vm.vcpu[FIRST].lpis_enabled = False
    vm.vcpu[FIRST].lpis_enabled = True


OPERATIONS: dict[str, Callable[[vgic.Vm], object]] = {
    "MOVI": lambda vm: vm.its[0].movi(FIRST, QUEUED, SECOND),
    "MOVALL": lambda vm: vm.its[0].movall(FIRST, SECOND),
    "MOVALL twice": lambda vm: (vm.its[0].movall(FIRST, SECOND), vm.its[0].movall(SECOND, FIRST)),
    "MAPC": lambda vm: vm.its[0].mapc(FIRST, SECOND),
    "MAPC V=0": lambda vm: vm.its[0].mapc(FIRST, valid=False),
    "MAPD": lambda vm: vm.its[0].mapd(FIRST, 4),
    "MAPD V=0": lambda vm: vm.its[0].mapd(FIRST, 4, valid=False),
    "DISCARD": lambda vm: [vm.its[0].discard(FIRST, event) for event in EVENTS],
    "CLEAR": lambda vm: [vm.its[0].clear(FIRST, event) for event in EVENTS],
    "INV": lambda vm: [vm.its[0].inv(FIRST, event) for event in EVENTS],
    "INVALL": lambda vm: vm.its[0].invall(FIRST),
    "INT": lambda vm: [vm.its[0].int(FIRST, event) for event in EVENTS],
    "SYNC": lambda vm: vm.its[0].sync(FIRST),
    "EnableLPIs": off_and_on,
    "acknowledge": lambda vm: vm.vcpu[FIRST].acknowledge(),
}


def others(vm: vgic.Vm) -> list[dict]:
    """The LPIs of the bystanders. What refers to an LPI does not count: a translation may go from the cache."""
    return [
        {name: value for name, value in found.items() if name != "references"}
        for found in vm.lpis()
        if found["intid"] >= lpi(SECOND + 1, 0)
    ]


@pytest.mark.parametrize("vcpus", [3, 4, 9])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_lpis_of_other_vcpus_stay_as_they_are(design, name, vcpus):
    vm = booted(design, vcpus)
    before = others(vm)
    assert len(before) == len(EVENTS) * (vcpus - 2)
    OPERATIONS[name](vm)
    if name.startswith("MOVALL") and quirks(design).movall_takes_all:
        last = FIRST if name.endswith("twice") else SECOND
        assert {found["target_vcpu"] for found in others(vm)} == {last}
        return
    assert others(vm) == before
    # And go where they went.
    for vcpu in range(SECOND + 1, vcpus):
        assert vm.vcpu[vcpu].acknowledge() == lpi(vcpu, QUEUED)


@pytest.mark.parametrize("vcpus", [3, 4, 9])
def test_enabling_lpis_queues_what_bystanders_have_pending_from_v6_10_on(design, vcpus):
    """It is the only thing that it does to them: the pending table of the vCPU says nothing about their LPIs."""
    vm = booted(design, vcpus)
    vm.distributor_enabled = False
    for vcpu in range(vcpus):
        assert vm.signal_msi(vcpu, REST) == 1
        vm.write_pending_table(FIRST, lpi(vcpu, REST), True)
    vm.vcpu[FIRST].lpis_enabled = False
    vm.distributor_enabled = True
    before = others(vm)
    vm.vcpu[FIRST].lpis_enabled = True
    for found in before:
        at_rest = (found["intid"] - 8192) % len(EVENTS) == REST
        if at_rest and quirks(design).walk_visits_all:
            found["queued_on"] = found["target_vcpu"]
    assert others(vm) == before
