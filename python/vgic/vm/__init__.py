"""Virtual machines: the engine with ITSes and vCPUs, its frames by address, guest memory, saving and restoring.

What one frame does is in :mod:`vgic.its` and :mod:`vgic.redist`, which know no VM of this package.
"""

from vgic.vm.memory import GuestMemory
from vgic.vm.pending import Told
from vgic.vm.state import SavedState
from vgic.vm.topology import Layout, Region, Topology, layouts
from vgic.vm.vm import Its, Vcpu, Vm

__all__ = ["GuestMemory", "Its", "Layout", "Region", "SavedState", "Told", "Topology", "Vcpu", "Vm", "layouts"]
