"""``vgic prove --history``: the catalogue of defects, found again."""

import json as json_module
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vgic.cli.common import Update, console, progress, write_json
from vgic.cli.links import linked
from vgic.cli.proofs import as_row, story_width
from vgic.errors import Interrupted
from vgic.prove.history import DefectResult
from vgic.prove.history import prove_history as search
from vgic.prove.proof import Proof


def prove_history(json: str | None, *, full: bool, seconds: float | None) -> int:
    """Run the catalogue and print what was found; the exit status."""
    try:
        with progress("history") as update:
            meter = Meter(update)
            results = search(seconds=seconds, done=meter.done, stop=meter.runs)
    except Interrupted as stopped:
        if stopped.finished:
            _show(console(json), stopped.finished, full=full)
        raise
    if json is not None:
        write_json(
            json, json_module.dumps({"schema": 1, "defects": [_row(result) for result in results]}, indent=1) + "\n"
        )
    if json != "-":
        _show(console(), results, full=full)
    return int(not all(result.as_expected for result in results))


class Meter:
    """Has a progress bar told of searches that run and of those that have ended."""

    def __init__(self, update: Update) -> None:
        """``update`` is the bar's."""
        self._update = update
        self._share, self._text = 0.0, ""

    def done(self, finished: int, of: int, proof: Proof) -> None:
        """One has ended: :data:`vgic.prove.proof.OnProof`."""
        self._share, self._text = finished / of, f"{proof.design}: {proof.scenario}"
        self.runs()

    def runs(self) -> bool:
        """One goes on; False, as it is not to be stopped."""
        self._update(self._share, self._text)
        return False


def found_text(result: DefectResult, proof: Proof) -> str:
    """What was found in a design that has the defect."""
    story = result.defect.story_in(proof)
    if story is None:
        other = f": {proof.stories[0].what}" if proof.stories else ""
        verdict = "CUT SHORT, not found" if proof.passed and not proof.complete else "NOT FOUND"
        return f"{proof.design}: {verdict} ({proof.explored}){other}"
    steps = "preemption" if story.preemptions == 1 else "preemptions"
    return f"{proof.design} ({story.preemptions} {steps}, {proof.executions:,} tried)"


def absent_text(proof: Proof) -> str:
    """What was explored in a design that does not have the defect."""
    if not proof.passed:
        return f"{proof.design}: VIOLATION: {proof.stories[0].what}"
    bound = "" if proof.exhausted is None else f", all to {proof.exhausted}"
    if not proof.complete:
        return f"{proof.design}: CUT SHORT ({proof.executions:,} tried{bound})"
    return f"{proof.design} (all {proof.executions:,}, to {proof.exhausted})"


def _show(out: Console, results: list[DefectResult], *, full: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("defect", "scenario", "found in", "not found in", "fixed in", ""):
        table.add_column(head, no_wrap=head in ("scenario", ""))
    for result in results:
        defect = result.defect
        found = "\n".join(found_text(result, proof) for proof in result.found)
        absent = "\n".join(absent_text(proof) for proof in result.absent)
        table.add_row(
            linked(out, defect.title),
            defect.scenario,
            escape(found),
            escape(absent),
            ", ".join(defect.fixed_in),
            result.verdict,
            style="" if result.as_expected else "red",
        )
    out.print(table)
    if full:
        for result in results:
            for proof in result.found:
                if story := result.defect.story_in(proof):
                    out.print(f"\n[bold]{escape(result.defect.title)}[/]: {escape(result.defect.about)}\n")
                    out.print(proof.told(story, width=story_width(out)), soft_wrap=True, markup=False)
    seconds = sum(proof.seconds for result in results for proof in (*result.found, *result.absent))
    interleavings = sum(proof.executions for result in results for proof in (*result.found, *result.absent))
    out.print(
        f"\n{len(results)} defects, {interleavings:,} interleavings, {seconds:.0f} s of CPU time: "
        f"{escape(verdict(results))}",
        soft_wrap=True,
    )


def verdict(results: Sequence[DefectResult]) -> str:
    """What all of it comes to."""
    wrong = [result.defect.id for result in results if result.wrong]
    unfinished = [result.defect.id for result in results if result.unfinished]
    parts = [f"NOT as the catalogue says: {', '.join(wrong)}"] if wrong else []
    if unfinished:
        parts.append(f"cut short, so that they say nothing (more with --seconds): searches of {', '.join(unfinished)}")
    return "; ".join(parts) or "as the catalogue says"


def _row(result: DefectResult) -> dict[str, Any]:
    return {
        "defect": asdict(result.defect) | {"designs": result.defect.designs},
        "found": [as_row(proof) for proof in result.found],
        "absent": [as_row(proof) for proof in result.absent],
        "as_expected": result.as_expected,
        "verdict": result.verdict,
    }
