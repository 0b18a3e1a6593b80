"""Every contract holds for every design that real threads may run."""

import pytest
from memory import left_since, objects
from quirks import SOUND, quirks

import vgic


@pytest.fixture
def design(request) -> str:
    """Name of one sound design, each in turn."""
    return request.param


@pytest.fixture
def live_objects():
    """Count the objects that are alive."""
    return objects


@pytest.fixture
def returns_memory(design, live_objects):
    """Check after the test that all memory came back, unless the design is known to lose some."""
    before = live_objects()
    yield
    left = left_since(before)
    if quirks(design).leak:
        left.pop("vgic_irq", None)
    assert left == {}


class Guest:
    """A booted VM whose LPIs 8192, 8193, ... are the events 0, 1, ... of device 8."""

    DEVICE = 8

    def __init__(self, design: str, *, vcpus: int = 1, events: int = 4, its: int = 1, list_registers: int = 4) -> None:
        self.vm = vgic.Vm(vcpus, design, its=its, list_registers=list_registers)
        self.vm.enable()
        self.its = self.vm.its[0]
        for number in range(vcpus):
            self.its.mapc(number, number)
        self.its.mapd(self.DEVICE, 16)
        for event in range(events):
            self.its.mapti(self.DEVICE, event, 8192 + event, 0)

    def send(self, *events: int) -> int:
        """Send events; how many were taken."""
        return self.vm.signal_msis([self.DEVICE] * len(events), events)

    def configure(self, event: int, byte: int) -> None:
        """Write an event's configuration and make it known."""
        self.vm.write_config(8192 + event, byte)
        self.its.inv(self.DEVICE, event)

    def take(self, vcpu: int = 0) -> list[int]:
        """Events that a vCPU takes one by one, ending each, until none is left."""
        taken = []
        while (intid := self.vm.vcpu[vcpu].acknowledge()) is not None:
            self.vm.vcpu[vcpu].eoi(intid)
            taken.append(intid - 8192)
        return taken

    def cached(self, event: int) -> bool:
        """Whether an event's translation is cached: then nobody asks for the DeviceID flag."""
        try:
            return self.vm.signal_msi_at(self.its.doorbell, self.DEVICE, event, valid_device_id=False) == 1
        except OSError:
            return False

    def adds_up(self) -> bool:
        """Whether every send has exactly one end."""
        counts = self.vm.counts()
        ends = counts["delivered"] + counts["coalesced"] + counts["dropped"] + counts["pending"]
        return counts["sent"] + counts["pending_loaded"] == ends


#: Designs with a walk, a cache or a queue of their own; the others are one of these with another lock.
EVERY_SIZE = ("v6.8-rc1", "patch-15", "v6.10", "v7.3", "hardened")
SIZES = [(name, others) for name in SOUND for others in (0, 1, 3, 8) if others == 3 or name in EVERY_SIZE]


def pytest_generate_tests(metafunc):
    """Tests run in every sound design. Those with a guest have 4 vCPUs (of a guest of one), and 1, 2 and 9 in some."""
    named = "".join(name for mark in metafunc.definition.iter_markers("parametrize") for name in mark.args[0])
    sized, chosen = "guest" in metafunc.fixturenames, "design" in named
    if sized and not chosen:
        ids = [f"{others}-more-{name}" for name, others in SIZES]
        metafunc.parametrize(("design", "guest_size"), SIZES, ids=ids, indirect=["design"])
    elif sized:
        metafunc.parametrize("guest_size", [3])
    elif "design" in metafunc.fixturenames and not chosen:
        metafunc.parametrize("design", SOUND, indirect=True)


@pytest.fixture
def guest(design, guest_size):
    """Make booted VMs of the design, with more vCPUs than the test asks for."""

    def make(*, vcpus: int = 1, **shape) -> Guest:
        return Guest(design, vcpus=vcpus + guest_size, **shape)

    return make
