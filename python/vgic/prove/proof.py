"""Model checking: small scenarios in a design, their threads interleaved in every way, or in many.

The engine that runs on real threads runs here, unchanged, on a platform whose threads take turns. Looked for are: use
after free, double free, a reference taken at zero, leaks, deadlocks and lost wake-ups, lock order, sleeping in atomic
context, interrupts that are lost, delivered twice or delivered after their DISCARD, leftovers in a translation cache,
and counts that do not add up.

:attr:`Proof.complete` says that every schedule of the scenario with at most so many preemptions was tried. Larger
scenarios, more preemptions and weak memory are not covered by that; docs/explain/checking.md says what a pass means.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from difflib import get_close_matches
from os import cpu_count
from pathlib import Path
from shlex import quote
from threading import Event
from typing import Any, Literal, get_args

from vgic import _core
from vgic.arguments import real, whole
from vgic.designs import DEFAULT_DESIGN, check_names
from vgic.errors import Interrupted
from vgic.prove.story import WIDTH, Access, LpiAt, RegisterAt, State, Story, StoryLine

__all__ = [
    "OnProof",
    "Proof",
    "ProofPlan",
    "Scenario",
    "ScenarioFile",
    "Search",
    "Story",
    "check_scenarios",
    "prove",
    "prove_all",
    "read_scenario",
    "scenario_words",
    "scenarios",
]

#: Of a scenario file.
_MOST_BYTES = 1 << 16

#: Which schedules are tried: every one with at most so many preemptions, the fewest first; at random; or by random
#: priorities that change at a few places (PCT).
Search = Literal["bounded", "random", "pct"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a few threads do at once."""

    name: str
    #: What meets what, in one sentence.
    about: str
    #: How much there is of everything.
    bound: str


@dataclass(frozen=True, slots=True)
class ProofPlan:
    """How to search. Raises ``ValueError`` for a number out of range."""

    search: Search = "bounded"
    #: Of a bounded search, 0 to 8.
    preemptions: int = 2
    #: Of PCT: one more than the places at which priorities change, 1 to 16.
    depth: int = 3
    #: Of random schedules, and of scenarios that draw their operations; 0 to 2**64 - 1.
    seed: int = 1
    #: At most so many, or as many as there are.
    executions: int | None = None
    #: At most so long, above 0 to 86400. A finding is then made short, in at most some thousand executions more, which
    #: take seconds.
    seconds: float = 15.0
    #: The search ends when so many different violations were found, 1 to 64.
    findings: int = 1

    def __post_init__(self) -> None:
        if self.search not in get_args(Search):
            raise ValueError(f"search: {self.search!r} is not one of {', '.join(get_args(Search))}")
        for what, value, least, most in (
            ("preemptions", self.preemptions, 0, 8),
            ("depth", self.depth, 1, 16),
            ("seed", self.seed, 0, (1 << 64) - 1),
            ("findings", self.findings, 1, 64),
        ):
            whole(what, value, least, most)
        if self.executions is not None:
            whole("executions", self.executions, 1, (1 << 64) - 1)
        real("seconds", self.seconds, 0, 86400, above=True)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a search came to."""

    scenario: str
    design: str
    plan: ProofPlan
    #: The violations that were found, the first one first; one or none unless the search kept going.
    stories: tuple[Story, ...]
    #: Schedules that were tried.
    executions: int
    #: Largest number of preemptions of which every schedule was tried, or None.
    exhausted: int | None
    #: Whether everything that was asked for was tried; never true of random schedules.
    complete: bool
    #: Why it ended: all was tried; enough was found; a limit of :class:`ProofPlan`; or somebody stopped it.
    ended: Literal["complete", "found", "executions", "seconds", "stopped"]
    #: Steps of the longest execution.
    longest: int
    seconds: float
    #: The file of the scenario, if it is not a shipped one.
    path: str = ""

    @property
    def passed(self) -> bool:
        """Whether no violation was found; see :attr:`complete` for what that is worth."""
        return not self.stories

    @property
    def explored(self) -> str:
        """What was tried, and no more than that."""
        tried = f"{self.executions:,} interleaving{'s' * (self.executions != 1)}"
        if self.plan.search != "bounded":
            how = "PCT" if self.plan.search == "pct" else "random"
            return f"{tried}, {how}, seed {self.plan.seed}"
        if self.stories and self.plan.findings == 1:
            return f"{tried} until it was found"
        if self.exhausted is None:
            return f"{tried}, cut short"
        return f"{tried}, all to {_preemptions(self.exhausted)}" + ("" if self.complete else "; cut short")

    @property
    def verdict(self) -> str:
        """One line. Says *proved* only if every schedule that was asked for was tried."""
        if self.stories:
            more = f" (and {len(self.stories) - 1} more)" if len(self.stories) > 1 else ""
            return f"VIOLATION: {self.stories[0].what}{more}"
        return f"proved to {_preemptions(self.exhausted or 0)}" if self.complete else "nothing found"

    def command(self, story: Story) -> str:
        """The command that replays a story of this search."""
        which = f"--scenario-file {quote(self.path)}" if self.path else f"--scenario {quote(self.scenario)}"
        names = f"{which} --design {quote(self.design)} --seed {self.plan.seed}"
        return f"vgic prove {names} --replay {quote(story.schedule)}"

    def told(self, story: Story, *, full: bool = False, width: int = WIDTH) -> str:
        """A story of this search, as :meth:`Story.laid_out`, and below it the command that replays it, in one line."""
        return f"{story.laid_out(width, full=full)}  replay: {self.command(story)}"


def _preemptions(number: int) -> str:
    return "1 preemption" if number == 1 else f"{number} preemptions"


def scenarios() -> list[Scenario]:
    """Every scenario, by name."""
    return [Scenario(*entry) for entry in sorted(_core.scenarios())]


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """A scenario that somebody has written down; docs/guide/prove.md says how. It is checked when it is searched."""

    #: The file's name without its suffix.
    name: str
    text: str = field(repr=False)
    #: Where it was read from.
    path: str = ""


def read_scenario(path: str | Path) -> ScenarioFile:
    """Read a scenario file, at most 64 KiB of UTF-8. Raises ``OSError`` or ``ValueError``."""
    with Path(path).open("rb") as file:
        raw = file.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise ValueError(f"{path}: a scenario has at most {_MOST_BYTES} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: a scenario is text in UTF-8") from None
    return ScenarioFile(Path(path).stem, text, str(path))


def scenario_words() -> list[str]:
    """How each operation of a scenario file is written."""
    return _core.scenario_words()


def check_scenarios(names: Sequence[str] | None) -> list[str]:
    """``names`` if all of them are scenarios, or every scenario if there are none. Raises ``ValueError``."""
    known = [scenario.name for scenario in scenarios()]
    for name in names or ():
        if name not in known:
            close = get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else "'vgic prove --list' shows them"
            raise ValueError(f"unknown scenario {name!r}; {hint}")
    return list(dict.fromkeys(names)) if names else known


def prove(
    scenario: str | ScenarioFile,
    design: str = DEFAULT_DESIGN,
    plan: ProofPlan | None = None,
    *,
    schedule: str | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Proof:
    """Search the schedules of one scenario in one design, a composed or unsound one too; releases the GIL.

    ``scenario`` is the name of a shipped one, or what :func:`read_scenario` has read.
    ``schedule`` replays that of a :class:`Story`, found with the same seed, instead. ``stop`` is asked often; true
    ends the search early, which is then not complete. Raises ``ValueError`` for an unknown name or a schedule that
    cannot be read.
    """
    script = None
    if isinstance(scenario, ScenarioFile):
        name, script = scenario.name, scenario.text
    else:
        (name,) = check_scenarios([scenario])
    (design,) = check_names([design], allow_unsound=True)
    plan = plan or ProofPlan()
    raw = _core.prove(
        name,
        design,
        search=plan.search,
        preemptions=plan.preemptions,
        depth=plan.depth,
        seed=plan.seed,
        executions=plan.executions,
        seconds=plan.seconds,
        findings=plan.findings,
        schedule=schedule,
        script=script,
        stop=stop,
    )
    stories = tuple(_story(story) for story in raw["stories"])
    return Proof(
        name,
        design,
        plan,
        stories,
        raw["executions"],
        raw["exhausted"],
        raw["complete"] and schedule is None,
        raw["ended"],
        raw["longest"],
        raw["seconds"],
        scenario.path if isinstance(scenario, ScenarioFile) else "",
    )


def trace(name: str, design: str, text: str, schedule: str = "-") -> Story:
    """One execution of a scenario that is a text, with a schedule, told from its beginning to its end.

    ``name`` is for the story. An execution that breaks no rule is told, too: its ``rule`` and ``what`` are empty.
    Raises ``ValueError`` for a text that is no scenario, a design that there is not, and a schedule that does not fit.
    """
    (design,) = check_names([design], allow_unsound=True)
    raw = _core.trace(name, design, text, schedule)
    if not raw["what"]:
        raw["rule"] = ""
    return _story(raw)


def _story(raw: Any) -> Story:
    lists = {key: tuple(raw[key]) for key in ("threads", "before", "objects")}
    states = tuple(
        State(line, tuple(LpiAt(*lpi) for lpi in lpis), tuple(RegisterAt(*register) for register in registers))
        for line, lpis, registers in raw["states"]
    )
    lines = tuple(StoryLine._make([*line, Access(*access) if access else None]) for *line, access in raw["lines"])
    return Story(**raw | lists | {"lines": lines, "states": states})


#: Told of each search that has ended: how many have, of how many, and what it came to.
OnProof = Callable[[int, int, Proof], object]


def prove_all(
    pairs: Sequence[tuple[str | ScenarioFile, str, ProofPlan]],
    *,
    done: OnProof | None = None,
    stop: Callable[[], bool] = lambda: False,
    jobs: int | None = None,
) -> list[Proof]:
    """Search (scenario, design, plan) triples side by side; results in their order.

    ``done`` is called in the calling thread with each result as it comes in: how many have, of how many, and the
    result. ``stop`` is asked often, in the threads that search; true ends all searches early. ``jobs``: how many at a
    time, 1 to 1024, by default one for each CPU. An exception, such as that of Ctrl-C, ends the searches that run.
    """
    if jobs is not None:
        whole("jobs", jobs, 1, 1024)
    ended = Event()

    def stopped() -> bool:
        return ended.is_set() or stop()

    with ThreadPoolExecutor(max_workers=jobs or cpu_count() or 1) as pool:
        futures: list[Future[Proof]] = [pool.submit(prove, *triple, stop=stopped) for triple in pairs]
        try:
            for finished, future in enumerate(as_completed(futures), 1):
                if done is not None:
                    done(finished, len(futures), future.result())
            return [future.result() for future in futures]
        except BaseException as error:
            finished_ones = [found for found in map(_finished, futures) if found is not None]
            ended.set()
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(finished_ones) from None
            raise


def _finished(future: Future[Proof]) -> Proof | None:
    """What came of a search that has ended."""
    return future.result() if future.done() and not future.cancelled() and future.exception() is None else None
