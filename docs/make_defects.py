"""Write what `vgic prove` printed into the documentation: the catalogue, the guide's story, what `hardened` passes.

It searches for every defect again, up to 25 minutes on two CPUs; exits with status 1, and writes nothing, if the
result is not what the catalogue says, or if a search was cut short. ``make_defects.py --stories`` searches only where
the defects are, which takes seconds, and leaves the tables as they are.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from textwrap import fill

from link_references import linked

import vgic
from vgic.cli.common import progress
from vgic.cli.prove_history import Meter, verdict
from vgic.designs import designs
from vgic.prove import Defect, DefectResult, Proof, defects, prove_history

DOCS = Path(__file__).resolve().parent
#: For each search.
_SECONDS = 1800.0


def put(page: Path, mark: str, text: str) -> None:
    """Replace what stands between ``<!-- mark -->`` and ``<!-- end of mark -->``."""
    before, rest = page.read_text(encoding="utf-8").split(f"<!-- {mark} -->\n", 1)
    _, after = rest.split(f"<!-- end of {mark} -->", 1)
    page.write_text(linked(f"{before}<!-- {mark} -->\n{text}<!-- end of {mark} -->{after}"), encoding="utf-8")


def _found(proof: Proof, defect: Defect) -> str:
    story = defect.story_in(proof)
    assert story is not None
    return f"`{proof.design}` ({story.preemptions}; {proof.executions:,})"


def _absent(proof: Proof) -> str:
    return f"`{proof.design}` (all {proof.executions:,} to {proof.exhausted})"


def _table(results: list[DefectResult], seconds: float) -> str:
    rows = [
        "| defect | scenario | found in (preemptions; interleavings until then) | not found in |",
        "|---|---|---|---|",
    ]
    for result in results:
        found = ", ".join(_found(proof, result.defect) for proof in result.found)
        absent = ", ".join(_absent(proof) for proof in result.absent)
        rows.append(
            f"| [{result.defect.id}](#{_anchor(result.defect.id)}) | `{result.defect.scenario}` | {found} | {absent} |"
        )
    tried = sum(proof.executions for result in results for proof in (*result.found, *result.absent))
    return (
        "\n".join(rows)
        + f"\n\n{len(results)} defects, {tried:,} interleavings, {seconds / 60:.1f} minutes on two CPUs.\n"
    )


def _explored(results: list[DefectResult]) -> str:
    """What hardened.md tells: found in the newest kernel's design, and not in `hardened`."""
    rows = ["| scenario | `v7.3`: preemptions | `hardened`: executions, all tried |", "|---|---|---|"]
    for result in results:
        if result.defect.told.startswith("hardened.md#"):
            found = next(proof for proof in result.found if proof.design == "v7.3")
            story = result.defect.story_in(found)
            assert story is not None
            absent = next(proof for proof in result.absent if proof.design == "hardened")
            rows.append(f"| `{result.defect.scenario}` | {story.preemptions} | {absent.executions:,} |")
    return "\n".join(rows) + "\n"


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def of_kernels_alone() -> str:
    """The defects of kernels that no design has."""
    parts = []
    for defect in defects():
        if defect.of_kernels_alone:
            about = fill(f"{defect.about[:1].upper()}{defect.about[1:]}.", 118)
            parts.append(f"### {defect.id}\n\n{about}\n\n{facts(defect)}")
    return "\n".join(parts)


def _sections(results: list[DefectResult]) -> str:
    parts = []
    for result in results:
        defect = result.defect
        proof = result.found[0]
        story = defect.story_in(proof)
        assert story is not None
        about = f"{defect.about[:1].upper()}{defect.about[1:]}."
        parts.append(f"## {defect.id}\n\n{fill(about, 118)}\n\n{facts(defect)}\n```text\n{proof.told(story)}\n```\n")
    return "\n".join(parts)


def facts(defect: Defect) -> str:
    """What is known of a defect, as a list."""
    report = DOCS / "reports" / f"{defect.id}.txt"
    kernels = [f"since {defect.since}"] if defect.since else []
    fixed = [f"{fix} ({' '.join(fix.commits)})" if fix.commits else str(fix) for fix in defect.fixed]
    kernels += [f"fixed in {', '.join(fixed)}"] if fixed else []
    kernels += [f"no fix in {', '.join(defect.unfixed)}"] if defect.unfixed else []
    designs = f"{_spans(defect.designs)}; fixed in {', '.join(defect.fixed_in)}"
    parts = [
        ("CVE", defect.cve),
        ("Designs", "" if defect.of_kernels_alone else designs),
        ("Kernels", "; ".join(kernels)),
        ("Sources", defect.sources),
        ("Told in", f"[{defect.told.partition('#')[0]}]({defect.told})" if defect.told else ""),
        ("Report", f"[{report.name}](../reports/{report.name})" if report.exists() else ""),
    ]
    lines = [_filled(f"- {name}: {text}") for name, text in parts if text]
    return "\n".join(lines) + "\n"


def _filled(text: str) -> str:
    """An item of a list, its links whole."""
    return fill(text, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _spans(names: tuple[str, ...]) -> str:
    """Names that follow each other in the history as ``first to last``."""
    order = [row.name for row in designs()]
    spans: list[list[str]] = []
    for name in names:
        if spans and order.index(name) == order.index(spans[-1][-1]) + 1:
            spans[-1].append(name)
        else:
            spans.append([name])
    return ", ".join(f"{span[0]} to {span[-1]}" if len(span) > 1 else span[0] for span in spans)


def main(arguments: list[str]) -> int:
    """Run the catalogue and write the pages; the exit status."""
    if arguments not in ([], ["--stories"]):
        print("usage: make_defects.py [--stories]", file=sys.stderr)
        return 2
    shown = [defect for defect in defects() if not defect.of_kernels_alone]
    chosen = [replace(defect, absent_in=()) if arguments else defect for defect in shown]
    begin = time.monotonic()
    with progress("history") as update:
        # However busy the machine is.
        meter = Meter(update)
        results = prove_history(chosen, seconds=_SECONDS, done=meter.done, stop=meter.runs)
    if not all(result.as_expected for result in results):
        print(verdict(results), file=sys.stderr)
        return 1
    page = DOCS / "explain" / "defects.md"
    if not arguments:
        put(page, "history", _table(results, time.monotonic() - begin))
        put(DOCS / "explain" / "hardened.md", "explored", _explored(results))
    put(page, "kernels", "\n" + of_kernels_alone() + "\n")
    put(page, "stories", "\n" + _sections(results))
    guide = DOCS / "guide" / "prove.md"
    proof = vgic.prove("send_vs_discard", "v6.7")
    put(guide, "story", f"```text\n{proof.told(proof.stories[0])}\n```\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
