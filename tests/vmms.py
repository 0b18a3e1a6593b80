"""How three VMMs save and restore a GICv3 with its ITS by KVM's attributes: which ones, in which order.

The lists are ours; what they say is public: cloud-hypervisor (``hypervisor/src/kvm/aarch64/gic``: ``Gicv3ItsState``),
Firecracker (``src/vmm/src/arch/aarch64/gic/gicv3/regs``: ``GicState`` with ``ItsRegisterState``) and QEMU
(``hw/intc/arm_gicv3_kvm.c``, ``arm_gicv3_its_kvm.c``: its migration stream).

:class:`Board` is an emulator to them: what has an attribute in ``vgic`` is there, the rest of the GICv3 is its own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import vgic
from vgic import KvmControl, KvmDevice, KvmGroup


def words(*registers: tuple[int, int]) -> tuple[int, ...]:
    """The offsets of registers of so many bytes, in words of 32 bits."""
    return tuple(offset + n for offset, size in registers for n in range(0, size, 4))


def icc(op1: int, crn: int, crm: int, op2: int) -> int:
    """The attribute of a system register of the CPU interface."""
    return 3 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2


CTLR, STATUSR, WAKER, PROPBASER, PENDBASER = (0, 4), (0x10, 4), (0x14, 4), (0x70, 8), (0x78, 8)
GICR_TYPER = words((0x8, 8))
#: GICR_IGROUPR0, ICENABLER0, ISENABLER0, ICFGR0 and 1, ICPENDR0, ISPENDR0, ICACTIVER0, ISACTIVER0, IPRIORITYR0 to 7.
SGI = words(
    (0x1_0080, 4), (0x1_0180, 4), (0x1_0100, 4), (0x1_0C00, 8), (0x1_0280, 4), (0x1_0200, 4), (0x1_0380, 4),
    (0x1_0300, 4), (0x1_0400, 32),
)  # fmt: skip
#: ICC_SRE_EL1, CTLR, IGRPEN0, IGRPEN1, PMR, BPR0, BPR1; ICC_AP0R0_EL1, ICC_AP1R0_EL1.
ICC = (
    icc(0, 12, 12, 5), icc(0, 12, 12, 4), icc(0, 12, 12, 6), icc(0, 12, 12, 7), icc(0, 4, 6, 0), icc(0, 12, 8, 3),
    icc(0, 12, 12, 3), icc(0, 12, 8, 4), icc(0, 12, 9, 0),
)  # fmt: skip
AP1R0 = ICC[-1]
#: GICD_STATUSR, and some words of GICD_ISENABLER.
GICD = words((0x10, 4), (0x104, 12))
GITS_BASER = tuple(0x100 + 8 * n for n in range(8))
GITS_SAVED = (*GITS_BASER, 0x0, 0x80, 0x90, 0x88, 0x4)  # GITS_CTLR, CBASER, CREADR, CWRITER, IIDR
GITS_RESTORED = (0x4, 0x80, 0x90, 0x88, *GITS_BASER)  # and GITS_CTLR behind the tables


class Key(NamedTuple):
    """An attribute of a device: the vGIC's, or that of an ITS by its number."""

    its: int | None
    group: int
    attr: int


Snapshot = dict[Key, int]


@dataclass
class Board:
    """An emulator with its VM; ``own`` is the part of the GICv3 that is not of the VM."""

    vm: vgic.Vm
    own: Snapshot = field(default_factory=dict)

    def device(self, key: Key) -> KvmDevice:
        return self.vm.kvm_device if key.its is None else self.vm.its[key.its].kvm_device

    def get(self, key: Key) -> int:
        device = self.device(key)
        return device.get(key.group, key.attr) if device.has(key.group, key.attr) else self.own.get(key, 0)

    def set(self, key: Key, value: int) -> None:
        device = self.device(key)
        if device.has(key.group, key.attr):
            device.set(key.group, key.attr, value)
        else:
            self.own[key] = value

    def control(self, attr: KvmControl, its: int | None = None) -> None:
        key = Key(its, KvmGroup.CTRL, attr)
        self.device(key).set(key.group, key.attr)


@dataclass(frozen=True)
class Vmm:
    """One of them. It has the vCPUs by their affinity, from their MPIDR_EL1."""

    name: str
    #: Words of RD_base of one vCPU in the order of saving and of restoring.
    saved: tuple[int, ...]
    restored: tuple[int, ...]
    #: The same, of all vCPUs before the others.
    first: tuple[int, ...] = ()
    #: Whether each vCPU's redistributor and CPU interface are done before the next vCPU's.
    by_vcpu: bool = False
    #: Whether it looks at GICR_TYPER before it begins.
    looks: bool = False

    def _vcpus(self, affinities: Iterable[int], rd_base: tuple[int, ...]) -> Iterator[Key]:
        affinities = [affinity << 32 for affinity in affinities]
        rdist, sysregs = KvmGroup.REDIST_REGS, KvmGroup.CPU_SYSREGS
        yield from (Key(None, rdist, at | offset) for at in affinities for offset in self.first)
        if self.by_vcpu:
            for at in affinities:
                yield from (Key(None, rdist, at | offset) for offset in (*rd_base, *SGI))
                yield from (Key(None, sysregs, at | register) for register in ICC)
            return
        yield from (Key(None, rdist, at | offset) for at in affinities for offset in rd_base)
        yield from (Key(None, rdist, at | offset) for at in affinities for offset in SGI)
        yield from (Key(None, sysregs, at | register) for at in affinities for register in ICC)

    def save(self, board: Board, affinities: list[int]) -> Snapshot:
        for its in range(len(board.vm.its)):
            board.control(KvmControl.ITS_SAVE_TABLES, its)
        board.control(KvmControl.SAVE_PENDING_TABLES)
        snapshot = {}
        if self.looks:
            for offset in GICR_TYPER:
                board.get(Key(None, KvmGroup.REDIST_REGS, affinities[0] << 32 | offset))
        keys = [Key(None, KvmGroup.DIST_REGS, offset) for offset in (0, *GICD)]
        keys += self._vcpus(affinities, self.saved)
        keys += [Key(n, KvmGroup.ITS_REGS, offset) for n in range(len(board.vm.its)) for offset in GITS_SAVED]
        for key in keys:
            snapshot[key] = board.get(key)
        return snapshot

    def restore(self, board: Board, affinities: list[int], snapshot: Snapshot) -> None:
        for key in (Key(None, KvmGroup.DIST_REGS, offset) for offset in (0, *GICD)):
            board.set(key, snapshot[key])
        for key in self._vcpus(affinities, self.restored):
            board.set(key, snapshot[key])
        for its in range(len(board.vm.its)):
            for key in (Key(its, KvmGroup.ITS_REGS, offset) for offset in GITS_RESTORED):
                board.set(key, snapshot[key])
            board.control(KvmControl.ITS_RESTORE_TABLES, its)
            ctlr = Key(its, KvmGroup.ITS_REGS, 0)
            board.set(ctlr, snapshot[ctlr])


_TABLES_FIRST = words(STATUSR, WAKER, PROPBASER, PENDBASER, CTLR)
VMMS = (
    Vmm("cloud-hypervisor", _TABLES_FIRST, _TABLES_FIRST),
    Vmm("firecracker", _TABLES_FIRST, _TABLES_FIRST, by_vcpu=True),
    Vmm(
        "qemu",
        words(CTLR, STATUSR, WAKER),
        words(CTLR, STATUSR, WAKER),
        first=words(PROPBASER, PENDBASER),
        looks=True,
    ),
)
