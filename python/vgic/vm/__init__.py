"""Virtual machines: the engine with ITSes and vCPUs, its frames by address, guest memory, saving and restoring.

What one frame does is in :mod:`vgic.its` and :mod:`vgic.redist`, which know no VM of this package.
"""

from vgic.vm.kvm_device import KvmAddress, KvmControl, KvmDevice, KvmGroup
from vgic.vm.memory import GuestMemory
from vgic.vm.pending import Told
from vgic.vm.state import SavedState
from vgic.vm.topology import Layout, Region, Topology, layouts
from vgic.vm.vm import Its, Vcpu, Vm

__all__ = [
    "GuestMemory",
    "Its",
    "KvmAddress",
    "KvmControl",
    "KvmDevice",
    "KvmGroup",
    "Layout",
    "Region",
    "SavedState",
    "Told",
    "Topology",
    "Vcpu",
    "Vm",
    "layouts",
]
