"""The catalogue of concurrency defects: what each one is, which designs have it, and how it shows.

``defects.toml`` holds the catalogue. A design has its *own* defects, which it brought, and those that it *inherited*:
of the designs that it is based on, as long as none in between has mended them. What the model checker finds is *known*
if it has a sign of a defect that the design has.
"""

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from vgic import _core
from vgic.designs import design, designs
from vgic.prove.story import Story

if TYPE_CHECKING:
    from vgic.prove.proof import Proof

__all__ = ["Defect", "Sign", "defect", "defects", "defects_of", "defects_row", "known"]


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
class Defect:
    """One defect of the catalogue. Texts are one line, and empty where nothing is to be said."""

    id: str
    #: What goes wrong.
    about: str
    #: Designs that brought it.
    introduced_in: tuple[str, ...]
    #: Designs that mended it.
    fixed_in: tuple[str, ...]
    #: The scenario that shows it.
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
    #: The first kernel that has it, and the commit that brought it.
    since: str = ""
    since_commit: str = ""
    #: The kernels that got a fix first, and the fixes.
    fixed: str = ""
    commits: tuple[str, ...] = ()
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
        fixed = (self.fixed_after(name) or "no design") + (f" (kernels {self.fixed})" if self.fixed else "")
        return f"since {since}, fixed in {fixed}"

    @property
    def sources(self) -> str:
        """Commits and where else it is written down, and what differs somewhere, in words."""
        parts = [
            f"Brought by {self.since_commit}." if self.since_commit else "",
            f"Fixed by {', '.join(self.commits)}." if self.commits else "",
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
    return Defect(**_frozen(entry) | {"signs": tuple(Sign(**_frozen(sign)) for sign in entry["signs"])})


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
        "fixed_kernels": one.fixed,
        "commits": list(one.commits),
        "reference": one.reference,
        "note": one.note,
    }


def known(story: Story) -> Defect | None:
    """The defect that a story shows, if its design is known to have it; the first of the catalogue if there are two."""
    return next((one for one in defects() if one.is_of(story.design) and one.shows_in(story)), None)
