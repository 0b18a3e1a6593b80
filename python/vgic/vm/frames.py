"""The register frames of a VM, by guest physical address."""

from typing import TYPE_CHECKING

from vgic.arguments import integer
from vgic.frame_lock import FrameLock
from vgic.its.frame import ItsFrame
from vgic.redist.frame import RedistributorFrame

if TYPE_CHECKING:
    from vgic import _core
    from vgic.vm.memory import GuestMemory

__all__ = ["Frames"]

_PAGE = 0x1_0000


class Frames:
    """Frames of the ITSes and redistributors of a VM with guest memory."""

    def __init__(self, vm: "_core.Vm", memory: "GuestMemory", redistributors: int) -> None:
        """Make them; those of the redistributors begin at ``redistributors``."""
        #: The guest's.
        self.memory = memory
        lock = FrameLock(vm)
        size = RedistributorFrame.SIZE
        #: One for each ITS.
        self.its = [ItsFrame(vm, n, memory) for n in range(vm.its_count)]
        #: One for each vCPU.
        self.redistributors = [RedistributorFrame(vm, n, lock, redistributors + n * size) for n in range(vm.vcpus)]
        frames: list[ItsFrame | RedistributorFrame] = [*self.its, *self.redistributors]
        self._pages = {frame.base // _PAGE + page: frame for frame in frames for page in range(frame.SIZE // _PAGE)}

    def read(self, address: int, size: int) -> int:
        """Read from the frame at ``address``; zero where none is."""
        frame = self._pages.get(integer("address", address) // _PAGE)
        integer("size", size)
        return 0 if frame is None else frame.read(address - frame.base, size)

    def write(self, address: int, size: int, value: int) -> None:
        """Write to the frame at ``address``; nothing where none is."""
        frame = self._pages.get(integer("address", address) // _PAGE)
        integer("size", size), integer("value", value)
        if frame is not None:
            frame.write(address - frame.base, size, value)
