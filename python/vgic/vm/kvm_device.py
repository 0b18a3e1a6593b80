"""The state of a VM by the numbers of KVM's API, for a VMM that saves and restores with KVM's device attributes.

KVM has a device for the vGIC and one for each ITS, with ``KVM_HAS_DEVICE_ATTR``, ``KVM_GET_DEVICE_ATTR`` and
``KVM_SET_DEVICE_ATTR``. Here they are ``vm.kvm_device`` and ``vm.its[n].kvm_device``, and the groups and attributes are
those of ``Documentation/virt/kvm/devices/arm-vgic-v3.rst`` and ``arm-vgic-its.rst``, as far as LPIs go:

- redistributors: RD_base in words of 32 bits, a register of 64 bits in halves
- the CPU interface: ICC_AP1R0_EL1, so that what was acknowledged and not ended stays so
- the distributor: GICD_CTLR, of which EnableGrp1 is here
- ITSes: whole registers, in 64 bits; tables are saved, restored and reset by control attributes

What else a GICv3 has is its emulator's: :meth:`KvmDevice.has` tells one from the other.
"""

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from vgic.arguments import integer
from vgic.registers import mask

if TYPE_CHECKING:
    from vgic.vm.frames import Frames
    from vgic.vm.vm import Vm

__all__ = ["KvmAddress", "KvmControl", "KvmDevice", "KvmGroup"]


class KvmGroup(IntEnum):
    """Groups of attributes (``KVM_DEV_ARM_VGIC_GRP_*``)."""

    ADDR = 0
    DIST_REGS = 1
    NR_IRQS = 3
    CTRL = 4
    REDIST_REGS = 5
    CPU_SYSREGS = 6
    LEVEL_INFO = 7
    ITS_REGS = 8


class KvmControl(IntEnum):
    """Attributes of :attr:`KvmGroup.CTRL` (``KVM_DEV_ARM_VGIC_CTRL_INIT`` and the like)."""

    INIT = 0
    ITS_SAVE_TABLES = 1
    ITS_RESTORE_TABLES = 2
    SAVE_PENDING_TABLES = 3
    ITS_RESET = 4


class KvmAddress(IntEnum):
    """Attributes of :attr:`KvmGroup.ADDR` (``KVM_VGIC_V3_ADDR_TYPE_*``, ``KVM_VGIC_ITS_ADDR_TYPE``)."""

    DIST = 2
    REDIST = 3
    ITS = 4
    REDIST_REGION = 5


_WORD, _WHOLE = (1 << 32) - 1, (1 << 64) - 1
_GICD_CTLR = 0
#: Affinity routing (ARE) and one security state (DS), as in KVM; EnableGrp1.
_GICD_CTLR_FIXED, _ENABLE_GROUP_1 = 1 << 6 | 1 << 4, 1 << 1
#: Op0 3, Op1 0, CRn 12, CRm 9, Op2 0.
_ICC_AP1R0_EL1 = 3 << 14 | 12 << 7 | 9 << 3
_INDEX = mask(11, 0)


class _Attribute(NamedTuple):
    """What reads and what writes an attribute, of so many bits; a read is given what the caller has put there."""

    get: Callable[[int], int] | None
    set: Callable[[int], object]
    most: int = _WHOLE


def _fixed(address: int) -> _Attribute:
    """A place that the VM was made with: it cannot be another one (KVM: EEXIST for any)."""

    def place(value: int) -> None:
        if value != address:
            raise OSError(errno.EEXIST, f"the frame is at {address:#x}, not at {value:#x}: Vm() says where")

    return _Attribute(lambda _: address, place)


class KvmDevice(ABC):
    """A device of KVM's API: ``vm.kvm_device`` or ``vm.its[n].kvm_device``.

    ``group``: a :class:`KvmGroup`. ``attr``: 64 bits, as the group has it; of :attr:`KvmGroup.REDIST_REGS` and
    :attr:`KvmGroup.CPU_SYSREGS` the affinity is in bits 63:32 (Aff3 to Aff0) and the offset, or the system register's
    Op0, Op1, CRn, CRm and Op2, below; of :attr:`KvmGroup.ITS_REGS` it is the offset.

    vCPUs must be stopped. The order of a restore is that of ``arm-vgic-its.rst``, "ITS Restore Sequence": memory,
    redistributors (GICR_PROPBASER and GICR_PENDBASER before GICR_CTLR), then of each ITS GITS_CBASER, the others but
    GITS_CTLR, the tables, and GITS_CTLR last.
    """

    def has(self, group: int, attr: int) -> bool:
        """Whether an attribute is there (``KVM_HAS_DEVICE_ATTR``). If not, it is the emulator's own, or nobody's."""
        try:
            self._found(group, attr)
        except OSError:
            return False
        return True

    def get(self, group: int, attr: int, value: int = 0) -> int:
        """Read an attribute (``KVM_GET_DEVICE_ATTR``).

        ``value`` is what the caller has put in its place, which :attr:`KvmAddress.REDIST_REGION` looks at: the index of
        the region. Raises ``OSError``: ENXIO (no such attribute; one that can only be set), EINVAL (no vCPU has that
        affinity; misaligned), ENOENT (no such region).
        """
        attribute = self._found(group, attr)
        if attribute.get is None:
            raise OSError(errno.ENXIO, f"attribute {attr:#x} of group {group} can only be set")
        return attribute.get(integer("value", value, 0, _WHOLE))

    def set(self, group: int, attr: int, value: int = 0) -> None:
        """Write an attribute (``KVM_SET_DEVICE_ATTR``); of a control attribute, do it. Read-only registers stay.

        Raises ``OSError`` as :meth:`get`, and EEXIST (a frame is elsewhere), EBUSY (GITS_CREADR of an ITS that is on),
        EINVAL (GITS_CREADR beyond the queue; an unknown table format); :class:`vgic.TableError` as
        :meth:`vgic.ItsFrame.save_tables` and :meth:`vgic.ItsFrame.restore_tables` do.
        """
        attribute = self._found(group, attr)
        attribute.set(integer("value", value, 0, attribute.most))

    def _found(self, group: int, attr: int) -> _Attribute:
        group, attr = integer("group", group, 0, _WORD), integer("attr", attr, 0, _WHOLE)
        found = self._attribute(group, attr)
        if found is None:
            raise OSError(errno.ENXIO, f"attribute {attr:#x} of group {group} is not of the LPI part of a GICv3")
        return found

    @abstractmethod
    def _attribute(self, group: int, attr: int) -> _Attribute | None:
        """The attribute; raises ``OSError`` if its number is wrong."""


class VgicDevice(KvmDevice):
    """``KVM_DEV_TYPE_ARM_VGIC_V3``."""

    def __init__(self, vm: "Vm", frames: "Frames") -> None:
        """Made by :class:`vgic.Vm`."""
        self._vm = vm
        self._frames = frames

    def _attribute(self, group: int, attr: int) -> _Attribute | None:
        match group:
            case KvmGroup.ADDR:
                return self._address(attr)
            case KvmGroup.DIST_REGS if attr & _WORD == _GICD_CTLR:
                return _Attribute(lambda _: self._gicd_ctlr(), self._set_gicd_ctlr, _WORD)
            case KvmGroup.CTRL if attr == KvmControl.INIT:
                return _Attribute(None, lambda _: None)  # It is, since the VM was made.
            case KvmGroup.CTRL if attr == KvmControl.SAVE_PENDING_TABLES:
                return _Attribute(None, lambda _: self._vm.save_pending_tables())
            case KvmGroup.REDIST_REGS:
                frame, offset = self._frames.redistributors[self._number(attr)], attr & _WORD
                frame.get_word(offset)  # ENXIO, if there is none.
                return _Attribute(lambda _: frame.get_word(offset), lambda value: frame.set_word(offset, value), _WORD)
            case KvmGroup.CPU_SYSREGS:
                core, number = self._frames.vm, self._number(attr)
                if attr & _WORD == _ICC_AP1R0_EL1:
                    # The upper half is RES0.
                    return _Attribute(
                        lambda _: core.active_priorities(number),
                        lambda value: core.set_active_priorities(number, value & _WORD),
                    )
        return None

    def _number(self, attr: int) -> int:
        number = self._vm.topology.number(attr >> 32)
        if number is None:
            raise OSError(errno.EINVAL, f"no vCPU has the affinity {attr >> 32:#x}")
        return number

    def _address(self, attr: int) -> _Attribute | None:
        topology = self._vm.topology
        if attr == KvmAddress.DIST:
            return _fixed(topology.distributor)
        if attr == KvmAddress.REDIST and len(topology.regions) == 1:
            return _fixed(topology.regions[0].base)
        if attr == KvmAddress.REDIST_REGION:
            return _Attribute(self._region, self._set_region)
        return None

    def _region(self, value: int) -> int:
        """Count, base and index of the region whose index the caller gives."""
        index, regions = value & _INDEX, self._vm.topology.regions
        if index >= len(regions):
            raise OSError(errno.ENOENT, f"there are {len(regions)} regions of redistributors, none of index {index}")
        return regions[index].count << 52 | regions[index].base | index

    def _set_region(self, value: int) -> None:
        _fixed(self._region(value)).set(value)

    def _gicd_ctlr(self) -> int:
        return _GICD_CTLR_FIXED | (_ENABLE_GROUP_1 if self._vm.distributor_enabled else 0)

    def _set_gicd_ctlr(self, value: int) -> None:
        self._vm.distributor_enabled = bool(value & _ENABLE_GROUP_1)


class ItsDevice(KvmDevice):
    """``KVM_DEV_TYPE_ARM_VGIC_ITS``."""

    def __init__(self, frames: "Frames", index: int) -> None:
        """Made by :class:`vgic.Its`."""
        self._frame = frames.its[index]

    def _attribute(self, group: int, attr: int) -> _Attribute | None:
        frame = self._frame
        if group == KvmGroup.ITS_REGS:
            frame.get(attr)  # ENXIO or EINVAL, if there is none.
            return _Attribute(lambda _: frame.get(attr), lambda value: frame.set(attr, value))
        if group == KvmGroup.ADDR and attr == KvmAddress.ITS:
            return _fixed(frame.base)
        if group == KvmGroup.CTRL:
            actions: dict[int, Callable[[], object]] = {
                KvmControl.INIT: lambda: None,  # It is, since the VM was made.
                KvmControl.ITS_SAVE_TABLES: frame.save_tables,
                KvmControl.ITS_RESTORE_TABLES: frame.restore_tables,
                KvmControl.ITS_RESET: frame.reset,
            }
            if attr in actions:
                return _Attribute(None, lambda _: actions[attr]())
        return None
