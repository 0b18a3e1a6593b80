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

from vgic.arguments import real
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
    def wrong(self) -> bool:
        """Whether a search says otherwise than the catalogue.

        A violation in a design that does not have the defect; or, in a design that has it, another violation, or none
        in a search that was not cut short.
        """
        missing = (proof for proof in self.found if self.defect.story_in(proof) is None)
        return any(not proof.passed or proof.complete for proof in missing) or not all(p.passed for p in self.absent)

    @property
    def unfinished(self) -> tuple[Proof, ...]:
        """Searches that were cut short before they found anything: they say nothing."""
        return tuple(proof for proof in (*self.found, *self.absent) if proof.passed and not proof.complete)

    @property
    def as_expected(self) -> bool:
        """Whether it was found in each design that has it, and is in none of those that have not.

        Only a search of everything up to its bound tells that nothing is there: none was cut short.
        """
        return not self.wrong and not self.unfinished

    @property
    def verdict(self) -> str:
        """``ok``, ``WRONG``, or ``CUT SHORT`` if a search was."""
        return "WRONG" if self.wrong else "CUT SHORT" if self.unfinished else "ok"


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
    seconds: float | None = None,
    done: OnProof | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[DefectResult]:
    """Search for each defect (by default the whole catalogue) where it should be and where it should not.

    ``seconds``: how long each search may take (above 0 to 86400), by default :attr:`Defect.seconds`. ``done``,
    ``stop``: see :func:`vgic.prove.prove_all`.
    """
    chosen = defects() if chosen is None else chosen
    if seconds is not None:
        real("seconds", seconds, 0, 86400, above=True)
    triples = [
        (defect.scenario, design, ProofPlan(preemptions=defect.preemptions, seconds=seconds or defect.seconds))
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
