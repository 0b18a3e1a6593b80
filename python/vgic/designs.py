"""The designs: each one a row of the table of axes, selectable by name.

A design is composed at compile time in the Rust core; this module describes it. Names follow the kernel releases
(``v6.8-rc1``) and the posted patches (``patch-01`` to ``patch-15``, each with all before it).
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from vgic import _core
from vgic.errors import UnknownDesign, UnsoundDesign

if TYPE_CHECKING:
    from vgic._core import PathCounts, PathStep

__all__ = ["BASELINE_DESIGN", "DEFAULT_DESIGN", "Design", "axes", "axis_label", "check_names", "design", "designs"]

#: The design that a :class:`vgic.Vm` has unless another is named.
DEFAULT_DESIGN: str = _core.DEFAULT_DESIGN
#: The design that ratios are relative to, unless another is named first.
BASELINE_DESIGN: str = _core.BASELINE_DESIGN


@dataclass(frozen=True, slots=True)
class Design:
    """One locking design of LPI routing and injection. All texts are one line.

    ``reference`` names the kernel commit, release or posting that the design follows.
    """

    #: The name to select it by.
    name: str
    #: The design that this one changes; empty for the first.
    based_on: str
    #: What it changes, relative to ``based_on``.
    changed: str
    #: What that fixes; empty if nothing.
    fixes: str
    #: The defect it is known to have; empty if none is known.
    defect: str
    #: Where it comes from.
    reference: str
    #: Whether the defect is one of memory safety: refused on real threads unless the caller insists.
    unsound: bool
    #: Whether switching LPIs or an ITS off may use freed memory beside a running vCPU or a command; on real threads
    #: these are kept apart unless the caller insists.
    control_races: bool
    #: Axis: where the mapped LPIs are kept.
    lpi_store: str
    #: Axis: how a lookup takes its reference.
    get: str
    #: Axis: how a reference is dropped.
    put: str
    #: Axis: how the memory of an LPI is freed.
    free: str
    #: Axis: the translation cache.
    cache: str
    #: Axis: how a cache hit holds its LPI.
    cache_reference: str
    #: Axis: how INVALL, MOVALL and the like visit all LPIs.
    walk: str
    #: Axis: the queue of a vCPU.
    queue: str
    #: Locks, outermost first.
    lock_order: tuple[str, ...]

    def hit_path(self) -> "list[PathStep]":
        """Every shared access of one cache hit, in order, as the engine makes it on the counting platform."""
        return _core.hit_path(self.name)

    def path_counts(self, *, deliver: bool = True, mapped: int = 0) -> "PathCounts":
        """Count the shared accesses that one LPI costs: lock acquisitions, stores, read-modify-writes and loads.

        ``deliver``: whether the guest takes it (flush, fold and prune included) or it stays queued.
        ``mapped``: further LPIs that are mapped in the VM, 0 to 57343; designs that walk a list pay for each.
        """
        return _core.path_counts(self.name, deliver=deliver, mapped=mapped)


#: The fields of a :class:`Design` that are axes.
_AXES = ("lpi_store", "get", "put", "free", "cache", "cache_reference", "walk", "queue")


def axes(design: Design) -> dict[str, str]:
    """What a design does on each axis, in words: axis -> way. The axes are the same for every design."""
    return {axis: getattr(design, axis) for axis in _AXES} | {"lock_order": " > ".join(design.lock_order)}


def axis_label(axis: str) -> str:
    """An axis as people read it."""
    return axis.replace("_", " ").replace("lpi", "LPI")


@cache
def _table() -> dict[str, Design]:
    rows = {}
    for row in _core.designs():
        fields: dict[str, Any] = dict(row)
        fields["lock_order"] = tuple(row["lock_order"])
        rows[row["name"]] = Design(**fields)
    return rows


def designs() -> list[Design]:
    """All designs, in the order of their history."""
    return list(_table().values())


def design(name: str) -> Design:
    """Return the design called ``name``.

    Raises :class:`vgic.UnknownDesign` (a ``ValueError``) with close matches if there is none.
    """
    return _find(name)


def _find(name: str, also: tuple[str, ...] = ()) -> Design:
    table = _table()
    try:
        return table[name]
    except (KeyError, TypeError):
        pass
    close = difflib.get_close_matches(str(name), [*table, *also], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "'vgic designs' lists all"
    if also and not close:
        hint += f"; {', '.join(also)} is known here besides"
    raise UnknownDesign(f"unknown design {str(name)!r}: {hint}") from None


def check_names(names: Iterable[str], *, allow_unsound: bool = False, also: tuple[str, ...] = ()) -> list[str]:
    """Return ``names`` without repeats, in order, if each can run on real threads, or is one of ``also``.

    Raises :class:`vgic.UnknownDesign` or, unless ``allow_unsound``, :class:`vgic.UnsoundDesign`.
    """
    checked = []
    for name in dict.fromkeys(names):
        if name in also:
            checked.append(name)
            continue
        row = _find(name, also)
        if row.unsound and not allow_unsound:
            raise UnsoundDesign(
                f"design {name} is unsound ({row.defect.rstrip('.')}): it runs on real threads only with allow-unsound"
            )
        checked.append(name)
    return checked
