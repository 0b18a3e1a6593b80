"""Our own frames: ``python:vgic.conformance.ours``, or ``python:vgic.conformance.ours:DESIGN``."""

from collections.abc import Mapping

from vgic._core import GuestMemory
from vgic.conformance.target import Target
from vgic.designs import DEFAULT_DESIGN
from vgic.designs import design as find_design
from vgic.vm import Vm

__all__ = ["OurTarget", "target"]

_GROUP_1 = 1 << 1


def _known(axes: Mapping[str, str]) -> dict[str, str]:
    """Cases in which a design does as its kernel and not as the architecture, and why."""
    found = {}
    if axes["queue"] == "ap-list":
        found["discard-takes-the-pending-state-away"] = "an LPI that is queued for a vCPU stays queued, as in KVM"
    if axes["distributor-on"] == "kick":
        found["a-disabled-group-holds-lpis-back"] = (
            "what became pending meanwhile is forgotten, as in KVM (docs/reports/distributor-forgets.txt)"
        )
    if axes["mapc"] == "keeps-cache":
        found["a-redistributor-without-lpis-ignores-known-events"] = (
            "a cached translation survives MAPC, as in KVM (docs/reports/mapc-keeps-cache.txt)"
        )
    if axes["movall"] == "walked" and axes["walk"] == "for-each":
        found["movall-leaves-others-alone"] = "MOVALL takes the LPIs of every vCPU, as in Linux 6.10 to 7.2.9"
    if axes["walk"] == "copy-xarray-empty":
        for case in ("invall-reads-the-configuration", "movall-moves-what-is-pending", "the-pending-table-is-read"):
            found[case] = "a walk of all LPIs finds none, as in that posting"
    return found


class OurTarget(Target):
    """A VM of this package."""

    name = "vgic"

    def __init__(self, design: str = DEFAULT_DESIGN) -> None:
        """``design``: which kernel's engine is below the frames."""
        self.design = design
        self.known = _known(find_design(design).axes)
        self.reset()

    @property
    def version(self) -> str:
        """The design."""
        return f"vgic, design {self.design}"

    def reset(self) -> None:
        """A new VM."""
        self.ram = bytearray(self.places.ram_size)
        self.memory = GuestMemory({self.places.ram: self.ram})
        self.start()

    def start(self) -> None:
        """A new VM, around the memory that is there."""
        self.vm = Vm(vcpus=self.vcpus, design=self.design, memory=self.memory)
        self._doorbell = self.vm.its[0].frame.translater

    def read(self, address: int, size: int) -> int:
        """A register; the distributor has one bit."""
        if address == self.places.gicd:
            return self.vm.distributor_enabled * _GROUP_1
        return self.vm.mmio_read(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        """Write a register."""
        if address == self.places.gicd:
            self.vm.distributor_enabled = bool(value & _GROUP_1)
        else:
            self.vm.mmio_write(address, size, value)

    def load(self, address: int, size: int) -> bytes:
        """Read RAM."""
        return self.memory.read(address, size)

    def store(self, address: int, data: bytes) -> None:
        """Write RAM."""
        self.memory.write(address, data)

    def msi(self, device_id: int, event_id: int) -> None:
        """As a device's thread does it."""
        self._doorbell.write(0x40, event_id, device_id)

    def pending(self, vcpu: int) -> int | None:
        """The CPU interface's answer."""
        highest = self.vm.vcpu[vcpu].highest_pending()
        return None if highest is None else highest[0]

    def acknowledge(self, vcpu: int) -> int | None:
        """Take the LPI."""
        return self.vm.vcpu[vcpu].acknowledge()

    def end(self, vcpu: int, intid: int) -> None:
        """End it."""
        self.vm.vcpu[vcpu].eoi(intid)

    def settle(self) -> None:
        """Every vCPU enters the guest and leaves it: the end of an interrupt that nobody took."""
        for vcpu in self.vm.vcpu:
            vcpu.eoi(1023)


def target(design: str = DEFAULT_DESIGN) -> Target:
    """Make the target."""
    return OurTarget(design)
