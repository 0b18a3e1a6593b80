"""The catalogue of defects: what each one is, which designs and kernels have it, and how it shows.

``defects.toml`` holds the catalogue. A design has its *own* defects, which it brought, and those that it *inherited*:
of the designs that it is based on, as long as none in between has mended them. What the model checker finds is *known*
if it has a sign of a defect that the design has. A few entries are of kernels alone: the engine has no such defect, so
nothing is searched for.

Which kernel has which defect is data here, and worked out in :mod:`vgic.kernels`.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from vgic import _core
from vgic.designs import design, designs
from vgic.prove.story import Story

if TYPE_CHECKING:
    from vgic.prove.proof import Proof

__all__ = ["Defect", "Fix", "Sign", "defect", "defects", "defects_of", "defects_row", "known"]


#: Before a kernel that has a fix, where the first that has it is not known.
_AT_LATEST = "<="


@dataclass(frozen=True, slots=True)
class Sign:
    """How a defect shows itself in a story. Patterns as of a shell; an empty one matches anything."""

    #: The rule that is broken.
    rule: str = ""
    #: The sentence that says how.
    what: str = ""
    #: What the thread that broke it was about.
    operation: str = ""
    #: The scenarios in which it tells; none for that of the defect.
    scenarios: tuple[str, ...] = ()

    def matches(self, story: Story) -> bool:
        """Whether a story has this sign."""
        pairs = ((story.rule, self.rule), (story.what, self.what), (story.operation, self.operation))
        return all(fnmatchcase(text, pattern or "*") for text, pattern in pairs)


@dataclass(frozen=True, slots=True)
class Fix:
    """A kernel that got a fix: of the mainline (``7.2``, ``7.2-rc6``) or of a stable series (``7.1.8``)."""

    #: The first release that has it; with :attr:`at_latest` one that has it, while the first is not known.
    kernel: str
    #: The fixes there, 12 digits each; none where they are not known.
    commits: tuple[str, ...]
    #: How it is known: ``record`` (the CVE's), ``log`` (of the repository of that kernel), ``review`` (the mails that
    #: announced that release for review), ``source`` (of that release was read), ``package`` (a distribution's kernel
    #: of that version was looked into).
    source: str
    at_latest: bool = False

    def __str__(self) -> str:
        """The release, ``at the latest`` if an older one may have it."""
        return f"{self.kernel} at the latest" if self.at_latest else self.kernel


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect of the catalogue. Texts are one line, and empty where nothing is to be said."""

    id: str
    #: What goes wrong.
    about: str
    #: Designs that brought it.
    introduced_in: tuple[str, ...]
    #: Designs that mended it.
    fixed_in: tuple[str, ...]
    #: The scenario that shows it; empty for a defect of kernels alone.
    scenario: str
    #: Designs that have it, in which it is searched for.
    found_in: tuple[str, ...]
    #: Designs that do not have it, in which the same search must find nothing.
    absent_in: tuple[str, ...]
    #: Any of these in a story tells that it is this defect.
    signs: tuple[Sign, ...]
    #: Designs in which another defect keeps it from showing.
    hidden_in: tuple[str, ...] = ()
    #: The number of its record.
    cve: str = ""
    #: The first kernel that has it, and the commit that brought it; empty where nobody has determined it.
    since: str = ""
    since_commit: str = ""
    #: The kernels that got a fix, the mainline first.
    fixed: tuple[Fix, ...] = ()
    #: Series for which its record, or a look at such a kernel, says that they have it and got no fix.
    unfixed: tuple[str, ...] = ()
    #: Unmodified kernels on which it was made to happen.
    seen_in: tuple[str, ...] = ()
    #: Designs that do not have it though the kernels that they follow do.
    unmodelled_in: tuple[str, ...] = ()
    #: Where else it is written down.
    reference: str = ""
    #: The section of docs/explain that tells it.
    told: str = ""
    #: What differs somewhere.
    note: str = ""
    #: Preemptions of the search.
    preemptions: int = 2
    #: How long each search may take: only a guard against one without an end, as no result may depend on it.
    seconds: float = 1200.0

    @property
    def of_kernels_alone(self) -> bool:
        """Whether the engine has no such defect in any design, so that no scenario shows it."""
        return not self.introduced_in

    @property
    def commits(self) -> tuple[str, ...]:
        """The fixes of the mainline."""
        return self.fixed[0].commits if self.fixed else ()

    @property
    def fixed_text(self) -> str:
        """The kernels that got a fix, in words."""
        return ", ".join(map(str, self.fixed))

    @property
    def name(self) -> str:
        """The number of its record, or its id."""
        return self.cve or self.id

    @property
    def title(self) -> str:
        """Its id, with the number of its record if the id does not say it."""
        return self.id if self.cve in self.id else f"{self.id} ({self.cve})"

    def is_of(self, name: str) -> Literal["own", "inherited", ""]:
        """Whether the design called ``name`` has it, and brought it or inherited it; empty if it has it not."""
        at = name
        while at and at not in self.fixed_in and at not in self.hidden_in:
            if at in self.introduced_in:
                return "own" if at == name else "inherited"
            at = design(at).based_on
        return ""

    @property
    def designs(self) -> tuple[str, ...]:
        """The designs that have it, in the order of their history."""
        return tuple(row.name for row in designs() if self.is_of(row.name))

    def brought_by(self, name: str) -> str:
        """The design that brought it to the one called ``name``, which has it."""
        at = name
        while at not in self.introduced_in:
            at = design(at).based_on
        return at

    def fixed_after(self, name: str) -> str:
        """The first design after the one called ``name`` that has mended it; empty if none has."""
        order = [row.name for row in designs()]
        later = order[order.index(design(name).shipped) :]
        return next((fix for fix in later if fix in self.fixed_in), "")

    def history(self, name: str) -> str:
        """Since which design and kernel the design called ``name`` has it, and which mended it, in words."""
        brought = self.brought_by(name)
        since = f"{brought}{'' if design(brought).based_on else ' or before'}" + (
            f" (kernel {self.since})" if self.since else ""
        )
        fixed = (self.fixed_after(name) or "no design") + (f" (kernels {self.fixed_text})" if self.fixed else "")
        return f"since {since}, fixed in {fixed}"

    @property
    def sources(self) -> str:
        """Commits and where else it is written down, and what differs somewhere, in words."""
        parts = [
            f"Brought by {self.since_commit}." if self.since_commit else "",
            f"Fixed by {', '.join(self.commits)}." if self.commits else "",
            f"Made to happen on unmodified {', '.join(self.seen_in)}." if self.seen_in else "",
            f"Reference: {self.reference}." if self.reference else "",
            f"Note: {self.note}." if self.note else "",
        ]
        return " ".join(part for part in parts if part)

    def shows_in(self, story: Story) -> bool:
        """Whether a story has a sign of it."""
        own = (self.scenario,)
        # A scenario of the user's own may show any of them.
        shipped = story.scenario in _shipped()
        signs = (one for one in self.signs if not shipped or story.scenario in (one.scenarios or own))
        return any(sign.matches(story) for sign in signs)

    def story_in(self, proof: "Proof") -> Story | None:
        """The first story of a search that shows this defect, if one does."""
        return next((story for story in proof.stories if self.shows_in(story)), None)


@cache
def defects() -> tuple[Defect, ...]:
    """The catalogue, in the order of the designs."""
    raw = tomllib.loads(files("vgic.prove").joinpath("defects.toml").read_text(encoding="utf-8"))
    return tuple(_defect(entry) for entry in raw["defect"])


@cache
def _shipped() -> frozenset[str]:
    return frozenset(name for name, _, _ in _core.scenarios())


def _defect(entry: dict[str, Any]) -> Defect:
    signs = tuple(Sign(**_frozen(sign)) for sign in entry.get("signs", ()))
    return Defect(**_NOT_MODELLED | _frozen(entry) | {"signs": signs, "fixed": tuple(_fixes(entry))})


#: What an entry of kernels alone does without.
_NOT_MODELLED: dict[str, Any] = {
    "introduced_in": (),
    "fixed_in": (),
    "scenario": "",
    "found_in": (),
    "absent_in": (),
}


def _fixes(entry: dict[str, Any]) -> Iterator[Fix]:
    """What stands for a defect under ``fixed``: a table for each source, with commits by kernel."""
    for source, kernels in entry.get("fixed", {}).items():
        for kernel, commits in kernels.items():
            name = kernel.removeprefix(_AT_LATEST)
            yield Fix(name, tuple(commits.split()), source, at_latest=name != kernel)


def _frozen(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def defect(name: str) -> Defect:
    """The defect with the id ``name``. Raises ``ValueError`` if there is none."""
    for one in defects():
        if one.id == name:
            return one
    raise ValueError(f"unknown defect {name!r}; docs/explain/defects.md has them all")


def defects_of(name: str) -> tuple[list[Defect], list[Defect]]:
    """The defects of the design called ``name``: its own, and those that it inherited."""
    found: dict[str, list[Defect]] = {"own": [], "inherited": [], "": []}
    design(name)
    for one in defects():
        found[one.is_of(name)].append(one)
    return found["own"], found["inherited"]


def defects_row(name: str) -> dict[str, list[dict[str, Any]]]:
    """The defects of the design called ``name`` as JSON has them: own and inherited, each with since when and until.

    ``since`` and ``fixed_in`` are designs, ``since_kernel`` and ``fixed_kernels`` releases; empty if not known.
    """
    own, inherited = defects_of(name)
    return {"own": [_row(one, name) for one in own], "inherited": [_row(one, name) for one in inherited]}


def _row(one: Defect, name: str) -> dict[str, Any]:
    return {
        "id": one.id,
        "cve": one.cve,
        "about": one.about,
        "since": one.brought_by(name),
        "since_kernel": one.since,
        "since_commit": one.since_commit,
        "fixed_in": one.fixed_after(name),
        "fixed_kernels": one.fixed_text,
        "fixes": [asdict(fix) for fix in one.fixed],
        "unfixed_series": list(one.unfixed),
        "seen_in": list(one.seen_in),
        "commits": list(one.commits),
        "reference": one.reference,
        "note": one.note,
    }


def known(story: Story) -> Defect | None:
    """The defect that a story shows, if its design is known to have it; the first of the catalogue if there are two."""
    return next((one for one in defects() if one.is_of(story.design) and one.shows_in(story)), None)
