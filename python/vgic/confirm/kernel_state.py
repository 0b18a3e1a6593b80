"""What the LPIs and list registers of a VM are in a kernel that stands, read from its memory.

The members are found by BTF, by the names that they have had: 6.1 keeps its LPIs on a list and its translations in
entries of another, later kernels have an xarray for the one (6.9) and in each ITS for the other (6.10). No lock is
taken, as nothing moves; every walk has an end, whatever the memory holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from vgic.confirm.btf import Btf
from vgic.confirm.gdb import BadAddress, Gdb
from vgic.prove.story import LpiAt, RegisterAt, State

__all__ = ["REFERENCE_COUNTS", "KernelState", "Unreadable"]

#: That of an LPI: in a kref up to 7.1, in a refcount_t since.
REFERENCE_COUNTS = ("refcount.refcount.refs.counter", "refcount.refs.counter")

#: No list, and no tree, of a story has more.
_MOST = 4096
#: Bits of an entry of an xarray: 10 is a node, if it is not a small number (``xa_is_node``).
_INTERNAL, _NODE, _LEAST_NODE = 3, 2, 4096
_SLOTS = 64
#: ``vcpu->mode`` (``OUTSIDE_GUEST_MODE``).
_OUTSIDE = 0
#: Bits of a list register (ICH_LR<n>_EL2, Arm IHI 0069, 12.4.5).
_PENDING, _ACTIVE, _INTID = 1 << 62, 1 << 63, 0xFFFF_FFFF
_FIRST_LPI = 8192


class Unreadable(Exception):
    """A structure is not as it was in any kernel that this knows, or its memory makes no sense."""


@dataclass(slots=True)
class _Seen:
    """What leads to an LPI."""

    indexed: bool = False
    mapped: int = 0
    cached: int = 0
    queue: int | None = None


class KernelState:
    """The state of one VM; ``kvm`` is the address of its ``struct kvm``."""

    def __init__(self, btf: Btf, gdb: Gdb, kvm: int) -> None:
        """The machine stands whenever :meth:`read` is called."""
        self._btf = btf
        self._gdb = gdb
        self.kvm = kvm
        self._count = next(filter(partial(self._has, "vgic_irq"), REFERENCE_COUNTS), REFERENCE_COUNTS[-1])

    def read(self) -> tuple[State, set[int]]:
        """The state, and the vCPUs whose list registers are in it: those that are not in the guest.

        Raises :class:`Unreadable`.
        """
        try:
            return self._read()
        except (KeyError, BadAddress) as error:
            raise Unreadable(f"the kernel's state cannot be read: {error}") from None

    def vcpus(self) -> dict[int, int]:
        """The address of each vCPU (``struct kvm_vcpu``), by its number."""
        return {self._value(vcpu, "kvm_vcpu", "vcpu_id"): vcpu for vcpu in self._tree(self.kvm, "kvm", "vcpu_array")}

    def itses(self) -> list[int]:
        """The address of each ITS: of the VM's devices those that one belongs to, as the GIC's has none of its own."""
        found = []
        for device in self._list(self.kvm, "kvm", "devices", "kvm_device", "vm_node"):
            private = self._value(device, "kvm_device", "private")
            if private and self._value(private, "vgic_its", "dev") == device:
                found.append(private)
        return found

    def _read(self) -> tuple[State, set[int]]:
        seen: dict[int, _Seen] = {}

        def at(irq: int) -> _Seen:
            return seen.setdefault(irq, _Seen())

        for irq in self._all_lpis():
            at(irq).indexed = True
        vcpus = {vcpu: number for number, vcpu in self.vcpus().items()}
        for vcpu, number in vcpus.items():
            for irq in self._list(vcpu, "kvm_vcpu", "arch.vgic_cpu.ap_list_head", "vgic_irq", "ap_list"):
                at(irq).queue = number
        for its in self.itses():
            for device in self._list(its, "vgic_its", "device_list", "its_device", "dev_list"):
                for ite in self._list(device, "its_device", "itt_head", "its_ite", "ite_list"):
                    if irq := self._value(ite, "its_ite", "irq"):
                        at(irq).mapped += 1
            if self._has("vgic_its", "translation_cache"):
                for irq in self._tree(its, "vgic_its", "translation_cache"):
                    at(irq).cached += 1
        if self._has("vgic_dist", "lpi_translation_cache"):
            head, entry = "arch.vgic.lpi_translation_cache", "vgic_translation_cache_entry"
            for one in self._list(self.kvm, "kvm", head, entry, "entry"):
                if irq := self._value(one, entry, "irq"):
                    at(irq).cached += 1
        lpis = [self._lpi(irq, how, vcpus) for irq, how in seen.items()]
        outside = {vcpu: number for vcpu, number in vcpus.items() if self._value(vcpu, "kvm_vcpu", "mode") == _OUTSIDE}
        registers = [lr for vcpu, number in outside.items() for lr in self._registers(vcpu, number)]
        ordered = sorted((lpi for lpi in lpis if lpi.intid >= _FIRST_LPI), key=_order)
        return State(0, tuple(ordered), tuple(registers)), set(outside.values())

    def _lpi(self, irq: int, how: _Seen, vcpus: dict[int, int]) -> LpiAt:
        target = self._value(irq, "vgic_irq", "target_vcpu")
        return LpiAt(
            self._value(irq, "vgic_irq", "intid"),
            f"{irq:#x}",
            self._value(irq, "vgic_irq", self._count),
            how.queue,
            vcpus.get(target, -1),
            bool(self._value(irq, "vgic_irq", "pending_latch")),
            bool(self._value(irq, "vgic_irq", "enabled")),
            bool(self._value(irq, "vgic_irq", "active")),
            how.indexed,
            how.mapped,
            how.cached,
        )

    def _registers(self, vcpu: int, number: int) -> Iterator[RegisterAt]:
        base = self._btf.field("kvm_vcpu", "arch.vgic_cpu.vgic_v3.vgic_lr").offset
        used = self._value(vcpu, "kvm_vcpu", "arch.vgic_cpu.vgic_v3.used_lrs")
        for index in range(min(used, 16)):
            lr = self._word(vcpu + base + 8 * index)
            if lr & _INTID >= _FIRST_LPI:
                yield RegisterAt(number, lr & _INTID, bool(lr & _PENDING), bool(lr & _ACTIVE))

    def _all_lpis(self) -> Iterator[int]:
        if self._has("vgic_dist", "lpi_xa"):
            yield from self._tree(self.kvm, "kvm", "arch.vgic.lpi_xa")
        else:
            yield from self._list(self.kvm, "kvm", "arch.vgic.lpi_list_head", "vgic_irq", "lpi_list")

    def _has(self, structure: str, member: str) -> bool:
        try:
            self._btf.field(structure, member)
        except KeyError:
            return False
        return True

    def _value(self, base: int, structure: str, member: str) -> int:
        where = self._btf.field(structure, member)
        return where.of(self._gdb.read(base + where.offset, where.size))

    def _word(self, address: int) -> int:
        return int.from_bytes(self._gdb.read(address, 8), "little")

    def _list(self, base: int, structure: str, head: str, element: str, link: str) -> Iterator[int]:
        """The elements of a ``list_head``."""
        begin = base + self._btf.field(structure, head).offset
        back = self._btf.field(element, link).offset
        at = self._word(begin)
        for _ in range(_MOST):
            if at == begin:
                return
            yield at - back
            at = self._word(at)
        raise Unreadable(f"{structure}.{head} has no end")

    def _tree(self, base: int, structure: str, member: str) -> Iterator[int]:
        """The objects in an xarray, in the order of their indices."""
        left = [self._value(base, structure, f"{member}.xa_head")]
        slots = self._btf.field("xa_node", "slots").offset
        for _ in range(_MOST):
            if not left:
                return
            entry = left.pop()
            if entry & _INTERNAL == _NODE and entry >= _LEAST_NODE:
                raw = self._gdb.read(entry - _NODE + slots, 8 * _SLOTS)
                words = [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]
                left += [word for word in reversed(words) if word]
            elif entry and not entry & _INTERNAL:
                yield entry
        raise Unreadable(f"{structure}.{member} has no end")


def _order(lpi: LpiAt) -> tuple[int, str]:
    return lpi.intid, lpi.name
