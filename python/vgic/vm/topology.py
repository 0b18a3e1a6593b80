"""Which vCPUs a VM has, how their guest names them, and where the frames of its GIC are.

A vCPU has a *number* from 0 to 511: GICR_TYPER.Processor_Number, and what MAPC and MOVALL call RDbase, since
GITS_TYPER.PTA is 0. Its *affinity* is the one of its MPIDR_EL1. Numbers may have gaps, and a vCPU may come later: to
the ITS a vCPU that is not there is one of a number that no vCPU has.

Redistributors fill *regions* (KVM: ``KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION``), the first one first, in the order in
which the vCPUs come: so there are no holes, over which a guest that walks them would not get. GICR_TYPER.Last is set
in the last redistributor of each region, but not if another region begins right behind it
(``vgic_mmio_vcpu_rdist_is_last``).

Where well-known machines have all this stands in ``layouts.toml``.
"""

import threading
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import count, islice

from vgic.arguments import integer

__all__ = ["DEFAULT_LAYOUT", "Layout", "Region", "Topology", "affinity_of", "layouts"]

#: The layout of a VM for which none is named.
DEFAULT_LAYOUT = "qemu-virt"

_MAX_VCPUS = 512
_MAX_ITS = 64
_ADDRESSES = 1 << 52
#: Sizes of the frames of a redistributor and of an ITS.
_FRAME = 0x2_0000
#: MPIDR_EL1's affinity fields: Aff3 in bits 39:32, Aff2 to Aff0 in 23:0. Its other bits name nobody.
_REGISTER = (1 << 64) - 1
_AFF3, _AFF2_TO_0 = 0xFF << 32, 0xFF_FFFF


@dataclass(frozen=True, slots=True)
class Region:
    """Redistributors one behind the other, 128 KiB each."""

    #: Guest physical address of the first one.
    base: int
    #: How many there is room for.
    count: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a machine has the frames of its GIC; see ``layouts.toml``."""

    name: str
    #: The machine, in a few words.
    what: str
    #: Where the addresses stand, and what they were checked with.
    source: str
    #: Guest physical address.
    distributor: int
    #: Of the first ITS; None: right below the redistributors.
    its: int | None
    #: Empty: as many as the VM has room for, right below the distributor.
    redistributors: tuple[Region, ...]
    #: vCPUs that share all of their affinity but Aff0.
    cluster: int


@cache
def layouts() -> tuple[Layout, ...]:
    """Return the layouts that :class:`vgic.Vm` knows by name."""
    raw = tomllib.loads(files("vgic.vm").joinpath("layouts.toml").read_text(encoding="utf-8"))
    return tuple(
        Layout(
            name,
            row["what"],
            row["source"],
            row["distributor"],
            row.get("its"),
            tuple(Region(*pair) for pair in row.get("redistributors", ())),
            row["cluster"],
        )
        for name, row in raw.items()
    )


def _layout(name: str) -> Layout:
    for layout in layouts():
        if layout.name == name:
            return layout
    raise ValueError(f"layout: {name!r} is unknown; there are {', '.join(layout.name for layout in layouts())}")


def affinity_of(name: str, mpidr: int) -> int:
    """GICR_TYPER.Affinity_Value of an MPIDR_EL1: Aff3 to Aff0, a byte each."""
    mpidr = integer(name, mpidr, 0, _REGISTER)
    return (mpidr & _AFF3) >> 8 | mpidr & _AFF2_TO_0


def _regions(given: "int | Iterable[tuple[int, int]]") -> tuple[Region, ...]:
    """One region without an end, or each with its count."""
    if not isinstance(given, Iterable):
        return (Region(integer("redistributors", given, 0, _ADDRESSES - 1), _MAX_VCPUS + _MAX_ITS),)
    pairs = list(given)
    try:
        found = [(base, number) for base, number in pairs]
    except (TypeError, ValueError):
        raise ValueError("redistributors: expected an address, or regions as pairs of an address and a count") from None
    return tuple(
        Region(
            integer("redistributors: base", base, 0, _ADDRESSES - 1),
            integer("redistributors: count", number, 1, _MAX_VCPUS),
        )
        for base, number in found
    )


def _slots(regions: Sequence[Region]) -> Iterator[int]:
    """Where frames are that fill the regions, and go on behind the last one."""
    for region in regions[:-1]:
        yield from (region.base + n * _FRAME for n in range(region.count))
    yield from (region.base + n * _FRAME for region in regions[-1:] for n in count())


def _beginning_with(first: int | None, free: Iterable[int]) -> Iterator[int]:
    """Places of ITSes: the first one's, if it has one of its own, and free ones that it does not reach into."""
    if first is None:
        yield from free
    else:
        yield first
        yield from (place for place in free if abs(place - first) >= _FRAME)


def _taken(regions: Iterable[Region], room: int) -> Iterator[Region]:
    """What so many redistributors take of the regions."""
    for region in regions:
        taken = min(region.count, room)
        room -= taken
        if taken:
            yield Region(region.base, taken)


def _its(given: "int | Iterable[int]") -> int | list[int]:
    """A number of ITSes, or where each is."""
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        return [integer("its", base, 0, _ADDRESSES - 1) for base in given]
    return integer("its", given, 0, _MAX_ITS)


def _numbered(vcpus: "int | Iterable[int] | Mapping[int, int | None]") -> dict[int, int | None]:
    """The first vCPUs: number -> MPIDR_EL1, or None for that of the number."""
    found: dict[int, int | None]
    if isinstance(vcpus, Mapping):
        found = {integer("vcpus", number, 0, _MAX_VCPUS - 1): mpidr for number, mpidr in vcpus.items()}
    elif isinstance(vcpus, Iterable):
        found = dict(enumerate(islice(vcpus, _MAX_VCPUS + 1)))
    else:
        return dict.fromkeys(range(integer("vcpus", vcpus, 1, _MAX_VCPUS)))
    if not 1 <= len(found) <= _MAX_VCPUS:
        raise ValueError(f"vcpus: expected 1 to {_MAX_VCPUS} of them")
    return found


class Topology:
    """The vCPUs and the frames of one VM: ``vm.topology``, for the device tree or ACPI tables that you give the guest.

    Addresses are guest physical.
    """

    def __init__(
        self,
        vcpus: "int | Iterable[int] | Mapping[int, int | None]",
        *,
        max_vcpus: int | None,
        its: "int | Iterable[int]",
        layout: str,
        distributor: int | None,
        redistributors: "int | Iterable[tuple[int, int]] | None",
    ) -> None:
        """Made by :class:`vgic.Vm`, whose text says what the parameters are."""
        found = _layout(layout)
        first = _numbered(vcpus)
        least = max(first) + 1
        #: Numbers that there is room for: from 0 to one less than this.
        self.room = least if max_vcpus is None else integer("max_vcpus", max_vcpus, least, _MAX_VCPUS)
        self._cluster = found.cluster
        self._lock = threading.Lock()
        #: Affinity -> number of the vCPUs that are there, in the order in which they came.
        self._numbers: dict[int, int] = {}
        #: Number -> affinity, and number -> place in the regions.
        self._affinities: dict[int, int] = {}
        self._places: dict[int, int] = {}
        for number, mpidr in first.items():
            self._plug(number, mpidr)
        #: Base of the distributor.
        self.distributor = (
            found.distributor if distributor is None else integer("distributor", distributor, 0, _ADDRESSES - 1)
        )
        regions = found.redistributors if redistributors is None else _regions(redistributors)
        below = redistributors is None and not regions
        if below:
            regions = (Region(self.distributor - self.room * _FRAME, self.room),)
        #: Regions of redistributors, as far as the VM's vCPUs take them, with those that may still come.
        self.regions = tuple(_taken(regions, self.room))
        bases = _its(its)
        if isinstance(bases, int):
            behind = islice(_slots(regions), self.room, None)
            free = (regions[0].base - n * _FRAME for n in count(1)) if below else behind
            bases = list(islice(_beginning_with(found.its, free), bases))
        if below and min(regions[0].base, *bases) < 0:
            raise ValueError(f"distributor: no room below {self.distributor:#x} for the other frames of {layout}")
        #: Base of each ITS.
        self.its = tuple(bases)

    def _plug(self, number: int, mpidr: int | None) -> None:
        affinity = self.affinity(number) if mpidr is None else affinity_of("mpidr", mpidr)
        with self._lock:
            if number in self._places:
                raise ValueError(f"number: vCPU {number} is there already")
            if affinity in self._numbers:
                other = self._numbers[affinity]
                raise ValueError(f"mpidr: vCPUs {other} and {number} would have the same affinity, {affinity:#x}")
            self._affinities[number] = affinity
            self._places[number] = len(self._places)
            self._numbers[affinity] = number

    @property
    def order(self) -> tuple[int, ...]:
        """Numbers of the vCPUs that are there, in the order in which they came: that of their redistributors."""
        return tuple(self._places)

    def affinity(self, number: int) -> int:
        """GICR_TYPER.Affinity_Value: Aff3 to Aff0 in bits 31:0. A vCPU that has not come has that of its number."""
        number = integer("number", number, 0, self.room - 1)
        return self._affinities.get(number, number // self._cluster << 8 | number % self._cluster)

    def number(self, affinity: int) -> int | None:
        """The number of the vCPU of an affinity, as GICR_TYPER.Affinity_Value has it; None if there is none."""
        return self._numbers.get(integer("affinity", affinity, 0, (1 << 32) - 1))

    def base(self, number: int) -> int:
        """Base of the redistributor of a vCPU that is there; ``ValueError`` if it is not."""
        region, place = self._region(number)
        return self.regions[region].base + place * _FRAME

    def is_last(self, number: int) -> bool:
        """GICR_TYPER.Last of a vCPU that is there; ``ValueError`` if it is not."""
        n, place = self._region(number)
        filled = list(_taken(self.regions, len(self._places)))
        # A guest walks on into a region that has redistributors and begins where this one ends.
        region, taken = self.regions[n], filled[n].count
        end = region.base + region.count * _FRAME
        goes_on = taken == region.count and any(other.base == end for other in filled)
        return place == taken - 1 and not goes_on

    def _region(self, number: int) -> tuple[int, int]:
        """The region that the redistributor of a vCPU is in, and which one of it."""
        place = self._places.get(integer("number", number, 0, self.room - 1))
        if place is None:
            raise ValueError(f"number: vCPU {number} is not there")
        for n, region in enumerate(self.regions):
            if place < region.count:
                return n, place
            place -= region.count
        raise ValueError(f"redistributors: the regions have no room for vCPU {number}")
