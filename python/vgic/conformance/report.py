"""Run the cases on a target, and tell what differs."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from vgic.conformance.bench import Bench, Difference
from vgic.conformance.cases import CASES, Case
from vgic.conformance.choices import CHOICES, Choice
from vgic.conformance.target import Target, TargetError

__all__ = ["Answer", "Outcome", "Report", "check", "chosen"]

_SCHEMA = 1
LEAST_VCPUS, LEAST_DEVICES = 3, 2


@dataclass(frozen=True)
class Outcome:
    """What came of a case."""

    case: Case
    #: None if the target does as the architecture says; else what it did instead.
    difference: str | None = None
    #: Why the difference is known, if it is.
    known: str | None = None
    #: The verbs that were used, a line each.
    lines: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True)
class Answer:
    """What the target does where the architecture leaves it open."""

    choice: Choice
    text: str
    lines: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True)
class Report:
    """All of it."""

    #: What was tested.
    target: str
    outcomes: tuple[Outcome, ...]
    answers: tuple[Answer, ...]

    @property
    def differences(self) -> list[Outcome]:
        """Those that are not known."""
        return [outcome for outcome in self.outcomes if outcome.difference and not outcome.known]

    @property
    def known(self) -> list[Outcome]:
        """Differences that the target says itself that it has."""
        return [outcome for outcome in self.outcomes if outcome.difference and outcome.known]

    def to_json(self) -> str:
        """As JSON."""
        return json.dumps(
            {
                "schema": _SCHEMA,
                "target": self.target,
                "cases": [
                    {
                        "name": outcome.case.name,
                        "section": outcome.case.section,
                        "rule": outcome.case.rule,
                        "difference": outcome.difference,
                        "known": outcome.known,
                        "lines": list(outcome.lines) if outcome.difference else [],
                    }
                    for outcome in self.outcomes
                ],
                "choices": [
                    {
                        "name": answer.choice.name,
                        "section": answer.choice.section,
                        "question": answer.choice.question,
                        "answer": answer.text,
                    }
                    for answer in self.answers
                ],
            },
            indent=1,
        )


def chosen(names: Iterable[str]) -> list[Case | Choice]:
    """Cases and choices by name, all if there is no name. Raises ``ValueError`` for one that does not exist."""
    every: dict[str, Case | Choice] = {**CASES, **CHOICES}
    wanted = list(names) or list(every)
    for name in wanted:
        if name not in every:
            raise ValueError(f"there is no case {name!r}; vgic its check --list names them")
    return [every[name] for name in wanted]


def check(
    target: Target, names: Iterable[str] = (), progress: Callable[[float, str], object] = lambda done, name: None
) -> Report:
    """Run cases (default: all, and all choices) on a target, each from reset on.

    ``progress`` is called with the share that is done and a name. Raises ``ValueError`` for a name that does not exist,
    and :class:`TargetError` if the target itself breaks down.
    """
    if target.vcpus < LEAST_VCPUS or len(target.devices) < LEAST_DEVICES:
        raise TargetError(
            f"{target.name}: {target.vcpus} vCPUs and {len(target.devices)} devices; the kit needs {LEAST_VCPUS} and "
            f"{LEAST_DEVICES}"
        )
    outcomes: list[Outcome] = []
    answers: list[Answer] = []
    cases = chosen(names)
    for number, case in enumerate(cases):
        progress(number / len(cases), case.name)
        try:
            bench = Bench(target)
            if isinstance(case, Choice):
                answers.append(Answer(case, _answer(case, bench), bench.lines))
            else:
                outcomes.append(_outcome(case, bench))
        except Exception as error:  # The target's code is not ours: whatever it raises is told in one line.
            what = str(error) if isinstance(error, TargetError | OSError) else f"{type(error).__name__}: {error}"
            raise TargetError(f"{target.name}, {case.name}: {what}") from error
    return Report(target.version, tuple(outcomes), tuple(answers))


def _outcome(case: Case, bench: Bench) -> Outcome:
    try:
        case.run(bench)
    except Difference as difference:
        return Outcome(case, str(difference), bench.target.known.get(case.name), bench.lines)
    return Outcome(case)


def _answer(choice: Choice, bench: Bench) -> str:
    try:
        return choice.run(bench)
    except Difference as difference:
        return str(difference)
