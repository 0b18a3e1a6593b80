"""The register frames of a VM, by guest physical address."""

from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING

from vgic.arguments import integer
from vgic.frame_lock import FrameLock
from vgic.its.frame import ItsFrame
from vgic.redist.frame import RedistributorFrame

if TYPE_CHECKING:
    from vgic import _core
    from vgic.vm.memory import GuestMemory
    from vgic.vm.topology import Topology

__all__ = ["Frames"]


class Frames:
    """Frames of the ITSes and redistributors of a VM with guest memory."""

    def __init__(self, vm: "_core.Vm", memory: "GuestMemory", topology: "Topology") -> None:
        """Make them, at the places that the topology says."""
        #: The guest's.
        self.memory = memory
        #: The core.
        self.vm = vm
        self._topology = topology
        self._lock = FrameLock(vm)
        #: One for each ITS.
        self.its = [ItsFrame(vm, n, memory) for n in range(vm.its_count)]
        #: One for each vCPU that is there, by its number, in the order of their addresses in the regions.
        self.redistributors: dict[int, RedistributorFrame] = {}
        for number in topology.order:
            self._add(number)
        for redistributor in self.redistributors.values():
            redistributor.reset()
        self._sort()

    def _add(self, number: int) -> None:
        topology = self._topology
        base, affinity, is_last = topology.base(number), topology.affinity(number), partial(topology.is_last, number)
        self.redistributors[number] = RedistributorFrame(self.vm, number, self._lock, base, affinity, is_last)

    def _all(self) -> list[ItsFrame | RedistributorFrame]:
        return [*self.its, *self.redistributors.values()]

    def _sort(self) -> None:
        frames = sorted(self._all(), key=lambda frame: frame.base)
        #: Frames by address; replaced as a whole, for other threads.
        self._by_address = [frame.base for frame in frames], frames

    def reset(self) -> None:
        """Reset them all; what was mapped or pending is gone."""
        for frame in self._all():
            frame.reset()

    def plug(self, number: int) -> None:
        """Map the redistributor of a vCPU that has come."""
        with self._lock:
            self._add(number)
            self._sort()

    def _at(self, address: int) -> ItsFrame | RedistributorFrame | None:
        bases, frames = self._by_address
        n = bisect_right(bases, integer("address", address)) - 1
        return frames[n] if n >= 0 and address - bases[n] < frames[n].SIZE else None

    def read(self, address: int, size: int) -> int:
        """Read from the frame at ``address``; zero where none is."""
        frame = self._at(address)
        integer("size", size)
        return 0 if frame is None else frame.read(address - frame.base, size)

    def write(self, address: int, size: int, value: int) -> None:
        """Write to the frame at ``address``; nothing where none is."""
        frame = self._at(address)
        integer("size", size), integer("value", value)
        if frame is not None:
            frame.write(address - frame.base, size, value)
