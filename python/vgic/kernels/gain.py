"""What a kernel would gain from a later design, and what it would take in with it."""

from dataclasses import dataclass
from typing import Any

from vgic.designs import design, designs
from vgic.kernels.kernel import Kernel, design_release, kernel
from vgic.prove.defects import Defect, defects

__all__ = ["Gain", "gains"]


@dataclass(frozen=True, slots=True)
class Gain:
    """One later design, as a kernel without that would have it."""

    #: The design.
    design: str
    #: The kernel that it follows; empty for one that no kernel has.
    release: str
    #: Known defects of the kernel that the design does not have.
    mends: tuple[Defect, ...]
    #: Known defects of the design that the kernel does not have: their fixes have to be taken, too.
    brings_in: tuple[Defect, ...]
    #: Lock acquisitions of one LPI, sent by a hit, taken by the guest and retired: before, and in the design.
    locks: dict[str, tuple[int, int]]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "design": self.design,
            "release": self.release,
            "mends": [one.id for one in self.mends],
            "brings_in": [{"id": one.id, "cve": one.cve, "commits": list(one.commits)} for one in self.brings_in],
            "locks": {name: list(counts) for name, counts in self.locks.items()},
        }


def gains(found: Kernel) -> list[Gain]:
    """Each design after that of a kernel which a kernel has, and those that come after the last of these."""
    order = [row.name for row in designs()]
    later = order[order.index(found.design) + 1 :]
    newest = max((at for at, name in enumerate(later) if design_release(name)), default=-1)
    mine = {one.defect.id for one in found.defects}
    own = _locks(found.design)
    rows = []
    for at, name in enumerate(later):
        follows = design_release(name)
        if follows is None and at < newest:
            continue  # Posted on the way, and superseded.
        theirs = _defects(name)
        has = {one.id for one in theirs}
        counts = _locks(name)
        rows.append(
            Gain(
                name,
                str(follows or ""),
                tuple(one.defect for one in found.defects if one.defect.id not in has),
                tuple(one for one in theirs if one.id not in mine),
                {lock: (own.get(lock, 0), counts.get(lock, 0)) for lock in {**own, **counts}},
            )
        )
    return rows


def _defects(name: str) -> list[Defect]:
    """The known defects of a design: those of the kernel that it follows.

    One of no kernel has what the engine has in it, and what only kernels have of the one that it would be a change of.
    """
    base = name
    while design_release(base) is None:
        base = design(base).based_on
    theirs = [one.defect for one in kernel(str(design_release(base))).defects]
    if base == name:
        return theirs
    return [one for one in defects() if (one in theirs if one.of_kernels_alone else one.is_of(name))]


def _locks(name: str) -> dict[str, int]:
    return dict(design(name).path_counts(deliver=True)["locks"])
