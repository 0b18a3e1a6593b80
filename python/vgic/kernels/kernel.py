"""A kernel: the design that has its LPI code, the fixes that were backported to it, the defects that it has.

``kernels.toml`` holds the kernels, ``prove/defects.toml`` the defects and where they were fixed.
"""

import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from vgic.designs import design
from vgic.kernels.release import Release, here, release
from vgic.prove.defects import Defect, Fix, defects

__all__ = ["Kernel", "Series", "Standing", "design_release", "kernel", "kernel_here", "kernels"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a kernel stands to a defect."""

    defect: Defect
    #: ``has``; ``backported`` if its stable series got the fix in time; ``fixed`` if the mainline had it before;
    #: ``never`` if what brought the defect is younger.
    state: Literal["has", "backported", "fixed", "never"]
    #: The fix that it has, or the one of its series that is still to come.
    fix: Fix | None = None
    #: Of one that it has, whether a record, the mainline, or a look at such a kernel says so. Otherwise no fix is known
    #: in its series, and nobody has looked.
    certain: bool = True

    @property
    def until(self) -> str:
        """Of a defect that the kernel has: what ends it, in words."""
        if self.fix is not None:
            return f"fixed in {self.fix}"
        mainline = next((fix for fix in self.defect.fixed if not release(fix.kernel).is_stable), None)
        if mainline is None:
            return "no kernel has a fix"
        what = "no fix in this series" if self.certain else "no fix known in this series"
        return f"{what}; mainline {mainline}"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel, by its release. :func:`kernel` makes one."""

    #: As it was asked for.
    name: str
    release: Release
    #: The design that has its LPI code, or is nearest to it.
    design: str
    #: The same with what a stable kernel has of later designs, as far as that is known: ``v6.10+drain=put-erased``.
    composed: str
    #: What does not fit, a sentence each: a stable release that is not known, a kernel that is newer than the data.
    notes: tuple[str, ...]
    #: Every defect that a kernel had, in the order of the catalogue.
    standings: tuple[Standing, ...]

    @property
    def defects(self) -> tuple[Standing, ...]:
        """The known defects that it has."""
        return self._of("has")

    @property
    def backports(self) -> tuple[Standing, ...]:
        """The defects that its stable series has mended."""
        return self._of("backported")

    @property
    def cves(self) -> tuple[str, ...]:
        """The records of :attr:`defects`, each once."""
        return tuple(dict.fromkeys(one.defect.cve for one in self.defects if one.defect.cve))

    def _of(self, state: str) -> tuple[Standing, ...]:
        return tuple(one for one in self.standings if one.state == state)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "name": self.name,
            "release": str(self.release),
            "stable_release_known": self.release.known,
            "series": self.release.series,
            "design": self.design,
            "composed": self.composed,
            "notes": list(self.notes),
            "backports": [_row(one) for one in self.backports],
            "defects": [_row(one) for one in self.defects],
        }


def _row(one: Standing) -> dict[str, Any]:
    fix = one.fix
    return {
        "id": one.defect.id,
        "cve": one.defect.cve,
        "about": one.defect.about,
        "certain": one.certain,
        "fixed": None if fix is None else fix.kernel,
        "fixed_at_latest": fix is not None and fix.at_latest,
        "commits": [] if fix is None else list(fix.commits),
        "mainline_fixes": [other.kernel for other in one.defect.fixed if not release(other.kernel).is_stable],
        "mainline_commits": list(one.defect.commits),
    }


@dataclass(frozen=True, slots=True)
class Series:
    """A series of kernels: a release of the mainline and the stable ones that follow it."""

    #: ``6.6``.
    name: str
    #: Whether the catalogue follows its stable releases.
    followed: bool = False
    #: The newest stable release that this data knows of; empty if it follows none.
    newest: str = ""
    #: ``longterm``, ``stable`` or ``mainline`` as of autumn 2026; empty for one that has ended.
    kind: str = ""
    #: How it differs from its design, if that is older than the design ``before``.
    note: str = ""
    before: str = ""

    @property
    def first(self) -> Kernel:
        """The release of the mainline."""
        return kernel(self.name)

    @property
    def last(self) -> Kernel:
        """The newest that is known: a stable release, or that of the mainline."""
        return kernel(self.newest or self.name)


@cache
def _raw() -> dict[str, Any]:
    return tomllib.loads(files("vgic.kernels").joinpath("kernels.toml").read_text(encoding="utf-8"))


@cache
def _designs() -> dict[str, tuple[Release, tuple[Release, ...]]]:
    """The designs that follow a kernel, in the order of their history: that kernel, and from which ones on."""
    return {row["name"]: (release(row["release"]), tuple(map(release, row["from"]))) for row in _raw()["designs"]}


@cache
def kernels() -> tuple[Series, ...]:
    """The series of kernels that are known, oldest first."""
    return tuple(Series(**row | {"newest": _newest(row)}) for row in _raw()["series"])


def _newest(row: dict[str, Any]) -> str:
    if not row.get("followed"):
        return ""
    told = [fix.kernel for one in defects() for fix in one.fixed]
    told += [name for one in defects() for name in one.seen_in]
    found = [one for one in map(release, told) if one.series == row["name"]]
    return str(max([release(row.get("newest", row["name"])), *found]))


def design_release(design: str) -> Release | None:
    """The kernel that a design follows; None for one that no kernel has."""
    return _designs()[design][0] if design in _designs() else None


def kernel(text: str) -> Kernel:
    """The kernel of a release (``6.6.87``, ``7.3-rc1``) or of a name such as ``uname -r`` prints.

    One that is not known stands for the nearest that is, and :attr:`Kernel.notes` says so. Raises ``ValueError`` for a
    text that is no release.

    >>> import vgic
    >>> found = vgic.kernel("6.6.87")
    >>> found.design, [one.defect.id for one in found.backports]
    ('v6.8-rc1', ['CVE-2024-26598', 'walk-meets-unmapped'])
    """
    asked = release(text)
    base = _base(asked)
    return Kernel(str(text), asked, base, _composed(asked, base), tuple(_notes(asked)), tuple(_standings(asked)))


def kernel_here() -> Kernel:
    """The kernel of this machine, by ``uname`` and what its distribution tells. Raises ``ValueError`` if not Linux."""
    return kernel(here())


def _base(asked: Release) -> str:
    """The last design in the history that the kernel has reached, in its own series or in the mainline."""
    names = list(_designs())
    found = names[0]
    for name in names:
        for start in _designs()[name][1]:
            if _reached(asked, start):
                found = name
    return found


def _composed(asked: Release, base: str) -> str:
    """The design with the backports that the kernel has. One that does not go with the others is not in its code."""
    found = design(base)
    for row in _raw()["backports"]:
        if any(_reached(asked, start) for start in map(release, row["from"])):
            with suppress(ValueError):
                found = found.with_(**{row["axis"].replace("-", "_"): row["value"]})
    return found.name


def _reached(asked: Release, start: Release) -> bool:
    """Whether a kernel has what came with the release ``start``: of the mainline, or of a stable series."""
    if start.is_stable:
        return asked.series == start.series and asked >= start
    return Release(asked.major, asked.minor, rc=asked.rc) >= start


def _notes(asked: Release) -> Iterator[str]:
    known = {one.name: one for one in kernels()}
    names = list(_designs())
    one = known.get(asked.series)
    order = [release(name) for name in known]
    mainline = Release(asked.major, asked.minor)
    if not asked.known:
        yield (
            f"the stable release cannot be known from {asked.series}.0{asked.suffix.split(' ')[0]}: what follows is "
            f"for {asked.series} without any stable fix, and the package has more. Debian's 'uname -v' and Ubuntu's "
            "/proc/version_signature tell it: --kernel takes what they print"
        )
    oldest = _designs()[names[0]][1][0]
    if mainline < oldest:
        yield (
            f"{asked} is older than {oldest}, which brought the translation cache: {names[0]} is the nearest design, "
            "and its cache is not there"
        )
    elif mainline > order[-1]:
        yield f"{asked} is newer than {order[-1]}, the newest that is known here: what is said of it is said of that"
    elif one is None:
        near = min(order, key=lambda other: (abs(other.major - asked.major), abs(other.minor - asked.minor)))
        yield (
            f"{asked.series} is not among the kernels that are known here, and {near} is the nearest: of its stable "
            "fixes only those are known that a record names"
        )
    elif asked.is_stable and not one.followed:
        yield f"of {asked.series} only the mainline's release is known here: stable releases may have more fixes"
    elif one.newest and asked > release(one.newest):
        yield f"{asked} is newer than {one.newest}, the newest of its series that is known here: it may have more fixes"
    if one is not None and one.note and names.index(_base(asked)) < names.index(one.before):
        yield one.note


def _standings(asked: Release) -> Iterator[Standing]:
    for one in defects():
        if _of_kernels(one):
            yield _standing(one, asked)


def _of_kernels(one: Defect) -> bool:
    """Whether a kernel has had it, and not only what was posted."""
    return one.of_kernels_alone or any(one.is_of(name) for name in _designs())


def _standing(one: Defect, asked: Release) -> Standing:
    if _is_older(one, asked):
        return Standing(one, "never")
    mine: Fix | None = None
    for fix in one.fixed:
        at = release(fix.kernel)
        if not at.is_stable and _reached(asked, at):
            return Standing(one, "fixed", fix)
        if at.is_stable and at.series == asked.series:
            mine = fix
    if mine is not None and asked >= release(mine.kernel):
        return Standing(one, "backported", mine)
    if mine is not None:
        return Standing(one, "has", mine, certain=not (mine.at_latest and asked.is_stable))
    return Standing(one, "has", certain=not asked.is_stable or not one.fixed or _looked_into(one, asked))


def _looked_into(one: Defect, asked: Release) -> bool:
    """Whether somebody knows that the series got no fix until that release."""
    seen = [at for at in map(release, one.seen_in) if at.series == asked.series]
    return asked.series in one.unfixed or any(asked <= at for at in seen)


def _is_older(one: Defect, asked: Release) -> bool:
    """Whether the kernel is older than the defect; where nobody has determined that, than the first design with it."""
    if one.since:
        return Release(asked.major, asked.minor, rc=asked.rc) < release(one.since)
    names = list(_designs())
    first = next((name for name in names if one.is_of(name)), names[0])
    return names.index(_base(asked)) < names.index(first)
