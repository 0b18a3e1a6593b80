"""The kernel's members that a story's accesses are to, and how their values change.

A member is a name of the story's, which is the kernel's; where it is, BTF tells. What has had other names stands here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from vgic.confirm.btf import Btf, Field
from vgic.confirm.kernel_state import REFERENCE_COUNTS, KernelState
from vgic.prove.story import Access, LpiAt, State

__all__ = ["Watch", "Watched", "is_watched"]

#: Members by the kind of object, in the order of the kernels that have had them. Several of one name are one place.
_MEMBERS: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {
    "vgic_irq": {
        "irq_lock": (("irq_lock",),),
        "refcount": tuple((name,) for name in REFERENCE_COUNTS),
        "pending_latch": (("pending_latch",),),
        "enabled": (("enabled",),),
        "active": (("active",),),
        "bits": (("pending_latch", "enabled", "active", "on_lr"),),
        "target_vcpu": (("target_vcpu",),),
        "vcpu": (("vcpu",),),
        "priority": (("priority",),),
    },
    "kvm_vcpu": {"ap_list_lock": (("arch.vgic_cpu.ap_list_lock",),)},
    "vgic_its": {
        "its_lock": (("its_lock.owner",),),
        "cmd_lock": (("cmd_lock.owner",),),
        "enabled": (("enabled",),),
        "translation_cache.xa_lock": (("translation_cache.xa_lock",),),
        "translation_cache.xa_head": (("translation_cache.xa_head",),),
    },
    "kvm": {
        "lpi_list_lock": (("arch.vgic.lpi_list_lock",),),
        "lpi_xa.xa_lock": (("arch.vgic.lpi_xa.xa_lock",),),
        "lpi_xa.xa_head": (("arch.vgic.lpi_xa.xa_head",),),
    },
}
#: Of a spin lock the byte that tells whether it is held (``struct qspinlock``); the lowest bits of a mutex's owner are
#: flags (``MUTEX_FLAGS``).
_SPIN_LOCK, _MUTEX = 0xFF, ~0x7
_VCPU = "vCPU "


@dataclass(frozen=True, slots=True)
class Watch:
    """A member in memory, and which of its changes count."""

    address: int
    size: int
    #: Its value in ``size`` bytes.
    value: Callable[[bytes], int]
    #: Whether a change is of the kind that is looked for, by the value before and the one behind it.
    counts: Callable[[int, int], bool]


class Watched:
    """Where the members of a VM's objects are while its machine stands."""

    def __init__(self, btf: Btf, kernel: KernelState, engine: State) -> None:
        """``engine``: the story's state where the kernel stands, which tells its names of LPIs."""
        self._btf = btf
        self._engine = engine
        self._lpis = kernel.read()[0].lpis
        self._kvm, self._vcpus, self._itses = kernel.kvm, kernel.vcpus(), kernel.itses()

    def knows(self, access: Access) -> bool:
        """Whether :meth:`watch` can tell."""
        return self.watch(access) is not None

    def watch(self, access: Access) -> Watch | None:
        """The member of an access; None if it is of an object, or in a kernel, that does not tell."""
        kind, base = _structure(access.object), self._address(access.object)
        for alternatives in _names(access) if base else ():
            try:
                fields = [self._btf.field(kind, name) for name in alternatives]
            except KeyError:
                continue
            begin = min(field.offset for field in fields)
            end = max(field.offset + field.size for field in fields)
            return Watch(base + begin, end - begin, partial(_together, fields, begin), _counted(access))
        return None

    def _address(self, name: str) -> int:
        """Where an object of the story's is; 0 if it is not to be found."""
        match _structure(name):
            case "vgic_irq":
                found = _alike(name, self._engine.lpis, self._lpis)
                return int(found[0].name, 16) if len(found) == 1 else 0
            case "vgic_its":
                return self._itses[0] if len(self._itses) == 1 else 0
            case "kvm_vcpu":
                return self._vcpus.get(int(name.removeprefix(_VCPU)), 0)
        return self._kvm


def is_watched(access: Access, engine: State) -> bool:
    """Whether kernels tell of the member, by a story's state: its LPIs are known by what leads to them."""
    if _structure(access.object) == "vgic_irq" and len(_alike(access.object, engine.lpis, engine.lpis)) != 1:
        return False
    return bool(_names(access))


def _structure(name: str) -> str:
    """The kernel's structure that an object of the story's is; empty if nothing of it is watched."""
    kind, _, number = name.partition("#")
    if number:
        return {"irq": "vgic_irq", "its": "vgic_its"}.get(kind, "")
    return "kvm_vcpu" if name.startswith(_VCPU) else "kvm"


def _names(access: Access) -> tuple[tuple[str, ...], ...]:
    """What the member of an access has been called; nothing if it is not watched."""
    return _MEMBERS.get(_structure(access.object), {}).get(access.member, ())


def _alike(name: str, ours: Sequence[LpiAt], theirs: Sequence[LpiAt]) -> list[LpiAt]:
    """Which of their LPIs can be ours of this name: those of its INTID, in the index as it is or not."""
    found = [(lpi.intid, lpi.indexed) for lpi in ours if lpi.name == name]
    return [lpi for lpi in theirs if (lpi.intid, lpi.indexed) in found]


def _together(fields: Sequence[Field], begin: int, data: bytes) -> int:
    """The values of some fields as one number, of the bytes from ``begin`` of their structure on."""
    found = 0
    for field in fields:
        found = found << field.bits | field.of(data[field.offset - begin :][: field.size])
    return found


def _counted(access: Access) -> Callable[[int, int], bool]:
    """Which changes of the member are of the access's kind."""
    if access.kind in ("lock", "unlock"):
        bits = _MUTEX if access.member in ("its_lock", "cmd_lock") else _SPIN_LOCK
        takes = access.kind == "lock"
        return lambda old, new: bool(old & bits) != bool(new & bits) and bool(new & bits) == takes
    return lambda old, new: old != new
