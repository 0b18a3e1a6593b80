"""``vgic prove --bisect``: which axis mends it."""

import json as json_module
from typing import Any

from rich.text import Text

from vgic.cli.common import console, indented, progress, write_json
from vgic.cli.proofs import as_row
from vgic.cli.prove_history import Meter
from vgic.designs import axes
from vgic.prove.bisect import Bisection, Tried, bisect
from vgic.prove.proof import ProofPlan, ScenarioFile

_WORDS = {
    "mended": ("mends it", "green"),
    "violation": ("does not", ""),
    "unknown": ("not known: the search was cut short", "yellow"),
    "impossible": ("makes no sense alone", "dim"),
}


def bisect_designs(json: str | None, scenario: str | ScenarioFile, pair: tuple[str, str], plan: ProofPlan) -> int:
    """Search, and print which axes mend it; the exit status: 0 if some do."""
    with progress("bisect") as update:
        meter = Meter(update)
        found = bisect(scenario, *pair, plan, done=meter.done, stop=meter.runs)
    if json is not None:
        write_json(json, json_module.dumps(_row(found), indent=1) + "\n")
    if json != "-":
        _show(found)
    return int(not found.mends)


def _show(found: Bisection) -> None:
    out = console()
    bad, good = found.bad, found.good
    out.print(Text.assemble((bad.scenario, "bold"), ": ", (bad.design, "red"), f" has it: {bad.stories[0].what}"))
    out.print(Text.assemble("  ", (good.design, "green"), f" has not: {good.explored}"))
    out.print(f"\nEach axis of {good.design} alone in {bad.design}", markup=False)
    about = {one.name: one for one in axes()}
    for one in found.alone:
        ((axis, way),) = one.ways.items()
        word, style = _WORDS[one.verdict]
        why = f" ({one.why})" if one.why else ""
        out.print(indented(Text.assemble((f"{axis}={way}", style), f"  {word}{why}"), 2))
        if one.verdict == "mended":
            out.print(indented(Text(about[axis].ways[way], "dim"), 4))
    if found.together is not None:
        out.print("\nNone alone; these together, of which none can be left out:")
        for axis, way in found.together.ways.items():
            out.print(indented(Text.assemble((f"{axis}={way}", "green"), f"  {about[axis].ways[way]}"), 2))
    mends = found.mends
    if not mends:
        out.print("\nNo set of axes was shown to mend it.")
        return
    out.print(f"\nThat is {' or '.join(_name(bad.design, one) for one in mends)}", soft_wrap=True, markup=False)


def _name(base: str, one: Tried) -> str:
    return "+".join([base, *(f"{axis}={way}" for axis, way in one.ways.items())])


def _row(found: Bisection) -> dict[str, Any]:
    def row(one: Tried) -> dict[str, Any]:
        return {
            "design": _name(found.bad.design, one),
            "ways": one.ways,
            "verdict": one.verdict,
            "why": one.why,
            "proof": None if one.proof is None else as_row(one.proof),
        }

    return {
        "schema": 1,
        "bad": as_row(found.bad),
        "good": as_row(found.good),
        "alone": [row(one) for one in found.alone],
        "together": None if found.together is None else row(found.together),
        "mends": [_name(found.bad.design, one) for one in found.mends],
    }
