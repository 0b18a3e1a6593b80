"""Write what `vgic prove` printed into the documentation: the catalogue of defects, and the story of the guide.

It searches for every defect again, up to 25 minutes on two CPUs; exits with status 1, and writes nothing, if the
result is not what the catalogue says, or if a search was cut short.
"""

import sys
import time
from pathlib import Path
from textwrap import fill

import vgic
from vgic.cli.common import progress
from vgic.cli.prove_history import Meter, verdict
from vgic.history import Defect, DefectResult, prove_history
from vgic.prove import Proof

DOCS = Path(__file__).resolve().parent
#: For each search.
_SECONDS = 1800.0


def _put(page: Path, mark: str, text: str) -> None:
    """Replace what stands between ``<!-- mark -->`` and ``<!-- end of mark -->``."""
    before, rest = page.read_text(encoding="utf-8").split(f"<!-- {mark} -->\n", 1)
    _, after = rest.split(f"<!-- end of {mark} -->", 1)
    page.write_text(f"{before}<!-- {mark} -->\n{text}<!-- end of {mark} -->{after}", encoding="utf-8")


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


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _sections(results: list[DefectResult]) -> str:
    parts = []
    for result in results:
        defect = result.defect
        proof = result.found[0]
        story = defect.story_in(proof)
        assert story is not None
        about = f"{defect.about[:1].upper()}{defect.about[1:]}."
        source = f"Reference: {defect.reference}. In: {defect.designs}. Ended by: {defect.fixed_by}."
        parts.append(
            f"## {defect.id}\n\n{fill(about, 118)}\n\n{fill(source, 118)}\n\n```text\n{proof.told(story)}\n```\n"
        )
    return "\n".join(parts)


def main() -> int:
    """Run the catalogue and write the pages."""
    begin = time.monotonic()
    with progress("history") as update:
        # However busy the machine is.
        meter = Meter(update)
        results = prove_history(seconds=_SECONDS, done=meter.done, stop=meter.runs)
    if not all(result.as_expected for result in results):
        print(verdict(results), file=sys.stderr)
        return 1
    page = DOCS / "explain" / "defects.md"
    _put(page, "history", _table(results, time.monotonic() - begin))
    _put(page, "stories", "\n" + _sections(results))
    guide = DOCS / "guide" / "prove.md"
    proof = vgic.prove("send_vs_discard", "v6.7")
    _put(guide, "story", f"```text\n{proof.told(proof.stories[0])}\n```\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
