"""The catalogue of defects found again: :func:`prove_history` searches for each one.

In designs that have it, where a story must come out, and in designs that do not, where nothing may.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vgic.arguments import real
from vgic.errors import Interrupted
from vgic.prove.defects import Defect, defects
from vgic.prove.proof import OnProof, Proof, ProofPlan, prove_all

__all__ = ["DefectResult", "prove_history"]


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


def prove_history(
    chosen: Sequence[Defect] | None = None,
    *,
    seconds: float | None = None,
    done: OnProof | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[DefectResult]:
    """Search for each defect (by default all that a design has) where it should be and where it should not.

    ``seconds``: how long each search may take (above 0 to 86400), by default :attr:`Defect.seconds`. ``done``,
    ``stop``, Ctrl-C: see :func:`vgic.prove.proof.prove_all`.
    """
    chosen = [one for one in defects() if not one.of_kernels_alone] if chosen is None else chosen
    if seconds is not None:
        real("seconds", seconds, 0, 86400, above=True)
    triples = [
        (defect.scenario, design, ProofPlan(preemptions=defect.preemptions, seconds=seconds or defect.seconds))
        for defect in chosen
        for design in (*defect.found_in, *defect.absent_in)
    ]
    try:
        return _results(chosen, prove_all(triples, done=done, stop=stop))
    except Interrupted as stopped:
        raise Interrupted(_results(chosen, stopped.finished)) from None


def _results(chosen: Sequence[Defect], proofs: Sequence[Proof]) -> list[DefectResult]:
    """What the searches came to, for each defect of which all are there."""
    searched = {(proof.scenario, proof.design, proof.plan.preemptions): proof for proof in proofs}
    results = []
    for one in chosen:
        found, absent = (
            tuple(
                searched[one.scenario, name, one.preemptions]
                for name in names
                if (one.scenario, name, one.preemptions) in searched
            )
            for names in (one.found_in, one.absent_in)
        )
        if (len(found), len(absent)) == (len(one.found_in), len(one.absent_in)):
            results.append(DefectResult(one, found, absent))
    return results
