"""The designs: each one a value, a way on every axis. Shipped ones have names; anyone composes more.

Names follow the kernel releases (``v6.8-rc1``) and the posted patches (``patch-01`` to ``patch-15``, each with all
before it). A composed design is a shipped one with other ways on some axes: ``v6.10+drain=put-erased``, or
``design("v6.10").with_(drain="put-erased")``. The checker, the counting platform, predictions and replays take it; what
is measured has to be compiled for, so it must be a shipped one.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from vgic import _core
from vgic.errors import UnknownDesign, UnsoundDesign

if TYPE_CHECKING:
    from vgic._core import PathCounts, PathStep

__all__ = [
    "BASELINE_DESIGN",
    "DEFAULT_DESIGN",
    "Axis",
    "Design",
    "axes",
    "changed_axes",
    "check_names",
    "design",
    "designs",
]

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
    #: Whether switching LPIs or an ITS off, or saving the pending tables, may use freed memory beside a running vCPU, a
    #: command or a sender; on real threads these are kept apart unless the caller insists.
    control_races: bool
    #: What it does on each axis, by the names that :func:`axes` tells; an axis of another kind of cache is not there.
    axes: dict[str, str] = field(hash=False)

    @property
    def is_composed(self) -> bool:
        """Whether it is a shipped design with other ways on some axes."""
        return "+" in self.name

    @property
    def shipped(self) -> str:
        """The shipped design that it is, or is composed of."""
        return self.name.split("+", 1)[0]

    @property
    def lock_order(self) -> tuple[str, ...]:
        """Locks, outermost first, as the engine nests them in a guest's whole life on the counting platform."""
        return _lock_order(self.name)

    def with_(self, **ways: str) -> "Design":
        """The same design with other ways on some axes, such as ``drain="put-erased"``.

        ``_`` in the name of an axis stands for ``-``.
        Raises ``ValueError`` for an axis or way that does not exist, and for what makes no sense together.
        """
        changes = dict(part.split("=", 1) for part in self.name.split("+")[1:])
        changes |= {axis.replace("_", "-"): way for axis, way in ways.items()}
        return design("+".join([self.shipped, *(f"{axis}={way}" for axis, way in changes.items())]))

    def hit_path(self) -> "list[PathStep]":
        """Every shared access of one cache hit, in order, as the engine makes it on the counting platform."""
        return _core.hit_path(self.name)

    def path_counts(self, *, deliver: bool = True, mapped: int = 0) -> "PathCounts":
        """Count the shared accesses that one LPI costs: lock acquisitions, stores, read-modify-writes and loads.

        ``deliver``: whether the guest takes it (flush, fold and prune included) or it stays queued.
        ``mapped``: further LPIs that are mapped in the VM, 0 to 57343; designs that walk a list pay for each.
        """
        return _core.path_counts(self.name, deliver=deliver, mapped=mapped)


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that designs do differently."""

    name: str
    #: What it is, in a sentence.
    about: str
    #: Each way in which it is done, with a sentence.
    ways: dict[str, str] = field(hash=False)

    def since(self, way: str) -> Design | None:
        """The first design in the history that does it in this way; None if only composed ones do."""
        return next((row for row in designs() if row.axes.get(self.name) == way), None)


@cache
def _axes() -> tuple[Axis, ...]:
    return tuple(Axis(name, about, dict(ways)) for name, about, ways in _core.axes())


def axes() -> list[Axis]:
    """Every axis, in the order in which a design is told."""
    return list(_axes())


@cache
def _lock_order(name: str) -> tuple[str, ...]:
    return tuple(_core.lock_order(name))


@cache
def _table() -> dict[str, Design]:
    return {row["name"]: Design(**row) for row in _core.designs()}


def designs() -> list[Design]:
    """All designs, in the order of their history."""
    return list(_table().values())


def design(name: str) -> Design:
    """Return the design called ``name``, a shipped or a composed one.

    Raises :class:`vgic.UnknownDesign` (a ``ValueError``) with close matches if there is none, and ``ValueError`` if its
    axes make no sense.
    """
    return _find(name)


def _find(name: str, also: tuple[str, ...] = ()) -> Design:
    table = _table()
    base, plus, _ = str(name).partition("+")
    if plus and base in table:
        return _composed(str(name))
    try:
        return table[name]
    except (KeyError, TypeError):
        pass
    close = difflib.get_close_matches(base, [*table, *also], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "'vgic designs' lists all"
    if also and not close:
        hint += f"; {', '.join(also)} is known here besides"
    raise UnknownDesign(f"unknown design {str(name)!r}: {hint}") from None


@lru_cache(maxsize=256)
def _composed(name: str) -> Design:
    return Design(**_core.compose(name))


def changed_axes(first: Design, second: Design) -> dict[str, tuple[str, str]]:
    """The axes on which two designs differ, with the ways of both; empty for a kind that has not this axis."""
    ways = {one.name: (first.axes.get(one.name, ""), second.axes.get(one.name, "")) for one in axes()}
    return {axis: (a, b) for axis, (a, b) in ways.items() if a != b}


def check_names(
    names: Iterable[str], *, allow_unsound: bool = False, also: tuple[str, ...] = (), measured: bool = False
) -> list[str]:
    """Return ``names`` without repeats, in order, if each can run on real threads, or is one of ``also``.

    ``measured``: they are to be measured, so each must be a shipped design, for which the engine is compiled. Raises
    :class:`vgic.UnknownDesign`, ``ValueError`` or, unless ``allow_unsound``, :class:`vgic.UnsoundDesign`.
    """
    checked = []
    for name in dict.fromkeys(names):
        if name in also:
            checked.append(name)
            continue
        row = _find(name, also)
        if measured and row.is_composed:
            raise ValueError(
                f"design {name} is composed, and what is measured must be compiled: only prove, predict, replay as "
                "recorded and designs take it"
            )
        if row.unsound and not allow_unsound:
            why = f" ({row.defect.rstrip('.')})" if row.defect else ""
            raise UnsoundDesign(f"design {name} is unsound{why}: it runs on real threads only with allow-unsound")
        checked.append(name)
    return checked
