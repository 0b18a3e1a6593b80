"""``vgic prove``: designs under the model checker."""

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from vgic.cli.common import check_json, console, indented, progress, write_json
from vgic.cli.options import DesignsOption, JsonOption, listed, listed_designs, names_option, scenario_names
from vgic.cli.proofs import as_row, show_proofs, show_replay
from vgic.cli.prove_bisect import bisect_designs
from vgic.cli.prove_history import Meter, prove_history
from vgic.designs import DEFAULT_DESIGN, check_names
from vgic.errors import Interrupted
from vgic.prove.proof import (
    Proof,
    ProofPlan,
    ScenarioFile,
    Search,
    check_scenarios,
    prove,
    prove_all,
    read_scenario,
    scenarios,
)

#: How long a search may take, unless told otherwise.
_SECONDS = 15.0


def prove_designs(
    design: DesignsOption = None,
    scenario: Annotated[
        list[str] | None, names_option("scenario", "A scenario, see --list; by default all.", scenario_names)
    ] = None,
    scenario_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--scenario-file",
            metavar="FILE",
            help="A scenario of your own, see docs/guide/prove.md; repeat it for several.",
        ),
    ] = None,
    search: Annotated[
        Search, typer.Option(help="Every schedule up to a bound, or schedules at random (two ways).")
    ] = "bounded",
    preemptions: Annotated[int, typer.Option(metavar="N", help="Bound of a bounded search, 0 to 8.")] = 2,
    depth: Annotated[int, typer.Option(metavar="N", help="PCT: depth of the defects that it is good at.")] = 3,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="At most so long for each search (15; with --history 30).")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Of random schedules and of the scenario 'mix'.")] = 1,
    findings: Annotated[
        int, typer.Option(metavar="N", help="Go on until so many different violations were found, 1 to 64.")
    ] = 1,
    replay: Annotated[
        str | None, typer.Option(metavar="SCHEDULE", help="Replay one schedule of one scenario in one design.")
    ] = None,
    stories: Annotated[
        bool, typer.Option("--stories", help="Tell every violation; of one scenario it is told anyway.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Tell every violation with every step.")] = False,
    bisect: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--bisect",
            metavar="BAD GOOD",
            help="Which axes mend the scenario's violation: those of GOOD are tried in BAD, one by one.",
        ),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Find every defect of the catalogue again (up to 25 minutes).")
    ] = False,
    list_scenarios: Annotated[bool, typer.Option("--list", help="List the scenarios and exit.")] = False,
    json: JsonOption = None,
) -> int:
    """Search the interleavings of small scenarios for violations of a rule.

    The engine runs unchanged, its threads taking turns in every order, or in
    many: use after free, deadlock, lost interrupts and more are looked for.
    Each scenario gets a line: what came of it, and whether a violation is
    known, with the design that fixed it, or NEW. A story is the shortest way
    found to a violation, step by step, with the command that replays it.

    A design may be composed, v6.10+drain=put-erased: see 'vgic designs --axes'.
    --bisect v6.10 v7.1.8 asks which axis mends the violation of a scenario.

    Only what was searched to the end is called proved, and only up to the
    bound that is named. Weak memory is not explored here.

    Exit status: 0 if nothing was found, 1 if there is a violation, 2 if a
    schedule to replay is not one of the scenario in the design, 130 after
    Ctrl-C. With --history: 0 if each defect was found where it should be,
    and nowhere else by a search of everything, 1 if not, or if a search was
    cut short.
    """
    check_json(json)
    if list_scenarios:
        _list(json)
        return 0
    if history:
        if design or scenario or scenario_file or bisect or replay is not None:
            raise ValueError(
                "--history runs the whole catalogue: it takes no --design, --scenario, --bisect or --replay"
            )
        if ProofPlan(search, preemptions, depth, seed, findings=findings) != ProofPlan():
            raise ValueError("--history has searches of its own: of what limits a search it takes only --seconds")
        return prove_history(json, full=full, seconds=seconds)
    designs = check_names(listed_designs(design) or [DEFAULT_DESIGN], allow_unsound=True)
    files = [read_scenario(path) for path in scenario_file or ()]
    names = check_scenarios(listed(scenario)) if scenario or not files else []
    wanted: list[str | ScenarioFile] = [*names, *files]
    told = stories or full or len(wanted) == 1
    plan = ProofPlan(
        search, preemptions, depth, seed, seconds=_SECONDS if seconds is None else seconds, findings=findings
    )
    if bisect is not None:
        if len(wanted) != 1 or design or replay is not None:
            raise ValueError("--bisect needs one --scenario or --scenario-file, and takes no --design and no --replay")
        return bisect_designs(json, wanted[0], bisect, plan)
    if replay is not None:
        if len(wanted) != 1 or len(designs) != 1:
            raise ValueError("--replay needs one --scenario and one --design")
        proofs = [prove(wanted[0], designs[0], plan, schedule=replay)]
    else:
        try:
            proofs = _search([(name, one, plan) for one in designs for name in wanted])
        except Interrupted as stopped:
            if stopped.finished:
                show_proofs(console(json), stopped.finished, stories=told, full=full)
            raise
    if json is not None:
        write_json(
            json, json_module.dumps({"schema": 1, "proofs": [as_row(proof) for proof in proofs]}, indent=1) + "\n"
        )
    if json != "-":
        if replay is not None:
            show_replay(console(), proofs[0], full=full)
        else:
            show_proofs(console(), proofs, stories=told, full=full)
    return int(not all(proof.passed for proof in proofs))


def _list(json: str | None) -> None:
    entries = scenarios()
    if json is not None:
        write_json(json, json_module.dumps([asdict(entry) for entry in entries], indent=1) + "\n")
    if json != "-":
        out = console()
        for entry in entries:
            out.print(entry.name, style="bold")
            out.print(indented(Text(entry.about), 2))
            out.print(indented(Text(entry.bound, "dim"), 2))


def _search(pairs: list[tuple[str | ScenarioFile, str, ProofPlan]]) -> list[Proof]:
    with progress("prove") as update:
        meter = Meter(update)
        return prove_all(pairs, done=meter.done, stop=meter.runs)
