"""The catalogue of concurrency defects: each one that LPI routing is known for, and a search that finds it again.

``defects.toml`` holds the catalogue: what each defect is, where it is written down, which designs have it, and which
scenario shows it. :func:`prove_history` searches for each one in designs that have it and in designs that do not.
"""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from vgic.prove import OnProof, Proof, ProofPlan, Story, prove_all

__all__ = ["Defect", "DefectResult", "Sign", "defects", "prove_history"]


@dataclass(frozen=True, slots=True)
class Sign:
    """How a defect shows itself in a story. Patterns as of a shell; an empty one matches anything."""

    #: The rule that is broken.
    rule: str = ""
    #: The sentence that says how.
    what: str = ""
    #: What the thread that broke it was about.
    operation: str = ""

    def matches(self, story: Story) -> bool:
        """Whether a story has this sign."""
        pairs = ((story.rule, self.rule), (story.what, self.what), (story.operation, self.operation))
        return all(fnmatchcase(text, pattern or "*") for text, pattern in pairs)


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect of the catalogue."""

    id: str
    #: What goes wrong.
    about: str
    #: Commit, CVE or mail.
    reference: str
    #: Designs that have it, in words.
    designs: str
    #: The scenario that shows it.
    scenario: str
    #: Designs that have it, in which it is searched for.
    found_in: tuple[str, ...]
    #: Designs that do not have it, in which the same search must find nothing.
    absent_in: tuple[str, ...]
    #: Which commit or design has fixed it.
    fixed_by: str
    #: Any of these in a story tells that it is this defect.
    signs: tuple[Sign, ...]
    #: Preemptions of the search.
    preemptions: int = 2
    #: How long each search may take: only a guard against one without an end, as no result may depend on it.
    seconds: float = 1200.0

    def story_in(self, proof: Proof) -> Story | None:
        """The first story of a search that shows this defect, if one does."""
        return next((story for story in proof.stories if any(sign.matches(story) for sign in self.signs)), None)


@dataclass(frozen=True, slots=True)
class DefectResult:
    """A defect, and what was found of it."""

    defect: Defect
    #: One for each of :attr:`Defect.found_in`.
    found: tuple[Proof, ...]
    #: One for each of :attr:`Defect.absent_in`.
    absent: tuple[Proof, ...]

    @property
    def as_expected(self) -> bool:
        """Whether it was found in each design that has it, and nothing was found in those that have not."""
        return all(self.defect.story_in(proof) for proof in self.found) and all(proof.passed for proof in self.absent)


@cache
def defects() -> tuple[Defect, ...]:
    """The catalogue, in the order of the designs."""
    raw = tomllib.loads(files("vgic").joinpath("defects.toml").read_text(encoding="utf-8"))
    return tuple(
        Defect(
            **{
                **entry,
                "found_in": tuple(entry["found_in"]),
                "absent_in": tuple(entry["absent_in"]),
                "signs": tuple(Sign(**sign) for sign in entry["signs"]),
            }
        )
        for entry in raw["defect"]
    )


def prove_history(
    chosen: Sequence[Defect] | None = None,
    *,
    done: OnProof | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[DefectResult]:
    """Search for each defect (by default the whole catalogue) where it should be and where it should not.

    ``done``, ``stop``: see :func:`vgic.prove.prove_all`.
    """
    chosen = defects() if chosen is None else chosen
    triples = [
        (defect.scenario, design, ProofPlan(preemptions=defect.preemptions, seconds=defect.seconds))
        for defect in chosen
        for design in (*defect.found_in, *defect.absent_in)
    ]
    proofs = iter(prove_all(triples, done=done, stop=stop))
    return [
        DefectResult(
            defect, tuple(next(proofs) for _ in defect.found_in), tuple(next(proofs) for _ in defect.absent_in)
        )
        for defect in chosen
    ]
