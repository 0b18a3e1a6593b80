"""What searches came to, as people and programs read it: a line for each, whether it is known, and the stories."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from shlex import quote
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vgic.cli.common import indented, text_width
from vgic.cli.links import linked
from vgic.prove.defects import Defect, known
from vgic.prove.proof import Proof
from vgic.prove.story import NARROWEST, WIDEST, WIDTH, Story

#: Below this width a line for each search is not worth reading.
_NARROW = 80


def as_row(proof: Proof) -> dict[str, Any]:
    """A search as JSON, each story with its texts and with the defect that it is known as."""
    row = asdict(proof) | {"verdict": proof.verdict, "explored": proof.explored}
    row["stories"] = [_story_row(story) for story in proof.stories]
    return row


def _story_row(story: Story) -> dict[str, Any]:
    one = known(story)
    row = asdict(story) | {"text": story.text, "full_text": story.full_text, "known": None}
    if one is not None:
        row["known"] = {
            "id": one.id,
            "cve": one.cve,
            "about": one.about,
            "fixed_in": one.fixed_after(story.design),
            "fixed_kernels": one.fixed_text,
            "told": one.told,
        }
    return row


def show_proofs(out: Console, proofs: Sequence[Proof], *, stories: bool, full: bool) -> None:
    """Print a line for each search, by design; then the stories, or how to see one; then what it comes to."""
    for number, (design, group) in enumerate(_grouped(proofs)):
        if number:
            out.print()
        _lines(out, design, list(group))
    if stories:
        for proof in proofs:
            for story in proof.stories:
                _tell(out, proof, story, full=full)
    out.print(f"\n{summary(proofs)}", markup=False)
    told = next((proof for proof in proofs if proof.stories), None)
    if told is not None and not stories:
        command = f"vgic prove --design {quote(told.design)} --scenario {quote(told.scenario)}"
        out.print(f"A story: {command}; all of them: --stories", soft_wrap=True, markup=False)


def show_replay(out: Console, proof: Proof, *, full: bool) -> None:
    """Print what came of a schedule."""
    for story in proof.stories:
        _tell(out, proof, story, full=full)
    if proof.passed:
        out.print("nothing is violated in this schedule")


def _grouped(proofs: Sequence[Proof]) -> Iterable[tuple[str, Iterable[Proof]]]:
    """By design, unless there is one scenario in several: then the designs are the lines."""
    if len({proof.scenario for proof in proofs}) == 1:
        return [("", proofs)]
    return groupby(proofs, lambda proof: proof.design)


def _lines(out: Console, design: str, proofs: list[Proof]) -> None:
    """One line for each search, and one more for each further kind of violation in it."""
    first = "scenario" if design else "design"
    rows = [(proof.scenario if design else proof.design, *cells) for proof in proofs for cells in _cells(proof)]
    if design:
        out.print(Text.assemble("design ", (design, "bold")))
    else:
        out.print(Text.assemble("scenario ", (proofs[0].scenario, "bold")))
    if out.width < _NARROW:
        for name, result, defect, fixed, tried, style in rows:
            parts = [result, f"known: {defect}, fixed in {fixed}" if fixed else defect, f"{tried} tried"]
            out.print(Text(name, style))
            out.print(indented(linked(out, "; ".join(part for part in parts if part), style), 4))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for head in (first, "result", "known", "fixed in"):
        table.add_column(head, overflow="fold")
    table.add_column("tried", justify="right", no_wrap=True)
    for name, result, defect, fixed, tried, style in rows:
        table.add_row(name, result, linked(out, defect), fixed, tried, style=style)
    out.print(table)
    if not design:
        for proof in proofs:
            out.print(indented(Text(f"{proof.design}: {proof.explored}", "dim"), 0))


def _cells(proof: Proof) -> list[tuple[str, str, str, str, str]]:
    """Result, defect or NEW, the design that fixed it, how many were tried, style: for each kind of violation."""
    tried = f"{proof.executions:,}"
    if proof.passed:
        return [(f"proved to {proof.exhausted or 0}" if proof.complete else "nothing found", "", "", tried, "")]
    kinds = dict.fromkeys(known(story) for story in proof.stories)
    return [
        ("VIOLATION", "NEW", "", tried, "bold red")
        if kind is None
        else ("VIOLATION", kind.name, kind.fixed_after(proof.design) or "no design", tried, "red")
        for kind in kinds
    ]


def story_width(out: Console) -> int:
    """How wide stories are told: as the terminal is, as far as they can be."""
    return min(max(text_width(out, WIDTH), NARROWEST), WIDEST)


def _tell(out: Console, proof: Proof, story: Story, *, full: bool) -> None:
    out.print()
    out.print(linked(out, known_text(known(story), story), "bold"))
    out.print(proof.told(story, full=full, width=story_width(out)), soft_wrap=True, markup=False)


def known_text(one: Defect | None, story: Story) -> str:
    """``known: CVE-..., fixed in ...``, with what it is; or that it is NEW."""
    if one is None:
        return "NEW: no defect of the catalogue that the design is known to have"
    fixed = one.fixed_after(story.design)
    where = f" (docs/explain/{one.told.partition('#')[0]})" if one.told else ""
    return f"known: {one.title}, {f'fixed in {fixed}' if fixed else 'fixed in no design'}: {one.about}{where}"


def summary(proofs: Sequence[Proof]) -> str:
    """One line for all searches; what was cut short is counted as such."""
    found = [proof for proof in proofs if not proof.passed]
    new = sum(any(known(story) is None for story in proof.stories) for proof in found)
    proved = sum(proof.passed and proof.complete for proof in proofs)
    unfinished = len(proofs) - len(found) - proved
    kinds = f" ({len(found) - new} known, {new} NEW)" if found else ""
    parts = [f"{len(proofs)} searched", f"{len(found)} with a violation{kinds}", f"{proved} proved to their bound"]
    if unfinished:
        parts.append(f"{unfinished} not finished (nothing found; more with --seconds)")
    return ", ".join(parts)
